"""A layer built and cached on this machine, and how pieces are combined."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lithops_magic.packages.archive import join
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.data import UNZIPPED_LIMIT
from lithops_magic.packages.resolution import Difference

OWN = 2 * 2**20
"""Zip size in bytes from which a distribution gets its own layer: smaller ones are quick to upload again."""

WORKER = 2**20
"""Bytes reserved for the worker, which counts toward the same quota as its layers."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """One distribution in a layer."""

    name: str
    version: str
    size: int
    """Size in bytes, trimmed and unzipped."""
    of_numpy_1: bool = False
    """Whether it was compiled for NumPy 1 only, and crashes with NumPy 2."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A zip of packages, in a layer's format."""

    digest: str
    """SHA-256 of its zip in hexadecimal."""
    path: Path
    size: int
    """Size of its zip in bytes."""
    unzipped: int
    """Size of its files in bytes."""
    packages: tuple[Shipped, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> str:
        """Return what `recall` needs besides the zip."""
        return json.dumps({**asdict(self), "path": self.path.name})


def recall(text: str | None, cache: Cache) -> Layer | None:
    """Return a cached layer and mark it as used; None if it is gone."""
    if text is None:
        return None
    fields = json.loads(text)
    path = cache.folder / fields.pop("path")
    try:
        # Used just now: `Cache` deletes what has not been used for long.
        os.utime(path)
    except OSError:
        return None
    packages = tuple(Shipped(**entry) for entry in fields.pop("packages"))
    differences = tuple(Difference(**entry) for entry in fields.pop("differences"))
    return Layer(**{**fields, "notes": tuple(fields["notes"])}, path=path, packages=packages, differences=differences)


def keep(file: Path, unzipped: int, cache: Cache, packages: tuple[Shipped, ...] = ()) -> Layer:
    """Move a layer's zip to the cache."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    size = file.stat().st_size
    return Layer(digest, cache.take(file, f"{digest}.zip"), size, unzipped, packages)


def combine(pieces: Sequence[Layer], most: int, cache: Cache) -> tuple[Layer, ...]:
    """Combine pieces into at most `most` layers so that adding a small piece leaves the large ones unchanged.

    If they are too large for layers, combine all into one: several archives would be unpacked to a folder each.
    """
    fits = unzipped(pieces) + WORKER <= UNZIPPED_LIMIT
    large = sorted((piece for piece in pieces if piece.size >= OWN), key=lambda piece: (-piece.size, piece.digest))
    # One layer is left for the rest.
    alone = large[: max(0, most - 1)] if fits else []
    rest = [piece for piece in pieces if piece not in alone]
    return (*alone, *([_joined(rest, cache)] if rest else []))


def unzipped(layers: Iterable[Layer]) -> int:
    """Total size of their files in bytes."""
    return sum(layer.unzipped for layer in layers)


def _joined(pieces: Sequence[Layer], cache: Cache) -> Layer:
    if len(pieces) == 1:
        return pieces[0]
    packages = tuple(sorted((one for piece in pieces for one in piece.packages), key=lambda one: -one.size))
    with cache.scratch() as scratch:
        join(scratch / "zip", [(piece.path, "") for piece in pieces])
        return keep(scratch / "zip", unzipped(pieces), cache, packages)
