"""The command `lithops`: runs an unmodified program that says `import lithops`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "lithops",
        help="run a program that says `import lithops`, unedited",
        description="Run a Python program that says `import lithops`, on AWS Lambda or the local AWS as configured.",
    )
    parser.add_argument("program", type=Path, help="the Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program gets as its own arguments")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from lithops_magic.engine.result import script
    from lithops_magic.lithops import stand_in

    program: Path = options.program
    if not program.is_file():
        raise MisuseError(f"there is no file {program}")
    script.install()
    # Threads or exit handlers that the program leaves behind still import our module.
    stand_in.install()
    # Remove this command's own folder.
    del sys.path[0]
    try:
        stand_in.run(program, options.arguments)
    except Exception as error:
        error.__traceback__ = _of_program(error.__traceback__, str(program))
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _of_program(at: TracebackType | None, file: str) -> TracebackType | None:
    """Return the part of a traceback from the program's first frame on."""
    found = at
    while found is not None and found.tb_frame.f_code.co_filename != file:
        found = found.tb_next
    return found or at
