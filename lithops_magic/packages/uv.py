"""Runs uv, which finds and unpacks wheels for Lambda's platform from any machine."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from lithops_magic.errors import PackageError
from lithops_magic.packages.platform import Target

_UNREACHABLE = ("error sending request", "dns error", "Connection refused", "Network is unreachable", "timed out")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_OWN_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")


class Unresolvable(Exception):
    """There are no versions and wheels that fulfil everything; the text says which."""


class Unreachable(Exception):
    """The index of packages does not answer, and what is asked for was not fetched before."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Requirements of one exact version each, and what uv warns about."""

    pins: tuple[str, ...]
    warnings: tuple[str, ...]


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
        alone: bool = False,
    ) -> Resolved:
        """Return versions that fulfil `requirements` and, unless `alone`, what these require in turn.

        Raises
        ------
        Unresolvable
            There are none.
        Unreachable
            The index does not answer.
        """
        with tempfile.TemporaryDirectory() as folder:
            command = ["pip", "compile", "--no-header", "--no-annotate", "--no-strip-markers", *self._platform()]
            command += ["--no-deps"] if alone else []
            for name, lines in (("override", overrides), ("constraint", constraints)):
                path = Path(folder, name)
                path.write_text("\n".join(lines))
                command += [f"--{name}", str(path)]
            output, warnings = _run([*command, "-", *map(str, files)], "\n".join(requirements))
        return Resolved(tuple(_pins(output)), tuple(warnings))

    def install(self, pins: Iterable[str], folder: Path) -> None:
        """Unpack the wheels of exactly these requirements into `folder`.

        Raises
        ------
        Unresolvable, Unreachable
            As `resolve`.
        """
        command = ["pip", "install", "--no-deps", "--target", str(folder), *self._platform()]
        _run([*command, "--python", sys.executable, "-r", "-"], "\n".join(pins))

    def _platform(self) -> list[str]:
        platform = ["--python-platform", self.target.uv_platform] if self.target.uv_platform else []
        return [*platform, "--python-version", self.target.python, "--only-binary", ":all:"]


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


def _run(arguments: Sequence[str], text: str) -> tuple[str, list[str]]:
    try:
        return _call(arguments, text)
    except Unreachable:
        # What was fetched once is there still, however old.
        try:
            return _call([*arguments, "--offline"], text)
        except Unresolvable as error:
            raise Unreachable(str(error)) from None


def _call(arguments: Sequence[str], text: str) -> tuple[str, list[str]]:
    done = subprocess.run(
        [_program(), *arguments, "--color", "never", "--no-progress"],
        input=text,
        env={**os.environ, **_configuration()},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    said = _CREDENTIALS.sub("", done.stderr)
    if done.returncode == 0:
        return done.stdout, [line[9:] for line in said.splitlines() if line.startswith("warning: ") and "yank" in line]
    if any(sign in said for sign in _UNREACHABLE):
        raise Unreachable(_reason(said))
    raise Unresolvable(_reason(said))


def _reason(said: str) -> str:
    """Make one line of uv's explanation, without its frame, its hints and what is only true in general."""
    before_hints = re.split(r"\n\s*hint:", said)[0]
    line = " ".join(re.sub(r"[×╰─▶│├]", " ", before_hints).split())
    line = re.sub(r"^.*?\bcause: |\berror: |^No solution found when resolving dependencies:? ", "", line)
    return re.sub(r", we can conclude that your requirements are unsatisfiable\.?$", "", line)


@functools.cache
def _program() -> str:
    if importlib.util.find_spec("uv") is not None:
        import uv

        return str(uv.find_uv_bin())
    raise PackageError("Packages for Lambda are fetched with uv, which is not installed: pip install uv")


@functools.cache
def _configuration() -> dict[str, str]:
    """Return pip's indexes as variables of uv, which does not read pip's configuration; uv's own goes first."""
    if any(name in os.environ for name in _OWN_INDEX) or importlib.util.find_spec("pip") is None:
        return {}
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, check=False)
    pip: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.rpartition(".")
        if scope in ("global", "install", ":env:"):
            pip[name.replace("_", "-")] = str(ast.literal_eval(value))
    return dict(_translate(pip))


def _translate(pip: dict[str, str]) -> Iterable[tuple[str, str]]:
    if "index-url" in pip:
        yield "UV_DEFAULT_INDEX", pip["index-url"]
    if "extra-index-url" in pip:
        yield "UV_INDEX", " ".join(pip["extra-index-url"].split())
        # As pip does: every index counts, not only the first that knows the name.
        yield "UV_INDEX_STRATEGY", "unsafe-best-match"
    if "find-links" in pip:
        yield "UV_FIND_LINKS", ",".join(pip["find-links"].split())
    if "trusted-host" in pip:
        yield "UV_INSECURE_HOST", " ".join(pip["trusted-host"].split())
    if "cert" in pip and "SSL_CERT_FILE" not in os.environ:
        yield "SSL_CERT_FILE", pip["cert"]
    if "proxy" in pip:
        yield from ((name, pip["proxy"]) for name in ("HTTP_PROXY", "HTTPS_PROXY") if name not in os.environ)
