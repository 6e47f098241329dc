"""The cached values of one function in S3.

Only the notebook's user writes here; the execution role can neither read nor write these keys, since other notebooks
would unpickle whatever a sandbox wrote. So the client writes a value once it has arrived in an authenticated reply
and could be unpickled.

`load` is called first, by the job's thread; `bring` by any thread; `add` and the rest by the job's thread.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from lithops_magic.aws.storage.bucket import LIFETIMES, cache_prefix
from lithops_magic.aws.storage.objects import TAMPERED, Found
from lithops_magic.config.lifetime import DAY
from lithops_magic.engine.cache import index
from lithops_magic.engine.cache.index import Entry, Pack
from lithops_magic.engine.wire.store import Store
from lithops_magic.errors import AwsError

ABOUT = "about"
"""The object that holds the function's label."""
INDEXES, PACKS, VALUES = "index/", "packs/", "values/"
ALONE = 65_536
"""Size in bytes from which a value gets its own object: that costs less than downloading it as part of a pack."""
PACK = 8_000_000
"""Size in bytes at which a pack is written."""
PERIOD = 30.0
"""Seconds after which a pack is written whatever its size: the most that a killed process loses."""
_AT_HAND = 8
"""Packs cached in memory: items mostly come in the order in which they were computed."""
_THREADS = 8


@dataclass(slots=True)
class _Draft:
    """A pack being filled."""

    body: bytearray = field(default_factory=bytearray)
    entries: list[Entry] = field(default_factory=list)
    alone: list[Future[None]] = field(default_factory=list)
    """Uploads of its values in progress."""
    begun: float = field(default_factory=time.monotonic)


class Shelf:
    """The cached values of one function.

    Parameters
    ----------
    store
        Where the objects are.
    function
        The function's name.
    lifetime
        Seconds: older values are not used, and new ones are kept for at least as long.
    about
        A human-readable label of the function.
    """

    def __init__(self, store: Store, function: str, lifetime: float, about: Mapping[str, str]) -> None:
        self._store = store
        self._function = function
        self._about = json.dumps(about).encode()
        self._lifetime = lifetime
        self._days = next((days for days in LIFETIMES if days * DAY >= lifetime), LIFETIMES[-1])
        self._entries: dict[bytes, Entry] = {}
        self._packs: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._draft = _Draft()
        self._pool = ThreadPoolExecutor(_THREADS, "lithops-magic-cache")
        self._prepared: Future[None] | None = None
        self._writes: list[Future[None]] = []

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._entries)

    def load(self) -> int:
        """Read the indexes, and return how many of them are unusable: gone, or not what was written.

        Raises
        ------
        AwsError
            S3 cannot be read.
        """
        oldest = time.time() - self._lifetime
        found = [
            (each.modified, each.key, days, each)
            for days, listed in zip(LIFETIMES, self._pool.map(self._indexes, LIFETIMES), strict=True)
            for each in listed
            if each.modified > oldest
        ]
        damaged = 0
        # The first writer wins for every reader: the last update counts, so the oldest index comes last.
        found.sort(reverse=True)
        for (_, _, days, _), content in zip(
            found, self._pool.map(self._read, [each for *_, each in found]), strict=True
        ):
            try:
                self._entries.update((entry.key, entry) for entry in index.decode(content, days))
            except ValueError:
                damaged += 1
        return damaged

    def _indexes(self, days: int) -> list[Found]:
        try:
            return list(self._store.find(self._key(days, INDEXES)))
        except AwsError as error:
            # Nothing has been stored yet.
            if error.code == "NoSuchBucket":
                return []
            raise

    def _read(self, found: Found) -> bytes:
        try:
            return self._store.get(found.key, sha256=found.key.rpartition("/")[2], size=found.size)
        except AwsError as error:
            # It has expired since, or was tampered with: its values are computed again.
            if error.code in ("NoSuchKey", TAMPERED):
                return b""
            raise

    def entry(self, key: bytes) -> Entry | None:
        """Return the entry of a value; None if there is none."""
        return self._entries.get(key)

    def bring(self, entry: Entry) -> tuple[bytes, bytes]:
        """Return a value as packed, verified, and its metadata.

        Raises
        ------
        AwsError
            It is gone, or was tampered with.
        """
        pack = b"" if entry.alone and not entry.metadata_size else self._pack(entry.pack)
        if entry.alone:
            reference = self.reference(entry)
            value = self._store.get(str(reference["object"]), sha256=entry.sha256.hex(), size=entry.size)
            metadata = pack[entry.offset : entry.offset + entry.metadata_size]
        else:
            end = entry.offset + entry.size
            value, metadata = pack[entry.offset : end], pack[end : end + entry.metadata_size]
        if hashlib.sha256(value).digest() != entry.sha256:
            raise AwsError("A cached value is not what was written.", code=TAMPERED)
        return value, metadata

    def reference(self, entry: Entry) -> Mapping[str, str | int]:
        """Return the reference to a value that has its own object."""
        sha256 = entry.sha256.hex()
        return {"object": self._key(entry.pack.days, VALUES) + sha256, "sha256": sha256, "size": entry.size}

    def _pack(self, pack: Pack) -> bytes:
        # One at a time: threads that wait here usually wait for the same pack.
        with self._lock:
            if pack.sha256 not in self._packs:
                key = self._key(pack.days, PACKS) + pack.sha256
                # A pack of zero bytes is not stored.
                content = self._store.get(key, sha256=pack.sha256, size=pack.size) if pack.size else b""
                self._packs[pack.sha256] = content
                if len(self._packs) > _AT_HAND:
                    self._packs.popitem(last=False)
            return self._packs[pack.sha256]

    def add(self, key: bytes, value: bytes, metadata: bytes, seconds: float, cost: float) -> None:
        """Add a value from an authenticated reply; it will be written soon."""
        if self._prepared is None:
            self._prepared = self._pool.submit(self._prepare)
        draft = self._draft
        digest, alone = hashlib.sha256(value).digest(), len(value) >= ALONE
        if alone:
            place = self._key(self._days, VALUES) + digest.hex()
            draft.alone.append(self._pool.submit(self._write, place, value))
        entry = Entry(key, digest, len(value), len(draft.body), len(metadata), seconds, cost, alone)
        draft.entries.append(entry)
        draft.body += metadata if alone else value + metadata
        if len(draft.body) > PACK or time.monotonic() - draft.begun > PERIOD:
            self.flush()

    def flush(self) -> None:
        """Start writing the values added so far."""
        draft, self._draft = self._draft, _Draft()
        if draft.entries:
            self._writes.append(self._pool.submit(self._save, draft))

    def _prepare(self) -> None:
        self._store.prepare_cache()
        self._store.put(self._key(self._days, ABOUT), self._about)

    def _write(self, key: str, data: bytes) -> None:
        assert self._prepared is not None
        # The bucket must exist, and expire what is written, before the first value.
        self._prepared.result()
        self._store.put_new(key, data)

    def _save(self, draft: _Draft) -> None:
        # Waiting within the pool is safe: it starts in order, and what is awaited was submitted before.
        for value in draft.alone:
            value.result()
        body = bytes(draft.body)
        if body:
            self._write(self._key(self._days, PACKS) + hashlib.sha256(body).hexdigest(), body)
        content = index.encode(body, draft.entries)
        # Written last, so that whatever an index names exists.
        self._write(self._key(self._days, INDEXES) + hashlib.sha256(content).hexdigest(), content)

    def close(self) -> None:
        """Write the remaining values.

        Raises
        ------
        AwsError
            S3 refuses a write.
        """
        self.flush()
        try:
            for write in self._writes:
                write.result()
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _key(self, days: int, name: str) -> str:
        return f"{cache_prefix(days)}{self._function}/{name}"
