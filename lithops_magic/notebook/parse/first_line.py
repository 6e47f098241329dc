"""A magic's first line as IPython passes it: where it ends, and whether a semicolon hides the value."""

from __future__ import annotations

from IPython.core.displayhook import DisplayHook

from lithops_magic.notebook.parse.tokens import without_comment


def continued(line: str, cell: str) -> tuple[str, str]:
    """Move the lines that continue a magic's first line from the cell to the line."""
    while line.endswith("\\"):
        more, _, cell = cell.partition("\n")
        line = f"{line}\n{more}"
    return line, cell


def is_silenced(line: str, cell: str | None = None) -> bool:
    """Return whether the cell, or a line magic's line, ends with a semicolon."""
    # IPython's own @output_can_be_silenced fails if the line continues into the cell.
    _, silent = without_comment(line)
    if cell is None or silent:
        return silent
    return DisplayHook.semicolon_at_end_of_expression(cell)  # type: ignore[no-any-return, no-untyped-call]
