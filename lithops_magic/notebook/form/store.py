"""The file that the form reads and Save writes, and the session that follows it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lithops_magic import config
from lithops_magic.config import Settings
from lithops_magic.config.find import find_file
from lithops_magic.notebook.session import Session
from lithops_magic.working_folder import working_folder

INLINE = "LITHOPS_CONFIG"


@dataclass(frozen=True)
class Store:
    """A configuration file and the notebook's session."""

    file: Path
    session: Session
    given: bool
    """Whether the user named the file."""

    @classmethod
    def find(cls, file: str | None, session: Session) -> Store:
        """Return the store of the file that was named, or else of the one that a run would read.

        Raises
        ------
        ConfigError
            LITHOPS_CONFIG_FILE names a file that does not exist.
        """
        if file is not None:
            return cls(working_folder() / Path(file).expanduser(), session, True)
        return cls(find_file() or Path.home() / ".lithops" / "config", session, False)

    @property
    def locked(self) -> str:
        """Why nothing can be saved; empty if it can."""
        if self.given or not os.environ.get(INLINE):
            return ""
        return f"The environment variable {INLINE} is the configuration: unset it, or name a file with --file."

    def load(self, local: bool | None = None) -> Settings:
        """Return what the file says, or the defaults if there is none.

        Raises
        ------
        ConfigError
            The file cannot be read.
        """
        if self.given and not self.file.exists():
            return Settings(local=local is not False)
        return config.load(self.file if self.given else None, local=local)

    def diff(self, settings: Settings) -> str:
        """Return what `save` would change, without secrets.

        Raises
        ------
        ConfigError
            The file cannot be edited.
        """
        return config.diff(settings, self.file)

    def save(self, settings: Settings) -> Settings:
        """Write the file, let the session run with it, and return what it now says.

        Raises
        ------
        ConfigError
            There are problems, or the file cannot be written.
        """
        config.save(settings, self.file)
        saved = self.load(settings.local)
        found_by_itself = not os.environ.get(INLINE) and find_file() == self.file
        self.session.settings = None if found_by_itself and self.load().local == saved.local else saved
        return saved

    def use(self, settings: Settings) -> None:
        """Let the session run with these settings; the file stays as it is."""
        self.session.settings = settings.replace(source="this session only (%lambda_config)")
