"""The jobs of this session and of this machine in one table, newest first."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lithops_magic.engine.text.short_repr import clipped
from lithops_magic.engine.text.units import duration, money

if TYPE_CHECKING:
    from lithops_magic.engine import MapResult
    from lithops_magic.engine.durable.listing import JobRecord

SHOWN = 8
"""Characters shown of an ID, enough for %lambda_attach."""
HEADINGS = ("to attach", "started", "state", "tasks", "price on AWS", "where")
TIGHT = range(len(HEADINGS) - 1)
"""Columns that never wrap: all but the last."""
_STATES = {"preparing": "running", "cancelled": "stopped", "broken": "failed"}
"""Display names of states, if different from the engine's."""
_WHERE = 48
"""Characters shown of where a job was started, and of its code."""


@dataclass(frozen=True)
class ListedJob:
    """A job as listed."""

    id: str
    started: float
    """Seconds since 1970."""
    state: str
    """One word: running, detached, interrupted, finished, stopped, failed or unreadable."""
    done: int
    failed: int
    total: int | None
    cost: float
    """USD at list price."""
    local: bool
    about: str

    @classmethod
    def of_record(cls, record: JobRecord) -> ListedJob:
        """Return a job recorded on this machine."""
        return cls(
            id=record.id,
            started=record.started.timestamp(),
            state=_STATES.get(record.state, record.state),
            done=record.done,
            failed=record.failed,
            total=record.total,
            cost=record.cost,
            local=record.local,
            about=_about(record.about, record.label),
        )

    @classmethod
    def of_result(cls, result: MapResult) -> ListedJob:
        """Return a job of this session."""
        snapshot = result.snapshot()
        return cls(
            id=result.job_id,
            # A snapshot's times are monotonic; the list shows wall-clock time.
            started=time.time() - (time.monotonic() - snapshot.started_at),
            state=_STATES.get(snapshot.state, snapshot.state),
            done=snapshot.done,
            failed=snapshot.failed,
            total=snapshot.total,
            cost=snapshot.spent,
            local=snapshot.local,
            about=_about(result.options.about, result.options.label),
        )

    def tasks(self) -> str:
        """Return the numbers of tasks by outcome, such as `35 ✓ 5 ✗ of 200`."""
        counts = f"{self.done:,} ✓" + (f" {self.failed:,} ✗" if self.failed else "")
        if self.total is None or self.done + self.failed < self.total:
            counts += f" of {'?' if self.total is None else f'{self.total:,}'}"
        return counts

    def age(self, now: float) -> str:
        """Return how long ago it was started."""
        return _age(now - self.started)

    def row(self, now: float) -> tuple[str, ...]:
        """Return the cells under `HEADINGS`."""
        return (
            f"{'' if self.state == 'unreadable' else '%lambda_attach '}{self.id[:SHOWN]}",
            f"{_clock(self.started, now)} ({self.age(now)})",
            self.state,
            self.tasks(),
            f"≈ {money(self.cost)}" if self.cost else "",
            clipped(self.about, _WHERE),
        )


def listed_jobs(session: Iterable[MapResult] = ()) -> list[ListedJob]:
    """Return the jobs of this machine, with those of the `session` in their current state; newest first."""
    from lithops_magic.engine.durable.listing import jobs

    # A job of this session is listed as it is now; its record on disk may be a moment behind.
    here = {result.job_id: ListedJob.of_result(result) for result in session}
    there = [ListedJob.of_record(record) for record in jobs() if record.id not in here]
    return sorted([*here.values(), *there], key=lambda job: -job.started)


def _about(about: str, label: str) -> str:
    return " · ".join(part for part in (label, about) if part)


def _clock(moment: float, now: float) -> str:
    """Return local time, with the date unless it is today."""
    then = datetime.fromtimestamp(moment)
    same = then.date() == datetime.fromtimestamp(now).date()
    return f"{then:%H:%M}" if same else f"{then:%b} {then.day} {then:%H:%M}"


def _age(seconds: float) -> str:
    if seconds < 10:
        return "just now"
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400:.0f} days ago"
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h ago"
    return f"{duration(seconds).partition(' min ')[0] + ' min' if 60 <= seconds < 3600 else duration(seconds)} ago"
