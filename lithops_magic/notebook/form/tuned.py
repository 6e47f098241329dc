"""Saves a measured size in the configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lithops_magic.notebook.display.tune import chosen
from lithops_magic.notebook.form.command import configure
from lithops_magic.notebook.parse.config_line import ConfigLine

if TYPE_CHECKING:
    from lithops_magic.engine.tune.tuning import Tuning
    from lithops_magic.notebook.session import Session


def save(tuning: Tuning | None, name: str, session: Session) -> None:
    """Save the size with that name, like `%lambda_config --set`.

    Raises
    ------
    UsageError
        There is no such size.
    ConfigError
        The file cannot be read or written.
    """
    size = chosen(tuning, name)
    changes = (("memory", str(size.memory)), ("architecture", size.architecture))
    configure(ConfigLine(changes=changes), session)
