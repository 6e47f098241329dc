"""Replaces `{expression}` and `$name` in an option's value, as IPython does on the lines of its magics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lithops_magic.notebook.parse.usage_error import UsageError

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|\$\$|\$([A-Za-z_]\w*)")
_PLAIN = {"{{": "{", "}}": "}", "$$": "$"}


def expand(text: str, names: Mapping[str, Any]) -> str:
    """Return `text` with the values of notebook variables filled in.

    Braces without an expression, as in JSON, are left as they are.

    Raises
    ------
    UsageError
        A name is undefined, or the expression raises.
    """

    def value(found: re.Match[str]) -> str:
        whole, source = found.group(), found[1] or found[2]
        if source is None:
            return _PLAIN[whole]
        try:
            code = compile(source.strip(), "<option>", "eval")
        except SyntaxError:
            return whole
        try:
            # A copy, because eval() adds `__builtins__` to its globals.
            return str(eval(code, dict(names)))
        except NameError as error:
            problem = f"the notebook has no `{error.name}`"
        except Exception as error:
            problem = f"it raises {type(error).__name__}: {error}"
        literal = f"${whole}" if found[2] else f"{{{whole}}}"
        raise UsageError(f"`{whole}` in the value of an option: {problem}; write `{literal}` to keep it as it is")

    return _FIELD.sub(value, text)
