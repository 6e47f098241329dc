"""One short line for any value: what an item or a result is, at a glance."""

from __future__ import annotations

import math
import reprlib
from array import array
from typing import Any

_FLOAT = 9
"""Characters up to which a float is shown in full; six digits of a longer one."""
_FEW = 4
"""Elements up to which an array is shown by them; a larger one by its shape."""


def glance(value: object, width: int = 60) -> str:
    """Return a repr of about `width` characters in one line; it never raises."""
    try:
        return " ".join(_Glance(width).repr(value).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # a value's own repr may do anything, and a result must always show
        return f"<{type(value).__qualname__}>"


class _Glance(reprlib.Repr):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = width

    def repr_array(self, value: array[Any], level: int) -> str:
        return f"<array of {len(value):,}>" if len(value) > _FEW else super().repr_array(value, level)

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, float):
            text = repr(float(value))
            return text if len(text) <= _FLOAT else f"{value:.6g}"
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and math.prod(shape) > _FEW:
            return f"<{type(value).__name__} {' × '.join(f'{length:,}' for length in shape)}>"
        return super().repr_instance(value, level)
