"""A magic's first line as IPython hands it over: where it ends, and whether it hides its value."""

from __future__ import annotations

from IPython.core.displayhook import DisplayHook

from lithops_magic.notebook.parse.tokens import bare


def continued(line: str, cell: str) -> tuple[str, str]:
    """Take the lines that continue a magic's first line out of its cell."""
    while line.endswith("\\"):
        more, _, cell = cell.partition("\n")
        line = f"{line}\n{more}"
    return line, cell


def is_silenced(line: str, cell: str | None = None) -> bool:
    """Return whether the user ended the cell, or the line of a line magic, with a semicolon."""
    # IPython's own @output_can_be_silenced fails on a line that is continued into the cell.
    _, silent = bare(line)
    if cell is None or silent:
        return silent
    return DisplayHook.semicolon_at_end_of_expression(cell)  # type: ignore[no-any-return, no-untyped-call]
