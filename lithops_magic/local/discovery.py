"""Finds this user's running local AWS: one file per version in a private folder, and a proof that the port is ours.

Imports only cheap modules of the standard library: every `ensure` of a running server pays for them.
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
"""Seconds before an unresponsive server counts as hung: long, since killing it kills running functions."""

FOLDER_VARIABLE = "LITHOPS_MAGIC_LOCAL_DIR"


class LocalError(Exception):
    """One line for the user: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a client needs to use a running server, and a later command to stop it."""

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
        Another user could read or write it.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    default = Path(tempfile.gettempdir()) / f"lithops-magic-{user}"
    folder = Path(os.environ.get(FOLDER_VARIABLE) or default)
    try:
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        text = f"The local AWS cannot create {folder} ({failure.strerror}): set {FOLDER_VARIABLE} to another folder."
        raise LocalError(text) from None
    # `lstat`, because the folder's parent may be /tmp, where another user could have placed a link.
    if not _is_private(folder.lstat(), stat.S_ISDIR):
        text = f"The local AWS does not trust {folder}: you must own it and be the only user with access "
        raise LocalError(text + f"(chmod 700), or set {FOLDER_VARIABLE} to another folder.")
    return folder


def _is_private(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether this user owns it, it is no link, and others cannot open it; Windows protects user profiles."""
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
    """Return what the file says; None when it is absent, not ours, or malformed."""
    try:
        if not _is_private(path.lstat(), stat.S_ISREG):
            return None
        found = Discovery(**json.loads(path.read_text()))
        return found if _is_sound(found) else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _is_sound(found: Discovery) -> bool:
    """Whether every field has its type: another program or a bad disk may have written the file."""
    texts = (found.endpoint_url, found.region, found.access_key_id, found.secret_access_key)
    if not all(isinstance(text, str) for text in (*texts, found.account_id, found.version)):
        return False
    numbers = type(found.pid) is int and type(found.workers) is int and isinstance(found.started, int | float)
    return numbers and found.pid > 0 and 0 < found.port < 65536


def write(path: Path, found: Discovery) -> None:
    """Replace the file atomically; it is never readable by others, not even briefly."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".server-")
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(found), file)
    Path(name).replace(path)


def find(folder: Path, key: str) -> Discovery | None:
    """Return the running server of this version, or None."""
    found = read(path_of(folder, key))
    return found if found is not None and is_alive(found) else None


def is_alive(found: Discovery) -> bool:
    """Whether the server at that port answers and proves that it knows our secret, without our sending it."""
    nonce = secrets.token_hex(16)
    expected = hmac.digest(found.secret_access_key.encode(), nonce.encode(), "sha256").hex()
    answer = ask(found, "GET", "/_local/health", {"x-local-nonce": nonce})
    return answer is not None and f"x-local-proof: {expected}" in answer


def ask(found: Discovery, method: str, path: str, headers: dict[str, str]) -> str | None:
    """Return the whole HTTP response as text, or None without one; by hand, since `http.client` is slow to import."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{found.port}", "Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        with socket.create_connection(("127.0.0.1", found.port), timeout=ANSWER_TIMEOUT) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except (OSError, ValueError):
        return None
    return answer.decode("latin-1")
