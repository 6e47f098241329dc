"""Runs uv, which, on any machine, finds and unpacks wheels for Lambda's platform."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lithops_magic.errors import PackageError
from lithops_magic.packages.hashes import Hashes
from lithops_magic.packages.indexes import configuration, options
from lithops_magic.packages.platform import Target
from lithops_magic.working_folder import working_folder

_UNREACHABLE = (
    "error sending request",
    "dns error",
    "Connection refused",
    "Network is unreachable",
    "timed out",
    "network was disabled",
)
_DECIDED_HERE = ("UV_NO_VERIFY_HASHES", "UV_REQUIRE_HASHES")
"""Environment variables that conflict with options given here."""
_DENIED = re.compile(r"\b(401 Unauthorized|403 Forbidden|407 Proxy Authentication Required)\b")
_NO_WHEEL = re.compile(r"([A-Za-z0-9][\w.-]*?)(?:[=<>!~]=?\S*)? ha(?:s|ve) no usable wheels")
_AT_ADDRESS = re.compile(r"Building source distributions for `([^`]+)` is disabled")
_DOWNLOAD = re.compile(r"Downloading (?P<name>\S+) \((?P<size>[\d.]+)(?P<unit>[KMG])iB\)")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class Unresolvable(Exception):
    """No versions and wheels satisfy all requirements; the text explains the conflict."""


class IndexUnreachable(Exception):
    """The package index does not respond, and the packages are not in uv's cache."""


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

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        files: Sequence[Path] = (),
        overrides: Iterable[str] = (),
        constraints: Iterable[str] = (),
        compiled: Collection[str] = (),
        alone: bool = False,
    ) -> Resolved:
        """Return versions that satisfy `requirements` and, unless `alone`, their dependencies.

        A distribution without a wheel in any version is taken as source, unless it is named in `compiled`.

        Raises
        ------
        Unresolvable
            No such versions exist.
        IndexUnreachable
            The index does not respond.
        """
        lines = {"override": "\n".join(overrides), "constraint": "\n".join(constraints)}
        text = "\n".join(requirements)
        built: set[str] = set()
        while True:
            options = [*map(str, files), *_sources(built), *(["--no-deps"] if alone else [])]
            try:
                pins, warnings = self._compile(text, lines, options)
                return Resolved(pins, warnings, frozenset(built.union(_at_addresses(pins))))
            except Unresolvable as error:
                found: set[str] = {canonicalize_name(name) for name in _AT_ADDRESS.findall(str(error))}
                found |= {name for name in _without_wheel(error) if name not in compiled and not self.available(name)}
                if found <= built:
                    raise
                built |= found

    def available(self, requirement: str, *, before: datetime | None = None) -> str:
        """Return, as a requirement, the newest version with a wheel that satisfies a requirement; empty if none.

        With `before`, only versions published before that date count.
        """
        limit = ["--exclude-newer", before.isoformat()] if before else []
        try:
            pins, _ = self._compile(requirement, {}, ["--no-deps", *limit])
        except Unresolvable:
            return ""
        return next(iter(pins), "")

    def has(self, pin: str, sha256: str) -> bool:
        """Whether a version on the index includes exactly this file."""
        options = ["--no-header", "--no-annotate", "--no-deps", "--generate-hashes"]
        try:
            output, _ = _run(["pip", "compile", *options, "-"], pin)
        except Unresolvable:
            return False
        return f"sha256:{sha256}" in output

    def _compile(
        self, text: str, lines: Mapping[str, str], options: Sequence[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with tempfile.TemporaryDirectory() as folder:
            command = ["pip", "compile", "--no-header", "--no-annotate", "--no-strip-markers", *self._platform()]
            for name, content in lines.items():
                path = Path(folder, name)
                path.write_text(content)
                command += [f"--{name}", str(path)]
            output, warnings = _run([*command, *options, "-"], text)
        return tuple(_pins(output)), tuple(warnings)

    def export(self, project: Path) -> str:
        """Return the contents of a project's lock file as a requirements file, without development dependencies.

        Raises
        ------
        Unresolvable
            It cannot be read.
        """
        options = ["--frozen", "--no-dev", "--no-emit-workspace", "--no-header", "--no-annotate"]
        return _run(["export", *options, "--project", str(project)], "")[0]

    def install(self, pins: Iterable[str], hashes: Hashes, folder: Path, notify: Callable[[str], None]) -> None:
        """Unpack the wheels of exactly these requirements into `folder`; `notify` is told about downloads.

        Raises
        ------
        Unresolvable, IndexUnreachable
            As for `resolve`.
        """
        options = [*self._installation(folder), *self._platform()]
        _run([*options, "-r", "-"], "\n".join(hashes.lines(pins)), notify)

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
        _run([*options, "-r", "-"], "\n".join(hashes.lines(pins.values())), notify)

    @staticmethod
    def _installation(folder: Path) -> list[str]:
        # Required hashes were checked earlier; uv's own rule does not accept commit hashes.
        return ["pip", "install", "--verify-hashes", "--no-require-hashes", "--no-deps", "--target", str(folder)]

    def _platform(self) -> list[str]:
        platform = ["--python-platform", self.target.uv_platform] if self.target.uv_platform else []
        return [*platform, "--python-version", self.target.python, "--only-binary", ":all:"]


def _without_wheel(error: Unresolvable) -> Iterator[str]:
    return map(canonicalize_name, _NO_WHEEL.findall(str(error)))


def _sources(names: Iterable[str]) -> Iterable[str]:
    return (option for name in sorted(names) for option in ("--no-binary", name))


def _pins(output: str) -> Iterable[str]:
    for line in output.splitlines():
        text = line.partition(" #")[0].strip().rstrip("\\").strip()
        if not text or text.startswith(("#", "--")):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        requirement.marker = None
        yield str(requirement)


def _at_addresses(pins: Iterable[str]) -> Iterator[str]:
    """Yield the canonical names of requirements at a URL that is not a wheel."""
    for requirement in map(Requirement, pins):
        if requirement.url and not urllib.parse.urlsplit(requirement.url).path.endswith(".whl"):
            yield canonicalize_name(requirement.name)


def _run(arguments: Sequence[str], text: str, notify: Callable[[str], None] | None = None) -> tuple[str, list[str]]:
    try:
        return _call(arguments, text, notify)
    except IndexUnreachable:
        # Anything fetched before is still cached, however old.
        try:
            return _call([*arguments, "--offline"], text)
        except Unresolvable as error:
            raise IndexUnreachable(str(error)) from None


def _call(arguments: Sequence[str], text: str, notify: Callable[[str], None] | None = None) -> tuple[str, list[str]]:
    always = ["--python", sys.executable, "--no-python-downloads", "--color", "never", "--no-progress"]
    if arguments[0] == "pip":
        always += options()
    environment = {**os.environ, **configuration()}
    here = working_folder()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as given, tempfile.TemporaryFile("w+") as output:
        given.write(text)
        given.seek(0)
        process = subprocess.Popen(
            [_program(), *arguments, *always],
            env={name: value for name, value in environment.items() if name not in _DECIDED_HERE},
            # uv refuses to start in a deleted folder.
            cwd=here if here.is_absolute() else tempfile.gettempdir(),
            stdin=given,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        said = _listen(process, notify)
        output.seek(0)
        told = output.read()
    if process.returncode == 0:
        return told, [line[9:] for line in said.splitlines() if line.startswith("warning: ") and "yank" in line]
    if denied := _DENIED.search(said):
        raise PackageError(
            f"The package index denies access ({denied[1]}): give it credentials, in its URL in pip's or "
            f"uv's configuration or in ~/.netrc. {_reason(said)}"
        )
    if "--no-index" in always and "index lookups were disabled" in said:
        raise PackageError(
            f"pip is configured with no-index, and find-links lacks packages that Lambda needs: {_reason(said)}"
        )
    if any(sign in said for sign in _UNREACHABLE):
        raise IndexUnreachable(_reason(said))
    raise Unresolvable(_reason(said) or f"uv ended with status {process.returncode}")


def _listen(process: subprocess.Popen[str], notify: Callable[[str], None] | None) -> str:
    """Return uv's output, without credentials; `notify` is told immediately what is being downloaded."""
    said, downloads = [], []
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(_CREDENTIALS.sub("", line))
            if notify is not None and (download := _DOWNLOAD.fullmatch(line.rstrip())):
                downloads.append(f"{download['name']} ({float(download['size']):,.0f} {download['unit']}B)")
                notify(f"Downloading {', '.join(downloads)}")
    return "".join(said)


def without_password(url: str) -> str:
    """Return a URL that is safe to show."""
    return _CREDENTIALS.sub("", url)


def _reason(said: str) -> str:
    """Reduce uv's explanation to one line, without its formatting, hints and generalities."""
    before_hints = re.split(r"\n\s*hint:", re.sub(r"(?m)^warning: .*\n", "", said))[0]
    line = " ".join(re.sub(r"[×╰─▶│├]", " ", before_hints).split())
    line = re.sub(r"^.*?\bcause: |\berror: |^No solution found when resolving dependencies:? ", "", line)
    return re.sub(r", we can conclude that your requirements are unsatisfiable\.?$", "", line)


@functools.cache
def _program() -> str:
    if importlib.util.find_spec("uv") is not None:
        import uv

        return str(uv.find_uv_bin())
    raise PackageError("Packages for Lambda are fetched with uv, which is not installed: pip install uv")
