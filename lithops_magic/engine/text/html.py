"""HTML that survives the sanitizer of an untrusted notebook and reads on light and dark: tables, no colors."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence


def escape(text: str) -> str:
    """Return plain text as HTML that shows it as it is.

    Notebooks set what stands between two dollar signs, or after some backslashes, as mathematics, unless a tag cuts it.
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
        One per column.
    rows
        Their cells.
    right
        Numbers of the columns that are aligned to the right, as numbers are.
    tight
        Numbers of the columns that are not broken into lines; if there are some, all others may be, anywhere.
    caption
        What the table is about.
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
    """Return a table of names, each with one or more lines of plain text."""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left;{_CELL}">{escape(name)}</th>'
        f'<td style="text-align:left;{_CELL}">{"<br>".join(map(escape, lines))}</td></tr>'
        for name, lines in rows
    )
    return f"<table>{body}</table>"


_HEADING = 'th scope="col"'
_CELL = "vertical-align:top;padding:1px 12px 1px 0"
