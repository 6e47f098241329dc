"""Translates a magic's line to the equivalent call of `lithops_magic.map`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from lithops_magic.engine.api import map as map_function
from lithops_magic.notebook.parse.options import Options

# From the signature, so that a new option of `map` is exported, too; `_settings` and `script` write these two.
_ACCEPTED = frozenset(inspect.signature(map_function).parameters) - {"settings", "background"}
_NAMES = frozenset({"reduce"})
"""Options whose value is a notebook expression."""


class Defaults:
    """What `%config LambdaMagics` has set so far."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def configure(self, line: str) -> bool:
        """Apply a `%config` line; False if it configures something else."""
        target, _, value = line.partition("=")
        owner, _, name = target.strip().partition(".")
        if owner != "LambdaMagics":
            return False
        if value.strip():
            self._values[name] = ast.literal_eval(value.strip())
        return True

    def arguments(self, options: Options) -> list[str]:
        """Return the keyword arguments for `options` and these defaults."""
        given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        given = {
            name: value for name, value in given.items() if value is not None and value is not False and value != ()
        }
        chosen = {**self._values, **given}
        arguments = [_argument(name, value) for name, value in chosen.items() if name in _ACCEPTED]
        return [*arguments, *_settings(chosen)]


def call(function: str, items: str, arguments: list[str]) -> str:
    """Return the call as source text."""
    return f"lithops_magic.map({', '.join((function, items, *arguments))})"


def statement(targets: tuple[str, ...], called: str, *, fails: bool) -> str:
    """Bind a call's result; a call known to fail binds its result before the work starts, like a magic."""
    name = targets[0]
    if not fails:
        return f"{' = '.join(targets)} = {called}"
    return f"""\
{" = ".join(targets)} = {called[:-1]}, background=True)
try:
    {name}.wait()
    {name}.raise_errors()
except (lithops_magic.errors.LithopsMagicError, KeyboardInterrupt) as _failure:
    {name}.cancel()
    print(f"{{type(_failure).__name__}}: {{_failure}}")"""


def _argument(name: str, value: Any) -> str:
    if name in _NAMES:
        return f"{name}={value}"
    # Pairs on the magic's line become a dictionary in the call.
    return f"{name}={dict(value)!r}" if name == "env" else f"{name}={value!r}"


def _settings(chosen: Mapping[str, Any]) -> list[str]:
    wanted = [f"{name}={chosen[name]!r}" for name in ("local", "profile") if chosen.get(name)]
    return [f"settings=lithops_magic.config.load({', '.join(wanted)})"] if wanted else []
