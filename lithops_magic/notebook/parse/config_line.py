"""What a line of `%lambda_config` asks for: light, because the line is read without the form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What a line of `%lambda_config` asks for."""

    changes: tuple[tuple[str, str], ...] = ()
    """Names and texts."""
    file: str | None = None
    show: bool = False
    local: bool = False
    help: bool = False
