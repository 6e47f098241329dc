"""The `lithops-magic` command."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version

from lithops_magic.cli import account, demo, export, image, jobs, lithops_program, packages, quota, run, verify
from lithops_magic.errors import LithopsMagicError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 after a failure reported in one line, 130 after Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Not parsed here: the local AWS has its own options, and this process must not import what it needs.
    if given[:1] == ["local"]:
        return _local(given[1:])
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("lithops-magic: interrupted", file=sys.stderr)
        # 128 + SIGINT, as a shell reports it.
        return 130
    except LithopsMagicError as error:
        return _fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lithops-magic", description="Notebook cells in parallel on AWS Lambda.")
    parser.add_argument("--version", action="version", version=f"lithops-magic {version('lithops-magic')}")
    parser.set_defaults(run=lambda _: _help(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    demo.register(commands)
    commands.add_parser("local", help="run the local AWS in the foreground (see `lithops-magic local --help`)")

    jobs.register(commands)
    export.register(commands)
    account.register(commands)
    verify.register(commands)
    quota.register(commands)
    run.register(commands)
    packages.register(commands)
    lithops_program.register(commands)
    image.register(commands)
    return parser


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _fail(message: str) -> int:
    print(f"lithops-magic: {message}", file=sys.stderr)
    return 1


def _local(arguments: list[str]) -> int:
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["serve", *arguments]
    # With `-P`, files in the current folder cannot shadow modules.
    process = subprocess.Popen([sys.executable, "-P", "-m", "lithops_magic.local", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal sent Ctrl-C to the server, too, which is shutting down in an orderly way.
            continue
