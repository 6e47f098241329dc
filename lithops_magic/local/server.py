"""The server process: wires front, moto, Lambda service and sandboxes together, and runs them until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvicorn

from lithops_magic.local import discovery
from lithops_magic.local.control.platform import Platform
from lithops_magic.local.control.service import LambdaService
from lithops_magic.local.discovery import Discovery, LocalError
from lithops_magic.local.front.connections import bounded
from lithops_magic.local.front.credentials import Credential, Keyring, random_id
from lithops_magic.local.front.door import Front
from lithops_magic.local.front.in_process import InProcessServices
from lithops_magic.local.front.moto_app import MotoApp
from lithops_magic.local.lifecycle import state_folder
from lithops_magic.local.names import Account
from lithops_magic.local.sandbox.isolation import Choice
from lithops_magic.local.sandbox.logs import LogShipper
from lithops_magic.local.sandbox.runtime import Runtime

REGION = "us-east-1"
ACCOUNT = "123456789012"
"""moto's account."""

OUTDATED_IDLE = 300.0
"""Seconds without a request after which a server whose sources changed exits: no new client will find it."""

KEEP_ALIVE = 24 * 3600
"""Seconds an unused connection stays open: closing one while a client sends on it would lose an invocation."""

Announce = Callable[[Discovery, str], None]
"""Called with the server's discovery data and note once it answers."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Attributes
    ----------
    idle : float or None
        Seconds without a request or a running invocation after which the server exits.
    state : Path or None
        Where everything is persisted for the next start; a temporary folder if None.
    concurrency : int
        The account's concurrency limit: invocations above it are throttled.
    connections : int
        Most client connections.
    event_retry_delays : tuple of float
        Seconds before each retry of a failed asynchronous invocation.
    settle : float
        Seconds for which a function is pending or its update in progress.
    cpu_share : bool
        Whether sandboxes get CPU in proportion to their memory.
    """

    port: int
    workers: int
    idle: float | None
    state: Path | None
    concurrency: int
    connections: int
    isolation: Choice
    event_retry_delays: tuple[float, ...]
    settle: float
    cpu_share: bool


def run(folder: Path, options: Options, announce: Announce) -> None:
    """Serve until a signal, the owner or idleness stops it.

    Raises
    ------
    LocalError
        The requested port or state folder is taken.
    """
    _forget_environment()
    with _listen(options.port) as listener, state_folder(folder, options.state) as state:
        key = discovery.version()
        found = Discovery(
            endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            region=REGION,
            access_key_id=random_id("AKIA"),
            secret_access_key=secrets.token_urlsafe(30),
            account_id=ACCOUNT,
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            workers=options.workers,
            version=key,
        )
        asyncio.run(_serve(folder, state, options, found, listener, announce))


def _forget_environment() -> None:
    """Drop the parent's AWS settings and proxies from this process and everything it starts."""
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "MOTO_", "LITHOPS_")) or name.upper().endswith("_PROXY"):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "*"}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named, and with it, head and body of a reply
    # are 40 ms apart.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform == "win32":
        # Windows would otherwise let another process bind the same port and receive our clients' connections.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as failure:
        listener.close()
        reason = failure.strerror if isinstance(failure, OSError) else "ports are 0 to 65535"
        text = f"Port {port} cannot be used ({reason}): choose another with --port, or leave --port out."
        raise LocalError(text) from None
    return listener


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let our own cleanup run: uvicorn would re-raise the signal when it ends, before ours does."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: self.stop())
        yield

    def stop(self) -> None:
        self.should_exit = True


async def _serve(
    folder: Path, state: Path, options: Options, found: Discovery, listener: socket.socket, announce: Announce
) -> None:
    owner = Credential(found.access_key_id, found.secret_access_key)
    inner = Credential(random_id("AKIA"), secrets.token_urlsafe(30), internal=True)
    moto = MotoApp(found.account_id, options.state)
    keyring = Keyring([owner, inner])
    home = Account(found.region, found.account_id)
    platform = Platform(found.endpoint_url, inner, home, InProcessServices(moto, keyring))
    logs = LogShipper(lambda: platform.client("logs"))
    runtime = _runtime(state, options, found, platform, logs)
    functions = _functions(state, options, found, platform, runtime)
    front = Front(
        keyring=keyring,
        owner=owner,
        region=found.region,
        functions=functions,
        moto=moto,
        stop=lambda: server.stop(),
        cpu_share=options.cpu_share,
    )
    server = _Uvicorn(_uvicorn_config(front, options.connections))
    path = discovery.path_of(folder, found.version)
    watch = asyncio.create_task(_watch(front, runtime, options.idle, found.version, server))
    publish = asyncio.create_task(_publish(server, path, found, lambda: announce(found, runtime.note)))
    try:
        # Before the first connection is accepted: persisted state has to be there by then.
        await asyncio.to_thread(moto.get_ready)
        await server.serve(sockets=[listener])
        if publish.done():
            await publish
    finally:
        # First, so that no client finds a server that is ending; the file may be a newer server's by now.
        if discovery.read(path) == found:
            path.unlink(missing_ok=True)
        watch.cancel()
        publish.cancel()
        await functions.close()
        await runtime.close()
        # CloudWatch logs are not persisted: what has not been shipped would be lost with moto anyway.
        logs.close(timeout=0)
        moto.close()


def _runtime(state: Path, options: Options, found: Discovery, platform: Platform, logs: LogShipper) -> Runtime:
    return Runtime(
        state=state,
        region=REGION,
        endpoint_url=found.endpoint_url,
        workers=found.workers,
        credentials=platform.assume,
        logs=logs,
        isolation=options.isolation,
        cpu_share=options.cpu_share,
    )


def _functions(state: Path, options: Options, found: Discovery, platform: Platform, runtime: Runtime) -> LambdaService:
    return LambdaService(
        state=state,
        region=REGION,
        account=ACCOUNT,
        platform=platform,
        runtime=runtime,
        base_url=found.endpoint_url,
        concurrency=options.concurrency,
        event_retry_delays=options.event_retry_delays,
        settle=options.settle,
    )


def _uvicorn_config(front: Front, connections: int) -> uvicorn.Config:
    return uvicorn.Config(
        front,
        http=bounded(connections),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        # Without a limit, uvicorn would wait for running invocations, which may take 15 minutes each.
        timeout_graceful_shutdown=2,
    )


async def _publish(server: _Uvicorn, path: Path, found: Discovery, announce: Callable[[], None]) -> None:
    """Write the discovery file; a server that cannot write it stops, since no client could find it."""
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        discovery.write(path, found)
        announce()
    except OSError:
        server.stop()
        raise


async def _watch(front: Front, runtime: Runtime, idle: float | None, version: str, server: _Uvicorn) -> None:
    """Stop the server when it has been idle for long, or its sources have changed."""
    while True:
        await asyncio.sleep(min(5.0, idle or 5.0))
        quiet = 0.0 if runtime.busy else front.activity.idle_seconds
        limit = idle
        if quiet > OUTDATED_IDLE and await asyncio.to_thread(discovery.version) != version:
            limit = OUTDATED_IDLE
        if limit is not None and quiet > limit:
            server.stop()
