"""The file that the form reads and saves, and the session that uses it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from lithops_magic import config
from lithops_magic.config import Settings
from lithops_magic.config.find import find_file, local_environment
from lithops_magic.errors import ConfigError
from lithops_magic.notebook.session import Session
from lithops_magic.working_folder import working_folder

INLINE, NAMED = "LITHOPS_CONFIG", "LITHOPS_CONFIG_FILE"


@dataclass(frozen=True)
class ConfigStore:
    """A configuration file, which may not exist yet, and the notebook's session."""

    file: Path
    session: Session
    given: bool
    """Whether the user named the file."""

    @classmethod
    def find(cls, file: str | None, session: Session) -> ConfigStore:
        """Return the store for the named file, or else for the one that a job would read.

        Raises
        ------
        ConfigError
            LITHOPS_CONFIG_FILE names something that is not a file.
        """
        if file is not None:
            return cls(working_folder() / Path(file).expanduser(), session, True)
        named = os.environ.get(NAMED)
        if named and not os.path.lexists(path := Path(named).expanduser()):
            return cls(path, session, False)
        return cls(find_file() or _home_file(), session, False)

    @property
    def locked(self) -> str:
        """Why saving is impossible; empty if it is possible."""
        if self._is_inline:
            return f"The environment variable {INLINE} is the configuration: unset it, or name a file with --file."
        return ""

    @property
    def choices(self) -> tuple[tuple[str, Path], ...]:
        """The files that can be edited, with their purpose; includes this store's file."""
        if self.given or self.locked or os.environ.get(NAMED):
            return ((str(self.file), self.file),)
        usual = {_project_file(): "this project", _home_file(): "all your projects"}
        # Each once, in order: the project's file may be the one that is shown.
        files = dict.fromkeys([*usual, self.file])
        return tuple((f"{_short(file)} · {usual.get(file, 'all users')}", file) for file in files)

    @property
    def overruled(self) -> str:
        """Say which other file a job reads instead of this one; empty if none."""
        found = _found()
        if self.given or self.locked or found in (None, self.file) or self.file == _project_file():
            return ""
        return f"Notebooks in this folder read {found} instead."

    def at(self, file: Path) -> ConfigStore:
        """Return the store of another file."""
        return replace(self, file=file)

    def load(self, local: bool | None = None) -> Settings:
        """Return the file's settings, or the defaults if it does not exist.

        Raises
        ------
        ConfigError
            The file cannot be read.
        """
        if self._is_inline:
            return config.load(local=local)
        if not os.path.lexists(self.file):
            wanted = local if local is not None or self.given else local_environment()
            return Settings(local=wanted is not False)
        return config.load(self.file, local=local)

    def diff(self, settings: Settings) -> str:
        """Return what `save` would change, without secrets.

        Raises
        ------
        ConfigError
            The file cannot be edited.
        """
        return config.diff(settings, self.file)

    def save(self, settings: Settings) -> Settings:
        """Write the file, make the session use it, and return the settings as read back.

        Raises
        ------
        ConfigError
            There are problems, or the file cannot be written.
        """
        config.save(settings, self.file)
        saved = self.load(settings.local)
        # If the next run would read the same anyway, the session need not insist, and later edits of the file count.
        found_by_itself = not os.environ.get(INLINE) and _found() == self.file
        self.session.settings = None if found_by_itself and self.load().local == saved.local else saved
        return saved

    def use(self, settings: Settings) -> None:
        """Make the session use these settings; the file is not changed."""
        self.session.settings = settings.replace(source="this session only (%lambda_config)")

    @property
    def _is_inline(self) -> bool:
        return not self.given and bool(os.environ.get(INLINE))


def _project_file() -> Path:
    return working_folder() / ".lithops_config"


def _home_file() -> Path:
    return Path.home() / ".lithops" / "config"


def _found() -> Path | None:
    """Return the file that a job finds on its own."""
    try:
        return find_file()
    except ConfigError:
        return None


def _short(file: Path) -> str:
    if file == _project_file():
        return f"./{file.name}"
    return f"~/{file.relative_to(Path.home())}" if file.is_relative_to(Path.home()) else str(file)
