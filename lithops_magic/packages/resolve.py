"""Chooses versions for Lambda: the notebook's own wherever there are builds, else the closest available ones."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import NoBuild, PackageError
from lithops_magic.packages.cache import Cache
from lithops_magic.packages.compat import fits, runs_installed
from lithops_magic.packages.distributions import Closure, Part, is_for_gpus, is_from_files
from lithops_magic.packages.fits import Fit, Fits
from lithops_magic.packages.indexes import has_cpu_builds, settings
from lithops_magic.packages.metadata import applies, archive_hash, direct_url, requires_of
from lithops_magic.packages.request import Request
from lithops_magic.packages.requested import DROP, Requested, without_notebook
from lithops_magic.packages.resolution import Resolution, differences
from lithops_magic.packages.too_different import notes, refuse_old, refuse_other_majors, ways_out
from lithops_magic.packages.uv import Resolved, Uv
from lithops_magic.packages.uv_command import IndexUnreachable, Unresolvable, without_password
from lithops_magic.packages.versions import is_same, public, public_version


def resolve(closure: Closure, request: Request, uv: Uv, cache: Cache | None = None) -> Resolution:
    """Choose versions for everything in `closure` and for what the user requests in addition.

    Compatible versions found are saved in `cache`, by default the user's.

    Raises
    ------
    PackageError
        Something is unavailable for this target, or a network is required to find out.
    """
    try:
        return _Resolver(closure, request, uv, cache or Cache.of_user()).run()
    except IndexUnreachable as error:
        raise PackageError(
            f"The package index cannot be reached, and not everything is cached ({error}). "
            "Connect to the network once; downloads are cached."
        ) from None


class _Resolver:
    def __init__(self, closure: Closure, request: Request, uv: Uv, cache: Cache) -> None:
        self._cache = cache
        self._closure = closure
        self._request = request
        self._uv = uv
        self._requested = Requested(request, uv)
        self._warnings: list[str] = []
        self._built: set[str] = set()
        self._as_they_are: set[str] = set()
        """Names without a build whose installed files run on the target."""

    def run(self) -> Resolution:
        names = self._request.names
        here = [part.pin for part in self._closure.parts.values() if part.name not in names]
        fixed = self._accept(self._requested.resolve(here))
        # What the user requests is settled first, and everything else chosen around it.
        parts = {name: part for name, part in self._closure.parts.items() if name not in fixed}
        missing = [str(req) for name, req in self._closure.not_installed.items() if name not in fixed]
        binary = [part for part in parts.values() if not part.pure]
        fetched, memory, fit = fixed, self._memory(binary, missing, fixed), None
        # No index is needed if the installed files fit.
        if missing or (fixed and binary) or not all(self._ships(part) for part in binary):
            fit = memory.recall()
            fetched = fixed | (self._taken(fit) if fit else self._fit(binary, missing, fixed))
        same = [part for part in parts.values() if is_same(part, fetched.get(part.name, part.pin))]
        copied = [part for part in same if self._ships(part)]
        fetched = {name: pin for name, pin in fetched.items() if name not in {part.name for part in copied}}
        others = tuple(differences(self._closure.parts, fetched))
        unasked = [one for one in others if one.name not in fixed]
        if fit is None:
            # A remembered fit has passed this check, which takes a request for each difference.
            refuse_old(self._uv, unasked)
        refuse_other_majors(self._uv, unasked, self._closure.used)
        if fit is None and fetched:
            memory.keep(Fit(fetched, self._warnings, sorted(self._built), sorted(self._as_they_are)))
        self._requested.hashes.check(fetched.values())
        return Resolution(
            copied=tuple(copied),
            fetched=fetched,
            unchanged=tuple(part for part in same if part.name in fetched),
            built=frozenset(self._built.intersection(fetched)),
            differences=others,
            notes=(*notes(self._uv.target, unasked), *dict.fromkeys(self._warnings)),
            hashes=self._requested.hashes,
        )

    def _memory(self, binary: Sequence[Part], missing: Sequence[str], fixed: Mapping[str, str]) -> Fits:
        target, pure = self._uv.target, self._pure(fixed)
        states = [[part.pin, direct_url(part.distribution), self._ships(part)] for part in binary]
        facts = [
            target.describe(),
            states,
            sorted(missing),
            sorted(fixed.values()),
            sorted(settings().items()),
            self._uv.given,
        ]
        return Fits(self._cache, facts, _demands(pure, self._uv), {part.name for part in pure})

    def _taken(self, fit: Fit) -> dict[str, str]:
        self._warnings += fit.warnings
        self._built |= set(fit.built)
        self._as_they_are |= set(fit.as_they_are)
        return fit.pins

    def _ships(self, part: Part) -> bool:
        return part.pure or part.name in self._as_they_are or fits(part.distribution, self._uv.target)

    def _fit(self, binary: list[Part], missing: list[str], fixed: dict[str, str]) -> dict[str, str]:
        """Find compatible versions of the compiled parts and `fixed`, changing as few as possible."""
        alone = not missing and not fixed
        # A local build is on no index, or is another file there.
        binary = [part for part in binary if not self._is_local_build(part)]
        try:
            # The usual case: there are builds of exactly the notebook's versions, which fit together as they do here.
            return self._accept(self._solve([public(part) for part in binary], missing, fixed, alone=alone))
        except Unresolvable:
            ranges = self._ranges(binary)
        # Without a build, the installed files may run there.
        binary = [part for part in binary if part.name not in self._as_they_are]
        older = [f"{part.name}<={public_version(part)}" for part in binary]
        nearest = [ranges.get(part.name, public(part)) for part in binary]
        halves = self._halves(ranges, fixed)
        moved = [*nearest, *(f"{part.name}<={public_version(part)}" for part in halves)]
        # From the smallest change to the largest: only what has no build moves; everything may be older; pure parts
        # that insist on a moved version move, too; any version will do.
        tries = [(nearest, []), (older, []), *([(moved, halves)] if halves else []), ([p.name for p in binary], [])]
        problem: Unresolvable | None = None
        for requirements, moving in tries:
            try:
                return self._accept(self._solve(requirements, missing, fixed, moving=moving))
            except Unresolvable as error:
                # The first conflict names the notebook's own versions; later ones speak of versions that the user never
                # saw.
                problem = problem or error
        ways = ways_out(self._uv, [public(part) for part in binary])
        raise NoBuild(f"No versions fit together for {self._uv.target.describe()}: {problem}.{ways}")

    def _is_local_build(self, part: Part) -> bool:
        """Whether it is a local build that runs on the target unchanged."""
        elsewhere = bool(direct_url(part.distribution)) or is_from_files(part.distribution)
        if elsewhere and (self._ships(part) or runs_installed(part.distribution, self._uv.target)):
            self._as_they_are.add(part.name)
        elif elsewhere:
            self._check_origin(part)
        return part.name in self._as_they_are

    def _check_origin(self, part: Part) -> None:
        """Refuse to fetch by name what was installed from elsewhere: that name may be someone else's on an index.

        Raises
        ------
        PackageError
            The index does not have the file that was installed.
        """
        url, sha256 = str(direct_url(part.distribution).get("url", "")), archive_hash(part.distribution)
        if not url or (sha256 and self._uv.has(part.pin, sha256)):
            return
        raise NoBuild(
            f"{part.name} {part.version} was installed from {without_password(url)}, does not run on "
            f"{self._uv.target.describe()} as it is, and the index's package of this name may be a different one. "
            f"Pass a wheel of it for Linux with --packages PATH.whl, or use the index's with --packages {part.pin}.",
            part.name,
        )

    def _halves(self, moved: Container[str], fixed: Container[str]) -> list[Part]:
        """Return the pure parts that require a part whose version has no build, and move with it.

        Leaves out parts that no index has, whose name could be anyone's there.
        """
        return [
            part
            for part in self._pure(fixed)
            if any(canonicalize_name(requirement.name) in moved for requirement in requires_of(part.distribution))
            and not is_from_files(part.distribution)
            and self._uv.available(part.pin)
        ]

    def _pure(self, fixed: Container[str]) -> list[Part]:
        """Return the copied parts: their requirements count, but no index need know them."""
        return [
            p for p in self._closure.parts.values() if (p.pure or p.name in self._as_they_are) and p.name not in fixed
        ]

    def _solve(
        self,
        requirements: Iterable[str],
        missing: list[str],
        fixed: dict[str, str],
        *,
        alone: bool = False,
        moving: Sequence[Part] = (),
    ) -> Resolved:
        """Resolve; `moving`: pure parts that insist on a version without a build may change, too."""
        pure = [part for part in self._pure(fixed) if part not in moving]
        return self._uv.resolve(
            [*requirements, *missing],
            alone=alone,
            overrides=[] if alone else [*map(DROP.format, (part.name for part in pure)), *without_notebook(fixed)],
            constraints=[] if alone else [*fixed.values(), *_demands(pure, self._uv)],
            compiled=[part.name for part in self._closure.binary],
        )

    def _ranges(self, binary: list[Part]) -> dict[str, str]:
        """Return, for parts whose version has no build, a requirement that leads to the closest version."""
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(self._range, binary)
        return {part.name: text for part, text in zip(binary, found, strict=True) if text}

    def _range(self, part: Part) -> str:
        if self._uv.available(public(part)):
            return ""
        if self._ships(part) or runs_installed(part.distribution, self._uv.target):
            self._as_they_are.add(part.name)
            return ""
        for text in (f"{part.name}<={public_version(part)}", f"{part.name}>={public_version(part)}"):
            if nearest := self._uv.available(text):
                return nearest if text.startswith(f"{part.name}>") else text
        raise NoBuild(
            f"There is no build of {part.name} for {self._uv.target.describe()}, and it is needed ({part.why}). "
            "Build a wheel of it for Linux and pass it with --packages PATH.whl, or do without it "
            "(--packages none ships nothing).",
            part.name,
        )

    def _accept(self, resolved: Resolved) -> dict[str, str]:
        self._warnings += resolved.warnings
        self._built |= resolved.built
        pins: dict[str, str] = {canonicalize_name(Requirement(pin).name): pin for pin in resolved.pins}
        # A CUDA build of PyTorch cannot be imported without CUDA's libraries.
        if "torch" in pins and not has_cpu_builds():
            return pins
        wanted = self._closure.parts.keys() | self._request.names
        return {name: pin for name, pin in pins.items() if name in wanted or not is_for_gpus(name)}


def _demands(pure: Iterable[Part], uv: Uv) -> Iterator[str]:
    """Yield pure parts' requirements on other packages as constraints, which cannot have extras."""
    environment = uv.target.environment()
    for part in pure:
        for requirement in requires_of(part.distribution):
            if requirement.specifier and applies(requirement.marker, environment):
                yield f"{requirement.name}{requirement.specifier}"
