"""Earlier measurements, keyed by the meaning of the function: stored on this machine for dry-run estimates."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.config import user_dirs
from lithops_magic.engine.cache.keys import Keys
from lithops_magic.engine.cache.meaning import Undetermined
from lithops_magic.engine.durable import private
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.tune.tuning import Measured, Size, Tuning
from lithops_magic.errors import LithopsMagicError

if TYPE_CHECKING:
    from lithops_magic.config import Settings

_FORMAT = 1
"""Version of the files; those of another version are ignored."""
_MAX_FILES = 200
"""Maximum functions remembered."""


def keep(function: Callable[..., Any], settings: Settings, options: MapOptions, tuning: Tuning) -> None:
    """Store a tuning; if that is impossible, the function will simply be measured again."""
    with contextlib.suppress(OSError, Undetermined, LithopsMagicError):
        path = _path(function, settings, options)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rows = [asdict(one) for one in tuning.measured]
        record = {"format": _FORMAT, "measured": rows, "base": asdict(tuning.base), "items": tuning.items}
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tuning-")
        with os.fdopen(handle, "w") as file:
            json.dump(record, file)
        Path(name).replace(path)
        _prune(path.parent)


def find(function: Callable[..., Any], settings: Settings, options: MapOptions) -> Tuning | None:
    """Return the stored tuning of an equivalent function; None if there is none."""
    try:
        record = json.loads(private.read(_path(function, settings, options)))
        # Measured again rather than misread.
        if record["format"] != _FORMAT:
            return None
        return Tuning(
            tuple(_measured(row) for row in record["measured"]),
            _size(record["base"]),
            int(record["items"]),
            local=settings.local,
        )
    except (OSError, ValueError, TypeError, LookupError, Undetermined, LithopsMagicError):
        return None


def _measured(row: dict[str, Any]) -> Measured:
    numbers = {name: tuple(map(float, row[name])) for name in ("seconds", "costs")}
    return Measured(_size(row["size"]), **numbers, used=int(row["used"]), problem=str(row["problem"]))


def _size(plain: dict[str, Any]) -> Size:
    return Size(int(plain["memory"]), str(plain["architecture"]))


def _path(function: Callable[..., Any], settings: Settings, options: MapOptions) -> Path:
    # One file for both architectures, because they are measured together.
    keys = Keys(function, settings.replace(architecture="x86_64"), options)
    return user_dirs.tunings() / f"{keys.of_function(['local'] if settings.local else [])}.json"


def _prune(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_MAX_FILES:]:
        path.unlink(missing_ok=True)
