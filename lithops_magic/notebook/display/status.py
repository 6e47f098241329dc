"""What `%lambda_status` and `%lambda_clean` find, do and show."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import plural, size
from lithops_magic.notebook.display.job_table import HEADINGS, TIGHT, listed_jobs
from lithops_magic.notebook.display.progress_frame import Bundle

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine import MapResult

_MAX_JOBS = 10
"""Maximum jobs listed, latest first."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headings, or a sentence if there are none."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str
    tight: Collection[int] = ()
    """Indices of the columns that never wrap in a notebook."""

    def to_text(self) -> str:
        """Return the table as aligned text."""
        if not self.rows:
            return self.empty
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        lines = [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.headings, *self.rows)
        ]
        return "\n".join((self.title, *map(_fitting, lines)))

    def to_html(self) -> str:
        """Return the table as HTML that survives sanitizing."""
        if not self.rows:
            return f"<div>{html.escape(self.empty)}</div>"
        return html.table(self.headings, self.rows, caption=self.title, tight=self.tight)


def _fitting(line: str) -> str:
    """Cut a line that would wrap in a terminal; files and pipes get the full line."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else f"{line[: width - 1]}…"


def show(bundle: Bundle) -> None:
    """Display text and its HTML version."""
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def status(settings: Settings, jobs: Sequence[MapResult]) -> Bundle:
    """Describe which AWS is used and why, what is deployed there, and what this session has run."""
    from lithops_magic.aws.deploy.function import list_functions
    from lithops_magic.aws.session import Cloud

    cloud = Cloud.connect(settings)
    functions = [
        (f.label, f"{f.memory:,} MB", f"{f.timeout} s", size(f.size), _local(f.last_modified))
        for f in list_functions(cloud, settings)
    ]
    # Look up the account first, so that `describe` names it.
    account = f"account {cloud.account_id}"
    place = cloud.describe() if account in cloud.describe() else f"{cloud.describe()} ({account})"
    where = f"{place} · configured by {settings.source}"
    listed, now = listed_jobs(jobs), time.time()
    rows = [job.row(now) for job in listed[:_MAX_JOBS]]
    more = f", the latest {_MAX_JOBS} of {len(listed):,}" if len(listed) > _MAX_JOBS else ""
    tables = [
        Table("Functions", ("name", "memory", "timeout", "size", "last modified"), functions, "No functions deployed."),
        Table(f"Jobs of this machine{more}", HEADINGS, rows, "No jobs yet.", TIGHT),
    ]
    return {
        "text/plain": "\n".join((where, *(table.to_text() for table in tables))),
        "text/html": f"<div>{html.escape(where)}</div>" + "".join(table.to_html() for table in tables),
    }


def clean(settings: Settings, *, dry_run: bool, agree: Callable[[str], bool]) -> Bundle:
    """Delete the functions and layers deployed from here, if the user agrees, and list them.

    Parameters
    ----------
    dry_run
        Only list them.
    agree
        Asks the user a question.
    """
    from lithops_magic.aws.deploy.function import delete_functions
    from lithops_magic.aws.deploy.layer import delete_layers
    from lithops_magic.aws.session import Cloud

    cloud = Cloud.connect(settings)

    def deleted(*, dry_run: bool) -> tuple[list[str], list[str]]:
        return delete_functions(cloud, settings, dry_run=dry_run), delete_layers(cloud, settings, dry_run=dry_run)

    # Listed first, so that the question names what will be deleted.
    found = deleted(dry_run=True)
    where = f"on {cloud.describe()}"
    if not any(found):
        text = f"Nothing to delete {where}."
    elif dry_run:
        text = f"Would delete {_named(found)} {where}."
    elif not agree(f"Delete {_named(found)} {where}?"):
        text = "Nothing was deleted; --yes deletes without asking."
    else:
        text = f"Deleted {_named(deleted(dry_run=False))} {where}."
    return {"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"}


def _named(found: tuple[list[str], list[str]]) -> str:
    counts = [plural(len(names), what) for names, what in zip(found, ("function", "layer"), strict=True) if names]
    return f"{' and '.join(counts)} ({', '.join([*found[0], *found[1]])})"


def _local(moment: str) -> str:
    """Convert AWS's time to local time."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
