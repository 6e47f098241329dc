"""Files cached between runs, in a folder of the user's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lithops_magic.config import user_dirs

LIFETIME = 30 * 24 * 3600.0
"""Seconds a file is kept after its last use."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of files that are written atomically."""

    folder: Path

    @classmethod
    def of_user(cls) -> Cache:
        """Return the user's cache; `LITHOPS_MAGIC_CACHE_DIR` names another folder."""
        folder = user_dirs.caches() / "layers"
        # Private: what lies here becomes code of every task.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(folder)

    def read(self, name: str) -> str | None:
        """Return a file's contents and mark it as used; None if it does not exist."""
        path = self.folder / name
        try:
            text = path.read_text(encoding="utf-8")
            os.utime(path)
        except OSError:
            return None
        return text

    def write(self, name: str, data: bytes) -> Path:
        """Write a file, and delete files that have not been used for long."""
        with self.scratch() as folder:
            (folder / "file").write_bytes(data)
            return self.take(folder / "file", name)

    def take(self, file: Path, name: str) -> Path:
        """Move a file here from a `scratch` folder."""
        path = self.folder / name
        file.replace(path)
        self._collect()
        return path

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Provide a temporary folder on the same disk."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="build-") as folder:
            yield Path(folder)

    def _collect(self) -> None:
        oldest = time.time() - LIFETIME
        for path in self.folder.iterdir():
            # Another notebook may be deleting it, too.
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
