"""Package indexes: what pip and uv are configured with, as variables and options for uv, which reads only its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from lithops_magic.errors import PackageError
from lithops_magic.packages import uv_settings
from lithops_magic.packages.moment import moment
from lithops_magic.packages.pip_settings import pip_settings

_REFUSED = {
    "no-binary": "packages for Lambda come as wheels",
    "no-deps": "tasks need the dependencies, too",
    "requirement": "tasks get what they need, or what --packages names",
    "editable": "tasks get what they need, or what --packages names",
}
"""pip settings that conflict with what is done here, and why."""
_REFUSED_OF_UV = ("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE")

_FILES = ("cert", "client-cert", "constraint", "build-constraint", "find-links")
_FILES_OF_UV = (
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_BUILD_CONSTRAINT",
    "UV_FIND_LINKS",
)
"""Settings that name files or folders."""

_OF_INDEXES = {"index-url", "extra-index-url", "find-links", "no-index"}
_ADDED = {"extra-index-url", "find-links", "trusted-host", "only-binary"}
"""Settings that may be given several times."""

_PYPI = "https://pypi.org/simple"


Given = Iterable[tuple[str, str]]
"""Settings in requirements files, under their names in pip's configuration: they add to it, or take precedence."""

_LISTS = {"UV_INDEX": " ", "UV_FIND_LINKS": ","}
"""Variables that list several places, with what separates these."""


def configuration(given: Given = ()) -> dict[str, str]:
    """Return pip's indexes as environment variables for uv; uv's own configuration takes precedence."""
    pip, is_uvs = pip_settings(), uv_settings.names_indexes()
    torch = {"UV_TORCH_BACKEND": "cpu"} if has_cpu_builds() and not _OF_INDEXES & dict(given).keys() else {}
    translated = dict(_translate(_with({} if is_uvs else pip, given)))
    for name, separator in _LISTS.items():
        # What a requirements file adds must not replace what uv is configured with.
        if is_uvs and name in translated and name in os.environ:
            translated[name] += separator + os.environ[name]
    return {**translated, **dict(_limits(pip)), **torch}


def _with(pip: Mapping[str, str], given: Given) -> dict[str, str]:
    found = dict(pip)
    if "index-url" in dict(given):
        # With pip, it replaces all indexes before it.
        found.pop("extra-index-url", None)
    for name, value in given:
        found[name] = f"{found[name]} {value}" if name in found and name in _ADDED else value
    return found


def places(given: Given = ()) -> list[str]:
    """Return where packages are looked for, in words, without passwords."""
    told = {**os.environ, **configuration(given)}
    if told.keys().isdisjoint(uv_settings.OF_INDEXES) and uv_settings.names_indexes():
        return ["the indexes in uv's configuration"]
    others = re.split(r"[\s,]+", " ".join(told.get(name, "") for name in uv_settings.OF_INDEXES[1:]))
    default = told.get("UV_DEFAULT_INDEX", "") or ("" if told.get("UV_INDEX_URL") else _PYPI)
    # In uv, an index may have a name: `NAME=URL`.
    urls = [re.sub(r"^[\w-]+=|(?<=://)[^/@\s]+@", "", one) for one in (default, *others) if one]
    return list(dict.fromkeys("PyPI" if one.rstrip("/") == _PYPI else one for one in urls))


def has_cpu_builds() -> bool:
    """Whether PyTorch is fetched from its own index as a CPU build, because Lambda has no GPU.

    Not if other indexes are configured: then their contents decide.
    """
    configured = uv_settings.names_indexes() or "UV_TORCH_BACKEND" in os.environ or _is_on_in_uv("UV_NO_INDEX")
    return not configured and not pip_settings().keys() & _OF_INDEXES


def options(given: Given = ()) -> list[str]:
    """Return pip's and uv's other settings as options for uv.

    Raises
    ------
    PackageError
        A setting is impossible for Lambda packages, or names a file that does not exist.
    """
    pip = _with(pip_settings(), given)
    _refuse(pip)
    found = ["--no-index"] if _is_on(pip.get("no-index", "")) or _is_on_in_uv("UV_NO_INDEX") else []
    found += ["--prerelease", "allow"] if _is_on(pip.get("pre", "")) and "UV_PRERELEASE" not in os.environ else []
    found += ["--no-build-isolation"] if _is_on(pip.get("no-build-isolation", "")) else []
    found += [text for path in pip.get("build-constraint", "").split() for text in ("--build-constraint", path)]
    return found + [text for path in _constraints(pip) for text in ("--constraint", path)]


def overrides() -> list[Path]:
    """Return the files with which uv is configured to override requirements."""
    return [Path(path) for path in os.environ.get("UV_OVERRIDE", "").split()]


def hashes_required() -> str:
    """Return, as a phrase, the pip or uv setting that requires hashes for everything fetched; empty if none."""
    settings = {"pip": pip_settings().get("require-hashes", ""), "uv": os.environ.get("UV_REQUIRE_HASHES", "")}
    found = [f"{tool} is configured with require-hashes = {value}" for tool, value in settings.items() if _is_on(value)]
    return next(iter(found), "")


def source_refused(name: str, given: Given = ()) -> str:
    """Return, as a phrase, the pip or uv setting that forbids building a package from source; empty if none."""
    pip, of_uv = _with(pip_settings(), given).get("only-binary", ""), os.environ.get("UV_NO_BUILD_PACKAGE", "")
    if _covers(pip, name):
        return f"pip is configured with only-binary = {pip}"
    if _is_on_in_uv("UV_NO_BUILD"):
        return f"uv is configured with UV_NO_BUILD = {os.environ['UV_NO_BUILD']}"
    return f"uv is configured with UV_NO_BUILD_PACKAGE = {of_uv}" if _covers(of_uv, name) else ""


def settings() -> dict[str, str]:
    """Return everything that determines where packages come from, whether supported or not."""
    pip, of_uv = pip_settings(), uv_settings.variables()
    links = f"{pip.get('find-links', '')} {of_uv.get('UV_FIND_LINKS', '').replace(',', ' ')}".split()
    files = [*_constraints(pip), *map(str, overrides()), *pip.get("build-constraint", "").split()]
    # By content: an edited constraints file changes what is fetched.
    told = {path: Path(path).read_text(errors="replace") for path in files if Path(path).is_file()}
    return {**pip, **of_uv, **uv_settings.texts(), **told, **{place: _wheels(place) for place in links}}


def _refuse(pip: Mapping[str, str]) -> None:
    for name, why in _REFUSED.items():
        if _is_on(pip.get(name, "")):
            off = ":none:" if name == "no-binary" else "0"
            way = f"set {_variable(name)}={off} for this run" if name in ("no-binary", "no-deps") else "leave that out"
            raise PackageError(f"pip is configured with {name} = {pip[name]}, but {why}: {way}.")
    for name in _REFUSED_OF_UV:
        if _is_on_in_uv(name):
            value, why = os.environ[name], _REFUSED["no-binary"]
            raise PackageError(f"uv is configured with {name} = {value}, but {why}: unset it for this run.")
    if narrowed := uv_settings.narrowed():
        raise PackageError(f"{narrowed}, but tasks get what they need, or what --packages names: leave that out.")
    named = [("pip", name, pip.get(name, "")) for name in _FILES]
    named += [("uv", name, os.environ.get(name, "").replace(",", " ")) for name in _FILES_OF_UV]
    for tool, name, value in named:
        # Lists are separated by spaces; the path of a certificate may contain some.
        places = value.split() if name not in ("cert", "client-cert") and not name.startswith("SSL") else [value]
        for place in places:
            if place and ("://" not in place or place.startswith("file://")) and not _path(place).exists():
                raise PackageError(
                    f"{tool} is configured with {name} = {place}, which does not exist: correct that or leave it out."
                )


def _path(place: str) -> Path:
    return Path(place.removeprefix("file://")).expanduser()


def _constraints(pip: Mapping[str, str]) -> list[str]:
    return [*pip.get("constraint", "").split(), *os.environ.get("UV_CONSTRAINT", "").split()]


def _variable(name: str) -> str:
    return f"PIP_{name.replace('-', '_').upper()}"


def _covers(names: str, name: str) -> bool:
    """Whether a list of names, in pip's sense, includes a package."""
    found: set[str] = set()
    for one in names.replace(",", " ").split():
        # As in pip, `:none:` empties the list up to there.
        found = set() if one == ":none:" else {*found, one if one == ":all:" else canonicalize_name(one)}
    return not found.isdisjoint({":all:", name})


def _is_on(value: str) -> bool:
    return value.strip().lower() not in ("", "0", "false", "no", "off", "none", ":none:")


def _is_on_in_uv(name: str) -> bool:
    return _is_on(os.environ.get(name, ""))


def _wheels(place: str) -> str:
    """Describe the state of a local folder of wheels, where a wheel may be replaced by another of the same name."""
    folder = _path(place)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return " ".join(f"{path.name} {moment(path.stat())}" for path in paths if path.is_file())


def _translate(pip: dict[str, str]) -> Iterable[tuple[str, str]]:
    if "index-url" in pip:
        yield "UV_DEFAULT_INDEX", pip["index-url"]
    if "extra-index-url" in pip:
        # Like pip: all indexes count, not only the first that knows the name, and if several have the same version,
        # the last one wins. In uv, the first one does.
        first = pip.get("index-url", _PYPI)
        others = [url for url in dict.fromkeys(pip["extra-index-url"].split()) if url != first]
        yield "UV_INDEX", " ".join(reversed(others))
        yield "UV_INDEX_STRATEGY", "unsafe-best-match"
    if "find-links" in pip:
        places = (str(_path(one)) if one.startswith("~") else one for one in pip["find-links"].split())
        yield "UV_FIND_LINKS", ",".join(places)
    if "trusted-host" in pip:
        yield "UV_INSECURE_HOST", " ".join(pip["trusted-host"].split())
    for name, variable in (("cert", "SSL_CERT_FILE"), ("client-cert", "SSL_CLIENT_CERT")):
        if name in pip and variable not in os.environ:
            yield variable, str(_path(pip[name]))
    if "keyring-provider" in pip and pip["keyring-provider"] == "subprocess":
        yield "UV_KEYRING_PROVIDER", "subprocess"
    if "proxy" in pip:
        yield from ((name, pip["proxy"]) for name in ("HTTP_PROXY", "HTTPS_PROXY") if name not in os.environ)


def _limits(pip: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what pip's other settings are for uv, where it is not told otherwise."""
    told = {"UV_EXCLUDE_NEWER": "uploaded-prior-to", "UV_HTTP_TIMEOUT": "timeout", "UV_HTTP_RETRIES": "retries"}
    for variable, name in told.items():
        value = pip.get(name, pip.get(f"default-{name}"))
        if value is not None and variable not in os.environ:
            yield variable, value
