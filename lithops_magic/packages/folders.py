"""Walks folders of packages, whose data may be links to folders elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lithops_magic.packages.data import UNZIPPED_LIMIT

_MANY = 10_000
"""Maximum files behind a link that are counted on every run."""


def files_below(top: Path) -> Iterator[Path]:
    """Yield the files below a folder, except bytecode caches; follow links unless they lead to too much."""
    for folder, folders, names in os.walk(top, followlinks=True):
        seen = [name for name in sorted(folders) if name != "__pycache__"]
        folders[:] = [name for name in seen if _is_followed(Path(folder, name))]
        yield from (path for name in sorted(names) if (path := Path(folder, name)).is_file())


def _is_followed(folder: Path) -> bool:
    """Whether to descend into a folder: not through links to a parent or to more than can be shipped."""
    if not folder.is_symlink():
        return True
    if folder.resolve() in {each.resolve() for each in folder.parents}:
        return False
    size = 0
    for count, path in enumerate(folder.rglob("*")):
        size += path.stat().st_size if path.is_file() else 0
        if size > UNZIPPED_LIMIT or count > _MANY:
            return False
    return True
