"""The function of a request: inline or from S3, like its large parts, which are cached for other jobs."""

from __future__ import annotations

import os
from binascii import a2b_base64
from collections.abc import Callable, Container
from typing import Any

from . import packing
from .store import Store, StoreError

JOB_SHARE, CACHE_SHARE = 1 / 4, 1 / 16
"""Shares of the sandbox's memory for cached parts: the current job's, which it shares, and other jobs'."""

_cached: dict[str, list[bytearray]] = {}
"""Fetched parts by hash, the latest last. They live in a process that runs no user code; the jobs' processes are
forked from it, so what a job changes is its own copy."""
_prefetch_error: StoreError | None = None
_loaded: dict[str, Callable[[Any], Any]] = {}
request: dict[str, Any] = {}
"""The current request: a task that starts a nested job passes on what it says about packages."""


class Function:
    """The function of one request, fetched but not necessarily unpickled yet.

    Raises
    ------
    StoreError
        It is in S3 and cannot be read.
    """

    def __init__(self, function: dict[str, Any], store: Store | None) -> None:
        self._function, self._store = function, store
        self._digest: str = function["sha256"]
        self._parts = None if self._digest in _loaded else _parts(function, store)

    def load(self) -> Callable[[Any], Any]:
        """Return the function, unpickled once per process."""
        if self._digest not in _loaded:
            # A failed attempt may have changed them.
            parts, self._parts = self._parts or _parts(self._function, self._store), None
            loaded = unpickled("function", packing.unpickle, *parts)
            _loaded.clear()
            _loaded[self._digest] = loaded
        return _loaded[self._digest]


def forget() -> None:
    """Unpickle the next function even if it is cached: another job must not see this one's changes."""
    _loaded.clear()


def prefetch(function: dict[str, Any], store: Store | None) -> None:
    """Prefetch what a function needs for the process that is forked next; errors are left for its tasks to report."""
    global _prefetch_error
    wanted: dict[str, packing.Sizes] = {}

    def record(name: str, sizes: packing.Sizes) -> list[Any]:
        wanted[name] = sizes
        return [*sizes]

    _prefetch_error = None
    try:
        packing.parts(_container(function, store), record)
        evict(CACHE_SHARE, wanted)
        for name, sizes in wanted.items():
            _cached[name] = _cached.pop(name, []) or _fetched(name, sizes, function, store)
    except StoreError as error:
        _prefetch_error = error


def evict(share: float, wanted: Container[str] = ()) -> None:
    """Evict the oldest parts beyond a share of the memory, but nothing `wanted`."""
    available = share * int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")) * 2**20
    for name in [*_cached][::-1]:
        if name not in wanted:
            available -= sum(map(len, _cached[name]))
            if available < 0:
                del _cached[name]


def _parts(function: dict[str, Any], store: Store | None) -> tuple[int, list[Any]]:
    """Return the parts of a function, now owned by this process."""
    global _prefetch_error
    error, _prefetch_error = _prefetch_error, None
    if error:
        raise error
    taken: dict[str, list[bytearray]] = {}

    def piece(name: str, sizes: packing.Sizes) -> list[bytearray]:
        if name in taken:  # two equal objects
            return [*map(bytearray, taken[name])]
        taken[name] = _cached.pop(name, []) or _fetched(name, sizes, function, store)
        return taken[name]

    return packing.parts(_container(function, store), piece)


def unpickled(what: str, make: Callable[..., Any], *data: Any) -> Any:
    """Unpickle a function or an item, and name it in the error if a module is missing."""
    try:
        return make(*data)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"No module named {error.name!r}, which the {what} needs", name=error.name) from None


def fetch(data: dict[str, Any], store: Store | None, what: str) -> bytes | bytearray:
    """Return data that are in the request, or in S3 under its reference.

    Raises
    ------
    StoreError
        It is in S3 and cannot be read.
    """
    if "data" in data:
        return a2b_base64(data["data"])
    if store is None or not {"object", "sha256", "size"} <= {*data}:
        raise StoreError("store", f"the {what} is in S3, and the request does not say where")
    return store.get(data, what)


def _container(function: dict[str, Any], store: Store | None) -> bytes | bytearray:
    if "data" in function:
        return fetch(function, store, "function")
    name = function["sha256"]
    if name not in _cached:
        _cached[name] = [fetch(function, store, "function")]  # type: ignore[list-item]
    return _cached[name][0]


def _fetched(name: str, sizes: packing.Sizes, function: dict[str, Any], store: Store | None) -> list[bytearray]:
    size = sum(stored for stored, _ in sizes)
    data = fetch({"object": function["pieces"] + name, "sha256": name, "size": size}, store, "function")
    if [*sizes] == [(size, size)]:
        return [data]  # type: ignore[list-item]
    return [*map(bytearray, packing.split(memoryview(data), sizes))]
