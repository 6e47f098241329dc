"""The wire format for replies: one outcome per task. `function.py` and `item.py` are the other direction."""

from __future__ import annotations

import json
import math
import warnings
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.errors import RemoteFrame, RemoteTraceback
from lithops_magic.worker import exceptions, packing
from lithops_magic.worker.reply import VALUES

_END = b'"}'
Asked = tuple[tuple[str, str], ...]


@dataclass(slots=True)  # frozen, it would take half of the time of decoding a reply
class Outcome:
    """What the worker reports about one task."""

    status: str
    """ok, error, timeout, died, unpicklable, too_large, dropped, tampered, absent or store."""
    started: float = 0.0
    """The sandbox's wall clock at the start."""
    seconds: float = 0.0
    log: str = ""
    value: bytes = b""
    traceback: RemoteTraceback | None = None
    exception: bytes = b""
    reference: Mapping[str, Any] | None = None
    """Where a value is that did not fit in the reply."""
    reason: str = ""
    """Why a transfer from or to S3 failed, or why something cannot be pickled."""
    code: int = 0
    """Exit code of a process that died; negative for a signal."""
    size: int = 0
    """Size in bytes of a value that is too large."""
    of: str = ""
    """Type of a value that cannot be pickled."""
    not_found: Asked = ()
    """Modules (or, with ``==`` after the name, distributions) not found in this sandbox so far, by what asked."""


@dataclass(frozen=True, slots=True)
class WorkerReply:
    """What the worker reports about one invocation; a task without an outcome did not run."""

    sandbox: str
    cold: bool
    outcomes: dict[int, Outcome]
    error: str = ""
    """Why the worker could not start."""
    mismatch: bool = False
    """Whether the reason is a version that differs from the notebook's."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of packages that differ from the notebook's."""
    waited: float | None = None
    """Seconds that its tasks waited for a CPU in use by others; None if unknown."""
    left: tuple[str, ...] = ()
    """Threads and processes that its tasks left running."""
    not_found: Asked = ()
    """What was not found since its sandbox's last reply."""


class VerifiedReply(Reply):
    """A reply authenticated earlier: one of an earlier process, or what a task kept."""

    __slots__ = ()


class _Values:
    """The values at the end of a reply, taken one after the other; parsing them as JSON would take twice as long."""

    def __init__(self, data: memoryview) -> None:
        self.left = data

    def take(self, size: int) -> bytes:
        """Return the next value, which has that many bytes."""
        value = a2b_base64(self.encoded(size))
        if len(value) != size:
            raise ValueError(f"a value of {size} bytes has {len(value)}")
        return value

    def encoded(self, size: int) -> memoryview:
        """Return the next value in base64."""
        length = (size + 2) // 3 * 4
        found, self.left = self.left[:length], self.left[length:]
        return found


def _parse(payload: bytes) -> tuple[Any, _Values]:
    """Return a reply's JSON without the values, and these."""
    end = len(payload) - len(_END)
    start = payload.rfind(b'"', 0, end) + 1
    # Replies of earlier processes, and those that tasks keep, have their values inline.
    if payload[end:] == _END and payload.endswith(VALUES, 0, start):
        return json.loads(payload[: start - len(VALUES)] + b"}"), _Values(memoryview(payload)[start:end])
    return json.loads(payload), _Values(memoryview(b""))


def inlined(payload: bytes) -> Any:
    """Return a reply's JSON with each value in its outcome, as `decode` reads it, too: so outcomes can be regrouped.

    Raises
    ------
    ValueError
        It is not JSON.
    """
    reply, values = _parse(payload)
    for outcome in reply.get("outcomes", ()) if isinstance(reply, dict) else ():
        if type(size := outcome.get("value")) is int:
            outcome["value"] = str(values.encoded(size), "ascii")
    return reply


def decode(payload: bytes) -> WorkerReply:
    """Read a worker's reply, whose seal is not checked here.

    Raises
    ------
    ValueError
        It is not a worker's reply.
    """
    try:
        reply, values = _parse(payload)
        outcomes = {_int(outcome["id"]): _outcome(outcome, values) for outcome in reply.get("outcomes", ())}
        # Every byte is accounted for, so that a value cannot shift into another task.
        if values.left:
            raise ValueError("it has values of no task")
        return WorkerReply(
            sandbox=_text(reply["sandbox"]),
            cold=bool(reply["cold"]),
            outcomes=outcomes,
            error=_text(reply.get("error", "")),
            mismatch=bool(reply.get("mismatch", False)),
            versions={_text(name): _text(version) for name, version in reply.get("versions", {}).items()},
            waited=_number(reply["waited"]) if reply.get("waited") is not None else None,
            left=tuple(map(_text, reply.get("left", ()))),
            not_found=_asked(reply),
        )
    # A forged or foreign reply can have any shape: all of these mean the same.
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not in the worker's format ({type(error).__name__}: {error})") from None


def _outcome(fields: dict[str, Any], values: _Values) -> Outcome:
    value = fields.get("value", "")
    status, log = _text(fields["status"]), _text(fields["log"])
    started, seconds = _number(fields["started"]), _number(fields["seconds"])
    error = fields.get("error")
    if status == "error" and error is None:
        raise TypeError("an error that is not described")
    if type(value) is int:
        # The common case, in half the time.
        return Outcome(status, started, seconds, log, values.take(value))
    if value and isinstance(value, str):
        return Outcome(status, started, seconds, log, a2b_base64(value))
    return Outcome(
        status=status,
        started=started,
        seconds=seconds,
        log=log,
        reference=_reference(value) if value else None,
        reason=_text(fields.get("reason", "")),
        traceback=None if error is None else _traceback(error),
        exception=a2b_base64(fields.get("exception", "")),
        code=_int(fields.get("code", 0)),
        size=_int(fields.get("size", 0)),
        of=_text(fields.get("of", "")),
        not_found=_asked(fields),
    )


def _asked(fields: Mapping[str, Any]) -> Asked:
    return tuple((_text(asker), _text(name)) for asker, name in fields.get("missing", ()))


def _reference(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"object": _text(value["object"]), "sha256": _text(value["sha256"]), "size": _int(value["size"])}


def _traceback(error: dict[str, Any]) -> RemoteTraceback:
    cause = error["cause"]
    return RemoteTraceback(
        _text(error["type"]),
        _text(error["message"]),
        tuple(_frame(**frame) for frame in error["frames"]),
        None if cause is None else _traceback(cause),
        tuple(map(_traceback, error.get("parts", ()))),
        tuple(map(_text, error.get("notes", ()))),
    )


def _frame(
    line: int,
    library: bool = False,
    locals: Mapping[str, str] | None = None,
    repeated: int = 0,
    span: int = 1,
    **texts: str,
) -> RemoteFrame:
    variables = {_text(name): _text(value) for name, value in (locals or {}).items()}
    frame = RemoteFrame(line=_int(line), **{name: _text(text) for name, text in texts.items()})  # type: ignore[arg-type]
    return replace(frame, library=bool(library), locals=variables, repeated=_int(repeated), span=_int(span))


def _text(value: object) -> str:
    # Checked although the worker writes text: its reply may come from an image with another version of it.
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _int(value: object) -> int:
    # Exactly int: JSON's true would pass as 1.
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} instead of a whole number")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:  # type: ignore[operator]
        raise TypeError("no time")
    return value  # type: ignore[return-value]


def unpack(data: bytes) -> BaseException:
    """Rebuild an exception from an authenticated reply."""
    return exceptions.unpack(data)


def unpickle(data: bytes) -> Any:
    """Unpickle data that an authenticated reply carried inline or vouched for by hash."""
    try:
        return packing.loads(data)
    except DeprecationWarning:
        # If warnings are errors, numpy 2 fails to read what numpy 1 wrote.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return packing.loads(data)
