"""Points out, in one line, earlier work that still exists and could be overlooked."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lithops_magic.config import user_dirs
from lithops_magic.config.limits import KEPT_DAYS

if TYPE_CHECKING:
    from pathlib import Path

    from lithops_magic.engine import MapResult

LONG = 60.0
"""Seconds above which a job is too expensive to repeat."""


def unfinished(notebook: str) -> str:
    """Return a note on this notebook's latest job if it is running or was interrupted; else empty.

    Parameters
    ----------
    notebook
        Name of the notebook file; an empty name gives an empty note.
    """
    if not notebook or not _any(user_dirs.jobs()):
        return ""
    # Imported only if there are jobs, because it takes a while and runs when the extension is loaded.
    from lithops_magic.engine.durable.listing import jobs
    from lithops_magic.notebook.display.job_table import ListedJob

    latest = next((job for job in jobs() if job.about.startswith(f"{notebook}: ")), None)
    if latest is None or latest.state not in ("interrupted", "running", "detached"):
        return ""
    job = ListedJob.of_record(latest)
    what = "was interrupted" if job.state == "interrupted" else "is still running"
    how = "%lambda_attach shows it" + (", %lambda_attach --resume runs the rest" if job.state == "interrupted" else "")
    return f"The latest job of this notebook {what} ({job.tasks()}, {job.age(time.time())}): {how}"


def attach_hint(result: MapResult) -> tuple[str, ...]:
    """Return the note at the end of a long job: its results outlive the kernel."""
    from lithops_magic.engine.durable.folder import JobFolder
    from lithops_magic.errors import UnknownJob
    from lithops_magic.notebook.display.job_table import SHOWN

    if result.snapshot().elapsed < LONG:
        return ()
    try:
        JobFolder.find(result.job_id)
    except UnknownJob:
        return ()
    return (f"kept for {KEPT_DAYS} days, also after a restart: %lambda_attach {result.job_id[:SHOWN]}",)


def _any(folder: Path) -> bool:
    with suppress(OSError):
        return next(folder.iterdir(), None) is not None
    return False
