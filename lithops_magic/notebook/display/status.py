"""What `%lambda_status` and `%lambda_clean` find, do and show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import plural, size
from lithops_magic.notebook.display.progress_frame import Bundle, summary

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine import MapResult
    from lithops_magic.engine.attach import JobRecord

_KNOWN = 10
"""Jobs of other processes that are listed, the latest first."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headings, or the sentence that says there are none."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str

    def to_text(self) -> str:
        """Return the table in columns."""
        if not self.rows:
            return self.empty
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        lines = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.headings, *self.rows)
        ]
        return "\n".join((self.title, *lines))

    def to_html(self) -> str:
        """Return the table in HTML that survives sanitising."""
        if not self.rows:
            return f"<div>{html.escape(self.empty)}</div>"
        return html.table(self.headings, self.rows, caption=self.title)


def show(bundle: Bundle) -> None:
    """Display a text and its HTML."""
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def status(settings: Settings, jobs: Sequence[MapResult]) -> Bundle:
    """Say which AWS is used and why, what is deployed on it, and what this session has run."""
    from lithops_magic.aws.deploy.function import list_functions
    from lithops_magic.aws.session import Cloud
    from lithops_magic.engine.attach import jobs as known_jobs

    cloud = Cloud.connect(settings)
    functions = [
        (f.name, f"{f.memory:,} MB", f"{f.timeout} s", size(f.size), f.last_modified[:16].replace("T", " ") + " UTC")
        for f in list_functions(cloud, settings)
    ]
    # Asking for the account first makes `describe` name it.
    account = f"account {cloud.account_id}"
    place = cloud.describe() if account in cloud.describe() else f"{cloud.describe()} ({account})"
    where = f"{place} · configured by {settings.source}"
    tables = [
        Table("Functions", ("name", "memory", "timeout", "size", "last modified"), functions, "No functions deployed."),
        Table(
            "Jobs",
            ("job", "id", "state"),
            [_job(job) for job in jobs],
            "No jobs in this session.",
        ),
    ]
    here = {job.job_id for job in jobs}
    if known := [_known(record) for record in known_jobs() if record.id not in here]:
        title = "Other jobs that this machine knows, for %lambda_attach"
        tables.append(Table(title, ("job", "label", "started", "finished", "state"), known[:_KNOWN], ""))
    return {
        "text/plain": "\n".join((where, *(table.to_text() for table in tables))),
        "text/html": f"<div>{html.escape(where)}</div>" + "".join(table.to_html() for table in tables),
    }


def clean(settings: Settings) -> Bundle:
    """Delete the functions deployed from here and say which."""
    from lithops_magic.aws.deploy.function import delete_functions
    from lithops_magic.aws.deploy.layer import delete_layers
    from lithops_magic.aws.session import Cloud

    cloud = Cloud.connect(settings)
    names = delete_functions(cloud, settings)
    layers = delete_layers(cloud, settings)
    counts = [plural(len(found), what) for found, what in ((names, "function"), (layers, "layer")) if found]
    text = f"Deleted {' and '.join(counts)}: {', '.join([*names, *layers])}" if counts else "Nothing to delete"
    text = f"{text} ({cloud.describe()})"
    return {"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"}


def _job(job: MapResult) -> tuple[str, str, str]:
    snapshot = job.snapshot()
    if snapshot.finished:
        return job._label, job.job_id, summary(snapshot)
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    return job._label, job.job_id, f"{snapshot.state}: {snapshot.done + snapshot.failed:,} of {total} finished"


def _known(job: JobRecord) -> tuple[str, ...]:
    total = "?" if job.total is None else f"{job.total:,}"
    started = job.started.astimezone().strftime("%Y-%m-%d %H:%M")
    return job.id, job.label, started, f"{job.done + job.failed:,} of {total}", job.state
