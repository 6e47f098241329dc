"""Storage in S3 for data that do not fit in an invocation, and the threads that transfer them."""

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
"""Parallel transfers: enough to fill a link of some 500 MB/s; boto3 pools ten connections."""


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
        """Identifies one run of a server that forgets its jobs when it ends; empty for any other."""

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
        """Set up expiration of cached values."""


@dataclass(frozen=True, slots=True)
class Place:
    """A job's place in S3.

    Parameters
    ----------
    store
        Where objects are.
    prefix
        Key prefix of the job's values.
    after
        Seconds after which a task's outcome is kept there.
    key
        Signs kept outcomes; without a key, none are kept.
    rules
        What else the worker must know about keeping outcomes: which are not final, how often a task may run.
    sending
        Told, from any thread, how many bytes of a function or an item are sent next.
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
        """The place of the job with this ID."""
        return cls(store, f"{RESULTS}{job}/", after, key, rules or {})

    def head(self) -> dict[str, Any]:
        """Return what the worker must know about it."""
        keeping = {"after": self.after} if self.key else {}
        return {
            "bucket": self.store.bucket,
            "owner": self.store.owner,
            "prefix": self.prefix,
            **keeping,
            **self.rules,
        }

    def upload(self, container: bytes, *, recheck: bool = False) -> dict[str, Any]:
        """Write an object unless it exists, and return a reference to it.

        Raises
        ------
        AwsError
            S3 refuses the upload.
        """
        sha256 = hashlib.sha256(container).hexdigest()
        key = self.store.put_once(container, sha256=sha256, recheck=recheck, sending=self.sending)
        return {"object": key, "sha256": sha256, "size": len(container)}

    def upload_pieces(self, pieces: Mapping[str, bytes], *, recheck: bool = False) -> dict[str, Any]:
        """Write objects, each named by its SHA-256, unless they exist, and return their key prefix.

        Raises
        ------
        AwsError
            S3 refuses an upload.
        """

        def put(name: str) -> str:
            key = self.store.put_once(pieces[name], sha256=name, recheck=recheck, sending=self.sending)
            return key.removesuffix(name)

        # Each piece is a request: in sequence, a function of many arrays would mostly wait.
        with ThreadPoolExecutor(THREADS, "lithops-magic-transfer") as pool:
            prefixes = {*pool.map(put, pieces)}
        return {"pieces": prefixes.pop()} if prefixes else {}

    def download(self, reference: Mapping[str, Any]) -> bytes:
        """Return the verified object behind a reference from an authenticated message.

        Raises
        ------
        AwsError
            It does not exist, or was tampered with.
        """
        # As text: a hash that is None would not be compared.
        return self.store.get(reference["object"], sha256=str(reference["sha256"]), size=reference["size"])


class Transfers:
    """A few threads that transfer objects and deliver each result.

    `start` and `pending` belong to the thread of the job that owns it; only `deliver` is called from others.

    Parameters
    ----------
    deliver
        Called from those threads with the result of each transfer.
    """

    def __init__(self, deliver: Callable[[Any], None]) -> None:
        self._deliver = deliver
        self._pool: ThreadPoolExecutor | None = None
        self.pending = 0
        """Transfers whose results were not received yet; the owner counts them down."""

    def start(self, work: Callable[[], Any]) -> None:
        """Start a transfer; `work` must not raise, and its result is delivered."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "lithops-magic-transfer")
        self.pending += 1
        self._pool.submit(lambda: self._deliver(work()))

    def close(self) -> None:
        """Stop the threads once their current transfers are finished."""
        if self._pool is not None:
            # The job is over and waits for nothing; transfers in progress still finish.
            self._pool.shutdown(wait=False, cancel_futures=True)
