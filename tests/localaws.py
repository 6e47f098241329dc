"""A running local AWS, as the tests see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from lithops_magic.local import lifecycle

FOREIGN = ("AWS_", "LITHOPS_", "MOTO_", "XDG_", "IPYTHON", "JUPYTER")
"""Prefixes of environment variables that a test must not inherit."""


@dataclass
class LocalAws:
    """A running local AWS and plain boto3 clients for it."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str
    pid: int
    workers: int
    version: str
    folder: Path
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def port(self) -> int:
        return int(self.endpoint_url.rpartition(":")[2])

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client; one per service is shared unless it wants its own `Config`."""
        if config:
            return self._client(service, Config(**config))
        if service not in self._clients:
            self._clients[service] = self._client(service, None)
        return self._clients[service]

    def _client(self, service: str, config: Config | None) -> Any:
        session = boto3.Session(self.access_key_id, self.secret_access_key, region_name=self.region)
        return session.client(service, endpoint_url=self.endpoint_url, config=config)

    def functions(self) -> list[dict[str, Any]]:
        """All functions: after other tests, they are more than one page."""
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        return [function for page in pages for function in page["Functions"]]

    def layers(self) -> set[str]:
        """The names of all layers."""
        pages = self.client("lambda").get_paginator("list_layers").paginate()
        return {layer["LayerName"] for page in pages for layer in page["Layers"]}

    def requests(self) -> dict[str, int]:
        """Requests so far by `service:Operation`, the server's own ones left out."""
        counts: dict[str, int] = self._ask("requests")
        return counts

    def traffic(self) -> dict[str, dict[str, int]]:
        """Bytes of the bodies of these requests and their answers so far: `received` and `sent`."""
        counts: dict[str, dict[str, int]] = self._ask("traffic")
        return counts

    def _ask(self, path: str) -> Any:
        headers = {"x-local-secret": self.secret_access_key}
        request = urllib.request.Request(f"{self.endpoint_url}/_local/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def stop_servers(folder: Path) -> None:
    """Do as `local_command(folder, "stop")`, without a process for it."""
    lifecycle.stop(folder)


def local_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m lithops_magic.local …` with its discovery file in `folder`."""
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
