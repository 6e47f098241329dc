"""A bar of tqdm that follows a job."""

from __future__ import annotations

from typing import Any

from lithops_magic.engine.job.events import Event, Noted
from lithops_magic.engine.job.snapshot import Snapshot


class Tqdm:
    """Draws a job as a tqdm bar: ``map(…, callbacks=Tqdm())``.

    Parameters
    ----------
    options
        Options of ``tqdm.auto.tqdm``, such as ``desc="squares"`` or ``leave=False``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = {"unit": "task", **options}
        self._bar: Any = None

    def __call__(self, event: Event, snapshot: Snapshot) -> None:
        """Draw the job as it is after an event."""
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(**self._options)
        bar = self._bar
        if isinstance(event, Noted):
            bar.write(event.text, file=bar.fp)  # not to stdout, which may be a pipe
        bar.total = snapshot.total
        failed = {"failed": snapshot.failed} if snapshot.failed else {}
        bar.set_postfix({**failed, "cost": f"${snapshot.spent:.4f}"}, refresh=False)
        bar.update(snapshot.done + snapshot.failed - bar.n)
        if snapshot.finished and not snapshot.running:
            bar.close()
            self._bar = None
