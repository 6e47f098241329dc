"""Lets a notebook show figures drawn by tasks, even if it has not drawn any itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def can_be_shown(shell: InteractiveShell, value: object) -> None:
    """Set the notebook up to show figures, if `value` is or contains one and matplotlib is not set up yet."""
    # Not imported, which takes long: without the module, no value can be a figure.
    module = sys.modules.get("matplotlib.figure")
    things = value if isinstance(value, list) else [value]
    if module is None or not any(isinstance(thing, module.Figure) for thing in things):
        return
    formatter = shell.display_formatter.formatters["image/png"]  # type: ignore[union-attr]
    try:
        formatter.lookup_by_type(module.Figure)
    except KeyError:
        from IPython.core.pylabtools import select_figure_formats

        select_figure_formats(shell, {"png"})  # type: ignore[no-untyped-call]
