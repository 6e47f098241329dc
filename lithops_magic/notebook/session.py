"""What this notebook runs with, where that is not simply what the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops_magic.config import Settings


class Session:
    """Settings chosen for this kernel only."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        """None: as the configuration says at each run."""

    def load(self, *, local: bool | None = None, profile: str | None = None) -> Settings:
        """Return the settings of the next run; `local` and `profile` win over everything.

        Raises
        ------
        ConfigError
            The configuration cannot be read.
        """
        from lithops_magic import config

        chosen = self.settings
        if chosen is None or (local is not None and local != chosen.local):
            return config.load(local=local, profile=profile)
        if profile is not None:
            return chosen.of_profile(profile)
        return chosen
