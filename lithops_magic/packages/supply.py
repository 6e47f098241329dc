"""Turns a function's needs into layers: from the cache if nothing has changed, else built."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import Distribution

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from lithops_magic.errors import NoBuild, PackageError
from lithops_magic.packages import bytecode, file_state, refusals
from lithops_magic.packages.archive import join
from lithops_magic.packages.build import FOLDER, FORMAT, build, files_of_unit
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.distributions import NOT_SHIPPED, Closure, Part, close, installed
from lithops_magic.packages.editable import contents_of
from lithops_magic.packages.indexes import settings
from lithops_magic.packages.layer import Layer, combine, keep, recall
from lithops_magic.packages.learned import beside, forget
from lithops_magic.packages.metadata import version_of
from lithops_magic.packages.need import Need
from lithops_magic.packages.placement import Room, check, place
from lithops_magic.packages.platform import PROVIDED, Target
from lithops_magic.packages.request import Request
from lithops_magic.packages.requirements_file import settings_of
from lithops_magic.packages.resolution import Resolution
from lithops_magic.packages.resolve import resolve
from lithops_magic.packages.trim import trims
from lithops_magic.packages.uv import Uv


@dataclass(frozen=True, slots=True)
class Supply:
    """What a function is given."""

    layers: tuple[Layer, ...] = ()
    archives: tuple[Layer, ...] = ()
    """Archives for S3 that are too large for layers."""
    parts: tuple[Part, ...] = ()
    """The installed distributions it needs, as far as they are known."""
    refused: str = ""
    """What it would be given in addition and why it is not, as a sentence."""

    @property
    def built(self) -> tuple[Layer, ...]:
        """All layers and archives."""
        return self.layers + self.archives

    @property
    def differences(self) -> tuple[str, ...]:
        """Packages whose version there differs from the one here, one phrase each."""
        return tuple(str(one) for layer in self.built for one in layer.differences)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, one sentence each."""
        return (*(note for layer in self.built for note in layer.notes), *([self.refused] if self.refused else []))


def supply(need: Need, target: Target, notify: Callable[[str], None], room: Room) -> Supply:
    """Return what meets `need` on `target`; `notify` is told about slow steps.

    Raises
    ------
    PackageError
        Something is unavailable for Lambda, or does not fit.
    """
    # An image brings its own packages; only requested ones are added.
    found = replace(need, units=(), projects=()) if room.image else need
    try:
        return _supply(found, target, notify, room, () if room.image else None)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise PackageError(
            f"The packages cannot be written: {error.strerror or error}{where}. Free some space, or set "
            "LITHOPS_MAGIC_CACHE_DIR to another folder."
        ) from None
    except PackageError:
        learned = [] if room.image else _learned(found, target)
        if not learned:
            raise
        return _supply_most(found, target, notify, room, learned)


def _supply_most(
    need: Need, target: Target, notify: Callable[[str], None], room: Room, learned: Sequence[str]
) -> Supply:
    """Leave out what cannot be shipped: a learned dependency must break neither what runs without it nor the others."""
    most = _supply(need, target, notify, room, ())
    accepted: list[str] = []
    errors: dict[str, PackageError] = {}
    for name in learned:
        try:
            most = _supply(need, target, notify, room, [*accepted, name])
            accepted.append(name)
        except PackageError as error:
            errors[name] = error
    # One alone may be shipped although all together do not fit.
    forget(errors)
    refusals.remember(errors, target, _beside(need))
    reasons = {
        name: (str(error), error.package if isinstance(error, NoBuild) else "") for name, error in errors.items()
    }
    return replace(most, refused=refusals.explain({**closure_of(need, target)[1].left_out, **reasons}))


def _supply(
    need: Need, target: Target, notify: Callable[[str], None], room: Room, learned: Container[str] | None
) -> Supply:
    request, closure = closure_of(need, target, learned)
    # A task that misses it asks for it again, perhaps in a version that can be shipped.
    forget(closure.left_out)
    built: list[Layer] = []
    if _ships(closure, request):
        # The user's own modules take a layer, too.
        own = replace(room, layers=max(0, room.layers - need.layered))
        built += _layers(closure, request, Uv(target, settings_of(request.files)), Cache.of_user(), notify, own)
    if need.layered:
        built.append(_local_layer(need.sources, Cache.of_user()))
    return Supply(*place(built, room), tuple(closure.parts.values()), refusals.explain(closure.left_out))


def _ships(closure: Closure, request: Request) -> bool:
    """Whether there is anything to resolve or build."""
    return bool(closure.parts or closure.not_installed or closure.unowned or request.requirements or request.files)


def pin(need: Need, target: Target) -> Resolution:
    """Return the versions that meet `need` on `target`; nothing is downloaded or built.

    Raises
    ------
    PackageError
        Something is unavailable for Lambda.
    """
    request, closure = closure_of(need, target)
    return resolve(closure, request, Uv(target, settings_of(request.files)))


def closure_of(need: Need, target: Target, learned: Container[str] | None = None) -> tuple[Request, Closure]:
    """Return the closure of a need; `learned`: what to include of what was learned and only seems needed, or all."""
    request, roots = _split(need.request)
    if request.nothing:
        return request, Closure()
    wanted = [(requirement, "--packages") for requirement in roots]
    optional = dict.fromkeys(need.named, "named by the function")
    known = refusals.known(target, _beside(need))
    left_out: dict[str, tuple[str, str]] = {}
    while True:
        left_out |= {name: (known[name].why, known[name].package) for name in optional if name in known}
        wanted += [
            (Requirement(name), why)
            for name, why in optional.items()
            if name not in known and (learned is None or name in learned)
        ]
        # Learned dependencies have dependencies, which may have learned ones: until nothing is new.
        closure = close(need.units, need.projects, wanted, target)
        asked = {requirement.name for requirement, _ in wanted} | closure.parts.keys() | left_out.keys()
        optional = {name: why for name, why in beside(closure.parts).items() if name not in asked}
        if not optional or not (learned is None or any(name in learned for name in optional)):
            closure.left_out = {name: why for name, why in left_out.items() if name not in closure.parts}
            return request, closure


def _beside(need: Need) -> str:
    """Identify what is shipped besides what was learned."""
    return file_state.key([[unit.name for unit, _ in need.units], need.projects, need.request.requirements])


def _learned(need: Need, target: Target) -> list[str]:
    """Return what can be left out of a need's closure."""
    return list(dict.fromkeys([*need.named, *beside(closure_of(need, target)[1].parts)]))


def shipped(need: Need) -> frozenset[str]:
    """Return the canonical names of the distributions that meet a need."""
    request, closure = closure_of(need, Target.of("x86_64"))
    return request.names | closure.parts.keys()


def _split(request: Request) -> tuple[Request, list[Requirement]]:
    """Separate requested packages that are installed in a matching version, which is then used."""
    given: list[str] = []
    roots: list[Requirement] = []
    for text in request.requirements:
        requirement = Requirement(text)
        here = installed(requirement.name)
        if here is None or requirement.url or not _fulfills(here, requirement):
            given.append(text)
        elif canonicalize_name(requirement.name) in PROVIDED | NOT_SHIPPED:
            # Otherwise, it would be left out.
            requirement.specifier = SpecifierSet(f"=={version_of(here)}")
            given.append(str(requirement))
        else:
            roots.append(requirement)
    return Request(request.nothing, tuple(given), request.files), roots


def _fulfills(here: Distribution, requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version_of(here), True)
    except InvalidVersion:
        return not requirement.specifier


def _layers(
    closure: Closure, request: Request, uv: Uv, cache: Cache, notify: Callable[[str], None], room: Room
) -> tuple[Layer, ...]:
    # The number of layers decides how pieces are combined.
    name = f"{_key(closure, request, uv.target)}-{room.layers}.json"
    cached = [recall(text, cache) for text in json.loads(cache.read(name) or "[]")]
    if cached and all(cached):
        return tuple(filter(None, cached))
    count = len(closure.parts) + len(closure.not_installed) + len(request.requirements)
    notify(f"Resolving {count} package{'s' * (count != 1)} for Lambda")
    resolution = resolve(closure, request, uv, cache)
    pieces = build(resolution, closure.unowned, uv, cache, notify, partial(check, room=room))
    layers = combine(pieces, room.layers, cache)
    if layers:
        layers = (replace(layers[0], notes=resolution.notes, differences=resolution.differences), *layers[1:])
    cache.write(name, json.dumps([layer.to_json() for layer in layers]).encode())
    return layers


def fingerprint(need: Need, target: Target) -> str:
    """Return a text that changes whenever the layers that meet `need` would; looks at the state of files only."""
    request, closure = closure_of(need, target)
    return file_state.key([_key(closure, request, target), sorted(closure.left_out)])


def _key(closure: Closure, request: Request, target: Target) -> str:
    """Hash everything that determines a layer."""
    facts = [
        FORMAT,
        [target.minor, target.architecture, platform.platform() if target.here else "", bytecode.kind(target)],
        sorted(
            [part.pin, part.pure, *file_state.state(contents_of(part.distribution))] for part in closure.parts.values()
        ),
        sorted(map(str, closure.not_installed.values())),
        sorted([unit.name, str(unit.path), *file_state.state(files_of_unit(unit))] for unit in closure.unowned),
        [request.requirements, [file_state.state_at(text) for text in request.requirements]],
        [[hashlib.sha256(data).hexdigest() for _, data in request.files]],
        # Where packages come from matters to those that are shipped, and takes a millisecond to find out.
        [trims(), sorted(settings().items()) if _ships(closure, request) else []],
    ]
    return file_state.key(facts)


def _local_layer(sources: bytes, cache: Cache) -> Layer:
    name = f"local-{hashlib.sha256(sources).hexdigest()}.json"
    if cached := recall(cache.read(name), cache):
        return cached
    with zipfile.ZipFile(io.BytesIO(sources)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    with cache.scratch() as scratch:
        join(scratch / "zip", [(sources, f"{FOLDER}/")])
        layer = keep(scratch / "zip", size, cache)
    cache.write(name, layer.to_json().encode())
    return layer
