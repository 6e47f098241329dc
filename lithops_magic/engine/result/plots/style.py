"""Plot style: colors that everyone can tell apart, white background in any theme, and fitting units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.text import Text

RUNNING = "#0072B2"
COLD = "#E69F00"
FAILED = "#D55E00"
LOST = "#CC79A7"
WAITING = "#BDBDBD"
INK = "#222222"
FAINT = "#6B6B6B"
# Blue, orange, vermilion and purple from Okabe and Ito, "Color Universal Design" (2008).

SETTINGS: dict[str, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#9A9A9A",
    "axes.labelcolor": FAINT,
    "axes.labelsize": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "xtick.color": "#9A9A9A",
    "ytick.color": "#9A9A9A",
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "text.color": INK,
    # A dollar sign does not start TeX.
    "text.parse_math": False,
    # Text stays text, so that it can be searched and read aloud.
    "svg.fonttype": "none",
}
"""Settings on top of matplotlib's defaults, whatever the user's style."""


def clock(seconds: float) -> tuple[float, str]:
    """Return the unit that suits `seconds` best: its length in seconds, and its name."""
    for unit, name in ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds")):
        if seconds >= 2 * unit:
            return unit, name
    return (1.0, "seconds") if seconds >= 0.5 else (0.001, "milliseconds")


def grid_only(ax: Axes, axis: str) -> None:
    """Show grid lines for one axis only, the one they help to read."""
    ax.grid(False, axis="x" if axis == "y" else "y")


def annotate(ax: Axes, text: str) -> Text:
    """Write a note at the right end of the title line."""
    return ax.set_title(text, loc="right", fontsize=8.5, fontweight="normal", color=FAINT)


def number_whole(axis: Axis) -> None:
    """Use integer ticks for an axis that counts something."""
    axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
