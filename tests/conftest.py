"""Fixtures every area shares: one local AWS for the session, and no test that sees the user's own configuration."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

SAM = "1.170.0"
"""Version of the SAM CLI whose wheel holds AWS's emulator."""

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

    def requests(self) -> dict[str, int]:
        """Requests so far by `service:Operation`, the server's own ones left out."""
        headers = {"x-local-secret": self.secret_access_key}
        request = urllib.request.Request(f"{self.endpoint_url}/_local/requests", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


def local_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m lithops_magic.local …` with its discovery file in `folder`."""
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this session's local AWS is found; whatever runs there at the end is stopped."""
    folder = tmp_path_factory.mktemp("local-aws")
    yield folder
    local_command(folder, "stop")


@pytest.fixture(scope="session")
def local_aws(local_folder: Path) -> LocalAws:
    """This session's local AWS with four workers, which the library finds by itself as well."""
    # AWS keeps 100 concurrent executions unreserved: seven are left to reserve.
    started = local_command(local_folder, "ensure", "--workers", "4", "--concurrency", "107")
    assert started.returncode == 0, started.stderr
    return LocalAws(**json.loads(started.stdout), folder=local_folder)


@pytest.fixture(autouse=True)
def isolated(local_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's home and AWS, Lithops and Jupyter settings, and lead `ensure` to this session's local AWS."""
    for name in os.environ:
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    home = str(tmp_path_factory.mktemp("home"))
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USERPROFILE", home)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(local_folder))


@pytest.fixture(scope="session")
def emulator() -> Path:
    """AWS's own Runtime Interface Emulator, taken out of the SAM CLI's wheel once and kept."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        pytest.skip("AWS builds its emulator for Linux on x86_64 and arm64 only")
    cache = Path(tempfile.gettempdir()) / f"lithops-magic-rie-{SAM}-{os.getuid()}"
    binary = cache / "rie"
    if not binary.exists():
        cache.mkdir(mode=0o700, exist_ok=True)
        download = ["pip", "download", "--quiet", "--no-deps", "-d", str(cache), f"aws-sam-cli=={SAM}"]
        done = subprocess.run(
            [sys.executable, "-m", *download], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"the SAM CLI cannot be fetched: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(next(cache.glob("aws_sam_cli-*.whl"))) as wheel:
            binary.write_bytes(wheel.read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
        binary.chmod(0o700)
    return binary
