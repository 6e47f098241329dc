"""Fingerprints the state of files, as far as possible without reading them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.requirements import Requirement

from lithops_magic.packages.cache import Cache
from lithops_magic.packages.metadata import InstalledFile
from lithops_magic.packages.moment import Moment, moment

_State = tuple[str, str, Moment | str]


def key(facts: object) -> str:
    """Return a name for anything that is determined by these facts alone."""
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:32]


def state(files: Iterable[InstalledFile]) -> Iterator[_State]:
    """Yield what distinguishes a file from another one of its name, whatever its installer recorded."""
    linked: list[tuple[InstalledFile, os.stat_result]] = []
    for file in files:
        try:
            status = os.stat(file.path)  # noqa: PTH116 - twice as fast
        except OSError:
            continue
        if status.st_nlink == 1 or not stat.S_ISREG(status.st_mode):
            yield file.name, file.digest, moment(status)
        else:
            linked.append((file, status))
    if linked:
        # Linking a file into another environment changes it, too, although only in its status.
        yield "", "", _contents(linked)


def _contents(linked: Sequence[tuple[InstalledFile, os.stat_result]]) -> str:
    """Return a hash of files' names and contents, which is cached for as long as their status is the same."""
    name = f"contents-{key([(file.name, status.st_ino, moment(status)) for file, status in linked])}"
    with contextlib.suppress(OSError):  # an unusable folder is reported where layers are written
        if cached := Cache.of_user().read(name):
            return cached
    # Reading and hashing release the GIL.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sums = list(pool.map(_sum, [file.path for file, _ in linked]))
    found = key([[file.name for file, _ in linked], sums])
    with contextlib.suppress(OSError):
        Cache.of_user().write(name, found.encode())
    return found


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_at(text: str) -> list[_State]:
    """Return the state of a requirement that is a local file or folder; empty for others."""
    return list(state(_files_at(text)))


def _files_at(text: str) -> Iterator[InstalledFile]:
    url = urllib.parse.urlsplit(Requirement(text).url or "")
    if url.scheme == "file":
        path = Path(urllib.request.url2pathname(url.path))
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            yield InstalledFile(file.as_posix(), file)
