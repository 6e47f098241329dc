"""The worker's wire format on the way back: one outcome per task. `function.py` and `item.py` are the way out."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lithops_magic.errors import RemoteFrame, RemoteTraceback
from lithops_magic.worker import packing


@dataclass(slots=True)  # frozen, it would take half of the time that a reply takes to be decoded
class Outcome:
    """What the worker reports of one task."""

    status: str
    """ok, error, timeout, died, unpicklable, too_large, dropped, tampered, absent or store."""
    started: float = 0.0
    """Wall clock of the sandbox when it began."""
    seconds: float = 0.0
    log: str = ""
    value: bytes = b""
    traceback: RemoteTraceback | None = None
    exception: bytes = b""
    reference: Mapping[str, Any] | None = None
    """Where a value is that did not fit in the reply."""
    reason: str = ""
    """Why something did not come from or go to S3, or cannot be pickled."""
    code: int = 0
    """Exit code of a process that died, negative for a signal."""
    size: int = 0
    """Bytes of a value that is too large."""
    of: str = ""
    """Type of a value that cannot be pickled."""


@dataclass(frozen=True, slots=True)
class WorkerReply:
    """What the worker reports of one invocation; a task without an outcome did not run."""

    sandbox: str
    cold: bool
    outcomes: dict[int, Outcome]
    error: str = ""
    """Why the worker could not begin."""
    mismatch: bool = False
    """Whether that is because it is not of the notebook's version."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of packages that are not the notebook's."""


def decode(payload: bytes) -> WorkerReply:
    """Parse a worker's reply.

    Raises
    ------
    ValueError
        It is not one.
    """
    try:
        reply = json.loads(payload)
        outcomes = {outcome["id"]: _outcome(outcome) for outcome in reply.get("outcomes", ())}
        return WorkerReply(
            sandbox=reply["sandbox"],
            cold=reply["cold"],
            outcomes=outcomes,
            error=reply.get("error", ""),
            mismatch=reply.get("mismatch", False),
            versions=reply.get("versions", {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the reply is not in the worker's format: {payload[:200]!r}") from error


def _outcome(fields: dict[str, Any]) -> Outcome:
    value = fields.get("value", "")
    if value and isinstance(value, str):
        # Nearly all of them, and half of the time.
        return Outcome(fields["status"], fields["started"], fields["seconds"], fields["log"], a2b_base64(value))
    return Outcome(
        status=fields["status"],
        started=fields["started"],
        seconds=fields["seconds"],
        log=fields["log"],
        reference=value or None,
        reason=fields.get("reason", ""),
        traceback=_traceback(fields.get("error")),
        exception=a2b_base64(fields.get("exception", "")),
        code=fields.get("code", 0),
        size=fields.get("size", 0),
        of=fields.get("of", ""),
    )


def _traceback(error: dict[str, Any] | None) -> RemoteTraceback | None:
    if error is None:
        return None
    frames = tuple(RemoteFrame(**frame) for frame in error["frames"])
    return RemoteTraceback(error["type"], error["message"], frames, _traceback(error["cause"]))


def unpickle(data: bytes) -> Any:
    """Unpickle what an authenticated reply carried inline, or vouched for by its hash."""
    return packing.loads(data)
