"""Records a job that runs long enough, so that another process can continue it. Never slows down the job.

The job's scheduler only notes records; the journal's own thread writes them, every `PERIOD`. The exception is a job
whose tasks must not run twice: its scheduler writes each record before sending the invocation. A noted
record is lost only if the process is killed within `PERIOD`; whatever the state file reports is in the journal already.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any
from weakref import WeakValueDictionary

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.aws.invoke.outcomes import Ambiguous, Outcome, Reply
from lithops_magic.engine.durable import records, sources
from lithops_magic.engine.durable.folder import JobFolder, State
from lithops_magic.engine.durable.kept_results import MANIFEST
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.durable.recipe import Recipe
from lithops_magic.engine.job.events import Noted
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import LithopsMagicError, MisuseError

AFTER = 2.0
"""Seconds that a job must run to be worth a folder, and an invocation for its job to be worth objects in S3."""
PERIOD = 0.25
"""Seconds between writes: what a killed process loses at most."""
LIMIT = 256_000_000
"""Maximum bytes of a job's journal; later records are dropped, and the job cannot be resumed beyond them."""
BUFFER = 8_000_000
"""Bytes buffered in memory above which they are written at once, and even a short job gets a folder."""
LEAVING = 2.0
"""Seconds that an exiting interpreter waits for the last write."""
PUBLIC = frozenset({"id", "label", "created", "detached", "python", "cloudpickle"})
"""Manifest fields allowed in S3: neither the key that signs results nor any user data."""


running: WeakValueDictionary[str, Job] = WeakValueDictionary()
"""This process's jobs, by ID."""


class Journal(NullJournal):
    """The journal of one job.

    Parameters
    ----------
    job, recipe
        What to record.
    folder
        An existing folder with the job's items, for a job that is being resumed.
    """

    def __init__(self, job: Job, recipe: Recipe, folder: JobFolder | None = None) -> None:
        self._job = job
        self._recipe = recipe
        self._folder = folder
        self._sequence = None if folder or recipe.options.detach else job.sequence
        # In a detached or resumed job, the backend that sends invocations records items and invocations instead.
        self._notes_sent = folder is None and not recipe.options.detach
        self._takes_items = self._notes_sent and self._sequence is None
        self._pending: deque[records.Note] = deque()
        self._buffered = 0
        self._file: IO[bytes] | None = None
        self._full = self._announced = self._outdated = False
        self._due, self._closed = threading.Event(), threading.Event()
        # Held by whoever writes: the journal's thread, or the scheduler if no task may run twice.
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        # For `attach` in this very process; weakly, so that it does not keep the values of every job.
        running[job.id] = job

    def start(
        self, place: Place | None, oldest: Callable[[], float | None] = lambda: None, *, at_once: bool = False
    ) -> None:
        """Start the writer, which opens a folder once the job runs long enough; `at_once`: immediately."""
        if self._thread is not None:
            return
        self._place, self._oldest = place, oldest
        if at_once:
            self._open()
            self._due.set()
        self._thread = threading.Thread(target=self._run, name="lithops-magic-journal", daemon=True)
        self._thread.start()
        # The thread is a daemon, which an exiting interpreter would stop before its last write.
        atexit.register(self._leave)

    def begin(self, place: Place, items: list[records.Record]) -> None:
        """Record a job right from the start, with all its items, here and in S3.

        Raises
        ------
        MisuseError
            The items are too large.
        AwsError
            S3 refuses a write.
        """
        self.start(place, at_once=True)
        # All at once, and written before the first event is sent: an observer must know what it waits for.
        self._pending.extend(items)
        self._flush()
        if self._full:
            raise MisuseError(
                f"detach: the items take more than {LIMIT:,} bytes here; nothing was sent. "
                "Pass names or addresses and read the data inside the function."
            )
        self._announced = True
        self._announce()

    def taken(self, task: Task) -> None:
        """Record an item from an iterator."""
        if self._takes_items:
            self.note(records.SingleItem(task.index, task.fragment))

    def counted(self) -> None:
        """Record that there are no more items."""
        if self._takes_items:
            self.note(records.ItemCount(len(self._job.ledger)))

    def sent(self, tasks: Sequence[Task]) -> None:
        """Record an invocation."""
        if self._notes_sent:
            self.invoked([task.index for task in tasks])

    def invoked(self, tasks: Sequence[int]) -> None:
        """Record an invocation of these tasks; written before it is sent if none may run twice."""
        self._keep((tuple(tasks),), 0)
        # Before the folder exists, nothing can be resumed, and nothing needs to be known about what was sent.
        if self._job.options.retries == 0 and self._file is not None:
            self._flush()

    def answered(self, tasks: Sequence[Task], outcome: Outcome) -> None:
        """Record the outcome of an invocation that may have been executed."""
        if isinstance(outcome, records.RecalledReply | records.RecalledAmbiguous):
            return
        indices = tuple([task.index for task in tasks])
        if isinstance(outcome, Reply):
            payload, error, _, request_id, report = outcome
            # Its REPORT line was parsed already, and the rest of the log is stored with the tasks.
            self._keep((indices, payload, error, request_id, report and tuple(report)), len(payload))
        elif isinstance(outcome, Ambiguous):
            self.note(records.Executed(indices, Ambiguous(outcome.message)))

    def changed(self, function: Function) -> None:
        """Record that the function has gained packages."""
        self._recipe = replace(self._recipe, function=function)
        self._outdated = True

    def note(self, record: records.Record) -> None:
        """Queue a record for writing."""
        self._keep(record, len(record.fragment) if isinstance(record, records.SingleItem) else 0)

    def _keep(self, note: records.Note, weight: int) -> None:
        if self._full:
            return
        self._pending.append(note)
        self._buffered += weight
        # Writing frees the memory, in a job of large items or results that ends before `AFTER`, too.
        if self._buffered > BUFFER:
            self._due.set()

    def close(self) -> None:
        """The job is over: write the remaining records and stop."""
        self._closed.set()
        self._due.set()
        if self._thread is None:
            self._release()

    def _leave(self) -> None:
        """The interpreter is exiting."""
        self.close()
        if self._thread is not None:
            self._thread.join(LEAVING)

    def _run(self) -> None:
        # Most jobs are over by then, and never touch the disk.
        self._due.wait(AFTER)
        try:
            if self._file is None and not (self._closed.is_set() and self._folder is None):
                self._open()
            closed = False
            while self._file is not None and not closed:
                self._due.wait(PERIOD)
                # First of all: whatever is noted from now on sets it again.
                self._due.clear()
                closed = self._closed.is_set()
                self._write()
        except (OSError, TypeError, ValueError) as error:
            self._full = True
            text = f"no other process can continue this job: its journal cannot be written ({error})"
            self._job.publish(Noted(text))
        finally:
            atexit.unregister(self._leave)
            self._release()

    def _open(self) -> None:
        if self._folder is None:
            self._folder = JobFolder.create(self._job.id)
            self._folder.write("function", *self._recipe.function.container.chunks)
            if files := self._recipe.function.need.sources:
                self._folder.write("sources", files)
            self._folder.save_manifest(self._manifest())
        self._file = self._folder.append()
        # From here on the job can be attached to; what is missing below is added while it runs.
        self._job.written = True
        for slice_ in records.slices(self._sequence):
            self._put(records.encode([slice_]))
            self._flush()
            if self._closed.is_set() or self._full:
                return
        if self._sequence is not None:
            self._put(records.encode([records.ItemCount(len(self._sequence))]))
        self._write()

    def _write(self) -> None:
        """Write new records, and show that this process is alive."""
        assert self._folder is not None
        # Taken before the records are written, because the journal must never lag behind the state.
        s = self._job.snapshot()
        if self._outdated:
            self._outdated = False
            self._folder.save_manifest(self._manifest())
        self._flush()
        runs_long = time.monotonic() - (self._oldest() or math.inf) > AFTER
        # Not once the job is over: no task needs the bucket anymore, and an exiting interpreter waits only briefly.
        if not self._announced and runs_long and not self._closed.is_set():
            self._announced = True
            # Neither the job nor the worker depends on the bucket.
            with contextlib.suppress(LithopsMagicError):
                self._announce()
        # Last: once the state says that the job is over, its lock must not be held for the duration of an S3 request.
        self._folder.save_state(State(s.total, s.done, s.failed, s.state, self._full, s.spent))

    def _announce(self) -> None:
        """Write the manifest to S3, which also creates the bucket for results that tasks keep."""
        if self._place is not None:
            # Chosen by name, so that a field added to the manifest stays private unless someone decides otherwise.
            public = {name: value for name, value in self._manifest().items() if name in PUBLIC}
            self._place.store.put(self._place.prefix + MANIFEST, json.dumps(public).encode())

    def _flush(self) -> None:
        with self._writing:
            # As many as there are now: the scheduler may append at the same time, and would never be caught up with.
            self._buffered = 0
            # One by one, because encoded they take as much memory again.
            for _ in range(len(self._pending)):
                self._put(records.encode([self._pending.popleft()]))
            assert self._file is not None
            # To the operating system, which suffices if the process is killed. Syncing the disk would hold up every
            # write for the rare crash of the machine.
            self._file.flush()

    def _put(self, pieces: list[bytes]) -> None:
        assert self._file is not None
        if self._full or self._file.tell() + sum(map(len, pieces)) > LIMIT:
            self._full = True
            return
        self._file.writelines(pieces)

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._folder is not None:
            # Last: whoever follows the journal takes the free lock as its end.
            self._folder.unlock()

    def _manifest(self) -> dict[str, Any]:
        job, place = self._job, self._place
        files = sources.files(job.function)
        return {
            "id": job.id,
            "label": job.options.label,
            "about": job.options.about,
            "created": job.began,
            "detached": job.options.detach,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "cloudpickle": cloudpickle.__version__,
            "bucket": place.store.bucket if place else None,
            "owner": place.store.owner if place else None,
            "prefix": place.prefix if place else None,
            "start": place.store.start if place else "",
            "key": job.key.hex(),
            "total": job.snapshot().total,
            "names": {file: job.name_code(file) for file in files},
            "sources": sources.texts(files),
            "recipe": self._recipe.to_plain(),
        }
