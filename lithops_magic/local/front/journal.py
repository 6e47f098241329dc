"""Preserves moto's state across restarts: requests that changed it are logged, and replayed at the next start.

moto's own recorder will not do: replayed requests get new identifiers that clients do not know, expired signatures
are refused, and it records every read as well.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from lithops_magic.local.front.error_replies import PROTOCOLS

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

NOT_PERSISTED = frozenset({"sts", "logs"})
"""Services whose state is not persisted: session keys expire in an hour, and logs would outgrow everything else."""

_READING = ("Get", "List", "Describe")


class Journal:
    """A WSGI application around moto that records changes and replays those of earlier servers.

    Parameters
    ----------
    seed : callable
        Seeds moto's source of identifiers, so that a replayed request yields the same ones.
    """

    def __init__(self, path: Path, app: WsgiApp, seed: Callable[[str], None]) -> None:
        self._path = path
        self._app = app
        self._seed = seed
        # Identifiers are reproducible only if no other request draws any meanwhile, so even reads wait their turn.
        self.turn = threading.Lock()
        if not path.exists():
            path.touch(mode=0o600)
            self._append({"salt": secrets.token_hex(16)})
        self._salt, self._entries = self._read()
        self._count = len(self._entries)

    def replay(self, warm_up: Callable[[], None]) -> None:
        """Bring moto to the last server's state; `warm_up` makes moto create its own, such as the default VPC."""
        self._seed(self._salt)
        warm_up()
        uploads: dict[str, str] = {}
        for number, entry in enumerate(self._entries):
            self._seed(f"{self._salt}-{number}")
            environ = {**entry["environ"], **_server(base64.b64decode(entry["body"]))}
            for old, new in uploads.items():
                environ["QUERY_STRING"] = environ["QUERY_STRING"].replace(old, new)
            answer = b"".join(self._app(environ, lambda *_: None))
            if entry["upload"]:
                uploads[entry["upload"]] = _upload_id(answer)
        self._entries = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        if not _changes(environ, body):
            with self.turn:
                return self._app(environ, start_response)
        # Without session tokens: what is persisted must not hold credentials.
        stored = {name: text for name, text in environ.items() if isinstance(text, str | dict) and "TOKEN" not in name}
        del stored["asgi.scope"]
        begun: list[Any] = []
        with self.turn:
            self._seed(f"{self._salt}-{self._count}")
            answer = b"".join(self._app(environ, lambda *given: begun.append(given)))
            # A refused request has changed nothing.
            if begun[-1][0] < "4":
                entry = {"environ": stored, "body": base64.b64encode(body).decode(), "upload": _upload_id(answer)}
                self._append(entry)
                self._count += 1
        # The client gets its response only after this write, so that no acknowledged change is lost in a crash.
        start_response(*begun[-1])
        return [answer]

    def _append(self, entry: dict[str, Any]) -> None:
        line = f"{json.dumps(entry)}\n".encode()
        with self._path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            except OSError:
                # A partly written line would corrupt the next one.
                file.truncate(end)
                raise

    def _read(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the salt and all complete entries; a line truncated by a crash is dropped."""
        text = self._path.read_text()
        whole, _, torn = text.rpartition("\n")
        if torn:
            self._path.write_text(whole + "\n")
        first, *entries = (json.loads(line) for line in whole.split("\n"))
        return first["salt"], entries


def _upload_id(answer: bytes) -> str:
    """Return the identifier of a new multipart upload, which moto draws from the system's randomness."""
    found = re.search(rb"<InitiateMultipartUploadResult.*?<UploadId>(.+?)</UploadId>", answer, re.DOTALL)
    return found[1].decode() if found else ""


def _server(body: bytes) -> dict[str, Any]:
    flags = {"wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False}
    return {**flags, "wsgi.errors": sys.stderr, "wsgi.input": io.BytesIO(body)}


def _changes(environ: dict[str, Any], body: bytes) -> bool:
    service = environ["HTTP_AUTHORIZATION"].split("/")[3]
    if service in NOT_PERSISTED:
        return False
    if PROTOCOLS.get(service) in ("query", "ec2"):
        return not parse_qs(body.decode("latin-1")).get("Action", [""])[0].startswith(_READING)
    return environ["REQUEST_METHOD"] not in ("GET", "HEAD")
