"""A job's folder on this machine: found, listed, locked while the job runs, and deleted when it is old."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from lithops_magic.closest import closest
from lithops_magic.config import user_dirs
from lithops_magic.config.lifetime import DAY
from lithops_magic.config.limits import KEPT_DAYS
from lithops_magic.engine.durable import lines, private, records
from lithops_magic.errors import UnknownJob, UnreadableJob

FORMAT = 2
"""Format version of the files; others are not read."""
NEEDED = frozenset({"id", "label", "created", "detached", "python", "key", "total", "names", "start", "recipe"})
"""Keys that every manifest has."""
KEPT_BYTES = 2_000_000_000
"""Total bytes of all folders beyond which the oldest are deleted."""
PATIENCE = 0.2
"""Seconds to wait for a job's lock: the holder may only be looking, or just closing its journal."""
_LISTED = 10
_OLD_MANIFEST = "manifest.json"
"""The manifest's file name before formats were numbered."""


@dataclass(frozen=True, slots=True)
class State:
    """Progress of a job."""

    total: int | None
    done: int
    failed: int
    state: str
    """A snapshot's state."""
    full: bool = False
    """Whether the journal reached its size limit, so that later records are missing."""
    cost: float = 0.0
    """USD at list price so far."""


class JobFolder:
    """The files of one job, readable only by their user."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal"
        self.function = path / "function"
        self.sources = path / "sources"
        # Not thread-local, because the journal's thread releases what the thread that created the folder acquired.
        self._lock = FileLock(path / "lock", mode=0o600, thread_local=False)

    @classmethod
    def create(cls, job_id: str) -> JobFolder:
        """Create the folder, and delete old ones."""
        path = user_dirs.jobs() / job_id
        # `parents` creates intermediate folders with the user's umask, not with our mode.
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        # Someone else may have created them before us, for instance in a shared cache folder.
        private.check(path.parent)
        private.check(path)
        folder = cls(path)
        folder.lock()
        _prune()
        return folder

    @classmethod
    def find(cls, job_id: str) -> JobFolder:
        """Return a job's folder; a prefix of the job's ID is enough.

        Raises
        ------
        UnknownJob
            This machine knows no such job.
        """
        known = {each.path.name: each for each in cls.all()}
        if job_id in known:
            return known[job_id]
        begun = [each for name, each in known.items() if job_id and name.startswith(job_id)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            shown = ", ".join(each.path.name for each in begun[:_LISTED])
            raise UnknownJob(f"{len(begun)} jobs begin with {job_id!r}: {shown}. Give more of the id.")
        close = closest(job_id, known)
        hint = f"did you mean {close}?" if close else "there are none." if not known else "there are"
        shown = ", ".join(list(known)[:_LISTED]) + (", …" if len(known) > _LISTED else "")
        raise UnknownJob(f"No job {job_id!r} is known on this machine: {hint} {'' if close else shown}".rstrip())

    @classmethod
    def all(cls) -> list[JobFolder]:
        """Return the folders of all jobs, latest first."""
        try:
            paths = list(user_dirs.jobs().iterdir())
        except OSError:  # no job was ever recorded
            return []
        folders = [cls(path) for path in paths if _is_there(path / "job") or _is_there(path / _OLD_MANIFEST)]
        return sorted(folders, key=lambda folder: -folder.seen)

    @property
    def seen(self) -> float:
        """Wall clock when the job's process was last known to be alive; 0 if it never wrote."""
        try:
            written = (self.path / "state").stat().st_mtime
        except OSError:
            return 0.0
        # The clock may have been set back in the meantime.
        return min(written, time.time())

    @property
    def changed(self) -> float:
        """Wall clock of the last change; locking the folder to look at it is not a change."""
        with contextlib.suppress(OSError):
            return self.seen or min(self.path.lstat().st_mtime, time.time())
        return 0.0

    def write(self, name: str, *data: bytes) -> None:
        """Write a file atomically."""
        # Another process that looks at the job sees the old file or the new one, never half of one.
        with tempfile.NamedTemporaryFile(dir=self.path, delete=False) as file:
            file.writelines(data)
        Path(file.name).replace(self.path / name)

    def append(self) -> IO[bytes]:
        """Open the journal for appending."""
        # Cut off an unfinished line, which would corrupt the next one.
        end = records.read(self.journal).end
        file = private.append(self.journal)
        file.truncate(end)
        return file

    def save_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the job's description."""
        self.write("job", lines.encode({"format": FORMAT, **manifest}))

    def manifest(self) -> dict[str, Any]:
        """Return the job's description.

        Raises
        ------
        UnreadableJob
            It is damaged, has another format version, or may have been written by another user.
        """
        name = self.path.name
        away = f"; delete {self.path} to remove it"
        try:
            private.check(self.path.parent)
            private.check(self.path)
            found = lines.decode(private.read(self.path / "job"))
        except FileNotFoundError:
            raise UnreadableJob(f"Job {name} was written by an older version of lithops-magic{away}") from None
        except OSError as error:
            raise UnreadableJob(f"Job {name} cannot be read: {error}") from None
        manifest = found.bodies[0][0] if len(found.bodies) == 1 and not found.damaged else None
        if not isinstance(manifest, dict) or manifest.get("id") != name:
            raise UnreadableJob(f"Job {name} cannot be read: {self.path / 'job'} is damaged{away}")
        if manifest.get("format") != FORMAT:
            raise UnreadableJob(f"Job {name} was written by another version of lithops-magic{away}")
        if not manifest.keys() >= NEEDED:
            raise UnreadableJob(
                f"Job {name} cannot be read: {self.path / 'job'} lacks {min(NEEDED - set(manifest))}{away}"
            )
        return manifest

    def state(self) -> State:
        """Return the progress of the job as last saved."""
        unknown = State(None, 0, 0, "running")
        try:
            ((found, _),) = lines.decode(private.read(self.path / "state")).bodies
            return State(**{**asdict(unknown), **found})
        # A damaged or foreign state must not hide the job: the journal has the truth.
        except (OSError, ValueError, TypeError):
            return unknown

    def save_state(self, state: State) -> None:
        """Save the job's progress, which also shows that its process is alive."""
        self.write("state", lines.encode(asdict(state)))

    def lock(self, patience: float | None = None) -> bool:
        """Mark the job as run by this process for as long as it lives; False if it is being run already."""
        if self.owned:
            return True
        try:
            # The operating system releases it when the process dies, however that happens: no stale lock needs to be
            # detected.
            self._lock.acquire(timeout=PATIENCE if patience is None else patience, poll_interval=0.02)
        except (Timeout, OSError):
            return False
        return True

    def unlock(self) -> None:
        """Let another process run the job."""
        self._lock.release()

    @property
    def owned(self) -> bool:
        """Whether this object holds the job's lock."""
        return bool(self._lock.is_locked)

    @property
    def locked(self) -> bool:
        """Whether any process, including this one, runs the job."""
        if self.owned or not self.lock(patience=0):
            return True
        self.unlock()
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _prune() -> None:
    """Delete folders of finished jobs that are too old, or too large in total."""
    room, oldest = KEPT_BYTES, time.time() - KEPT_DAYS * DAY
    with contextlib.suppress(OSError):  # another process may be pruning, too
        folders = [JobFolder(path) for path in user_dirs.jobs().iterdir() if not path.is_symlink()]
        for folder in sorted(folders, key=lambda folder: -folder.changed):
            size = sum(file.stat().st_size for file in folder.path.iterdir())
            # Latest first, so that the oldest are what no longer fits.
            room -= size
            if (room < 0 or folder.changed < oldest) and not folder.locked:
                shutil.rmtree(folder.path, ignore_errors=True)
                room += size
