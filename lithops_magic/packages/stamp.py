"""Fingerprints the state of files without reading them."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

from lithops_magic.packages.metadata import InstalledFile


def key(facts: object) -> str:
    """Return a name for anything that is determined by these facts alone."""
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:32]


def state(files: Iterable[InstalledFile]) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield what distinguishes a file from another one of its name, whatever its installer recorded.

    Includes the status change time, because installers and copies may set the modification time.
    """
    for file in files:
        try:
            status = os.stat(file.path)  # noqa: PTH116 - twice as fast
        except OSError:
            continue
        # A hard link from another environment also changes ctime, so use the inode then.
        changed = status.st_ctime_ns if status.st_nlink == 1 else status.st_ino
        yield file.name, file.digest, status.st_size, status.st_mtime_ns, changed


def state_at(text: str) -> list[tuple[str, str, int, int, int]]:
    """Return the state of a requirement that is a local file or folder; empty for others."""
    return list(state(_files_at(text)))


def _files_at(text: str) -> Iterator[InstalledFile]:
    url = urllib.parse.urlsplit(Requirement(text).url or "")
    if url.scheme == "file":
        path = Path(urllib.request.url2pathname(url.path))
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            yield InstalledFile(file.as_posix(), file)
