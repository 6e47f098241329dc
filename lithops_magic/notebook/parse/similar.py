"""Suggests what a mistyped name was probably meant to be."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from lithops_magic.closest import closest


def similar(name: str, namespace: Mapping[str, Any]) -> str:
    """Return `; did you mean ...?` for a missing name; suggests Python's own names only if they are very close."""
    close = closest(name, [other for other in namespace if not other.startswith("_")])
    close = close or closest(name, vars(builtins), cutoff=0.75)
    return f"; did you mean `{close}`?" if close else ""


def a(kind: type) -> str:
    """Return the name of a type with its article."""
    # Without `u`: most types that begin with it sound like `you`, such as UUID and uint8.
    return f"{'an' if kind.__name__[0].lower() in 'aeio' else 'a'} {kind.__name__}"
