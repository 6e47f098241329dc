"""Finding or starting the local AWS, which to this package is a command that tells an address and credentials."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from lithops_magic.errors import LocalAWSError

QUIET_SECONDS = 1.0
"""A start that takes longer is announced."""
LONGEST_START = 120.0
"""Seconds; a cold disk and a busy machine need a while to import moto."""
_NEEDED_NEXT = ("boto3", "botocore.config", "awscrt.http")
"""What whoever asks for a server imports to talk to it."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """Where the local AWS listens, and the credentials of this start."""

    endpoint_url: str
    region: str
    account_id: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


def ensure_local_aws(notify: Callable[[str], None]) -> LocalServer:
    """Return the running local AWS of this user, started if need be.

    Raises
    ------
    LocalAWSError
        It does not start; the message is its own reason.
    """
    try:
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "lithops_magic.local", "ensure"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            # A start takes as long as that, in another process.
            with contextlib.suppress(ImportError):
                for module in _NEEDED_NEXT:
                    importlib.import_module(module)
            output, errors = _wait(process, notify)
    except OSError as error:
        raise LocalAWSError(f"The local AWS could not be started: {error.strerror}.") from None
    if process.returncode != 0:
        reason = (errors.strip().splitlines() or [f"it exited with status {process.returncode}"])[-1]
        raise LocalAWSError(f"The local AWS did not start: {reason}")
    return _parse(output)


def is_running() -> bool:
    """Whether this user's local AWS is up; it is not started."""
    command = [sys.executable, "-P", "-m", "lithops_magic.local", "status"]
    try:
        return b"://" in subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    except OSError:
        return False


def _wait(process: subprocess.Popen[str], notify: Callable[[str], None]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=QUIET_SECONDS)
    except subprocess.TimeoutExpired:
        notify("Starting the local AWS …")
    try:
        return process.communicate(timeout=LONGEST_START)
    except subprocess.TimeoutExpired:
        process.kill()
        raise LocalAWSError(f"The local AWS did not start within {LONGEST_START:.0f} seconds.") from None


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
