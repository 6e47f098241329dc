"""From what a function needs to the layers that hold it: from the cache when nothing has changed, else built."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lithops_magic.packages.archive import zip_file
from lithops_magic.packages.build import FOLDER, Layer, build, keep
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import NOT_SHIPPED, Closure, Part, close, installed
from lithops_magic.packages.need import Need
from lithops_magic.packages.place import Room, place
from lithops_magic.packages.platform import PROVIDED, Target
from lithops_magic.packages.request import Request
from lithops_magic.packages.resolve import Resolution, resolve
from lithops_magic.packages.uv import Uv

_FORMAT = 3
"""Changes whenever the same input gives another layer."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What a function is given."""

    layers: tuple[Layer, ...] = ()
    archives: tuple[Layer, ...] = ()
    """What is too large for layers, for S3."""
    parts: tuple[Part, ...] = ()
    """The installed distributions it needs, as far as they are known here."""

    @property
    def built(self) -> tuple[Layer, ...]:
        """Everything, wherever it goes."""
        return self.layers + self.archives

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, one sentence each."""
        return tuple(note for layer in self.built for note in layer.notes)


def supply(need: Need, target: Target, notify: Callable[[str], None], room: Room) -> Supply:
    """Return what meets `need` on `target`; `notify` is told what takes a while.

    Raises
    ------
    PackageError
        Something cannot be had for Lambda, or there is no room for it.
    """
    # An image brings its packages; only what is asked for goes on top.
    found = replace(need, units=(), projects=()) if room.image else need
    request, closure = _closure(found, target)
    built = []
    if closure.parts or closure.missing or closure.unowned or request.requirements or request.files:
        built.append(_layer(closure, request, Uv(target), Cache.of_user(), notify))
    if need.layered:
        built.append(_local_layer(need.layered, Cache.of_user()))
    return Supply(*place(built, room), tuple(closure.parts.values()))


def pin(need: Need, target: Target) -> Resolution:
    """Return the versions that meet `need` on `target`; nothing is downloaded or built.

    Raises
    ------
    PackageError
        Something cannot be had for Lambda.
    """
    request, closure = _closure(need, target)
    return resolve(closure, request, Uv(target))


def _closure(need: Need, target: Target) -> tuple[Request, Closure]:
    request, roots = _split(need.request)
    return request, Closure() if request.nothing else close(need.units, need.projects, roots, target)


def _split(request: Request) -> tuple[Request, list[Requirement]]:
    """Separate what the user asks for by name and has installed in a version that fits: that version is taken."""
    given: list[str] = []
    roots: list[Requirement] = []
    for text in request.requirements:
        requirement = Requirement(text)
        here = installed(requirement.name)
        if here is None or requirement.url or not requirement.specifier.contains(here.version, True):
            given.append(text)
        elif canonicalize_name(requirement.name) in PROVIDED | NOT_SHIPPED:
            # Otherwise it is left out.
            requirement.specifier = SpecifierSet(f"=={here.version}")
            given.append(str(requirement))
        else:
            roots.append(requirement)
    return Request(request.nothing, tuple(given), request.files), roots


def _layer(closure: Closure, request: Request, uv: Uv, cache: Cache, notify: Callable[[str], None]) -> Layer:
    name = f"{_key(closure, request, uv.target)}.json"
    if known := cache.read(name):
        layer = Layer.from_json(known, cache.folder)
        if layer.path.exists():
            os.utime(layer.path)
            return layer
    count = len(closure.parts) + len(closure.missing) + len(request.requirements)
    notify(f"Resolving {count} package{'s' * (count != 1)} for Lambda")
    layer = build(resolve(closure, request, uv), closure.unowned, uv, cache, notify)
    cache.write(name, layer.to_json().encode())
    return layer


def _key(closure: Closure, request: Request, target: Target) -> str:
    """Hash everything that a layer follows from."""
    facts = [
        _FORMAT,
        [target.minor, target.architecture, platform.platform() if target.here else ""],
        sorted([part.pin, part.pure, _origin(part)] for part in closure.parts.values()),
        sorted(map(str, closure.missing.values())),
        sorted([unit.name, str(unit.path), _state(unit.path)] for unit in closure.unowned),
        [request.requirements, [hashlib.sha256(data).hexdigest() for _, data in request.files]],
    ]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:32]


def _origin(part: Part) -> str:
    """What tells apart two installations of one version, where it did not come from an index."""
    direct = part.distribution.read_text("direct_url.json")
    return f"{direct}{part.distribution.read_text('RECORD')}" if direct else ""


def _state(path: Path) -> list[tuple[str, int]]:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [(str(file), file.stat().st_mtime_ns) for file in files]


def _local_layer(sources: bytes, cache: Cache) -> Layer:
    with zipfile.ZipFile(io.BytesIO(sources)) as archive:
        files = {f"{FOLDER}/{name}": archive.read(name) for name in archive.namelist()}
    unzipped = sum(map(len, files.values()))
    with cache.scratch() as scratch:
        zip_file(scratch / "zip", files.items())
        return keep(scratch / "zip", unzipped, cache)
