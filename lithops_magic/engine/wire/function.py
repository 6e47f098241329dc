"""The wire format for requests: a function and the requests that run it. `reply.py` is the other direction."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic import packages
from lithops_magic.engine.wire import captures
from lithops_magic.engine.wire.container import Container
from lithops_magic.engine.wire.pickled_function import PickledFunction, pack
from lithops_magic.engine.wire.pickling_advice import advice_to_send
from lithops_magic.engine.wire.store import Place
from lithops_magic.engine.wire.style import drawing_style
from lithops_magic.errors import PackageError, SerializationError
from lithops_magic.worker.culprit import find

PROTOCOL = 4
"""Version of requests and replies. A worker refuses a request of another version; see `worker.handler.PROTOCOL`."""
REQUEST_LIMIT = 6_291_456
"""Maximum bytes of a synchronous Invoke request: AWS's quota, 6 MiB."""
EVENT_LIMIT = 1_048_576
"""Maximum bytes of an asynchronous Invoke request: AWS's quota, 1 MiB (256 KiB before October 2025)."""
NAME = 16
"""Characters in a request's name."""
_PACKAGE_FIELDS = ("imports", "versions", "rc", "sources")
"""Fields of a request that concern packages and modules: what tasks import, in which versions, with which settings of
matplotlib, and from which sources."""
_TASKS = b'","tasks":['
ALWAYS_INLINE = 16_384
"""Bytes of a function always sent inline: under 2 ms on a 100 Mbit/s link, less than the overhead of an invocation."""
MOSTLY_INLINE = 131_072
"""Bytes of a function sent inline if the number of tasks is unknown: sending that much takes 14 ms, about what a
sandbox would need to fetch it from S3, which it does only once."""
ALTOGETHER_INLINE = 16_777_216
"""Total bytes of the function in all requests of a job, one task each, above which S3 is cheaper."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an invocation does besides calling the function."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables for its tasks."""
    processes: int = 1
    """Tasks that one sandbox runs in parallel."""
    starmap: bool = False
    """Whether an item's elements are the function's arguments."""
    locals: bool = False
    """Whether a failed task reports the local variables of the frame that failed."""

    def head(self) -> dict[str, Any]:
        """Return the non-default fields as encoded in a request."""
        head: dict[str, Any] = {}
        if self.env:
            head["env"] = dict(self.env)
        if self.processes > 1:
            head["processes"] = self.processes
        if self.starmap:
            head["starmap"] = True
        if self.locals:
            head["locals"] = True
        return head


@dataclass(frozen=True, slots=True)
class Function:
    """A pickled function."""

    container: Container = field(repr=False)
    """The function as packed."""
    need: packages.Need
    """What it needs besides the request."""
    function: Callable[[Any], Any] = field(repr=False)
    """The function itself."""
    head: Mapping[str, Any] = field(repr=False)
    """What every request contains besides the function."""

    warnings: tuple[str, ...]
    """Notes for the user before anything is sent, one sentence each."""

    @classmethod
    def pickle(
        cls,
        function: Callable[[Any], Any],
        items: Iterable[Any] = (),
        request: packages.Request | None = None,
        setup: Setup | None = None,
    ) -> Function:
        """Pickle `function`, and determine what it needs to run over `items`.

        Raises
        ------
        SerializationError
            It cannot be pickled.
        PackageError
            A requirement cannot be shipped.
        """
        pickled_function = pickled(function, items, request or packages.Request())
        need = pickled_function.need
        head: dict[str, Any] = {
            "protocol": PROTOCOL,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "cloudpickle": cloudpickle.__version__,
            **(setup or Setup()).head(),
        }
        head |= _package_fields(need)
        container = Container.pack(pickled_function.pickles, pickled_function.views)
        heavy = pickled_function.size > captures.HEAVY
        warnings = [*pickled_function.notes, *captures.generators(function, pickled_function.reach.generators)]
        return cls(container, need, function, head, (*warnings, *(captures.warnings(function) if heavy else ())))

    def needing(self, need: packages.Need) -> Function:
        """Return the same function with `need` as its requirements."""
        head = {name: value for name, value in self.head.items() if name not in _PACKAGE_FIELDS}
        return replace(self, need=need, head={**head, **_package_fields(need)})

    @property
    def _brings_data(self) -> bool:
        """Whether the files sent along are in S3."""
        return bool(self.need.sources) and not self.need.inline and not self.need.layered

    def place(
        self,
        place: Place | None = None,
        tasks: int | None = None,
        *,
        key: bytes = b"",
        recheck: bool = False,
        limit: int = REQUEST_LIMIT,
    ) -> Requests:
        """Decide how to send the function, upload it to S3 if necessary, and return the factory for its requests.

        Parameters
        ----------
        place
            The job's place in S3; None if it has none.
        tasks
            Number of tasks, if known.
        key
            The job's key, which signs what its tasks report; its place has it too.
        recheck
            A sandbox did not find the function in S3: upload it again unless it is there.
        limit
            Maximum bytes of a request.

        Raises
        ------
        SerializationError
            The function leaves no room for a task in a request, and there is no S3.
        AwsError
            S3 refuses the upload.
        """
        reference: dict[str, Any] = {"sha256": self.container.sha256}
        if place is None or (not recheck and _travels_inline(len(self.container), tasks, limit)):
            reference["data"] = base64.b64encode(self.container.whole).decode()
        else:
            reference |= place.upload_pieces(dict(self.container.pieces), recheck=recheck)
            rest = self.container.rest
            if not recheck and _travels_inline(len(rest), tasks, limit):
                reference["data"] = base64.b64encode(rest).decode()
            else:
                reference |= place.upload(rest, recheck=recheck)
        key = key or (place.key if place else b"")
        head = {**self.head, "key": key.hex(), "function": reference, **({"store": place.head()} if place else {})}
        if place is not None and self._brings_data:
            head["sources"] = {**head["sources"], **place.upload(self.need.sources, recheck=recheck)}
        # Encoded once per job: each request only adds its name and its tasks.
        prefix = json.dumps(head, separators=(",", ":"))[:-1].encode() + b',"request":"'
        # Some room must be left for a task, even if its item is only a reference to S3.
        if len(prefix) > limit - 1024:
            raise SerializationError(
                f"The function takes {len(prefix):,} bytes in a request, but AWS allows {limit:,}: "
                f"it is sent with what it uses{self._largest()}. Read large data inside the function instead."
            )
        return Requests(prefix, limit)

    def _largest(self) -> str:
        largest = captures.sizes(self.function)[:1]
        return "".join(f", most of all {capture} ({octets:,} bytes)" for capture, octets in largest)


def _travels_inline(size: int, tasks: int | None, limit: int) -> bool:
    if size <= ALWAYS_INLINE or tasks is None:
        return size <= MOSTLY_INLINE
    # Leave the other half for the items. Base64 takes four bytes for three.
    return size * tasks <= ALTOGETHER_INLINE and size * 4 / 3 <= limit / 2


def pickled(
    function: Callable[..., Any], items: Iterable[Any], request: packages.Request, *beside: object
) -> PickledFunction:
    """Pickle `function`; if there is anything to send `beside` it, as a tuple with that.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    PackageError
        A requirement cannot be shipped.
    """
    try:
        return pack((function, *beside) if beside else function, items, request)
    except PackageError:
        raise
    except Exception as error:
        raise SerializationError(f"The function cannot be pickled: {_reason(function, error)}") from error


def _reason(function: Callable[[Any], Any], error: Exception) -> str:
    if reason := captures.culprit(function):
        return reason
    part, reason = find(function, "function", error)
    return f"{reason}; {advice_to_send(function, part)}"


def _package_fields(need: packages.Need) -> dict[str, Any]:
    """Return the fields of a request that concern packages and modules."""
    fields: dict[str, Any] = {}
    if need.imports:
        fields["imports"] = need.imports
    if need.versions:
        fields["versions"] = need.versions
    if style := drawing_style(need.imports):
        fields["rc"] = style
    if need.sources and not need.layered:
        # Sources too large to be inline come from S3.
        data = {"data": base64.b64encode(need.sources).decode()} if need.inline else {}
        works_there = {"cwd": True} if need.request.data else {}
        fields["sources"] = {"sha256": hashlib.sha256(need.sources).hexdigest(), **data, **works_there}
    return fields


@dataclass(frozen=True, slots=True)
class Requests:
    """Builds the requests of one function."""

    prefix: bytes
    """The request up to its name."""
    limit: int = REQUEST_LIMIT
    """Maximum bytes of an entire request."""

    @property
    def room(self) -> int:
        """Bytes available for tasks and the commas between them."""
        return self.limit - len(self.prefix) - NAME - len(_TASKS) - 2

    def request(self, fragments: Iterable[bytes], name: str = "") -> bytes:
        """Return the request that runs the function on some tasks; the reply must quote its `name`."""
        parts = [*fragments] or [b""]
        parts[0] = self.prefix + name.encode() + _TASKS + parts[0]
        parts[-1] += b"]}"
        return b",".join(parts)  # copies only once


def request_name() -> str:
    """Return a unique name for a request."""
    return secrets.token_hex(NAME // 2)
