"""The settings that this notebook uses, if they differ from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops_magic.config import Settings


class Session:
    """Settings chosen for this kernel only."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        """None: read the configuration for each run."""

    def load(self, *, local: bool | None = None, profile: str | None = None) -> Settings:
        """Return the settings for the next run; `local` and `profile` (that is, an account) override all else.

        Raises
        ------
        ConfigError
            The configuration cannot be read.
        """
        from lithops_magic import config

        # A profile is that of an account, so it also decides against the local AWS.
        if local is None and profile is not None:
            local = False
        chosen = self.settings
        if chosen is None or (local is not None and local != chosen.local):
            return config.load(local=local, profile=profile)
        if profile is not None:
            return chosen.of_profile(profile)
        return chosen
