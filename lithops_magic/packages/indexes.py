"""Package indexes: translates pip's configuration for uv, which reads only its own.

pip's files are read here, because a virtual environment may lack pip, and `pip config list` takes half a second; a test
compares the two.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lithops_magic.errors import PackageError
from lithops_magic.packages.moment import moment

_REFUSED = {"no-binary": "packages for Lambda come as wheels"}
"""pip settings that conflict with what is done here, and why."""

_PYPI = "https://pypi.org/simple"

_OWN_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")


def configuration() -> dict[str, str]:
    """Return pip's indexes as environment variables for uv; uv's own configuration takes precedence."""
    torch = {"UV_TORCH_BACKEND": "cpu"} if has_cpu_builds() else {}
    return torch if _is_uvs_own() else {**dict(_translate(_pip())), **torch}


def has_cpu_builds() -> bool:
    """Whether PyTorch is fetched from its own index as a CPU build, because Lambda has no GPU.

    Not if other indexes are configured: then their contents decide.
    """
    configured = _is_uvs_own() or "UV_TORCH_BACKEND" in os.environ
    return not configured and not _pip().keys() & {"index-url", "extra-index-url", "find-links", "no-index"}


def _is_uvs_own() -> bool:
    """Whether uv has a configuration of its own, which takes precedence."""
    return any(name in os.environ for name in _OWN_INDEX) or any(path.is_file() for path in _own_files())


def options() -> list[str]:
    """Return pip's other settings as options for uv.

    Raises
    ------
    PackageError
        A setting is impossible for Lambda packages.
    """
    pip = _pip()
    for name, why in _REFUSED.items():
        if _is_on(pip.get(name, "")):
            variable = f"PIP_{name.replace('-', '_').upper()}"
            raise PackageError(f"pip is configured with {name} = {pip[name]}, but {why}: set {variable}= for this run.")
    found = ["--no-index"] if _is_on(pip.get("no-index", "")) else []
    found += ["--prerelease", "allow"] if _is_on(pip.get("pre", "")) else []
    return found + [text for path in pip.get("constraint", "").split() for text in ("--constraint", path)]


def hashes_required() -> str:
    """Return, as a phrase, the pip or uv setting that requires hashes for everything fetched; empty if none."""
    settings = {"pip": _pip().get("require-hashes", ""), "uv": os.environ.get("UV_REQUIRE_HASHES", "")}
    found = [f"{tool} is configured with require-hashes = {value}" for tool, value in settings.items() if _is_on(value)]
    return next(iter(found), "")


def _is_on(value: str) -> bool:
    return value.strip().lower() not in ("", "0", "false", "no", "off", "none", ":none:")


def _own_files() -> Iterable[Path]:
    """Yield the paths of uv's own configuration files, except a project's."""
    if sys.platform == "win32":
        yield from (
            Path(os.environ[name], "uv", "uv.toml") for name in ("APPDATA", "PROGRAMDATA") if name in os.environ
        )
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "uv", "uv.toml")
        yield Path("/etc/uv/uv.toml")


def settings() -> dict[str, str]:
    """Return everything that determines where packages come from, whether supported or not."""
    own = {name: os.environ[name] for name in (*_OWN_INDEX, "UV_REQUIRE_HASHES") if name in os.environ}
    pip = _pip()
    files = (*_own_files(), *map(Path, own.get("UV_CONFIG_FILE", "").split()))
    told = {str(path): path.read_text(errors="replace") for path in files if path.is_file()}
    places = f"{pip.get('find-links', '')} {own.get('UV_FIND_LINKS', '').replace(',', ' ')}".split()
    return {**pip, **own, **told, **{place: _wheels(place) for place in places}}


def _wheels(place: str) -> str:
    """Describe the state of a local folder of wheels, where a wheel may be replaced by another of the same name."""
    folder = Path(place.removeprefix("file://")).expanduser()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return " ".join(f"{path.name} {moment(path.stat())}" for path in paths if path.is_file())


def _pip() -> dict[str, str]:
    """Return pip's configuration for installing; environment variables take precedence over files."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in filter(Path.is_file, _pip_files()):
        file = configparser.RawConfigParser()
        try:
            file.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise PackageError(f"pip's configuration, {path}, cannot be read: {reason}.") from None
        for section in found.keys() & file.keys():
            found[section] |= {name.replace("_", "-"): value for name, value in file[section].items()}
    variables = {name[4:].lower().replace("_", "-"): value for name, value in os.environ.items() if name[:4] == "PIP_"}
    return found["global"] | found["install"] | variables


def _pip_files() -> Iterator[Path]:
    """Yield the paths of pip's configuration files in order of increasing precedence (pip's user guide)."""
    given = os.environ.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    yield from _pip_global_files()
    if not given or not Path(given).exists():
        yield from (folder / name for folder in _pip_user_folders())
    yield Path(sys.prefix, name)
    if given:
        yield Path(given)


def _pip_global_files() -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path(os.environ.get("PROGRAMDATA", "C:/ProgramData"), "pip", "pip.ini")
    elif sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
    else:
        yield from (
            Path(folder, "pip/pip.conf") for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        )
        yield Path("/etc/pip.conf")


def _pip_user_folders() -> Iterator[Path]:
    if sys.platform == "win32":
        yield Path.home() / "pip"
        yield Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming", "pip")
        return
    yield Path.home() / ".pip"
    support = Path.home() / "Library" / "Application Support" / "pip"
    if sys.platform == "darwin" and support.is_dir():
        yield support
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "pip")


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
        yield "UV_FIND_LINKS", ",".join(pip["find-links"].split())
    if "trusted-host" in pip:
        yield "UV_INSECURE_HOST", " ".join(pip["trusted-host"].split())
    if "cert" in pip and "SSL_CERT_FILE" not in os.environ:
        yield "SSL_CERT_FILE", pip["cert"]
    if "client-cert" in pip and "SSL_CLIENT_CERT" not in os.environ:
        yield "SSL_CLIENT_CERT", pip["client-cert"]
    if "keyring-provider" in pip and pip["keyring-provider"] == "subprocess":
        yield "UV_KEYRING_PROVIDER", "subprocess"
    if "proxy" in pip:
        yield from ((name, pip["proxy"]) for name in ("HTTP_PROXY", "HTTPS_PROXY") if name not in os.environ)
