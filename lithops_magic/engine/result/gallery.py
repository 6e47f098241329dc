"""Pictures, tables and other displayable values of tasks, side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lithops_magic.engine.text import html
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.worker.values import Shown

_PICTURES = {"image/png": "_repr_png_", "image/jpeg": "_repr_jpeg_", "image/svg+xml": "_repr_svg_"}
_WIDTH = 320
"""Width of an entry in pixels."""
_CELL = f"margin:0 12px 12px 0;max-width:{_WIDTH}px;overflow-x:auto"


@dataclass(frozen=True)
class ShownValue:
    """What one task returned."""

    index: int
    item: str
    value: object

    @property
    def caption(self) -> str:
        """The task's number and item."""
        return f"{self.index:,} · {self.item}" if self.item else f"{self.index:,}"

    def to_html(self) -> str:
        """Return the value as a figure with a caption."""
        things = self.value if isinstance(self.value, Shown) else [self.value]
        body = "".join(_to_html(thing, f"of task {self.caption}") for thing in things)
        return f'<figure style="{_CELL}">{body}<figcaption>{html.escape(self.caption)}</figcaption></figure>'


class Gallery:
    """The displayable values of some tasks, for a notebook to show.

    Parameters
    ----------
    entries
        Values to show.
    total
        Number of tasks that have a value.
    """

    def __init__(self, entries: Iterable[ShownValue], total: int) -> None:
        self._entries = list(entries)
        self._total = total

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        lines = [f"[{entry.caption}] {short_repr(entry.value, 88)}" for entry in self._entries]
        return "\n".join([*lines, *self._rest()]) or "no values yet"

    def _repr_html_(self) -> str:
        figures = "".join(entry.to_html() for entry in self._entries)
        rest = "".join(f"<div>{html.escape(line)}</div>" for line in self._rest() or ([] if figures else [repr(self)]))
        return f'<div style="display:flex;flex-wrap:wrap;align-items:flex-start">{figures}</div>{rest}'

    def _rest(self) -> list[str]:
        shown = len(self._entries)
        return [f"{shown:,} of {self._total:,}; .show({self._total}) shows all"] if shown < self._total else []


def is_picture(value: object) -> bool:
    """Whether a value has a richer display than its text."""
    return isinstance(value, Shown) or _is_figure(value) or any(_has(value, name) for name in _WAYS)


_WAYS = ("_repr_html_", "_repr_mimebundle_", *_PICTURES.values())


def _is_figure(value: object) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" == "matplotlib.figure.Figure" for kind in type(value).__mro__)


def _has(value: object, name: str) -> bool:
    # Looked up on the type: a mock or proxy instance has any attribute.
    return callable(getattr(type(value), name, None))


def _to_html(value: Any, what: str) -> str:
    try:
        shown = _rich(value, what)
    except Exception:  # the value's own methods may fail
        shown = ""
    return shown or f"<pre>{html.escape(short_repr(value, 400))}</pre>"


def _rich(value: Any, what: str) -> str:
    if _is_figure(value):
        with io.BytesIO() as file:
            value.savefig(file, format="png", bbox_inches="tight")
            return _image("image/png", file.getvalue(), what)
    found: dict[str, Any] = {}
    if _has(value, "_repr_mimebundle_"):
        bundle = value._repr_mimebundle_()
        found |= bundle[0] if isinstance(bundle, tuple) else bundle or {}
    names = {**_PICTURES, "text/html": "_repr_html_"}
    found |= {kind: made for kind, name in names.items() if _has(value, name) and (made := getattr(value, name)())}
    picture = next((kind for kind in _PICTURES if kind in found), None)
    if picture:
        return _image(picture, found[picture], what)
    return str(found.get("text/html", ""))


def _image(kind: str, data: Any, what: str) -> str:
    data = data[0] if isinstance(data, tuple) else data
    if isinstance(data, str) and kind == "image/svg+xml":
        data = data.encode()
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    style = f"max-width:{_WIDTH}px;height:auto"
    return f'<img src="data:{kind};base64,{text}" alt="Picture {html.escape(what)}" style="{style}">'
