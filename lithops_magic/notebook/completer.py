"""Completes the options of the magics, their choices, and the notebook's variables in the rest of the line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from lithops_magic.notebook import configure
from lithops_magic.notebook.options import BY_FLAG, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

_MAGIC = re.compile(r"%%?lambda_(map|status|clean|config)\s")
_MANAGEMENT = ["--local", "--profile", "--help"]
_FLAGS = {"map": names(), "status": _MANAGEMENT, "clean": _MANAGEMENT, "config": names(configure.OPTIONS)}


def matcher_for(shell: InteractiveShell, identifier: str) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return a matcher for the shell's completer."""

    @context_matcher(  # type: ignore[untyped-decorator]
        identifier=identifier, priority=100
    )
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        line = context.full_text.split("\n")[context.cursor_line][: _cursor(context)]
        magic = _MAGIC.match(line)
        if magic is None:
            return {"completions": []}
        fragment, found = _complete(line[magic.end() :], _FLAGS[magic.group(1)], shell.user_ns)
        return {
            "completions": [SimpleCompletion(text=text, type=kind) for text, kind in found],
            "matched_fragment": fragment,
            "suppress": bool(found) and fragment.startswith("-"),
        }

    result: Callable[[CompletionContext], SimpleMatcherResult] = complete
    return result


def _cursor(context: CompletionContext) -> int:
    return len(context.line_with_cursor) if context.cursor_position is None else context.cursor_position


def _complete(text: str, flags: list[str], namespace: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    words = text.split(" ")
    word, before = words[-1], next((past for past in reversed(words[:-1]) if past), "")
    option = BY_FLAG.get(before)
    if word.startswith("-"):
        return word, [(flag, "param") for flag in flags if flag.startswith(word)]
    if option is not None and option.metavar is not None:
        offered = option.choices or (_variables(namespace) if option.field == "out" else ())
        return word, [(text, "param") for text in offered if text.startswith(word)]
    return "", []


def _variables(namespace: dict[str, Any]) -> list[str]:
    return sorted(name for name in namespace if not name.startswith("_"))
