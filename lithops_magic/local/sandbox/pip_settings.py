"""This machine's pip settings (index and certificates, no secrets), for functions that install packages."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

INDEXES = ("index-url", "extra-index-url")
OTHERS = ("trusted-host", "cert")


def pip_conf(environment: Mapping[str, str] = os.environ) -> str:
    """Return the text of `/etc/pip.conf`; empty if this machine's pip has no settings that are useful in a sandbox."""
    found: dict[str, str] = {}
    for file in _files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except (OSError, ValueError, configparser.Error):
            # pip itself will report it.
            continue
        if parser.has_section("global"):
            found.update(parser.items("global"))
    found.update({name: environment[key] for name in (*INDEXES, *OTHERS) if (key := _variable(name)) in environment})
    useful = {name: found[name] for name in OTHERS if name in found}
    useful |= {name: urls for name in INDEXES if (urls := _reachable(found.get(name, "")))}
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in useful.items()), ""]) if useful else ""


def _files(environment: Mapping[str, str]) -> list[Path]:
    """pip's configuration files, a later one overriding an earlier one."""
    home = Path(environment.get("HOME") or Path.home())
    own = environment.get("XDG_CONFIG_HOME") or home / ".config"
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf", Path(own, "pip/pip.conf")]
    files.append(Path(sys.base_prefix, "pip.conf"))
    named = environment.get("PIP_CONFIG_FILE")
    return [*files, Path(named)] if named and named != os.devnull else files


def _variable(name: str) -> str:
    return "PIP_" + name.upper().replace("-", "_")


def _reachable(urls: str) -> str:
    """Return the URLs that need neither a file of this machine nor a password."""
    parts = [(url, urlsplit(url)) for url in urls.split()]
    return " ".join(url for url, part in parts if part.scheme in ("http", "https") and part.username is None)
