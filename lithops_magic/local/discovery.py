"""Finds this user's running local AWS again: a file per version in a private folder, and a proof that the port is ours.

Only the standard library's quick modules: every `ensure` of a running server pays for these imports.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

ANSWER_TIMEOUT = 10.0
"""Seconds a living server may take to answer before it counts as hung: long, since ending it ends running functions."""

FOLDER_VARIABLE = "LITHOPS_MAGIC_LOCAL_DIR"


class LocalError(Exception):
    """One line for the user: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a client needs to use a running server, and a successor to end it."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str
    pid: int
    started: float
    """Creation time of process `pid`, seconds since the epoch: tells it from a later process of the same number."""
    workers: int
    version: str

    @property
    def port(self) -> int:
        return int(self.endpoint_url.rpartition(":")[2])


def private_folder() -> Path:
    """Return the folder of this user's local AWS on this machine, made if needed.

    Raises
    ------
    LocalError
        Somebody else could read or write it.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    default = Path(tempfile.gettempdir()) / f"lithops-magic-{user}"
    folder = Path(os.environ.get(FOLDER_VARIABLE) or default)
    try:
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        text = f"The local AWS cannot make its folder {folder} ({failure.strerror}): set {FOLDER_VARIABLE} to another."
        raise LocalError(text) from None
    if not _is_private(folder.lstat(), stat.S_ISDIR):
        text = f"The local AWS does not trust {folder}: it must be a folder of yours that nobody else can enter "
        raise LocalError(text + f"(chmod 700), or set {FOLDER_VARIABLE} to another.")
    return folder


def _is_private(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is a folder or file (no link) of ours that others cannot open; Windows guards the user's profile."""
    if not is_kind(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)


def version() -> str:
    """Return the key under which servers are shared: Python's minor version and the sources of this package."""
    digest = sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return f"{sys.version_info.major}.{sys.version_info.minor}-{digest.hexdigest()[:12]}"


def path_of(folder: Path, key: str) -> Path:
    return folder / f"server-{key}.json"


def read(path: Path) -> Discovery | None:
    """Return what the file says; None when it is absent, not ours, or not readable as one."""
    try:
        if not _is_private(path.lstat(), stat.S_ISREG):
            return None
        found = Discovery(**json.loads(path.read_text()))
        return found if _is_sound(found) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _is_sound(found: Discovery) -> bool:
    """Whether all is of its type: others' programs, and a broken disk, write files too."""
    texts = (found.endpoint_url, found.region, found.access_key_id, found.secret_access_key)
    if not all(isinstance(text, str) for text in (*texts, found.account_id, found.version)):
        return False
    numbers = type(found.pid) is int and type(found.workers) is int and isinstance(found.started, int | float)
    return numbers and found.pid > 0 and 0 < found.port < 65536


def write(path: Path, found: Discovery) -> None:
    """Replace the file at once, readable by its owner only from its first moment."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".server-")
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(found), file)
    Path(name).replace(path)


def find(folder: Path, key: str) -> Discovery | None:
    """Return the running server of this version, or None."""
    found = read(path_of(folder, key))
    return found if found is not None and is_alive(found) else None


def is_alive(found: Discovery) -> bool:
    """Whether the server at that port answers and knows our secret, which itself is not sent."""
    nonce = secrets.token_hex(16)
    expected = hmac.digest(found.secret_access_key.encode(), nonce.encode(), "sha256").hex()
    answer = ask(found, "GET", "/_local/health", {"x-local-nonce": nonce})
    return answer is not None and f"x-local-proof: {expected}" in answer


def ask(found: Discovery, method: str, path: str, headers: dict[str, str]) -> str | None:
    """Return the whole HTTP answer as text, or None without one; `http.client` takes longer to import than this."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{found.port}", "Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        with socket.create_connection(("127.0.0.1", found.port), timeout=ANSWER_TIMEOUT) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except (OSError, ValueError):
        return None
    return answer.decode("latin-1")
