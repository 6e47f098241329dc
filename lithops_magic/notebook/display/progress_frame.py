"""A job's appearance at one moment: pure functions from a snapshot to text and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.engine.result.summary import recalled, saved, speedup
from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import duration, money, plural, price, rate, size

if TYPE_CHECKING:
    from lithops_magic.engine import MapResult, Snapshot

Bundle = dict[str, str]

_BAR = 12
"""Width of a text bar in characters."""
LONG = 5.0
"""Seconds after which a user may want to return to a job later."""
_RED = "#e03c31"
"""Visible on both white and black."""
_WIDE = ' style="width:20em;vertical-align:middle"'


@dataclass(frozen=True)
class Reducing:
    """The state of a reduction: its function's name, and its own job once started."""

    name: str
    snapshot: Snapshot

    @classmethod
    def of(cls, result: MapResult) -> Reducing | None:
        """Return the reduction of `result`; None if it has none."""
        reduction = result._reduction
        return Reducing(reduction.name, reduction.result.snapshot()) if reduction and reduction.result else None

    def __str__(self) -> str:
        snapshot = self.snapshot
        if not snapshot.finished:
            return f"reducing with {self.name}() … {duration(snapshot.elapsed)}"
        if snapshot.state == "finished" and not snapshot.failed:
            return f"reduced with {self.name}() in {duration(snapshot.elapsed)}"
        return f"✗ not reduced with {self.name}()"


def frame(
    snapshot: Snapshot,
    *,
    left: float | None = None,
    notes: tuple[str, ...] = (),
    reducing: Reducing | None = None,
    picture: str = "",
    mark: str = "",
) -> Bundle:
    """Draw a job: phases and counts while it runs, one summary line at the end.

    Parameters
    ----------
    left
        Remaining seconds, if known.
    picture
        HTML shown below the frame while the job runs, and collapsed at the end.
    mark
        How to find the job again: shown if it runs long or did not finish.
    """
    if snapshot.finished:
        folded = f"<details><summary>Timeline</summary>{picture}</details>" if picture else ""
        found = [] if snapshot.state == "finished" or not mark else [mark]
        return _bundle([summary(snapshot, reducing=reducing), *found], [], notes, picture=folded)
    if snapshot.state == "preparing" or snapshot.phase:
        step = snapshot.phase or "Preparing"
        return _bundle([f"{step.rstrip(' .…')} … {duration(snapshot.elapsed)}"], [], notes)
    # Unknown while an iterator is being consumed: no share, and no bar that would jump back.
    total = snapshot.total or 0
    share = (snapshot.done + snapshot.failed) / total if total else 0.0
    aside = [mark] if mark and snapshot.elapsed >= LONG else []
    return _bundle(_counts(snapshot, left), _details(snapshot), notes, share, picture, aside)


def summary(snapshot: Snapshot, *, reducing: Reducing | None = None) -> str:
    """Return the summary line: counts, wall time, speed-up, cost."""
    finished = snapshot.done + snapshot.failed
    total = finished if snapshot.total is None else snapshot.total
    if snapshot.state == "finished":
        parts = [plural(total, "task")]
    else:
        verb = "Stopped" if snapshot.state == "cancelled" else "Ended early"
        parts = [f"{verb}: {finished:,} of {plural(total, 'task')} finished"]
        parts += _count(snapshot.running, "still running")
    parts += recalled(snapshot) + _count(snapshot.failed, "failed", mark="✗ ")
    parts += [f"{size(snapshot.read)} read"] if snapshot.read else []
    parts.append(duration(snapshot.elapsed))
    parts += speedup(snapshot) + _count(snapshot.retried, "retried") + _count(snapshot.throttled, "throttled")
    parts += [str(reducing)] if reducing else []
    if spent := snapshot.spent + (reducing.snapshot.spent if reducing else 0.0):
        parts.append(price(spent, local=snapshot.local))
    parts += saved(snapshot)
    return " · ".join(parts)


def _counts(snapshot: Snapshot, left: float | None) -> list[str]:
    """Return the parts most important first, because a narrow terminal cuts the last ones."""
    total = "?" if snapshot.total is None else f"{snapshot.total:,}"
    parts = [f"{snapshot.done + snapshot.failed:,}/{total}"]
    parts += _count(snapshot.failed, "failed", mark="✗ ") + _count(snapshot.throttled, "throttled")
    parts += _count(snapshot.cached, "from cache")
    if not snapshot.invocations:
        # Starting and computing sandboxes cannot be told apart yet.
        return [*parts, "waiting for the first result"]
    parts += [f"{_seconds(left)} left"] if left is not None else []
    return parts + ([rate(snapshot.rate)] if snapshot.rate else [])


def _seconds(left: float) -> str:
    """Return whole seconds, at least one: tenths would be distracting, and zero would be wrong."""
    whole = max(1, round(left))
    return f"{whole} s" if whole < 60 else duration(whole)


def _details(snapshot: Snapshot) -> list[str]:
    spent, projected = snapshot.spent, snapshot.projected_cost
    parts = [price(spent, local=snapshot.local)] if spent else []
    if snapshot.read:
        per_second = snapshot.read / max(snapshot.running_seconds, 0.1)
        parts += [f"{size(snapshot.read)} read, {size(per_second)}/s"]
    parts += [f"{money(projected)} at the end"] if projected and projected > spent > 0 else []
    parts += [f"{plural(snapshot.in_flight, 'sandbox', 'sandboxes')} at work"] if snapshot.in_flight else []
    parts += [duration(snapshot.elapsed), *_count(snapshot.retried, "retried")]
    return parts + ([f"{plural(snapshot.backups, 'task')} sent twice"] if snapshot.backups else [])


def _count(number: int, what: str, mark: str = "") -> list[str]:
    return [f"{mark}{number:,} {what}"] if number else []


def _bundle(
    first: list[str],
    second: list[str],
    notes: tuple[str, ...],
    share: float | None = None,
    picture: str = "",
    aside: Sequence[str] = (),
) -> Bundle:
    """Return text in one line, HTML in two, and notes in separate lines; `aside` ends the text and the first row."""
    bar = drawn = ""
    if share is not None:
        filled = round(_BAR * share)
        drawn = f"[{'█' * filled}{'░' * (_BAR - filled)}] "
        # A native element with text: JupyterLab removes styles and ARIA attributes from outputs of notebooks that are
        # not trusted.
        bar = f'<progress value="{share:.3f}" max="1" title="tasks finished"{_WIDE}>{share:.0%}</progress> '
    rows = [bar + _marked(" · ".join((*first, *aside))), _marked(" · ".join(second))]
    rows += [f"<b>Note:</b> {html.escape(note)}" for note in notes]
    return {
        "text/plain": "\n".join((drawn + " · ".join((*first, *second, *aside)), *(f"Note: {note}" for note in notes))),
        "text/html": f"<div>{''.join(f'<div>{row}</div>' for row in rows if row)}{picture}</div>",
    }


def _marked(line: str) -> str:
    return html.escape(line).replace("✗", f'<b style="color:{_RED}">✗</b>')
