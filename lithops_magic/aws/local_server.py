"""Finds or starts the local AWS; for this package, that is a command that prints an address and credentials."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from lithops_magic.errors import LocalAWSError

ANNOUNCE_AFTER = 1.0
"""Seconds after which a start is announced."""
MAX_START = 120.0
"""Seconds; importing moto takes a while with a cold disk or a busy machine."""
VALID_SECONDS = 10.0
"""Seconds for which a check made in advance remains valid."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """Where the local AWS listens, and the credentials of its current start."""

    endpoint_url: str
    region: str
    account_id: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


class _EnsureCommand:
    """The command that finds or starts it, running in another process while this one prepares."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._context = _context()
        self._done: Future[tuple[int, str, str]] = Future()
        # `-P`: a file in the notebook's folder must not shadow a module of the local AWS.
        command = [sys.executable, "-P", "-m", "lithops_magic.local", "ensure"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._follow, name="lithops-magic-local", daemon=True).start()

    @property
    def is_valid(self) -> bool:
        """Whether the command's answer is still valid."""
        return self._context == _context() and time.monotonic() - self._began < VALID_SECONDS

    def wait(self, seconds: float) -> tuple[int, str, str]:
        """Return exit status, output and errors; raise TimeoutError if it takes longer."""
        return self._done.result(seconds)

    def kill(self) -> None:
        self._process.kill()

    def _follow(self) -> None:
        with self._process:
            output, errors = self._process.communicate()
        self._done.set_result((self._process.returncode, output, errors))


def _context() -> tuple[int, str, dict[str, str]]:
    """Return what determines which local AWS answers, and to whom: a forked process cannot wait for its parent's."""
    return os.getpid(), sys.executable, dict(os.environ)


_started: list[_EnsureCommand | None] = []
"""Empty at first; then the command started in advance, until it is taken and replaced by None."""


def begin() -> None:
    """Start the command that this process's first `ensure_local_aws` will wait for; that call reports any failure."""
    if not _started:
        with contextlib.suppress(OSError):
            _started.append(_EnsureCommand())


def ensure_local_aws(notify: Callable[[str], None], meanwhile: Callable[[], object] = object) -> LocalServer:
    """Return this user's running local AWS, started if necessary.

    Parameters
    ----------
    meanwhile
        Called while it starts, to use that time.

    Raises
    ------
    LocalAWSError
        It does not start; the message gives its own reason.
    """
    try:
        command = _take_started() or _EnsureCommand()
    except OSError as error:
        raise LocalAWSError(f"The local AWS could not be started: {error.strerror}.") from None
    meanwhile()
    status, output, errors = _wait(command, notify)
    if status != 0:
        reason = (errors.strip().splitlines() or [f"it exited with status {status}"])[-1]
        raise LocalAWSError(f"The local AWS did not start: {reason}")
    return _parse(output)


def _take_started() -> _EnsureCommand | None:
    """Return the command started in advance, unless it is no longer useful."""
    command = _started.pop() if _started else None
    _started.append(None)
    return command if command is not None and command.is_valid else None


def is_running() -> bool:
    """Whether this user's local AWS is running; does not start it."""
    command = [sys.executable, "-P", "-m", "lithops_magic.local", "status"]
    try:
        return b"://" in subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    except OSError:
        return False


def _wait(command: _EnsureCommand, notify: Callable[[str], None]) -> tuple[int, str, str]:
    try:
        # A server that is already running answers within this time, and needs no announcement.
        return command.wait(ANNOUNCE_AFTER)
    except TimeoutError:
        notify("Starting the local AWS …")
    try:
        return command.wait(MAX_START)
    except TimeoutError:
        command.kill()
        raise LocalAWSError(f"The local AWS did not start within {MAX_START:.0f} seconds.") from None


def _parse(output: str) -> LocalServer:
    try:
        answer = json.loads(output.strip().splitlines()[-1])
        return LocalServer(
            **{
                name: str(answer[name])
                for name in ("endpoint_url", "region", "account_id", "access_key_id", "secret_access_key")
            }
        )
    except (IndexError, ValueError, KeyError, TypeError):
        raise LocalAWSError(
            "The local AWS reported no address; `python -m lithops_magic.local stop` stops it."
        ) from None
