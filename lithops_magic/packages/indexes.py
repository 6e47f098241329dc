"""Where packages come from: what pip is configured to use, for uv, which reads only its own configuration."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_OWN_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")


@functools.cache
def configuration() -> dict[str, str]:
    """Return pip's indexes as variables of uv, which does not read pip's configuration; uv's own goes first."""
    own = any(name in os.environ for name in _OWN_INDEX) or any(path.is_file() for path in _own_files())
    if own or importlib.util.find_spec("pip") is None:
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


def _own_files() -> Iterable[Path]:
    """Yield where uv finds its own configuration, besides that of a project."""
    if sys.platform == "win32":
        yield from (
            Path(os.environ[name], "uv", "uv.toml") for name in ("APPDATA", "PROGRAMDATA") if name in os.environ
        )
    else:
        yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "uv", "uv.toml")
        yield Path("/etc/uv/uv.toml")


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
