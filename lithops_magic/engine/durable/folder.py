"""The folder that this machine keeps of a job: found, listed, locked while the job runs, deleted when it is old."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

from lithops_magic.engine.durable.records import read
from lithops_magic.errors import UnknownJob

KEPT_DAYS = 7
"""Days after which a job's folder is deleted: S3 deletes what the job stored there after as many."""
KEPT_BYTES = 2_000_000_000
"""Bytes of all folders together, beyond which the oldest are deleted."""
TRIES, PAUSE = 5, 0.05
"""Attempts to lock a job, and the seconds between them."""
_LISTED = 10
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class State:
    """How far a job is."""

    total: int | None
    done: int
    failed: int
    state: str
    """A snapshot's state."""
    full: bool = False
    """Whether the journal reached its limit and lacks what came then."""


class JobFolder:
    """What is kept of one job, readable by its user only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "records"
        self.recipe = path / "recipe"
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, job_id: str) -> JobFolder:
        """Make the folder, and delete old ones."""
        path = _jobs() / job_id
        # `parents` would give the upper one whatever the user's umask says.
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        folder = cls(path)
        folder.lock()
        _prune()
        return folder

    @classmethod
    def find(cls, job_id: str) -> JobFolder:
        """Return a job's folder.

        Raises
        ------
        UnknownJob
            This machine knows no such job.
        """
        folder = cls(_jobs() / job_id)
        if os.sep not in job_id and folder.manifest():
            return folder
        known = [each.path.name for each in cls.all()]
        close = get_close_matches(job_id, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "no job is." if not known else "these are known:"
        shown = ", ".join(known[:_LISTED]) + (", …" if len(known) > _LISTED else "")
        raise UnknownJob(f"No job {job_id!r} is known on this machine: {hint} {shown}".rstrip())

    @classmethod
    def all(cls) -> list[JobFolder]:
        """Return the folders of all jobs, the latest first."""
        try:
            paths = list(_jobs().iterdir())
        except FileNotFoundError:
            return []
        folders = [cls(path) for path in paths if (path / "manifest.json").exists()]
        return sorted(folders, key=lambda folder: -folder.seen)

    @property
    def seen(self) -> float:
        """Wall clock of when the job's process was alive last; 0 if it never wrote."""
        try:
            return (self.path / "state.json").stat().st_mtime
        except OSError:
            return 0.0

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        with tempfile.NamedTemporaryFile(dir=self.path, delete=False) as file:
            file.write(data)
        Path(file.name).replace(self.path / name)

    def append(self) -> IO[bytes]:
        """Open the records to write more of them."""
        with contextlib.suppress(FileNotFoundError):
            # What was not written to its end would hide what follows.
            os.truncate(self.records, read(self.records)[1])
        return _append(self.records)

    def manifest(self) -> dict[str, Any]:
        """Return what the job is; empty if that was never written."""
        return _read(self.path / "manifest.json")

    def state(self) -> State:
        """Return how far the job is."""
        return State(**{**asdict(State(None, 0, 0, "running")), **_read(self.path / "state.json")})

    def save_state(self, state: State) -> None:
        """Write how far the job is, and that its process is alive."""
        self.write("state.json", json.dumps(asdict(state)).encode())

    def lock(self, tries: int = TRIES) -> bool:
        """Mark the job as run by this process, as long as that lives; False if it is run already."""
        file = _append(self.path / "lock")
        for _ in range(tries):
            if _lock(file):
                self._lock = file
                return True
            # It may be another process that only looks, or a journal that is just being closed.
            time.sleep(PAUSE)
        file.close()
        return False

    def unlock(self) -> None:
        """Let another process run the job."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def owned(self) -> bool:
        """Whether this object marked the job as run by this process."""
        return self._lock is not None

    @property
    def locked(self) -> bool:
        """Whether a process, this one or another, runs the job."""
        if self.owned or not self.lock(tries=1):
            return True
        self.unlock()
        return False


def _jobs() -> Path:
    return Path(os.environ.get("LITHOPS_MAGIC_STATE_DIR") or _user_folder() / "lithops-magic") / "jobs"


def _user_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def _append(path: Path) -> IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")  # noqa: PTH123 - it knows no mode


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: two processes are trusted not to run the same job
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _prune() -> None:
    """Delete the folders of jobs that are over and too old, or too large all together."""
    room, oldest = KEPT_BYTES, time.time() - KEPT_DAYS * _DAY
    with contextlib.suppress(OSError):  # another process may be doing the same
        for path in sorted(_jobs().iterdir(), key=lambda path: -path.stat().st_mtime):
            size = sum(file.stat().st_size for file in path.iterdir())
            room -= size
            if (room < 0 or path.stat().st_mtime < oldest) and not JobFolder(path).locked:
                shutil.rmtree(path, ignore_errors=True)
                room += size
