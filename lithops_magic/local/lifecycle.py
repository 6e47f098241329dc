"""Starts, finds and stops the server process, and cleans up after crashes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.local.discovery import Discovery, LocalError, ask, is_alive, read, version
from lithops_magic.local.resources import why_not_writable

if TYPE_CHECKING:
    import psutil

START_TIMEOUT = 60.0
"""Seconds a start may take on a busy machine before `ensure` gives up."""

STOP_TIMEOUT = 15.0
"""Seconds a server has to exit on its own before it is killed."""

NEEDED = ("a2wsgi", "awslambdaric", "filelock", "flask", "flask_cors", "moto", "psutil", "uvicorn")
"""Modules of the `[local]` extra that the server imports."""


def check_installed() -> None:
    """Raise LocalError when the `[local]` extra is missing."""
    if any(find_spec(module) is None for module in NEEDED):
        raise LocalError('The local AWS needs: pip install "lithops-magic[local]"')


def start(folder: Path, arguments: Sequence[str], dead: Discovery | None) -> Discovery:
    """Return the running server of this version, starting it (`serve` with `arguments`) unless somebody just did.

    Parameters
    ----------
    dead : Discovery or None
        A server that does not answer.

    Raises
    ------
    LocalError
        It does not start; the message says why.
    """
    check_installed()
    key = version()
    from filelock import FileLock, Timeout

    try:
        # Notebooks that start at the same time must share one server.
        with FileLock(folder / "start.lock", timeout=START_TIMEOUT):
            living = {server.version: server for server in repair(folder, dead)}
            return living.get(key) or _await_start(folder, arguments)
    except Timeout:
        raise LocalError(f"Another process has been starting the local AWS for too long; see {folder}.") from None


def _await_start(folder: Path, arguments: Sequence[str]) -> Discovery:
    log = folder / f"server-{version()}.log"
    others = set(folder.glob("server-*.json"))
    child = _spawn(log, arguments)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        # Found by pid, not by key: if the sources change meanwhile, so does the key.
        for path in set(folder.glob("server-*.json")) - others:
            found = read(path)
            if found is not None and is_alive(found):
                return found
        if child.poll() is not None:
            # On a full disk, it could not even write its log.
            raise LocalError(why_not_writable(folder) or _last_line(log) or f"The local AWS exited at once; see {log}.")
        time.sleep(0.02)
    # It never answered, so nothing of value can be running in it.
    child.kill()
    raise LocalError(f"The local AWS did not start within {START_TIMEOUT:.0f} s; see {log}.")


def _spawn(log: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `serve` detached: it outlives us, holds none of our pipes, and never receives our terminal's Ctrl-C."""
    # `-P` and a folder of our own: files in the notebook's folder must not shadow modules.
    command = [sys.executable, "-P", "-m", "lithops_magic.local", "serve", "--quiet", *arguments]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent, **_detached()
        )


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def repair(folder: Path, dead: Discovery | None = None) -> list[Discovery]:
    """Return the live servers; kill hung ones, and remove the discovery files and state of dead ones."""
    living = []
    for path in folder.glob("server-*.json"):
        found = read(path)
        if found is not None and found != dead and is_alive(found):
            living.append(found)
            continue
        if found is not None:
            _kill(found)
        path.unlink(missing_ok=True)
    for lock in folder.glob("state-*.lock"):
        with contextlib.suppress(OSError):
            _remove_abandoned(lock)
    return living


def _remove_abandoned(lock: Path) -> None:
    from filelock import FileLock, Timeout

    # A live server holds its lock, which the system releases when the process dies, however it dies.
    with contextlib.suppress(Timeout), FileLock(lock, timeout=0):
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def state_folder(folder: Path, persistent: Path | None) -> Iterator[Path]:
    """Lock a folder for one server's state: `persistent`, or else a temporary one."""
    from filelock import FileLock, Timeout

    state = persistent or folder / f"state-{os.getpid()}-{time.time_ns()}"
    lock = FileLock(state / ".lock" if persistent else state.with_suffix(".lock"))
    if persistent:
        try:
            persistent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise LocalError(
                f"Cannot persist state in {persistent} ({failure.strerror}): choose another folder."
            ) from None
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LocalError(
            f"Another local AWS is using the state in {state}: stop it or choose another folder."
        ) from None
    state.mkdir(mode=0o700, exist_ok=True)
    try:
        yield state
    finally:
        if not persistent:
            shutil.rmtree(state, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def running(folder: Path) -> list[Discovery]:
    """Return every live server of this user, of any version."""
    found = [read(path) for path in sorted(folder.glob("server-*.json"))]
    return [server for server in found if server is not None and is_alive(server)]


def stop(folder: Path) -> list[Discovery]:
    """Stop every server of this user and return those that were running."""
    servers = running(folder)
    for server in servers:
        ask(server, "POST", "/_local/shutdown", {"x-local-secret": server.secret_access_key})
        process = _process(server)
        if process is not None:
            _await_end(process)
    repair(folder)
    return servers


def _process(found: Discovery) -> psutil.Process | None:
    """Return the server's process, or None if it is gone; a newer process with the same number does not count."""
    import psutil

    try:
        process = psutil.Process(found.pid)
        return process if abs(process.create_time() - found.started) < 1 else None
    except psutil.Error:
        return None


def _kill(found: Discovery) -> None:
    import psutil

    process = _process(found)
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.kill()
            _await_end(process)


def _await_end(process: psutil.Process) -> None:
    import psutil

    deadline = time.monotonic() + STOP_TIMEOUT
    with contextlib.suppress(psutil.Error):
        # A zombie has ended: in a container, nobody may ever wait for it.
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.02)
