"""A parsed line of `%lambda_config`; a light module, because the line is parsed without the form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfigLine:
    """A parsed line of `%lambda_config`."""

    changes: tuple[tuple[str, str], ...] = ()
    """Names with values as text."""
    file: str | None = None
    show: bool = False
    local: bool = False
    help: bool = False
