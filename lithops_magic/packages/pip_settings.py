"""pip's own configuration: its variables and files.

They are read here, because a virtual environment may lack pip, and `pip config list` takes half a second; a test
compares the two.
"""

from __future__ import annotations

import configparser
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.moment import Moment, moment


def pip_settings() -> dict[str, str]:
    """Return pip's configuration for installing; variables take precedence, and empty ones do not count."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in _pip_files():
        with suppress(OSError):  # most of them do not exist
            for section, values in _sections(path, moment(path.stat())).items():
                found[section] |= values
    names = [name for name in os.environ if name.startswith("PIP_")]
    variables = {name[4:].lower().replace("_", "-"): os.environ[name] for name in names}
    settings: dict[str, str] = {}
    for given in (found["global"], found["install"], variables):
        settings |= {name: value for name, value in given.items() if value}
    return settings


@functools.lru_cache(maxsize=64)
def _sections(path: Path, _moment: Moment) -> dict[str, dict[str, str]]:
    """Return what a configuration file says about installing; parsed once, because every job asks for it."""
    file = configparser.RawConfigParser()
    try:
        file.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PackageError(f"pip's configuration, {path}, cannot be read: {reason}.") from None
    return {
        section: {name.replace("_", "-"): value for name, value in file[section].items()}
        for section in ("global", "install")
        if section in file
    }


def _pip_files() -> Iterator[Path]:
    """Yield the paths of pip's configuration files in order of increasing precedence (pip's user guide)."""
    given = os.environ.get("PIP_CONFIG_FILE")
    # As in pip, where this switches off all files.
    if given == os.devnull:
        return
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    yield from _pip_global_files()
    # As in pip, a file that is named replaces the user's own.
    if not given or not Path(given).exists():
        yield from (folder / name for folder in _pip_user_folders())
    yield Path(sys.prefix, name)
    if given:
        yield Path(given)


def _pip_global_files() -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path(os.environ.get("PROGRAMDATA", "C:/ProgramData"), "pip", "pip.ini")
    elif sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
    else:
        yield from (
            Path(folder, "pip/pip.conf") for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        )
        yield Path("/etc/pip.conf")


def _pip_user_folders() -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path.home() / "pip"
        yield Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming", "pip")
        return
    yield Path.home() / ".pip"
    support = Path.home() / "Library" / "Application Support" / "pip"
    if sys.platform == "darwin" and support.is_dir():
        yield support
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "pip")
