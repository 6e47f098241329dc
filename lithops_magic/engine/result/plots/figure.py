"""A plot with its alternative text: shown by a notebook or written to a file, never through pyplot."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context

from lithops_magic.closest import closest
from lithops_magic.engine.result.plots.columns import Columns
from lithops_magic.engine.result.plots.panels import draw_concurrency, draw_cost, draw_histogram
from lithops_magic.engine.result.plots.style import SETTINGS
from lithops_magic.engine.result.plots.timeline import draw_timeline
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lithops_magic.engine.job.ledger import Table, TaskStats
    from lithops_magic.engine.job.snapshot import Snapshot

_PANELS: dict[str, Callable[[Axes, Columns], str]] = {
    "timeline": draw_timeline,
    "histogram": draw_histogram,
    "concurrency": draw_concurrency,
    "cost": draw_cost,
}
_DENSITY = 144
"""Pixels per inch: twice a screen's, because most screens are high-density."""
_TITLED = (".png", ".svg", ".pdf")
"""File formats that can carry an alternative text."""


class Plot:
    """A plot of a job.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The figure, for customization; it is not tied to a backend.
    alt : str
        The alternative text.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    def save(self, path: str | Path) -> None:
        """Write the plot to a file; its suffix, such as .png, .svg or .pdf, determines the format.

        Raises
        ------
        MisuseError
            The format does not exist, or the file cannot be written.
        """
        target = Path(path).expanduser()
        metadata = {"Title": self.alt} if target.suffix.lower() in _TITLED else None
        try:
            with _look():
                self.figure.savefig(target, dpi=_DENSITY, metadata=metadata)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problem = f"the plot cannot be written to {target}: {reason}"
        else:
            return
        raise MisuseError(problem)

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        buffer = io.BytesIO()
        with _look():
            self.figure.savefig(buffer, format="png", dpi=_DENSITY)
        picture = base64.b64encode(buffer.getvalue()).decode()
        width = round(self.figure.get_figwidth() * _DENSITY / 2)
        # JupyterLab cannot give an image/png alternative text; exports to PDF support nothing else.
        html = (
            f'<img alt="{escape(self.alt)}" width="{width}" style="max-width:100%" '
            f'src="data:image/png;base64,{picture}">'
        )
        data = {"text/plain": self.alt, "text/html": html, "image/png": picture}
        return data, {"image/png": {"alt": self.alt, "width": width}}


def plot(kind: str, table: Table, lost: Sequence[TaskStats], snapshot: Snapshot, label: str) -> Plot:
    """Draw a job.

    Parameters
    ----------
    kind
        "timeline", "histogram", "concurrency", "cost", or "overview" of all four.
    table
        Its tasks, each with its last attempt.
    lost
        Earlier attempts of these tasks.
    snapshot
        Its state.
    label
        Its name, for the title.

    Raises
    ------
    MisuseError
        The kind does not exist, or there is nothing to draw yet.
    """
    kinds = ("overview", *_PANELS)
    if kind not in kinds:
        close = closest(str(kind), kinds)
        hint = f"; did you mean {close!r}?" if close else ""
        raise MisuseError(f"plot: kind must be one of {', '.join(kinds)}, not {kind!r}{hint}")
    tasks = Columns.of(table, lost, snapshot)
    if tasks.lost.all():
        raise MisuseError("plot: no task has run, so there is nothing to draw")
    with _look():
        figure = _overview() if kind == "overview" else Figure(figsize=(8, 4), layout="constrained")
        # Never through pyplot, whose global state is the user's, and which would show the figure twice.
        FigureCanvasAgg(figure)
        axes = figure.axes or [figure.subplots()]
        names = _PANELS if kind == "overview" else (kind,)
        words = [_PANELS[name](ax, tasks) for name, ax in zip(names, axes, strict=True)]
        if label:
            figure.suptitle(label, x=0.005, ha="left", fontsize=9, color="#6B6B6B")
    return Plot(figure, ". ".join([label, *words] if label else words) + ".")


def _overview() -> Figure:
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.25, 1))
    figure.add_subplot(grid[0, :])
    for column in range(3):
        figure.add_subplot(grid[1, column])
    return figure


def _look() -> Any:
    # The user's style may be dark or use LaTeX; keep only their font, which may cover more letters.
    return context(["default", {**SETTINGS, "font.family": matplotlib.rcParams["font.family"]}])
