"""uv's own configuration: its variables, the user's files, and those of the project around the notebook."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lithops_magic.working_folder import working_folder

OF_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
NOT_PASSED_ON = (
    *("UV_NO_VERIFY_HASHES", "UV_REQUIRE_HASHES", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_RESOLUTION", "UV_FROZEN"),
    *("UV_LOCKED", "UV_DEV", "UV_NO_DEV", "UV_COMPILE_BYTECODE"),
)
"""Variables that uv is told as options or not at all: an option would hide them, or contradict them."""

_KEYS = frozenset({"index", "index-url", "extra-index-url", "find-links", "no-index"})
_NARROWING = frozenset({"extra", "group", "no-emit-package"})
_SOURCE_ONLY = frozenset({"no-binary", "no-binary-package"})
_IRRELEVANT = (
    "UV_CACHE_DIR",
    "UV_HTTP_",
    "UV_NO_PROGRESS",
    "UV_CONCURRENT_",
    "UV_LINK_MODE",
    "UV_RUN_",
    "UV_INTERNAL_",
)
"""How the names of variables begin that do not change what is fetched."""


def variables() -> dict[str, str]:
    """Return uv's variables that may change what is fetched."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("UV_") and value and not name.startswith(_IRRELEVANT)
    }


def names_indexes() -> bool:
    """Whether uv is told where packages are, so that pip's indexes do not count."""
    found = variables()
    return any(name in found for name in OF_INDEXES) or any(_KEYS & _keys(text) for text in texts().values())


def texts() -> dict[str, str]:
    """Return the contents of uv's configuration files by path."""
    paths = (path for path in _files() if path.is_file())
    found = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in paths}
    # Of a project's file, only this part is configuration.
    return {name: text for name, text in found.items() if not name.endswith("pyproject.toml") or "tool.uv" in text}


def narrowed() -> str:
    """Return, as a phrase, a setting of `uv pip` that adds or leaves out packages whatever is asked; empty if none."""
    return next(_told(_NARROWING, of_pip=True), "")


def no_binary() -> str:
    """Return, as a phrase, a setting that excludes wheels; empty if none."""
    return next(_told(_SOURCE_ONLY, of_pip=True), "") or next(_told(_SOURCE_ONLY, of_pip=False), "")


def _told(keys: frozenset[str], *, of_pip: bool) -> Iterator[str]:
    """Yield settings among `keys` that are on, as phrases."""
    for path, text in texts().items():
        settings = _settings(text)[of_pip]
        for key in sorted(keys & settings.keys()):
            if settings[key] not in (False, [], [":none:"]):
                yield f"uv is configured with {key}{' under [pip]' if of_pip else ''} in {path}"


def _keys(text: str) -> set[str]:
    settings, of_pip = _settings(text)
    return {*settings, *of_pip}


def _settings(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return uv's settings, and those of `uv pip` among them."""
    try:
        settings: dict[str, Any] = tomllib.loads(text)
    except ValueError:  # uv says so itself
        return {}, {}
    settings = settings.get("tool", {}).get("uv", {}) if "tool" in settings else settings
    return settings, settings.get("pip", {})


def _files() -> Iterator[Path]:
    """Yield the paths of uv's configuration files (uv's documentation, "Configuration files")."""
    found = variables()
    if "UV_CONFIG_FILE" in found:
        yield Path(found["UV_CONFIG_FILE"])
    elif "UV_NO_CONFIG" not in found:
        start = working_folder() / found.get("UV_PROJECT", found.get("UV_WORKING_DIR", ""))
        for folder in (start, *start.parents):
            yield from (folder / "uv.toml", folder / "pyproject.toml")
        yield from user_files()


def user_files() -> Iterator[Path]:
    """Yield the paths of the user's and this machine's files."""
    if sys.platform == "win32":
        yield from (
            Path(os.environ[name], "uv", "uv.toml") for name in ("APPDATA", "PROGRAMDATA") if name in os.environ
        )
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "uv", "uv.toml")
        yield Path("/etc/uv/uv.toml")
