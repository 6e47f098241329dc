"""Handles cells that IPython does not pass to magics: without a body, or with `await` on the first line."""

from __future__ import annotations

import ast
import re

from lithops_magic.notebook.parse.grammar import cell_line
from lithops_magic.notebook.parse.usage_error import UsageError

AWAITED = ".awaited"
"""Name in the notebook's namespace under which a cell stores items that it has awaited."""
_OURS = re.compile(r"%%(lambda_map|lambda_call)\b(.*)", re.DOTALL)


def transform(lines: list[str]) -> list[str]:
    """Rewrite a cell that begins with one of our cell magics."""
    # Among the cleanup transformers, which come before IPython turns a cell magic into a call.
    found = _OURS.match(lines[0]) if lines else None
    if found is None or lines[0].rstrip().endswith("?"):
        return lines
    split = 1
    while split < len(lines) and lines[split - 1].rstrip("\n").endswith("\\"):
        split += 1
    head, body = "".join([found[2], *lines[1:split]]).strip(), "".join(lines[split:])
    # IPython rejects a cell magic without a body, even if it only asks for help.
    lines = [*lines, "\n"] if not body else lines
    items = _awaited(head) if found[1] == "lambda_map" else None
    if items is None:
        return lines
    # A magic is called by synchronous code, but the cell itself can await.
    return [
        f"get_ipython().user_ns[{AWAITED!r}] = ({items})\n",
        f"get_ipython().run_cell_magic('lambda_map', {head!r}, {body or chr(10)!r})\n",
    ]


# Keeps IPython from calling it to find out whether a cell is complete: in a terminal, the body is still to come.
transform.has_side_effects = True  # type: ignore[attr-defined]


def awaits(source: str) -> bool:
    """Whether an expression contains an await."""
    try:
        tree = ast.parse(f"({source}\n)", mode="eval")
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Await) or getattr(node, "is_async", 0) for node in ast.walk(tree))


def _awaited(head: str) -> str | None:
    if not re.search(r"\b(await|async)\b", head):
        return None
    try:
        items = cell_line(head).items
    except UsageError:
        return None
    return items if awaits(items) else None
