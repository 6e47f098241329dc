"""The `lithops-magic` command."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from lithops_magic.cli import account, demo, image, packages
from lithops_magic.errors import LithopsMagicError


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

    demo.register(commands)
    commands.add_parser("local", help="run the local AWS in the foreground (see `lithops-magic local --help`)")

    status = commands.add_parser("status", help="list the functions that were deployed")
    status.set_defaults(run=lambda _: _status())

    clean = commands.add_parser("clean", help="delete the functions that were deployed")
    clean.set_defaults(run=lambda _: _clean())

    account.register(commands)
    packages.register(commands)
    image.register(commands)
    return parser


def _fail(message: str) -> int:
    print(f"lithops-magic: {message}", file=sys.stderr)
    return 1


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
    from lithops_magic import config
    from lithops_magic.aws.deploy.function import list_functions
    from lithops_magic.aws.session import Cloud

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
    from lithops_magic import config
    from lithops_magic.aws.deploy.function import delete_functions
    from lithops_magic.aws.deploy.layer import delete_layers
    from lithops_magic.aws.session import Cloud

    settings = config.load()
    cloud = Cloud.connect(settings)
    names = [*delete_functions(cloud, settings), *delete_layers(cloud, settings)]
    print("\n".join(f"Deleted {name}" for name in names) or f"Nothing to delete on {cloud.describe()}.")
    return 0
