"""A notebook fit for sharing: executed, static, without secrets or anything that exists only on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode, v4

if TYPE_CHECKING:
    from lithops_magic.notebook.export.secrets import Scrubber

_LIVE = re.compile(r"application/(?:vnd\.jupyter\.widget-[\w-]+\+json|javascript)")
"""Output types that need a kernel or a network."""
_KEPT = {"notebook": ("kernelspec", "language_info", "title", "authors"), "cell": ("tags", "jupyter")}
_EXPORT = re.compile(r"\s*%lambda_export\b[^\n]*\s*")


def clean(book: NotebookNode, scrubber: Scrubber) -> NotebookNode:
    """Return a copy of `book` with static outputs only, and with `scrubber` applied to everything."""
    cells = [_cell(cell) for cell in book.cells if not is_export(cell.source)]
    copy = v4.new_notebook(cells=cells, metadata=_chosen(book.metadata, "notebook"))
    cleaned: NotebookNode = scrubber.scrub(copy)
    return cleaned


def is_export(source: str) -> bool:
    """Whether a cell only exports the notebook."""
    return _EXPORT.fullmatch(source) is not None


def _cell(cell: NotebookNode) -> NotebookNode:
    kept: dict[str, Any] = {"metadata": _chosen(cell.metadata, "cell")}
    if "id" in cell:
        kept["id"] = cell.id
    if cell.cell_type == "code":
        outputs = list(_outputs(cell.outputs))
        return v4.new_code_cell(cell.source, execution_count=cell.execution_count, outputs=outputs, **kept)  # type: ignore[no-any-return]
    if "attachments" in cell:
        kept["attachments"] = cell.attachments
    new = v4.new_markdown_cell if cell.cell_type == "markdown" else v4.new_raw_cell
    return new(cell.source, **kept)  # type: ignore[no-any-return, no-untyped-call]


def _outputs(outputs: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    for output in _joined(outputs):
        if "data" not in output:
            yield output
        elif data := {kind: value for kind, value in output.data.items() if not _LIVE.fullmatch(kind)}:
            yield NotebookNode({**output, "data": data})


def _joined(outputs: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Join outputs printed in pieces, because a secret may be split between them."""
    # Consecutive ones only: the order of stdout and stderr tells what happened when.
    for (kind, _), group in groupby(outputs, lambda output: (output.output_type, output.get("name"))):
        pieces = list(group)
        if kind == "stream" and len(pieces) > 1:
            yield NotebookNode({**pieces[0], "text": "".join("".join(piece.text) for piece in pieces)})
        else:
            yield from pieces


def _chosen(metadata: NotebookNode, what: str) -> dict[str, Any]:
    return {name: metadata[name] for name in _KEPT[what] if name in metadata}
