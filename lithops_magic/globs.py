"""Patterns of keys in S3, here and in tasks."""

from __future__ import annotations

import re
from functools import lru_cache

from lithops_magic.errors import MisuseError


@lru_cache(maxsize=64)
def matcher(pattern: str) -> re.Pattern[str]:
    """Return an expression whose `fullmatch` finds keys: `*`, `?` and `[…]` within a segment, `**/` for any segments.

    Raises
    ------
    MisuseError
        The pattern is invalid.
    """
    # Neither `fnmatch` nor `glob`: in the former, `*` matches slashes, and the latter looks for files.
    found, position = "", 0
    while position < len(pattern):
        letter = pattern[position]
        # As in a shell, a bracket right after the opening one (and its `!`) is one of the characters.
        closing = pattern.find("]", position + (3 if pattern[position + 1 : position + 2] in ("!", "^") else 2))
        if pattern.startswith("**/", position) and (not position or pattern[position - 1] == "/"):
            found, position = found + "(?:.*/)?", position + 3
            continue
        if pattern.startswith("**", position):
            found, position = found + ".*", position + 2
            continue
        if letter == "[" and closing > 0:
            inside = pattern[position + 1 : closing].replace("\\", r"\\").replace("[", r"\[")
            negated = inside[0] in "!^"
            found += f"[{'^/' if negated else ''}{inside[1:] if negated else inside}]"
            position = closing
        else:
            found += {"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter))
        position += 1
    try:
        return re.compile(found, re.DOTALL)
    except re.error:
        raise MisuseError(f"s3: {pattern!r} is not a pattern: a range such as [9-0] is reversed") from None
