"""Chooses the versions that Lambda gets: the notebook's own wherever there are builds of them, else the nearest."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import PackageError
from lithops_magic.packages.distributions import NOT_SHIPPED, Closure, Part
from lithops_magic.packages.lockfiles import is_lock, locked
from lithops_magic.packages.request import Request
from lithops_magic.packages.uv import Resolved, Unreachable, Unresolvable, Uv

_DROP = "{} ; sys_platform == 'none'"
"""An override that takes a requirement out of a resolution."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is put into the layer."""

    copied: tuple[Part, ...] = ()
    """Pure distributions, as they are installed here."""
    fetched: dict[str, str] = field(default_factory=dict)
    """Requirements of one exact version each, by name."""
    built: frozenset[str] = frozenset()
    """Names of those that are to be built from source."""
    notes: tuple[str, ...] = ()


def resolve(closure: Closure, request: Request, uv: Uv) -> Resolution:
    """Choose versions for everything in `closure` and for what the user asks for beside it.

    Raises
    ------
    PackageError
        Something cannot be had for this target, or cannot be found out without a network.
    """
    try:
        return _Resolver(closure, request, uv).run()
    except Unreachable as error:
        raise PackageError(
            f"The index of packages cannot be reached, and not everything was fetched before ({error}). "
            "Connect to the network once; what was fetched is kept."
        ) from None


class _Resolver:
    def __init__(self, closure: Closure, request: Request, uv: Uv) -> None:
        self._closure = closure
        self._request = request
        self._uv = uv
        self._warnings: list[str] = []
        self._built: set[str] = set()

    def run(self) -> Resolution:
        fixed = self._asked_for()
        parts = {name: part for name, part in self._closure.parts.items() if name not in fixed}
        missing = [str(req) for name, req in self._closure.missing.items() if name not in fixed]
        binary = [part for part in parts.values() if not part.pure]
        fetched = fixed
        if binary or missing:
            fetched = fixed | self._fit(binary, missing, fixed)
        copied = [part for part in parts.values() if part.pure and fetched.get(part.name, part.pin) == part.pin]
        fetched = {name: pin for name, pin in fetched.items() if name not in {part.name for part in copied}}
        notes = (*self._changes(parts, fetched), *dict.fromkeys(self._warnings))
        return Resolution(tuple(copied), fetched, frozenset(self._built.intersection(fetched)), notes)

    def _asked_for(self) -> dict[str, str]:
        """Resolve what the user asks for, with the notebook's versions of what that requires if they fit."""
        request = self._request
        if not request.requirements and not request.files:
            return {}
        files = [path for path, _ in request.files if not is_lock(path)]
        wanted = [*request.requirements, *self._locked()]
        own = request.names
        here = [part.pin for part in self._closure.parts.values() if part.name not in own]
        for constraints in (here, []):
            try:
                return self._keep(
                    self._uv.resolve(wanted, files=files, constraints=constraints, overrides=_without_notebook(own))
                )
            except Unresolvable as error:
                problem = error
        raise PackageError(f"packages: {problem}, for {self._uv.target.describe()}.{self._nearest()}")

    def _locked(self) -> Iterator[str]:
        for path, data in self._request.files:
            if path.name == "uv.lock":
                try:
                    yield from self._uv.export(path.parent)
                except Unresolvable as error:
                    raise PackageError(f"packages: {path} cannot be read: {error}.") from None
            elif is_lock(path):
                yield from locked(path, data)

    def _nearest(self) -> str:
        """Say which versions there are of what the user pins, where there is none of the pinned one."""
        found = []
        for text in self._request.requirements:
            requirement = Requirement(text)
            versions = [clause.version for clause in requirement.specifier if clause.operator == "=="]
            if versions and not self._uv.available(text):
                older = self._uv.available(f"{requirement.name}<{versions[0]}")
                nearest = older or self._uv.available(requirement.name)
                found += [nearest] if nearest else []
        return f" The nearest there is: {', '.join(found)}." if found else ""

    def _fit(self, binary: list[Part], missing: list[str], fixed: dict[str, str]) -> dict[str, str]:
        """Find versions of the compiled parts that fit `fixed` and one another, changing as few as possible."""
        alone = not missing and not fixed
        try:
            return self._keep(self._solve([part.pin for part in binary], missing, fixed, alone=alone))
        except Unresolvable:
            ranges = self._ranges(binary)
        older = [f"{part.name}<={part.version}" for part in binary]
        problem: Unresolvable | None = None
        for requirements in ([ranges.get(part.name, part.pin) for part in binary], older, [p.name for p in binary]):
            try:
                return self._keep(self._solve(requirements, missing, fixed))
            except Unresolvable as error:
                problem = error
        raise PackageError(f"No versions fit together for {self._uv.target.describe()}: {problem}.")

    def _solve(
        self, requirements: Iterable[str], missing: list[str], fixed: dict[str, str], *, alone: bool = False
    ) -> Resolved:
        # Pure parts are copied: their requirements count, but they themselves need not be known to any index.
        pure = [part for part in self._closure.pure if part.name not in fixed]
        return self._uv.resolve(
            [*requirements, *missing],
            alone=alone,
            overrides=[] if alone else [*map(_DROP.format, (part.name for part in pure)), *_without_notebook(fixed)],
            constraints=[] if alone else [*fixed.values(), *_demands(pure, self._uv)],
            compiled=[part.name for part in self._closure.binary],
        )

    def _ranges(self, binary: list[Part]) -> dict[str, str]:
        """Return, for parts of whose version there is no build, a requirement that leads to the nearest one."""
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(self._range, binary)
        return {part.name: text for part, text in zip(binary, found, strict=True) if text}

    def _range(self, part: Part) -> str:
        if self._uv.available(part.pin):
            return ""
        for text in (f"{part.name}<={part.version}", f"{part.name}>={part.version}"):
            if nearest := self._uv.available(text):
                return nearest if text.startswith(f"{part.name}>") else text
        raise PackageError(
            f"There is no build of {part.name} for {self._uv.target.describe()}, and it is needed ({part.why}). "
            "Build a wheel of it for Linux and give that with --packages PATH.whl, or do without it."
        )

    def _keep(self, resolved: Resolved) -> dict[str, str]:
        self._warnings += resolved.warnings
        self._built |= resolved.built
        return {canonicalize_name(Requirement(pin).name): pin for pin in resolved.pins}

    def _changes(self, parts: dict[str, Part], fetched: dict[str, str]) -> Iterator[str]:
        changed = [(parts[name], pin) for name, pin in fetched.items() if name in parts and pin != parts[name].pin]
        if changed:
            here = ", ".join(f"{part.name} {part.version}" for part, _ in changed)
            there = ", ".join(pin.replace("==", " ") for _, pin in changed)
            yield f"there is no build of {here} for {self._uv.target.describe()}: tasks get {there}"


def _without_notebook(asked: Container[str]) -> list[str]:
    """Return overrides that take out what is of the notebook, wherever it is required, unless it is asked for."""
    return [_DROP.format(name) for name in sorted(NOT_SHIPPED) if name not in asked]


def _demands(pure: Iterable[Part], uv: Uv) -> Iterator[str]:
    """Yield what pure parts require of others, as constraints, which know no extras."""
    environment = uv.target.environment()
    for part in pure:
        for text in part.distribution.requires or ():
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate(environment)
            if applies and requirement.specifier:
                yield f"{requirement.name}{requirement.specifier}"
