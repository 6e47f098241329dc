"""What does not fit in an invocation travels through S3: where it is put, and the threads that move it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lithops_magic.aws.storage.bucket import RESULTS

if TYPE_CHECKING:
    from lithops_magic.aws.storage.objects import Found

THREADS = 8
"""Objects that move at once: enough to fill a link of some 500 MB/s; boto3 pools ten connections."""


class Store(Protocol):
    """An account's objects; `aws.objects.ObjectStore` is one. Every method may be called from any thread."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    @property
    def owner(self) -> str:
        """The account that the bucket must belong to."""

    @property
    def start(self) -> str:
        """Names the start of a server that forgets, when it ends, what it was to run; empty where none does."""

    def put_once(
        self, data: bytes, *, sha256: str, recheck: bool = False, sending: Callable[[int], None] | None = None
    ) -> str:
        """Write an object named by its hash unless it is there already, and return its key."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with `prefix`."""

    def get(self, key: str, *, sha256: str | None = None, size: int | None = None) -> bytes:
        """Return an object, verified."""

    def find(self, prefix: str) -> Iterator[Found]:
        """Yield the objects whose keys begin with `prefix`."""

    def put_new(self, key: str, data: bytes) -> None:
        """Write an object unless there is one."""

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key begins with `prefix`, and return how many."""

    def prepare_cache(self) -> None:
        """Have cached values expire."""


@dataclass(frozen=True, slots=True)
class Place:
    """A job's place in S3.

    Parameters
    ----------
    store
        Where objects are.
    prefix
        Of the keys of the job's values.
    after
        Seconds after which a task's outcome is kept there.
    key
        Signs kept outcomes; without it none is kept.
    rules
        What else the worker must know about keeping: which outcomes are not final, how often a task may be run.
    sending
        Told from any thread how many bytes of a function or an item are sent next.
    """

    store: Store
    prefix: str
    after: float = 0.0
    key: bytes = field(default=b"", repr=False)
    rules: Mapping[str, Any] = field(default_factory=dict)
    sending: Callable[[int], None] | None = None

    @classmethod
    def of_job(
        cls, store: Store, job: str, *, after: float = 0.0, key: bytes = b"", rules: Mapping[str, Any] | None = None
    ) -> Place:
        """The place of the job that has this id."""
        return cls(store, f"{RESULTS}{job}/", after, key, rules or {})

    def head(self) -> dict[str, Any]:
        """Return what the worker must know of it."""
        keeping = {"after": self.after} if self.key else {}
        return {
            "bucket": self.store.bucket,
            "owner": self.store.owner,
            "prefix": self.prefix,
            **keeping,
            **self.rules,
        }

    def upload(self, container: bytes, *, recheck: bool = False) -> dict[str, Any]:
        """Write an object unless it is there, and return the reference to it.

        Raises
        ------
        AwsError
            S3 does not take it.
        """
        sha256 = hashlib.sha256(container).hexdigest()
        key = self.store.put_once(container, sha256=sha256, recheck=recheck, sending=self.sending)
        return {"object": key, "sha256": sha256, "size": len(container)}

    def upload_pieces(self, pieces: Mapping[str, bytes], *, recheck: bool = False) -> dict[str, Any]:
        """Write objects, each named by its SHA-256, unless they are there, and return what their keys begin with.

        Raises
        ------
        AwsError
            S3 does not take one.
        """

        def put(name: str) -> str:
            key = self.store.put_once(pieces[name], sha256=name, recheck=recheck, sending=self.sending)
            return key.removesuffix(name)

        with ThreadPoolExecutor(THREADS, "lithops-magic-transfer") as pool:
            prefixes = {*pool.map(put, pieces)}
        return {"pieces": prefixes.pop()} if prefixes else {}

    def download(self, reference: Mapping[str, Any]) -> bytes:
        """Return the object behind a reference that came in an authenticated message, verified.

        Raises
        ------
        AwsError
            It is not there, or not what was written.
        """
        return self.store.get(reference["object"], sha256=reference["sha256"], size=reference["size"])


class Transfers:
    """A few threads that move objects, and hand over what became of each.

    Parameters
    ----------
    deliver
        Called from those threads with the result of each piece of work.
    """

    def __init__(self, deliver: Callable[[Any], None]) -> None:
        self._deliver = deliver
        self._pool: ThreadPoolExecutor | None = None
        self.pending = 0
        """Pieces of work that were not received yet, which the owner counts down."""

    def start(self, work: Callable[[], Any]) -> None:
        """Begin; `work` must not raise, its result is delivered."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "lithops-magic-transfer")
        self.pending += 1
        self._pool.submit(lambda: self._deliver(work()))

    def close(self) -> None:
        """End the threads as soon as what they are moving has arrived."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
