"""The command `run`: runs a notebook with its maps on Lambda, shows progress, and saves an executed copy."""

from __future__ import annotations

import argparse
import ast
import keyword
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import ConfigError, LithopsMagicError
from lithops_magic.working_folder import working_folder

if TYPE_CHECKING:
    from nbformat import NotebookNode

_DECLARED, _INJECTED = "parameters", "injected-parameters"
"""Cell tags, as used by papermill."""


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of `lithops-magic`."""
    run = commands.add_parser(
        "run",
        help="run a notebook without a browser, with its maps on Lambda",
        description="Run a notebook without a browser: its maps run on Lambda, its progress is shown here, and the "
        "executed copy is written even if it fails. Exit codes: 0, 1 after a cell failed, 2 for wrong arguments, "
        "130 after Ctrl-C or SIGTERM.",
    )
    run.add_argument("notebook", type=Path, metavar="NOTEBOOK.ipynb")
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set after the cell tagged `parameters`, as papermill does; a Python literal, else text",
    )
    run.add_argument("-o", "--output", type=Path, metavar="FILE", help="the executed copy (NOTEBOOK.executed.ipynb)")
    run.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    parameters = dict(_parsed(text) for text in options.parameter)
    path: Path = options.notebook
    output: Path = options.output or path.with_name(f"{path.stem}.executed.ipynb")
    if not (working_folder() / output).parent.is_dir():
        raise ConfigError(f"The executed copy cannot be written to {output}: there is no such folder.")
    try:
        import ipykernel  # noqa: F401
        import nbformat
        from nbclient.exceptions import CellExecutionError, DeadKernelError
    except ModuleNotFoundError as error:
        raise LithopsMagicError(f'run needs {error.name}: pip install "lithops-magic[local]"') from None
    from lithops_magic.cli.play import play

    notebook = _opened(path)
    _inject(notebook, parameters)
    # Schedulers end a job with SIGTERM: the same as Ctrl-C, so that the executed copy is written.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        # Jobs are listed by notebook name.
        play(notebook, sys.stdout, path.absolute().parent, {"JPY_SESSION_NAME": str(path.absolute())})
    except CellExecutionError as error:
        first = error.evalue.splitlines()[0] if error.evalue else ""
        raise LithopsMagicError(f"{path.name} failed in cell {_failed(notebook)}: {error.ename}: {first}") from None
    except DeadKernelError:
        raise LithopsMagicError(f"the kernel of {path.name} died in cell {_failed(notebook)}") from None
    finally:
        nbformat.write(notebook, output)
        print(f"Executed copy: {output}")
    return 0


def _parsed(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(f"-p {text}: write NAME=VALUE with the name of a variable.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return name, value


def _opened(path: Path) -> NotebookNode:
    import nbformat

    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    except Exception:  # nbformat's many errors have no common base
        raise ConfigError(f"{path} is not a notebook.") from None
    return notebook


def _inject(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Add a cell that sets `parameters`, below the cell that declares them or else at the top."""
    from nbformat.v4 import new_code_cell

    if not parameters:
        return
    notebook.cells = [cell for cell in notebook.cells if _INJECTED not in _tags(cell)]
    declared = next((index for index, cell in enumerate(notebook.cells) if _DECLARED in _tags(cell)), None)
    if declared is not None:
        _check(parameters, notebook.cells[declared].source)
    source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    cell = new_code_cell(source, metadata={"tags": [_INJECTED]})
    if notebook.nbformat_minor < 5:
        del cell["id"]  # older notebook formats do not allow ids
    notebook.cells.insert(0 if declared is None else declared + 1, cell)


def _check(parameters: Mapping[str, Any], source: str) -> None:
    """Reject names that the cell does not set, as they would have no effect; accept all if it is not Python."""
    from lithops_magic.closest import closest

    try:
        nodes = ast.walk(ast.parse(source))
    except SyntaxError:
        return
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    for name in parameters:
        if name not in names:
            meant = closest(name, names)
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(names)}." if names else "it sets none."
            raise ConfigError(f"-p {name}: the notebook's parameters cell does not set {name}; {hint}")


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _failed(notebook: NotebookNode) -> int:
    """Return the number of the last cell that ran."""
    counts = [cell.get("execution_count") for cell in notebook.cells if cell.cell_type == "code"]
    return max((count for count in counts if count), default=0)
