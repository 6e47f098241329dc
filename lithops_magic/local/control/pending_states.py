"""The Pending and InProgress states of a changed function: what AWS reports meanwhile, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lithops_magic.local.names import LATEST, Account, conflict

IN_PROGRESS = {
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}

PENDING = {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}


class PendingStates:
    """Functions and versions that were created or updated a moment ago.

    Parameters
    ----------
    seconds
        How long each stays pending or in progress.
    """

    def __init__(self, account: Account, seconds: float) -> None:
        self._account = account
        self._seconds = seconds
        self._until: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}

    def begin(self, name: str, number: str, status: Mapping[str, Any]) -> None:
        """Report the version as `status` until it settles."""
        self._until[name, number] = (time.monotonic() + self._seconds, status)

    def forget(self, name: str) -> None:
        """Drop a deleted function, so that a new one of the same name starts afresh."""
        self._until = {key: value for key, value in self._until.items() if key[0] != name}

    def status(self, name: str, number: str) -> Mapping[str, Any]:
        """Return the members in which the version currently differs from a settled one."""
        until, status = self._until.get((name, number), (0.0, {}))
        if time.monotonic() < until:
            return status
        self._until.pop((name, number), None)
        return {}

    def check_changeable(self, name: str) -> None:
        """Raise AWS's error while the function is being created or updated."""
        status = self.status(name, LATEST)
        if status.get("State") == "Pending":
            raise _pending()
        if status:
            raise in_progress(self._account.function_arn(name))

    def check_invocable(self, name: str, number: str) -> None:
        """Raise AWS's error while the version is being created; during an update it can be invoked."""
        if self.status(name, number).get("State") == "Pending":
            raise _pending()


def in_progress(arn: str) -> Exception:
    return conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {arn}")


def _pending() -> Exception:
    text = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    return conflict(text)
