"""Replacements for `open` and `os` whose files are objects of the default bucket."""

from __future__ import annotations

import io
import os as base_os
import posixpath
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from lithops_magic.aws.storage.names import FILES, RESULTS
from lithops_magic.lithops.storage.storage import Storage
from lithops_magic.lithops.storage.utils import StorageNoSuchKeyError


class CloudStorage(Storage):
    """The default bucket as a folder of files; picklable."""

    def __reduce__(self) -> Any:
        return _travelled, (self.bucket, self.folder)

    @cached_property
    def folder(self) -> str:
        """The prefix of all keys."""
        # The bucket first: its name tells whether it is the job bucket.
        return FILES if self.bucket and self._place.named is None else ""

    def key(self, path: str) -> str:
        """Return the key of a path."""
        text = posixpath.normpath(base_os.fspath(path)).lstrip("/")
        return self.folder + ("" if text == "." else text)

    def put_data(self, path: str, data: Any) -> None:
        """Write a file."""
        self.put_object(self.bucket, self.key(path), data)

    def get_data(self, path: str) -> bytes:
        """Return a file's bytes."""
        data: bytes = self.get_object(self.bucket, self.key(path))
        return data

    def delete_data(self, path: str) -> None:
        """Delete a file."""
        self.delete_object(self.bucket, self.key(path))

    def list_bucket_keys(self, prefix: str | None = None) -> list[str]:
        """Return the paths that begin with `prefix`."""
        start = self.folder + (prefix or "")
        return [key.removeprefix(self.folder) for key in self.list_keys(self.bucket, start)]


def _travelled(bucket: str, folder: str) -> CloudStorage:
    made = CloudStorage()
    made._place.named = bucket
    vars(made)["folder"] = folder
    return made


class CloudFileProxy:
    """A replacement for `os`: file operations work on objects, everything else is Python's."""

    def __init__(self, cloud_storage: CloudStorage | None = None) -> None:
        self._storage = cloud_storage or CloudStorage()
        self.path = CloudPathProxy(self._storage)

    def __getattr__(self, name: str) -> Any:
        # pickle and copy ask objects for special methods, which must not be those of the module.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(base_os, name)

    def __reduce__(self) -> Any:
        return CloudFileProxy, (self._storage,)

    def open(self, filename: str, mode: str = "r") -> Any:
        """Open a file."""
        return cloud_open(filename, mode, self._storage)

    def listdir(self, path: str = "", suffix_dirs: bool = False) -> list[str]:
        """Return the names in a folder; `suffix_dirs` marks folders with a slash."""
        start = _folder(path)
        rests = (key.removeprefix(start) for key in self._storage.list_bucket_keys(start))
        parts = (rest.partition("/") for rest in rests)
        names = {first + ("/" if slash and suffix_dirs else "") for first, slash, _ in parts}
        return sorted(names - {""})

    def walk(
        self,
        top: str,
        topdown: bool = True,
        onerror: Callable[[OSError], object] | None = None,
        followlinks: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield folders with what is in them, as `os.walk` does."""
        names = self.listdir(top, suffix_dirs=True)
        folders = [name[:-1] for name in names if name.endswith("/")]
        here = top, folders, [name for name in names if not name.endswith("/")]
        if names and topdown:
            yield here
        for name in list(folders):
            yield from self.walk(posixpath.join(top, name), topdown)
        if names and not topdown:
            yield here

    def remove(self, path: str) -> None:
        """Delete a file, if it exists."""
        self._storage.delete_data(path)

    unlink = remove

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Do nothing: folders exist only as prefixes of files."""

    makedirs = mkdir


class CloudPathProxy:
    """A replacement for `os.path`."""

    def __init__(self, cloud_storage: CloudStorage | None = None) -> None:
        self._storage = cloud_storage or CloudStorage()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(posixpath, name)

    def __reduce__(self) -> Any:
        return CloudPathProxy, (self._storage,)

    def isfile(self, path: str) -> bool:
        """Whether the file exists."""
        try:
            self._storage.head_object(self._storage.bucket, self._storage.key(path))
        except StorageNoSuchKeyError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether the folder has files."""
        return bool(self._storage.list_bucket_keys(_folder(path)))

    def exists(self, path: str) -> bool:
        """Whether the file exists, or the folder has files."""
        return self.isfile(path) or self.isdir(path)

    def getsize(self, path: str) -> int:
        """Return the bytes of a file."""
        return self._storage._size(self._storage.bucket, self._storage.key(path))


class _Written:
    """An in-memory file that is stored when closed, unless its `with` block fails."""

    store: Callable[[Any], None]
    getvalue: Callable[[], Any]

    def close(self) -> None:
        """Store it, once."""
        if not self.closed:  # type: ignore[attr-defined]
            self.store(self.getvalue())
        super().close()  # type: ignore[misc]

    def __exit__(self, kind: Any, *_: Any) -> None:
        # Half a file must not replace a whole one.
        if kind is not None:
            self.store = lambda _: None
        self.close()


class DelayedBytesBuffer(_Written, io.BytesIO):
    """An in-memory file of bytes."""


class DelayedStringBuffer(_Written, io.StringIO):
    """An in-memory file of text."""


def cloud_open(filename: str, mode: str = "r", cloud_storage: CloudStorage | None = None) -> Any:
    """Open an object as a file; what is written is stored when the file is closed.

    Raises
    ------
    FileNotFoundError
        The object to read does not exist.
    """
    storage, text = cloud_storage or CloudStorage(), "b" not in mode
    if mode.replace("b", "").replace("t", "") not in ("r", "w", "a", "x"):
        raise ValueError(f"mode {mode!r}: use r, w, a or x, with b for bytes")
    if "x" in mode and CloudPathProxy(storage).isfile(filename):
        raise FileExistsError(filename)
    data = b""
    if "r" in mode or "a" in mode:
        try:
            data = storage.get_data(filename)
        except StorageNoSuchKeyError:
            if "r" in mode:
                raise FileNotFoundError(filename) from None
    if "r" in mode:
        return io.StringIO(data.decode()) if text else io.BytesIO(data)
    # Without translating line ends: what is written is what is stored.
    made: Any = DelayedStringBuffer(newline="") if text else DelayedBytesBuffer()
    made.write(data.decode() if text else data)
    made.store = lambda value: storage.put_data(filename, value)
    return made


class _Open:
    """A replacement for `open`; its bucket is looked up on first use."""

    def __init__(self, cloud_storage: CloudStorage | None = None) -> None:
        self._storage = cloud_storage

    def __call__(self, filename: str, mode: str = "r") -> Any:
        """Open a file."""
        self._storage = self._storage or _default()
        return cloud_open(filename, mode, self._storage)

    def __reduce__(self) -> Any:
        return _Open, (self._storage or _default(),)


def _folder(path: str) -> str:
    """Return the key prefix of a folder."""
    text = posixpath.normpath(base_os.fspath(path or "/")).lstrip("/")
    return "" if text in ("", ".") else f"{text}/"


_made: list[CloudStorage] = []


def _default() -> CloudStorage:
    if not _made:
        _made.append(CloudStorage())
    return _made[0]


def __getattr__(name: str) -> Any:
    """Create the replacements on first access, so that importing this module does not connect."""
    if name not in ("os", "open"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made: Any = CloudFileProxy(_default()) if name == "os" else _Open(_default())
    globals()[name] = made
    return made


def remove_lithops_keys(keys: list[str]) -> list[str]:
    """Return the keys that are the user's own."""
    return [key for key in keys if not key.startswith(RESULTS)]
