"""The `lithops-magic` command."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import cli_aws, cli_image, cli_packages
from .errors import LithopsMagicError

if TYPE_CHECKING:
    from .demo import MapFigures

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 after a failure told in one line, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["local"]:
        return _local(given[1:])
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("lithops-magic: interrupted", file=sys.stderr)
        return 130
    except LithopsMagicError as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lithops-magic", description="Notebook cells in parallel on AWS Lambda.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="run the quickstart or another demo notebook here and show what it does")
    demo.add_argument("notebook", nargs="?", default="01_quickstart", help="which one (01_quickstart)")
    demo.add_argument("--save", action="store_true", help="write the executed notebook back")
    demo.set_defaults(run=_demo)

    commands.add_parser("local", help="run the local AWS in the foreground (see `lithops-magic local --help`)")

    status = commands.add_parser("status", help="list the functions that were deployed")
    status.set_defaults(run=lambda _: _status())

    clean = commands.add_parser("clean", help="delete the functions that were deployed")
    clean.set_defaults(run=lambda _: _clean())

    cli_aws.register(commands)
    cli_packages.register(commands)
    cli_image.register(commands)
    return parser


def _fail(message: str) -> int:
    print(f"lithops-magic: {message}", file=sys.stderr)
    return 1


def _demo(options: argparse.Namespace) -> int:
    path = NOTEBOOKS / f"{options.notebook.removesuffix('.ipynb')}.ipynb"
    if not NOTEBOOKS.exists():
        return _fail("the demo notebooks come with the project's repository: clone it and `pip install -e .` there")
    if not path.exists():
        return _fail(
            f"no demo {options.notebook}: there are {', '.join(sorted(p.stem for p in NOTEBOOKS.glob('*.ipynb')))}"
        )
    try:
        import matplotlib  # noqa: F401
        import nbformat
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        from .demo import play
    except ModuleNotFoundError as error:
        return _fail(f'the demo needs {error.name}: pip install "lithops-magic[local]"')

    notebook = nbformat.read(path, as_version=4)
    try:
        figures = play(notebook, sys.stdout, NOTEBOOKS)
    except CellExecutionError as error:
        return _fail(f"{path.stem} failed: {error.ename}: {error.evalue.splitlines()[0] if error.evalue else ''}")
    except DeadKernelError:
        return _fail(f"the kernel of {path.stem} died")
    if options.save:
        nbformat.write(notebook, path)
    _conclude(figures, path)
    return 0


def _conclude(figures: list[MapFigures], path: Path) -> None:
    from .demo import MapFigures
    from .engine.units import duration, factor, money

    total = MapFigures(
        "together",
        tasks=sum(figure.tasks for figure in figures),
        elapsed=sum(figure.elapsed for figure in figures),
        task_seconds=sum(figure.task_seconds for figure in figures),
        request_cost=sum(figure.request_cost for figure in figures),
    )
    print(f"\n{'':10}{'tasks':>7}{'wall time':>12}{'serial':>10}{'speed-up':>14}{'requests':>12}")
    for figure in (*figures, total):
        print(
            f"{figure.name:10}{figure.tasks:>7,}{duration(figure.elapsed):>12}{duration(figure.task_seconds):>10}"
            f"{factor(figure.speedup):>14}{money(figure.request_cost):>12}"
        )
    print("\nSerial is all tasks one after the other; requests are at AWS's list price, and nothing was billed.")
    print(f"Open the notebook:  jupyter lab {os.path.relpath(path)}")


def _local(arguments: list[str]) -> int:
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    process = subprocess.Popen([sys.executable, "-P", "-m", "lithops_magic.local", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal sent Ctrl-C to the server too, which is about to end in good order.
            continue


def _status() -> int:
    from . import config
    from .aws.function import list_functions
    from .aws.session import Cloud

    settings = config.load()
    cloud = Cloud.connect(settings)
    print(f"{cloud.describe()} · configured by {settings.source}")
    functions = list_functions(cloud, settings)
    for function in functions:
        print(f"  {function.name}  {function.memory:,} MB  {function.timeout} s  {function.last_modified}")
    if not functions:
        print("No functions deployed.")
    return 0


def _clean() -> int:
    from . import config
    from .aws.function import delete_functions
    from .aws.layer import delete_layers
    from .aws.session import Cloud

    settings = config.load()
    cloud = Cloud.connect(settings)
    names = [*delete_functions(cloud, settings), *delete_layers(cloud, settings)]
    print("\n".join(f"Deleted {name}" for name in names) or f"Nothing to delete on {cloud.describe()}.")
    return 0
