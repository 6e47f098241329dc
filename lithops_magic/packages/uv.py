"""Runs uv, which, on any machine, finds and unpacks wheels for Lambda's platform."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import PackageError
from lithops_magic.packages.hashes import Hashes, lines
from lithops_magic.packages.indexes import overrides as configured_overrides
from lithops_magic.packages.indexes import source_refused
from lithops_magic.packages.platform import Target
from lithops_magic.packages.uv_command import Unresolvable, run
from lithops_magic.packages.uv_output import from_source, pins_in, renamed, source_at_address, without_wheel
from lithops_magic.packages.wheel_addresses import addressed, asked_for, at_address

# Overrides what the user's configuration of uv may say: what is asked for is one platform, without extras.
_COMPILE = ("pip", "compile", "--no-header", "--no-annotate", "--no-universal", "--no-all-extras")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Exact requirements, and uv's warnings."""

    pins: tuple[str, ...]
    warnings: tuple[str, ...]
    built: frozenset[str] = frozenset()
    """Canonical names of those available only as source: from an index, a repository or a URL."""


@dataclass(frozen=True, slots=True)
class Uv:
    """uv for one target."""

    target: Target
    given: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Settings of requested files, under their names in pip's configuration."""

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        files: Sequence[Path] = (),
        overrides: Iterable[str] = (),
        constraints: Iterable[str] = (),
        compiled: Collection[str] = (),
        alone: bool = False,
        as_configured: bool = False,
    ) -> Resolved:
        """Return versions that satisfy `requirements` and, unless `alone`, their dependencies.

        A distribution without a wheel in any version is taken as source, unless it is named in `compiled`. What is at
        an address may have another name there. Of several versions, the newest is chosen, or the one that uv is
        configured to choose if `as_configured`.

        Raises
        ------
        Unresolvable
            No such versions exist.
        IndexUnreachable
            The index does not respond.
        PackageError
            Something is only available as source, from which pip or uv is configured not to build.
        """
        lines = {"override": "\n".join(_with_configured(overrides)), "constraint": "\n".join(constraints)}
        # UV_RESOLUTION=lowest is meant for what the user asks for, not for the notebook's own versions.
        order = os.environ.get("UV_RESOLUTION", "") if as_configured else "highest"
        text = "\n".join(requirements)
        built: set[str] = set()
        pinned: dict[str, str] = {}
        while True:
            options = [*map(str, files), *_sources(built), *(["--no-deps"] if alone else [])]
            options += ["--resolution", order] if order else []
            try:
                pins, warnings = self._compile(text, lines, options)
                pins = tuple(pinned.get(pin, pin) for pin in pins)
                return Resolved(pins, warnings, frozenset(built.union(from_source(pins))))
            except Unresolvable as error:
                if changed := renamed(text, error) or self._addressed(text, error, lines, pinned):
                    text = changed
                    continue
                found: set[str] = set(source_at_address(error))
                found |= {name for name in without_wheel(error) if name not in compiled and self._is_source(name)}
                # Each round must learn of another source, or it would repeat itself forever.
                if found <= built:
                    raise
                built |= found

    def available(self, requirement: str, *, before: datetime | None = None) -> str:
        """Return, as a requirement, the newest version with a wheel that satisfies a requirement; empty if none.

        With `before`, only versions published before that date count.
        """
        limit = ["--exclude-newer", before.isoformat()] if before else []
        try:
            pins, _ = self._compile(requirement, {}, ["--no-deps", "--resolution", "highest", *limit])
        except Unresolvable:
            return next(iter(self._wheel(requirement, {}, limit)), "")
        return next(iter(pins), "")

    def _wheel(
        self, requirement: str, lines: Mapping[str, str], options: Sequence[str] = ()
    ) -> tuple[str, str] | tuple[()]:
        """Return the pin and the address of a wheel that runs on the target, though uv cannot tell."""
        if not self.target.next_uv_platform:
            return ()
        options = ["--no-deps", "--resolution", "highest", "--format", "pylock.toml", *options]
        try:
            lock, _ = self._compiled(requirement, lines, options, self.target.next_uv_platform)
        except Unresolvable:
            return ()
        return addressed(lock, self.target) or ()

    def _addressed(self, text: str, error: Unresolvable, lines: Mapping[str, str], pinned: dict[str, str]) -> str:
        """Return requirements with the addresses of wheels that uv found unusable; empty if there are none.

        Adds to `pinned` the version for each address.
        """
        asked = text.splitlines()
        for name in without_wheel(error):
            # What only others require is not among them.
            for line, requirement in [*asked_for(name, asked)] or [("", name)]:
                if (found := self._wheel(requirement, lines)) and found[1] not in pinned:
                    pinned[found[1]] = found[0]
                    return "\n".join([*(one for one in asked if one != line), at_address(line or name, found[1])])
        return ""

    def _is_source(self, name: str) -> bool:
        """Whether no version has a wheel, so that it is to be built.

        Raises
        ------
        PackageError
            pip or uv is configured not to build it.
        """
        if self.available(name):
            return False
        if why := source_refused(name, self.given):
            raise PackageError(
                f"There is no wheel of {name} for {self.target.describe()}, only source, and {why}: pass a wheel with "
                "--packages PATH.whl, or allow building it."
            )
        return True

    def has(self, pin: str, sha256: str) -> bool:
        """Whether a version on the index includes exactly this file."""
        try:
            output, _ = self._run([*_COMPILE, "--no-deps", "--generate-hashes"], pin)
        except Unresolvable:
            return False
        # uv lists the hashes of all files of a version, whatever their platform.
        return f"sha256:{sha256}" in output

    def _compile(
        self, text: str, lines: Mapping[str, str], options: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        output, warnings = self._compiled(text, lines, ["--no-strip-markers", *options], self.target.uv_platform)
        return tuple(pins_in(output)), tuple(warnings)

    def _compiled(
        self, text: str, lines: Mapping[str, str], options: Sequence[str], platform: str
    ) -> tuple[str, list[str]]:
        with tempfile.TemporaryDirectory() as folder:
            command = [*_COMPILE, *self._platform(platform)]
            for name, content in lines.items():
                path = Path(folder, name)
                path.write_text(content)
                command += [f"--{name}", str(path)]
            return self._run([*command, *options], text)

    def _run(self, command: Sequence[str], text: str) -> tuple[str, list[str]]:
        """Compile `text`; uv also writes a file, by default where it is configured to."""
        dependencies = [] if "--no-deps" in command else ["--deps"]
        with tempfile.TemporaryDirectory() as folder:
            # uv insists on this name for a lock file.
            name = "pylock.toml" if "pylock.toml" in command else "output"
            output = ["--output-file", str(Path(folder, name))]
            return run([*command, *dependencies, *output, "-"], text, given=self.given)

    def export(self, project: Path) -> str:
        """Return the contents of a project's lock file as a requirements file, without development dependencies.

        Raises
        ------
        Unresolvable
            It cannot be read.
        """
        options = ["--frozen", "--no-dev", "--no-emit-workspace", "--no-header", "--no-annotate"]
        return run(["export", *options, "--project", str(project)], "")[0]

    def install(self, pins: Iterable[str], hashes: Hashes, folder: Path, notify: Callable[[str], None]) -> None:
        """Unpack the wheels of exactly these requirements into `folder`; `notify` is told about downloads.

        Raises
        ------
        Unresolvable, IndexUnreachable
            As for `resolve`.
        """
        text, apart = "\n".join(hashes.lines(pins)), ""
        while True:
            try:
                self._install(text, self.target.uv_platform, folder, notify)
                break
            except Unresolvable as error:
                if not (changed := self._addressed(text, error, {}, {})):
                    raise
                # A wheel at an address must fit the platform, too.
                text, _, last = changed.rpartition("\n")
                apart = f"{apart}\n{last}"
        if apart:
            self._install(apart, self.target.next_uv_platform, folder, notify)

    def _install(self, text: str, platform: str, folder: Path, notify: Callable[[str], None]) -> None:
        run([*self._installation(folder), *self._platform(platform), "-r", "-"], text, notify, self.given)

    def build(self, pins: Mapping[str, str], hashes: Hashes, folder: Path, notify: Callable[[str], None]) -> None:
        """Build exactly these requirements, by name, from source on this machine, and unpack them into `folder`.

        Raises
        ------
        Unresolvable, IndexUnreachable
            As for `resolve`.
        """
        # uv itself checks only a few files to tell whether a folder has changed.
        fresh = [text for name in pins for text in ("--refresh-package", name)]
        options = [*self._installation(folder), *_sources(pins), *fresh]
        run([*options, "-r", "-"], "\n".join(hashes.lines(pins.values())), notify, self.given)

    @staticmethod
    def _installation(folder: Path) -> list[str]:
        # Required hashes were checked earlier; uv's own rule does not accept commit hashes.
        options = ["--verify-hashes", "--no-require-hashes", "--no-deps", "--no-all-extras"]
        return ["pip", "install", *options, "--target", str(folder)]

    def _platform(self, platform: str) -> list[str]:
        return [
            *(["--python-platform", platform] if platform else []),
            "--python-version",
            self.target.python,
            "--only-binary",
            ":all:",
        ]


def _with_configured(overrides: Iterable[str]) -> list[str]:
    """Return overrides, and those that uv is configured with for other packages."""
    own = list(overrides)
    names = {canonicalize_name(Requirement(line).name) for line in own}
    # A file that is missing, or a line that is not valid, is reported by uv.
    files = (path.read_text(encoding="utf-8", errors="replace") for path in configured_overrides() if path.is_file())
    configured = (line for text in files for line in lines(text))
    return [*own, *(line for line in configured if canonicalize_name(re.split(r"[^\w.-]", line)[0]) not in names)]


def _sources(names: Iterable[str]) -> Iterable[str]:
    return (option for name in sorted(names) for option in ("--no-binary", name))
