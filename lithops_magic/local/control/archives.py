"""Deployment packages and layers on disk: one zip and one unzipped folder per content."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import stat
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from lithops_magic.local.model import ServiceError
from lithops_magic.local.names import invalid
from lithops_magic.local.resources import NOT_WRITABLE, TOO_MANY_FILES

UNZIPPED_LIMIT = 262_144_000
"""Bytes of code and layers together, unzipped (Lambda's quotas page: 250 MB)."""

UNUSED_LIFETIME = 960.0
"""Seconds an archive outlives its last use: the longest invocation may still import from it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What the service reports and needs to know about one zip."""

    digest: str
    """SHA-256 in hexadecimal: the archive's name in the store."""
    size: int
    unzipped: int

    @classmethod
    def of_image(cls, address: str) -> Archive:
        """Represent a container image, of which only the address is known."""
        return cls(hashlib.sha256(address.encode()).hexdigest(), 0, 0)

    @property
    def sha256(self) -> str:
        """`CodeSha256` as AWS writes it."""
        return base64.b64encode(bytes.fromhex(self.digest)).decode()


class Archives:
    """Content-addressed store of zips and their unzipped folders below `root`."""

    def __init__(self, root: Path, unused_lifetime: float = UNUSED_LIFETIME) -> None:
        self._zips = root / "zips"
        self._folders = root / "unzipped"
        self._unused_lifetime = unused_lifetime
        self._unused_since: dict[str, float] = {}
        self._lock = threading.Lock()
        for folder in (self._zips, self._folders):
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, data: bytes) -> Archive:
        """Store and unzip a zip unless its content is already here.

        Raises
        ------
        ServiceError
            Not a zip, a member that would land outside, or more than 250 MiB unzipped.
        """
        digest = hashlib.sha256(data).hexdigest()
        unzipped = _measure(data)
        with self._lock:
            # In use from now on, or `collect` could remove it before a function refers to it.
            self._unused_since.pop(digest, None)
        if not self.folder(digest).exists():
            with tempfile.TemporaryDirectory(dir=self._folders, ignore_cleanup_errors=True) as scratch:
                fresh = Path(scratch) / digest
                _unzip(data, fresh)
                (Path(scratch) / "zip").write_bytes(data)
                (Path(scratch) / "zip").replace(self.zip(digest))
                # Another thread may have finished the same content first.
                if not self.folder(digest).exists():
                    # Last, because the folder's presence means that the archive is complete.
                    fresh.rename(self.folder(digest))
        return Archive(digest, len(data), unzipped)

    def zip(self, digest: str) -> Path:
        return self._zips / f"{digest}.zip"

    def folder(self, digest: str) -> Path:
        return self._folders / digest

    def collect(self, used: Collection[str], *, at_once: bool = False) -> None:
        """Remove what has been unused for long enough, or (`at_once`) everything unused."""
        now = time.monotonic()
        patience = 0.0 if at_once else self._unused_lifetime
        with self._lock:
            names = {folder.name for folder in self._folders.iterdir()}.difference(used)
            self._unused_since = {name: self._unused_since.get(name, now) for name in names}
            for name, since in self._unused_since.items():
                if now - since >= patience:
                    self.zip(name).unlink(missing_ok=True)
                    shutil.rmtree(self.folder(name), ignore_errors=True)


def _measure(data: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError):
        raise _unreadable() from None
    if not members:
        raise invalid("Uploaded file must be a non-empty zip")
    # As declared, so that nothing is unpacked that is too large.
    size = sum(member.file_size for member in members)
    if size >= UNZIPPED_LIMIT:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
    return size


def _unzip(data: bytes, target: Path) -> None:
    target.mkdir()
    links: list[tuple[Path, str]] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                path = target / _inside(member.filename)
                mode = member.external_attr >> 16
                if stat.S_ISLNK(mode):
                    links.append((path, archive.read(member).decode()))
                elif member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                else:
                    _write(archive, member, path, mode)
        _link(links, target)
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, RuntimeError, EOFError) as error:
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE | TOO_MANY_FILES:
            raise
        raise _unreadable() from None


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    # zipfile does not restore permissions, but programs in a package have to stay executable.
    path.chmod(0o755 if mode & 0o111 else 0o644)


def _link(links: list[tuple[Path, str]], root: Path) -> None:
    """Make symbolic links, last so that no member is written through one, and refuse any that leads out of `root`."""
    for path, destination in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(destination)
    # Only now, because one link may lead through another.
    if not all(path.resolve().is_relative_to(root.resolve()) for path, _ in links):
        raise _unreadable()


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    # On Windows, a drive letter would lead out of the folder, too.
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise _unreadable()
    return path


def _unreadable() -> ServiceError:
    return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
