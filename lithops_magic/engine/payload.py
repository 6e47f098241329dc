"""The worker's wire format: a function and its items out, one outcome per task back."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic import packages
from lithops_magic.engine import captures
from lithops_magic.errors import RemoteFrame, RemoteTraceback, SerializationError

PROTOCOL = 1
REQUEST_LIMIT = 6_291_456
"""Bytes of one synchronous Invoke request: AWS's quota, 6 MiB."""
_PLAIN = frozenset({bool, bytes, complex, float, int, str, type(None)})


@dataclass(frozen=True, slots=True)
class Function:
    """A pickled function, ready to be put before any tasks."""

    prefix: bytes
    """The request up to its first task."""

    need: packages.Need
    """What it needs beside the request."""

    warnings: tuple[str, ...] = ()
    """What the user should know before it is sent, one sentence each."""

    @classmethod
    def pickle(
        cls, function: Callable[[Any], Any], items: Iterable[Any] = (), request: packages.Request | None = None
    ) -> Function:
        """Pickle `function`, and find out what it needs to run over `items`.

        Raises
        ------
        SerializationError
            It cannot be pickled, or leaves no room for a task in a request.
        PackageError
            Something it needs cannot be shipped.
        """
        try:
            data, reach = packages.dumps(function)
        except Exception as error:
            reason = captures.culprit(function) or _text(error)
            raise SerializationError(f"The function cannot be pickled: {reason}") from error
        need = packages.discover(reach, items, request or packages.Request())
        head: dict[str, Any] = {
            "protocol": PROTOCOL,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "cloudpickle": cloudpickle.__version__,
            "function": {"sha256": hashlib.sha256(data).hexdigest(), "data": base64.b64encode(data).decode()},
        }
        if need.versions:
            head["versions"] = need.versions
        if need.inline:
            digest = hashlib.sha256(need.inline).hexdigest()
            head["sources"] = {"sha256": digest, "data": base64.b64encode(need.inline).decode()}
        prefix = json.dumps(head, separators=(",", ":"))[:-1].encode() + b',"tasks":['
        if len(prefix) > REQUEST_LIMIT - 1024:
            raise SerializationError(
                f"The function takes {len(prefix):,} bytes in a request, AWS allows {REQUEST_LIMIT:,}: "
                f"it is sent with what it uses{_largest(function)}. Read large data inside the function instead."
            )
        return cls(prefix, need, tuple(captures.warnings(function)) if len(data) > captures.HEAVY else ())

    @property
    def room(self) -> int:
        """Bytes that are left for tasks and the commas between them."""
        return REQUEST_LIMIT - len(self.prefix) - 2

    def request(self, fragments: Iterable[bytes]) -> bytes:
        """Return the request that runs the function on some tasks."""
        return self.prefix + b",".join(fragments) + b"]}"


def fragment(index: int, item: Any, room: int) -> bytes:
    """Pickle an item as it stands in a request.

    Raises
    ------
    SerializationError
        It cannot be pickled, or takes more than `room` bytes.
    """
    try:
        # A tenth of the time, and cloudpickle has nothing to add to them.
        plain = type(item) in _PLAIN
        data = pickle.dumps(item, protocol=5) if plain else cloudpickle.dumps(item, protocol=5)
    except Exception as error:
        raise SerializationError(f"The item cannot be pickled: {_text(error)}") from error
    encoded = b'{"id":%d,"data":"%s"}' % (index, base64.b64encode(data))
    if len(encoded) > room:
        raise SerializationError(
            f"The item takes {len(encoded):,} bytes in a request, AWS allows {room:,} beside the function: "
            "pass a name or an address instead and read the data inside the function."
        )
    return encoded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the worker reports of one task."""

    status: str
    """ok, error, timeout, unpicklable, too_large or dropped."""
    started: float = 0.0
    """Wall clock of the sandbox when it began."""
    seconds: float = 0.0
    log: str = ""
    value: bytes = b""
    traceback: RemoteTraceback | None = None
    exception: bytes = b""
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
        return WorkerReply(reply["sandbox"], reply["cold"], outcomes, reply.get("error", ""), reply.get("versions", {}))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the reply is not in the worker's format: {payload[:200]!r}") from error


def _outcome(fields: dict[str, Any]) -> Outcome:
    return Outcome(
        status=fields["status"],
        started=fields["started"],
        seconds=fields["seconds"],
        log=fields["log"],
        value=base64.b64decode(fields.get("value", "")),
        traceback=_traceback(fields.get("error")),
        exception=base64.b64decode(fields.get("exception", "")),
        size=fields.get("size", 0),
        of=fields.get("of", ""),
    )


def _traceback(error: dict[str, Any] | None) -> RemoteTraceback | None:
    if error is None:
        return None
    frames = tuple(RemoteFrame(**frame) for frame in error["frames"])
    return RemoteTraceback(error["type"], error["message"], frames, _traceback(error["cause"]))


def unpickle(data: bytes) -> Any:
    """Unpickle what an authenticated reply carried inline."""
    return pickle.loads(data)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _largest(function: Callable[[Any], Any]) -> str:
    largest = captures.sizes(function)[:1]
    return "".join(f", most of all {capture} ({octets:,} bytes)" for capture, octets in largest)
