"""`python -m lithops_magic.local serve | ensure | stop | status`: the local AWS as a command."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
from pathlib import Path

from lithops_magic.local.discovery import (
    Discovery,
    LocalError,
    find,
    is_alive,
    path_of,
    private_folder,
    read,
    version,
)

IDLE_MINUTES = 30.0

ISOLATIONS = ("auto", "namespaces", "none")

EVENT_RETRY_DELAYS = (60.0, 120.0)
"""Seconds, from AWS's "Error handling for asynchronous invocation"."""

SETTLE = 0.1
"""Seconds; AWS takes longer, but a program that forgets to wait fails here too."""

STATE_VARIABLE = "LITHOPS_MAGIC_LOCAL_STATE"

_PUBLIC = (
    "endpoint_url",
    "region",
    "access_key_id",
    "secret_access_key",
    "account_id",
    "pid",
    "workers",
    "version",
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status; errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except LocalError as failure:
        print(failure, file=sys.stderr)
        return 1
    except OSError as failure:
        from lithops_magic.local.resources import explain

        print(explain(failure), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lithops-magic local", description="Run and find the local AWS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run in the foreground until Ctrl-C")
    serve.set_defaults(command=_serve, idle=None)
    ensure = commands.add_parser(
        "ensure", help="start in the background unless already running; print how to reach it as JSON"
    )
    ensure.set_defaults(command=_ensure)
    for command in (serve, ensure):
        _add_server_options(command)
    ensure.set_defaults(idle=IDLE_MINUTES)
    serve.add_argument("--quiet", action="store_true", help="print no banner")
    commands.add_parser("stop", help="stop every local AWS of this user").set_defaults(command=_stop)
    commands.add_parser("status", help="list the local AWS processes that are running").set_defaults(command=_status)
    return parser


def _add_server_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)")
    add("--workers", type=_count, help="maximum sandboxes running at once (default: number of cores, at least 2)")
    add(
        "--concurrency",
        type=_count,
        help="the account's concurrency limit; invocations above it are throttled (default: same as workers)",
    )
    add(
        "--isolation",
        choices=ISOLATIONS,
        default="auto",
        help="whether each sandbox runs in its own namespaces (auto: where the system allows it)",
    )
    add(
        "--event-retry-delays",
        type=_duration,
        nargs="+",
        default=EVENT_RETRY_DELAYS,
        metavar="SECONDS",
        help="seconds before each retry of a failed asynchronous invocation (default: 60 120, as on AWS)",
    )
    add(
        "--cpu-share",
        action="store_true",
        help="give sandboxes CPU in proportion to memory (1,769 MB per core), as AWS does, for more realistic timings",
    )
    add(
        "--settle",
        type=_duration,
        default=SETTLE,
        metavar="SECONDS",
        help=f"seconds a new function stays Pending and an update InProgress (default: {SETTLE}; 0: no delay)",
    )
    add(
        "--idle",
        type=_duration,
        metavar="MINUTES",
        help="stop after this many minutes without a request (default: never for serve, 30 for ensure)",
    )
    add(
        "--state",
        type=Path,
        default=os.environ.get(STATE_VARIABLE) or None,
        metavar="DIR",
        help="persist everything but CloudWatch logs in DIR; the next start replays every change ever made to S3, IAM, "
        f"EC2, and EFS (default: ${STATE_VARIABLE}; if unset, nothing is persisted)",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: use 1 or more")
    return number


def _duration(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a duration: use 0 or more")
    return number


def _serve(options: argparse.Namespace) -> None:
    from lithops_magic.local.lifecycle import check_installed

    check_installed()
    _hide_awscrt()
    from lithops_magic.local import server
    from lithops_magic.local.banner import banner
    from lithops_magic.local.resources import allow_files, plan_capacity

    capacity = plan_capacity(allow_files(), options.workers, options.concurrency)
    folder = private_folder()
    running = find(folder, version())
    if running:
        stop = "python -m lithops_magic.local stop"
        raise LocalError(f"A local AWS is already running at {running.endpoint_url}: use it, or stop it with: {stop}")
    settings = server.Options(
        port=options.port,
        workers=capacity.workers,
        idle=None if options.idle is None else options.idle * 60,
        state=options.state and Path(options.state).absolute(),
        concurrency=capacity.concurrency,
        connections=capacity.connections,
        isolation=options.isolation,
        event_retry_delays=tuple(options.event_retry_delays),
        settle=options.settle,
        cpu_share=options.cpu_share,
    )

    def announce(found: Discovery, note: str) -> None:
        if not options.quiet:
            print(banner(found, settings, note), flush=True)

    server.run(folder, settings, announce)


def _hide_awscrt() -> None:
    """Keep botocore from importing awscrt, a fifth of the startup time: only clients of real AWS need it."""
    sys.modules["awscrt"] = None  # type: ignore[assignment]
    importlib.import_module("botocore.compat")
    # moto computes checksums with it.
    del sys.modules["awscrt"]


def _ensure(options: argparse.Namespace) -> None:
    folder = private_folder()
    # The usual case, a running server, needs neither the lock nor the imports of `lifecycle`.
    found = read(path_of(folder, version()))
    if found is None or not is_alive(found):
        from lithops_magic.local.lifecycle import start

        found = start(folder, _forwarded(options), dead=found)
    print(json.dumps({name: getattr(found, name) for name in _PUBLIC}))


def _forwarded(options: argparse.Namespace) -> list[str]:
    """Return the server's command line; without --port, since a taken port must not make `ensure` fail."""
    arguments = [f"--isolation={options.isolation}", f"--idle={options.idle}", f"--settle={options.settle}"]
    if options.workers:
        arguments.append(f"--workers={options.workers}")
    if options.concurrency:
        arguments.append(f"--concurrency={options.concurrency}")
    if options.cpu_share:
        arguments.append("--cpu-share")
    if options.state:
        arguments.append(f"--state={Path(options.state).absolute()}")
    # Last, because it takes any number of values.
    return [*arguments, "--event-retry-delays", *map(str, options.event_retry_delays)]


def _stop(_: argparse.Namespace) -> None:
    from lithops_magic.local.lifecycle import check_installed, stop

    check_installed()
    stopped = stop(private_folder())
    print("\n".join(f"Stopped {server.endpoint_url}" for server in stopped) or "No local AWS is running.")


def _status(_: argparse.Namespace) -> None:
    from lithops_magic.local.lifecycle import running

    servers = running(private_folder())
    lines = [f"{each.endpoint_url}  process {each.pid}, {each.workers} workers, {each.version}" for each in servers]
    print("\n".join(lines) or "No local AWS is running.")


if __name__ == "__main__":
    sys.exit(main())
