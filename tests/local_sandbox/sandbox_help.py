"""Runtimes without a server, for what no server lets one choose."""

from __future__ import annotations

import json
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lithops_magic.local.model import RunnableVersion, SandboxCredentials
from lithops_magic.local.sandbox.runtime import Invoked, Runtime

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Journal:
    """Collects what would go to CloudWatch Logs."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, group: str, stream: str, text: str) -> None:
        self.text += text


async def give_credentials(role: str, function: str) -> SandboxCredentials:
    return SandboxCredentials("id", "secret", "token")


@dataclass
class Bench:
    """A runtime of our own, for what no server lets one choose."""

    folder: Path

    def version(self, source: str, **changes: Any) -> RunnableVersion:
        revision = uuid.uuid4().hex
        code = self.folder / revision
        code.mkdir()
        (code / "app.py").write_text(textwrap.dedent(source))
        name = changes.get("name", "f")
        settings: dict[str, Any] = {
            "name": name,
            "version": "$LATEST",
            "arn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
            "role": "arn:aws:iam::123456789012:role/r",
            "runtime": PYTHON,
            "handler": "app.handler",
            "code": code,
            "layers": (),
            "environment": (),
            "memory": 256,
            "timeout": 30,
            "ephemeral_storage": 512,
            "mounts": (),
            "log_group": f"/aws/lambda/{name}",
            "revision": revision,
        }
        return RunnableVersion(**{**settings, **changes})

    def runtime(self, **options: Any) -> Runtime:
        state = self.folder / f"state-{uuid.uuid4().hex}"
        state.mkdir()
        settings: dict[str, Any] = {
            "state": state,
            "region": "us-east-1",
            "endpoint_url": "http://127.0.0.1:9",
            "workers": 2,
            "credentials": give_credentials,
            "logs": Journal(),
        }
        return Runtime(**{**settings, **options})

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Runtime]:
        runtime = self.runtime(**options)
        try:
            yield runtime
        finally:
            await runtime.close()

    @staticmethod
    async def invoke(runtime: Runtime, version: RunnableVersion, event: Any = None) -> tuple[Any, Invoked]:
        request_id, payload = str(uuid.uuid4()), json.dumps(event).encode()
        invoked = await runtime.invoke(version, payload, request_id=request_id, invoked_arn=version.arn)
        return json.loads(invoked.payload), invoked
