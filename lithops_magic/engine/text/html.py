"""HTML that survives the sanitizer of untrusted notebooks and suits light and dark themes: tables, no colors."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence


def escape(text: str) -> str:
    """Return plain text as HTML that displays it literally.

    Notebooks render text between two dollar signs, or after some backslashes, as math unless a tag interrupts it.
    """
    return html.escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[int] = (),
    tight: Collection[int] = (),
    caption: str = "",
) -> str:
    """Return a table of plain text.

    Parameters
    ----------
    headings
        Column titles.
    rows
        The cells of each row.
    right
        Indices of right-aligned columns.
    tight
        Indices of columns that never wrap; if there are any, all other columns may wrap anywhere.
    caption
        Table title.
    """
    styles = [
        ("right" if number in right else "left")
        + (";white-space:nowrap" if number in tight else ";overflow-wrap:anywhere" if tight else "")
        for number in range(len(headings))
    ]

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{style};{_CELL}">{escape(text)}</{tag[:2]}>'
            for text, style in zip(cells, styles, strict=True)
        )

    title = f'<caption style="text-align:left"><b>{escape(caption)}</b></caption>' if caption else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table>{title}<thead><tr>{line(headings, _HEADING)}</tr></thead><tbody>{body}</tbody></table>"


def facts(rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a two-column table of names with one or more lines of plain text each."""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left;{_CELL}">{escape(name)}</th>'
        f'<td style="text-align:left;{_CELL}">{"<br>".join(map(escape, lines))}</td></tr>'
        for name, lines in rows
    )
    return f"<table>{body}</table>"


# The scope tells screen readers which cells a heading is for; the sanitizer keeps it.
_HEADING = 'th scope="col"'
_CELL = "vertical-align:top;padding:1px 12px 1px 0"
