"""Patterns of keys: `*` and `?` stop at a slash, `**` does not."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=64)
def matcher(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for whole keys that match `pattern`."""
    parts = re.split(r"(\*\*/?|\*|\?|\[!?[^\]]+\])", pattern.removeprefix("/"))
    return re.compile("".join(map(_translated, parts)) + r"\Z", re.DOTALL)


def _translated(part: str) -> str:
    if part.startswith("**"):
        return "(?:.*/)?" if part.endswith("/") else ".*"
    if part in ("*", "?"):
        return f"[^/]{part.replace('?', '')}"
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        return f"[^{part[2:]}" if part.startswith("[!") else part
    return re.escape(part)
