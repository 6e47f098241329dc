"""Decides where built packages go: into layers if they fit, else into an archive that each sandbox unpacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lithops_magic.config import Settings
from lithops_magic.config.limits import FREE_TMP, MAX_TMP
from lithops_magic.config.problems import MAX_LAYERS
from lithops_magic.errors import PackageError
from lithops_magic.packages.data import UNZIPPED_LIMIT
from lithops_magic.packages.layer import WORKER, Layer, Shipped, unzipped

LEFT = 64 * 2**20
"""Bytes of `/tmp` left for the tasks."""


@dataclass(frozen=True, slots=True)
class Room:
    """Room that the function has for packages."""

    tmp: int = FREE_TMP
    """Size of `/tmp` in MB."""
    layers: int = 5
    """Layers that can still be added."""
    image: bool = False
    """Whether it is a container image, which brings its own packages."""

    @classmethod
    def of(cls, settings: Settings) -> Room:
        """Return the room left by what is configured."""
        image = settings.runtime is not None
        return cls(settings.ephemeral_storage, 0 if image else max(0, MAX_LAYERS - len(settings.layers)), image)


def check(size: int, packages: Sequence[Shipped], room: Room) -> None:
    """Before anything is compressed, refuse packages too large to fit however well they compress.

    Raises
    ------
    PackageError
        Neither layers nor `/tmp` have room for them.
    """
    in_layers = room.layers and size + WORKER <= UNZIPPED_LIMIT
    if not in_layers and size + LEFT > room.tmp * 2**20:
        # Compressed, they take hardly more than half of their size.
        raise PackageError(_too_large(size, packages, size + size // 2 + LEFT, room))


def place(built: Iterable[Layer], room: Room) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Return the layers, and the archives for S3.

    AWS limits the total size of a function and its layers, so that many small layers hold no more than one large layer.

    Raises
    ------
    PackageError
        `/tmp` has no room, either.
    """
    # The largest are moved first, so that as few as possible need to be unpacked.
    layers = sorted(built, key=lambda layer: layer.unzipped)
    archives: list[Layer] = []
    while len(layers) > room.layers or (layers and unzipped(layers) + WORKER > UNZIPPED_LIMIT):
        archives.append(layers.pop())
    if archives:
        # While unpacking, one zip at a time exists next to the unpacked files.
        needed = unzipped(archives) + max(layer.size for layer in archives) + LEFT
        if needed > room.tmp * 2**20:
            packages = [package for layer in archives for package in layer.packages]
            raise PackageError(_too_large(unzipped(archives), packages, needed, room))
    return tuple(layers), tuple(archives)


def _too_large(size: int, packages: Sequence[Shipped], needed: int, room: Room) -> str:
    by_size = sorted(packages, key=lambda package: -package.size)
    largest = ", ".join(f"{package.name} {package.size / 2**20:,.0f} MB" for package in by_size[:4])
    most = (
        f"a function and its layers may have {UNZIPPED_LIMIT // 2**20} MB"
        if room.layers
        else "it can have no more layers"
    )
    start = f"The packages take {size / 2**20:,.0f} MB{f' (largest: {largest})' if largest else ''}, {most}"
    image = "build a container image (`lithops-magic image` writes its Dockerfile) and name it with runtime"
    wanted = -(-needed // 2**20)
    if wanted > MAX_TMP:
        return f"{start}, /tmp {MAX_TMP:,} MB: {image}."
    return f"{start}, its /tmp {room.tmp:,} MB: give it --tmp {wanted} (ephemeral_storage) to unpack them, or {image}."
