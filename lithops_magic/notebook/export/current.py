"""Finds a kernel's notebook: its file, or else what the session remembers of it."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat import NotebookNode, v4

from lithops_magic.notebook.export.clean import is_export
from lithops_magic.notebook.parse.about import notebook_files
from lithops_magic.notebook.parse.cell import cell_number
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True)
class NotebookSource:
    """A notebook and its origin."""

    notebook: NotebookNode
    name: str
    """Name shown to the user, such as `analysis.ipynb`."""
    file: Path | None = None
    note: str = ""
    """What it lacks, as a sentence."""


def current(shell: InteractiveShell, named: str | None = None) -> NotebookSource:
    """Return the notebook in the file `named`, else the one `shell` belongs to, else the session's history.

    Raises
    ------
    UsageError
        The file is missing or not a notebook, or nothing has run yet.
    """
    if named is not None:
        return _from_file(Path(named).expanduser(), shell)
    for file in filter(Path.is_file, notebook_files(shell)):
        found = _from_file(file, shell)
        # The variable is inherited by kernels that a notebook starts, which may run other notebooks.
        if _is_of(found.notebook, _history(shell)):
            return found
    return _from_history(shell)


def _from_file(path: Path, shell: InteractiveShell) -> NotebookSource:
    return NotebookSource(book := read(path), path.name, path, _unsaved(path.name, book, _history(shell)))


def read(path: Path) -> NotebookNode:
    """Return the notebook in a file.

    Raises
    ------
    UsageError
        The file is missing, unreadable or not a notebook.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book: NotebookNode = nbformat.read(path, as_version=4)
        return book
    except FileNotFoundError:
        problem = f"there is no notebook {path}"
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
    except Exception as error:  # nbformat has no common base for errors in notebooks
        problem = f"{path} is not a notebook: {str(error).partition(chr(10))[0]}"
    raise UsageError(problem)


def _history(shell: InteractiveShell) -> dict[int, str]:
    """Return the code run in this session by cell number, without the running cell and other exports."""
    lines = shell.history_manager.input_hist_raw if shell.history_manager else []
    now = cell_number(shell)
    return {n: line.strip() for n, line in enumerate(lines) if n != now and line.strip() and not is_export(line)}


def _is_of(book: NotebookNode, history: dict[int, str]) -> bool:
    """Whether the session may belong to the notebook, judging by cells they share that are not in every notebook."""
    telling = {source for source in history.values() if not source.startswith("%load_ext")}
    return not telling or not telling.isdisjoint(cell.source.strip() for cell in book.cells)


def _unsaved(name: str, book: NotebookNode, history: dict[int, str]) -> str:
    if not history or not _is_of(book, history):
        return ""
    last = max(history)
    # By number and text: the saved cell may have been edited and run again since.
    if any(cell.get("execution_count") == last and cell.source.strip() == history[last] for cell in book.cells):
        return ""
    return f"{name} was last saved before In [{last}] ran: save it and export again to have everything"


def _from_history(shell: InteractiveShell) -> NotebookSource:
    history = _history(shell)
    if not history:
        raise UsageError("nothing was run yet in this session; name a notebook: `%lambda_export FILE NOTEBOOK`")
    cells = [
        v4.new_code_cell(source, execution_count=number, outputs=list(_outputs(shell, number)))
        for number, source in history.items()
    ]
    language = {"name": "python", "version": platform.python_version()}
    book: NotebookNode = v4.new_notebook(cells=cells, metadata={"language_info": language})
    note = "the notebook's file is not known here, so this is the session's history, without text cells and pictures"
    return NotebookSource(book, "this session", note=f"{note}; to export a file: `%lambda_export FILE NOTEBOOK`")


def _outputs(shell: InteractiveShell, number: int) -> Iterator[NotebookNode]:
    # Since version 9, IPython remembers outputs.
    manager: Any = shell.history_manager
    for one in getattr(manager, "outputs", {}).get(number, ()):
        if one.output_type in ("out_stream", "err_stream"):
            name = "stdout" if one.output_type == "out_stream" else "stderr"
            yield v4.new_output("stream", name=name, text="".join(_pieces(one.bundle)))
        else:
            counted = {"execution_count": number} if one.output_type == "execute_result" else {}
            yield v4.new_output(one.output_type, data=dict(one.bundle), **counted)
    error = getattr(manager, "exceptions", {}).get(number)
    if error is not None:
        yield v4.new_output("error", **error)


def _pieces(bundle: dict[str, str | list[str]]) -> Iterator[str]:
    for text in bundle.values():
        yield from [text] if isinstance(text, str) else text
