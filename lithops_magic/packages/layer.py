"""A layer that is built and kept on this machine, and how several are put together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lithops_magic.packages.archive import join
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.data import LARGEST
from lithops_magic.packages.resolution import Difference

OWN = 2 * 2**20
"""Bytes of a zip from which a distribution gets a layer of its own: what is smaller is sent again in no time."""

WORKER = 2**20
"""Bytes kept for the worker, which counts with its layers."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """One distribution in a layer."""

    name: str
    version: str
    size: int
    """Bytes, trimmed and unzipped."""
    of_numpy_1: bool = False
    """Whether it was compiled for NumPy 1 alone, and crashes with NumPy 2."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A zip of packages, as a layer has them."""

    digest: str
    """SHA-256 of its zip, hexadecimal."""
    path: Path
    size: int
    """Bytes of its zip."""
    unzipped: int
    """Bytes of its files."""
    packages: tuple[Shipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> str:
        """Return what `recall` needs besides the zip."""
        return json.dumps({**asdict(self), "path": self.path.name})


def recall(text: str | None, cache: Cache) -> Layer | None:
    """Return the layer that was kept, and note that it was used; None if it is gone."""
    if text is None:
        return None
    fields = json.loads(text)
    path = cache.folder / fields.pop("path")
    try:
        os.utime(path)
    except OSError:
        return None
    packages = tuple(Shipped(**entry) for entry in fields.pop("packages"))
    differences = tuple(Difference(**entry) for entry in fields.pop("differences"))
    return Layer(**{**fields, "notes": tuple(fields["notes"])}, path=path, packages=packages, differences=differences)


def keep(file: Path, unzipped: int, cache: Cache, packages: tuple[Shipped, ...] = ()) -> Layer:
    """Put a layer's zip where it is found again; the file is moved."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    size = file.stat().st_size
    return Layer(digest, cache.take(file, f"{digest}.zip"), size, unzipped, packages)


def combine(pieces: Sequence[Layer], most: int, cache: Cache) -> tuple[Layer, ...]:
    """Make at most so many layers of the pieces, so that one more small piece leaves the large ones as they are.

    What is too much for layers is one: each of several archives would have a folder of its own in a sandbox.
    """
    fits = unzipped(pieces) + WORKER <= LARGEST
    large = sorted((piece for piece in pieces if piece.size >= OWN), key=lambda piece: (-piece.size, piece.digest))
    alone = large[: max(0, most - 1)] if fits else []
    rest = [piece for piece in pieces if piece not in alone]
    return (*alone, *([_joined(rest, cache)] if rest else []))


def unzipped(layers: Iterable[Layer]) -> int:
    """Bytes of all their files."""
    return sum(layer.unzipped for layer in layers)


def _joined(pieces: Sequence[Layer], cache: Cache) -> Layer:
    if len(pieces) == 1:
        return pieces[0]
    packages = tuple(sorted((one for piece in pieces for one in piece.packages), key=lambda one: -one.size))
    with cache.scratch() as scratch:
        join(scratch / "zip", [(piece.path, "") for piece in pieces])
        return keep(scratch / "zip", unzipped(pieces), cache, packages)
