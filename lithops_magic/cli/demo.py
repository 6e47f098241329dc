"""The command `demo`: plays the demo notebooks in the terminal, saves them executed, and writes them as pages."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import LithopsMagicError

if TYPE_CHECKING:
    from lithops_magic.cli.play import MapFigures

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of `lithops-magic`."""
    demo = commands.add_parser("demo", help="run the quickstart or another demo notebook here and show what it does")
    demo.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="which ones to run (default: 01_quickstart)")
    demo.add_argument("--all", action="store_true", help="run all of them")
    demo.add_argument("--save", action="store_true", help="write the executed notebooks back")
    demo.add_argument("--html", type=Path, metavar="FOLDER", help="also write each as a self-contained HTML page")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    # Report missing or misspelled notebooks before running anything.
    chosen = _choose(options.notebooks, everything=options.all)
    if options.html is not None and not options.html.is_dir():
        raise LithopsMagicError(f"there is no folder {options.html}")
    try:
        import matplotlib  # noqa: F401
        import nbconvert  # noqa: F401
        import nbformat  # noqa: F401
        import sklearn  # type: ignore[import-untyped]  # noqa: F401
        from nbclient import NotebookClient  # noqa: F401
    except ModuleNotFoundError as error:
        raise LithopsMagicError(f'the demo needs {error.name}: pip install "lithops-magic[local]"') from None
    for path in chosen:
        _play(path, options)
    return 0


def _choose(names: list[str], *, everything: bool) -> list[Path]:
    if not NOTEBOOKS.exists():
        raise LithopsMagicError(
            "the demo notebooks are in the project's repository: clone it and `pip install -e .` there"
        )
    there = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    wanted = list(there) if everything else [name.removesuffix(".ipynb") for name in names] or ["01_quickstart"]
    for name in wanted:
        if name not in there:
            raise LithopsMagicError(f"no demo {name}: there are {', '.join(there)}")
    return [there[name] for name in wanted]


def _play(path: Path, options: argparse.Namespace) -> None:
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from lithops_magic.cli.play import play

    notebook = nbformat.read(path, as_version=4)
    try:
        # Demos run on the local AWS, whatever account is configured.
        figures = play(notebook, sys.stdout, NOTEBOOKS, {"LITHOPS_MAGIC_LOCAL": "1"})
    except CellExecutionError as error:
        first = error.evalue.splitlines()[0] if error.evalue else ""
        problem = f"{path.stem} failed: {error.ename}: {first}"
    except DeadKernelError:
        problem = f"the kernel of {path.stem} died"
    else:
        if options.save:
            nbformat.write(notebook, path)
        _conclude(figures, path)
        if options.html is not None:
            from lithops_magic.notebook.export.page import to_html

            page = options.html / f"{path.stem}.html"
            page.write_text(to_html(notebook, path.stem), "utf-8")
            print(f"As a page:  {page}")
        return
    raise LithopsMagicError(problem)


def _conclude(figures: list[MapFigures], path: Path) -> None:
    from lithops_magic.cli.play import MapFigures
    from lithops_magic.engine.text.units import duration, money, price

    total = MapFigures(
        "together",
        tasks=sum(figure.tasks for figure in figures),
        elapsed=sum(figure.elapsed for figure in figures),
        serial_seconds=sum(figure.serial_seconds for figure in figures),
        spent=sum(figure.spent for figure in figures),
    )
    print(f"\n{'':10}{'tasks':>7}{'here':>12}{'one by one':>14}{'faster':>10}{'on AWS':>13}")
    for figure in (*figures, total):
        print(
            f"{figure.name:10}{figure.tasks:>7,}{duration(figure.elapsed):>12}{duration(figure.serial_seconds):>14}"
            f"{_faster(figure):>10}{f'≈ {money(figure.spent)}':>13}"
        )
    print(f"\nAll of it would cost {price(total.spent, local=True)}.")
    print(f"Open the notebook:  jupyter lab {os.path.relpath(path)}")


def _faster(figures: MapFigures) -> str:
    from lithops_magic.engine.text.units import factor

    return factor(figures.speedup) if figures.speedup >= 1 else "–"
