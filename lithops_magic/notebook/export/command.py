"""Implements `%lambda_export`: finds the notebook, cleans it, and writes it in the format of the file's suffix."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.notebook.display.status import show
from lithops_magic.notebook.parse.usage_error import UsageError
from lithops_magic.notebook.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from nbformat import NotebookNode

    from lithops_magic.notebook.export.current import NotebookSource

_MARKS = {
    ".ipynb": '"exported_by": "lithops-magic"',
    ".py": "# Written by %lambda_export",
    ".html": 'content="lithops-magic"',
}
"""Text in every exported file, by which exports are recognized."""


def export(shell: InteractiveShell, session: Session, target: Path, named: str | None) -> None:
    """Write the notebook of `shell` to `target`, and report what was written and what is missing.

    Raises
    ------
    UsageError
        The target or the notebook is unusable; nothing was written.
    """
    _check_kind(target)
    with _needed():
        from lithops_magic.notebook.export.current import current

        source = current(shell, named)
    lines = write(source, target, session, shell.user_ns)
    show({"text/plain": "\n".join(lines), "text/html": "".join(f"<div>{html.escape(line)}</div>" for line in lines)})


def export_file(notebook: Path, target: Path) -> list[str]:
    """Write the notebook in a file to `target`, and return what to report.

    Raises
    ------
    UsageError
        The target or the notebook is unusable; nothing was written.
    """
    _check_kind(target)
    with _needed():
        from lithops_magic.notebook.export.current import NotebookSource, read

        source = NotebookSource(read(notebook), notebook.name, notebook)
    return write(source, target, Session(), {})


def write(source: NotebookSource, target: Path, session: Session, variables: Mapping[str, Any]) -> list[str]:
    """Write a notebook without the secrets known from the session, its `variables` and the notebook's own code."""
    with _needed():
        from lithops_magic.notebook.export.clean import clean
        from lithops_magic.notebook.export.secrets import Scrubber, assigned_secrets, known_secrets
    _check(target, source.file)
    code = [cell.source for cell in source.notebook.cells if cell.cell_type == "code"]
    scrubber = Scrubber(known_secrets(session, variables) | assigned_secrets(code))
    book = clean(source.notebook, scrubber)
    text, left_out = _render(book, target.suffix.lower(), source.name)
    _write(target, text)
    lines = [f"Wrote {target} from {source.name} ({len(text.encode()) / 1024:,.0f} KB)"]
    lines += [f"Secrets removed: {scrubber.removed} ({scrubber.kinds})"] if scrubber.removed else []
    lines += [f"Note: {source.note}"] if source.note else []
    lines += [f"Left out (notebook only): {', '.join(left_out)}"] if left_out else []
    return lines


@contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
        return
    except ModuleNotFoundError as error:
        problem = f"%lambda_export needs {error.name}: pip install nbconvert"
    raise UsageError(problem)


def _check_kind(target: Path) -> None:
    if target.suffix.lower() not in _MARKS:
        raise UsageError(f"FILE must end in .ipynb, .py or .html, not `{target.name}`")


def _render(book: NotebookNode, kind: str, name: str) -> tuple[str, list[str]]:
    """Return the file's text, and what it lacks compared to the notebook."""
    if kind == ".py":
        from lithops_magic.notebook.export.script import to_script

        script = to_script(book, name)
        return script.text, script.left_out
    if kind == ".html":
        try:
            from lithops_magic.notebook.export.page import to_html
        except ModuleNotFoundError as error:
            raise UsageError(f"a page needs {error.name}: pip install nbconvert") from None
        return to_html(book, Path(name).stem), []
    import nbformat

    book.metadata["exported_by"] = "lithops-magic"
    return f"{nbformat.writes(book)}\n", []


def _check(target: Path, notebook: Path | None) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    if not target.exists():
        return
    # By file and not by path: a link to the notebook would be overwritten as well.
    if notebook is not None and target.samefile(notebook):
        raise UsageError(f"{target} is the notebook itself; choose another name")
    if target.is_dir() or _MARKS[target.suffix.lower()] not in target.read_text("utf-8", "replace"):
        raise UsageError(f"{target} exists and was not written by %lambda_export; choose another name or delete it")


def _write(target: Path, text: str) -> None:
    """Write a file atomically."""
    try:
        handle, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            # mkstemp makes it private, but an export is meant to be shared.
            Path(draft).chmod(0o644)
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink()
            raise
    except OSError as error:
        problem = f"{target} cannot be written: {error.strerror}"
    else:
        return
    raise UsageError(problem)
