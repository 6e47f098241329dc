"""What a job looks like at one moment: pure functions from a snapshot to text and HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.engine.units import duration, money, plural
from lithops_magic.engine.view import speedup

if TYPE_CHECKING:
    from lithops_magic.engine import MapResult, Snapshot

Bundle = dict[str, str]

_BAR = 24
"""Characters of a bar of text."""


@dataclass(frozen=True)
class Reducing:
    """The state of a reduction: the name of its function, and its own job once that has begun."""

    name: str
    snapshot: Snapshot

    @classmethod
    def of(cls, result: MapResult) -> Reducing | None:
        """Return that of `result`, None if it has none or has not begun it."""
        reduction = result.reduction
        return Reducing(reduction.name, reduction.result.snapshot()) if reduction and reduction.result else None

    def __str__(self) -> str:
        snapshot = self.snapshot
        if not snapshot.finished:
            return f"reducing with {self.name}() … {duration(snapshot.elapsed)}"
        if snapshot.state == "finished" and not snapshot.failed:
            return f"reduced with {self.name}() in {duration(snapshot.elapsed)}"
        return f"✗ not reduced with {self.name}()"


def frame(snapshot: Snapshot, *, local: bool, notes: tuple[str, ...] = (), reducing: Reducing | None = None) -> Bundle:
    """Draw a job: phases and counts while it runs, one truthful summary line at its end."""
    if snapshot.finished:
        return _bundle("", summary(snapshot, local=local, reducing=reducing), notes)
    if snapshot.state == "preparing" or snapshot.phase:
        step = snapshot.phase or "Preparing"
        return _bundle("", f"{step.rstrip(' .…')} … {duration(snapshot.elapsed)}", notes)
    total = snapshot.total or 0
    share = (snapshot.done + snapshot.failed) / total if total else 0.0
    text = " · ".join(_running(snapshot))
    return _bundle(
        f'<progress value="{share:.3f}" max="1" title="tasks finished">{share:.0%}</progress> ', text, notes, share
    )


def summary(snapshot: Snapshot, *, local: bool, reducing: Reducing | None = None) -> str:
    """Return the line that stays: counts, wall time, speed-up, cost."""
    finished = snapshot.done + snapshot.failed
    total = finished if snapshot.total is None else snapshot.total
    if snapshot.state == "finished":
        parts = [plural(total, "task")]
    else:
        verb = "Stopped" if snapshot.state == "cancelled" else "Ended early"
        parts = [f"{verb}: {finished:,} of {plural(total, 'task')} finished"]
        parts += _count(snapshot.running, "still running")
    parts += _count(snapshot.failed, "failed", mark="✗ ")
    parts.append(duration(snapshot.elapsed))
    parts += speedup(snapshot) + _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    parts += [str(reducing)] if reducing else []
    if snapshot.request_cost:
        parts.append(cost(*([snapshot, reducing.snapshot] if reducing else [snapshot]), local=local))
    return " · ".join(parts)


def cost(*snapshots: Snapshot, local: bool) -> str:
    """Return what jobs cost at list price, and that the local AWS bills nothing."""
    requests = sum(snapshot.request_cost for snapshot in snapshots)
    if local:
        return f"{money(requests)} in requests at list price (local AWS: nothing was billed)"
    whole = requests + sum(snapshot.cost for snapshot in snapshots)
    return f"{money(whole)} at list price, {money(requests)} of it for requests"


def _running(snapshot: Snapshot) -> list[str]:
    finished = snapshot.done + snapshot.failed
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    parts = [f"{finished:,}/{total} finished"]
    parts += [f"{snapshot.queued:,} queued"] if snapshot.queued is not None else []
    parts += [f"{snapshot.running:,} running", f"{snapshot.done:,} done"]
    parts += _count(snapshot.failed, "failed", mark="✗ ")
    parts.append(duration(snapshot.elapsed))
    if snapshot.rate:
        parts.append(f"{snapshot.rate:,.1f}/s" if snapshot.rate < 100 else f"{snapshot.rate:,.0f}/s")
    if snapshot.eta:
        parts.append(f"about {duration(snapshot.eta)} left")
    parts += _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    spent = snapshot.cost + snapshot.request_cost
    return [*parts, f"{money(spent)} so far"] if spent else parts


def _count(number: int, what: str, mark: str = "") -> list[str]:
    return [f"{mark}{number:,} {what}"] if number else []


def _bundle(bar: str, line: str, notes: tuple[str, ...], share: float | None = None) -> Bundle:
    filled = round(_BAR * share) if share is not None else 0
    drawn = f"[{'█' * filled}{'░' * (_BAR - filled)}] " if share is not None else ""
    text = "\n".join((drawn + line, *(f"Note: {note}" for note in notes)))
    rows = "".join(f"<div><b>Note:</b> {html.escape(note)}</div>" for note in notes)
    return {"text/plain": text, "text/html": f"<div><div>{bar}{html.escape(line)}</div>{rows}</div>"}
