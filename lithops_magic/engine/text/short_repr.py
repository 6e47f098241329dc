"""A short one-line repr of any value, for items and results."""

from __future__ import annotations

import math
import reprlib
from array import array
from typing import Any

from lithops_magic import user_code

_FLOAT = 9
"""Maximum characters of a float shown in full; longer ones are rounded to six digits."""
_FEW = 4
"""Maximum elements of an array shown individually; larger arrays are shown by shape."""
_CLOSING = {"'", '"', ")", "]", "}", ">"}
_OPENING = {"(": ")", "[": "]", "{": "}", "<": ">"}


def short_repr(value: object, width: int = 60) -> str:
    """Return a repr of at most about `width` characters in one line; never raises, and closes what it opens."""
    try:
        return " ".join(_ShortRepr(width).repr(value).split())
    except BaseException as error:  # a value's own repr may do anything, and a result must always display
        if user_code.is_interrupt(error):
            raise
        return f"<{type(value).__qualname__}>"


def clipped(text: str, width: int) -> str:
    """Return one line of at most `width` characters; a surrounding quote or bracket is closed after a cut."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    end = _closing(line)
    return f"{line[: width - 1 - len(end)]}…{end}"


def _closing(line: str) -> str:
    """Return the character that closes a text that is quoted or bracketed as a whole."""
    quote = line[1:2] if line[0] in "bru" and line[1:2] in ("'", '"') else line[0]
    end = _OPENING.get(quote, quote)
    return end if end in _CLOSING and line[-1] == end else ""


class _ShortRepr(reprlib.Repr):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = width
        self.fillvalue = "…"

    def repr_str(self, value: str, level: int) -> str:  # noqa: ARG002
        # Cut first: the repr of a hundred megabytes takes seconds.
        return clipped(repr(value[: self.maxstring + 1]), self.maxstring)

    def repr_array(self, value: array[Any], level: int) -> str:
        return f"<array of {len(value):,}>" if len(value) > _FEW else super().repr_array(value, level)

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, float):
            text = repr(float(value))
            return text if len(text) <= _FLOAT else f"{value:.6g}"
        if isinstance(value, bytes | bytearray):
            return clipped(repr(value[: self.maxstring + 1]), self.maxstring)
        shape = _shape(value)
        if shape is not None:
            return f"<{type(value).__name__} {shape}>"
        return clipped(super().repr_instance(value, level), self.maxother)


def _shape(value: Any) -> str | None:
    """Return the shape of a table or array with too many elements to show individually."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(length, int) for length in shape):
        return None
    if hasattr(value, "columns") or math.prod(shape) > _FEW:
        return " × ".join(f"{length:,}" for length in shape)
    return None
