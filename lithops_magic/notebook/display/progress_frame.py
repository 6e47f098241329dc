"""What a job looks like at one moment: pure functions from a snapshot to text and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.engine.result.summary import speedup
from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import duration, money, plural

if TYPE_CHECKING:
    from lithops_magic.engine import MapResult, Snapshot

Bundle = dict[str, str]

_BAR = 12
"""Characters of a bar of text."""
_WIDE = ' style="width:20em;vertical-align:middle"'


@dataclass(frozen=True)
class Reducing:
    """The state of a reduction: the name of its function, and its own job once that has begun."""

    name: str
    snapshot: Snapshot

    @classmethod
    def of(cls, result: MapResult) -> Reducing | None:
        """Return that of `result`, None if it has none or has not begun it."""
        reduction = result._reduction
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
        return _bundle([summary(snapshot, local=local, reducing=reducing)], [], notes)
    if snapshot.state == "preparing" or snapshot.phase:
        step = snapshot.phase or "Preparing"
        return _bundle([f"{step.rstrip(' .…')} … {duration(snapshot.elapsed)}"], [], notes)
    total = snapshot.total or 0
    share = (snapshot.done + snapshot.failed) / total if total else 0.0
    return _bundle(_counts(snapshot), _rates(snapshot), notes, share)


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


def _counts(snapshot: Snapshot) -> list[str]:
    finished = snapshot.done + snapshot.failed
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    parts = [f"{finished:,}/{total} finished"]
    parts += [f"{snapshot.queued:,} queued"] if snapshot.queued is not None else []
    parts += [f"{snapshot.running:,} running", f"{snapshot.done:,} done"]
    return parts + _count(snapshot.failed, "failed", mark="✗ ")


def _rates(snapshot: Snapshot) -> list[str]:
    parts = [duration(snapshot.elapsed)]
    if not snapshot.invocations:
        # A sandbox that starts and one that computes look alike from here.
        return [*parts, "waiting for the first answer (cold start)"]
    if snapshot.eta:
        parts.append(f"about {duration(snapshot.eta)} left")
    if snapshot.rate:
        parts.append(f"{snapshot.rate:,.1f}/s" if snapshot.rate < 100 else f"{snapshot.rate:,.0f}/s")
    parts += _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    parts += [f"{plural(snapshot.backups, 'task')} sent twice"] if snapshot.backups else []
    spent, projected = snapshot.cost + snapshot.request_cost, snapshot.projected_cost
    if spent:
        end = f", about {money(projected)} at the end" if projected and projected > spent else ""
        parts.append(f"{money(spent)} so far{end}")
    return parts


def _count(number: int, what: str, mark: str = "") -> list[str]:
    return [f"{mark}{number:,} {what}"] if number else []


def _bundle(first: list[str], second: list[str], notes: tuple[str, ...], share: float | None = None) -> Bundle:
    """Text in one line, HTML in two, and the notes in lines of their own."""
    bar = drawn = ""
    if share is not None:
        filled = round(_BAR * share)
        drawn = f"[{'█' * filled}{'░' * (_BAR - filled)}] "
        bar = f'<progress value="{share:.3f}" max="1" title="tasks finished"{_WIDE}>{share:.0%}</progress> '
    rows = [bar + html.escape(" · ".join(first)), html.escape(" · ".join(second))]
    rows += [f"<b>Note:</b> {html.escape(note)}" for note in notes]
    return {
        "text/plain": "\n".join((drawn + " · ".join(first + second), *(f"Note: {note}" for note in notes))),
        "text/html": f"<div>{''.join(f'<div>{row}</div>' for row in rows if row)}</div>",
    }
