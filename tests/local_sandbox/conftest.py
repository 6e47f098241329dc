"""What the tests of the sandboxes share: functions deployed from source, and runtimes without a server."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import textwrap
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.local.model import RunnableVersion
from lithops_magic.local.runtime import Invoked, Runtime, SandboxCredentials

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def zip_of(files: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, textwrap.dedent(text))
    return sink.getvalue()


@dataclass(frozen=True)
class Answer:
    value: Any
    error: str | None
    log: str
    request_id: str
    raw: dict[str, Any]

    @property
    def report(self) -> str:
        return self.log.rstrip("\n").rpartition("\n")[2]


@dataclass(frozen=True)
class Deployed:
    """A function of the local AWS; calling it invokes it."""

    client: Any
    name: str

    def __call__(self, event: Any = None, **arguments: Any) -> Answer:
        sent = {"LogType": "Tail", **arguments}
        raw = self.client.invoke(FunctionName=self.name, Payload=json.dumps(event), **sent)
        body = raw["Payload"].read()
        log = base64.b64decode(raw.get("LogResult", "")).decode()
        request_id = raw["ResponseMetadata"]["RequestId"]
        return Answer(json.loads(body or b"null"), raw.get("FunctionError"), log, request_id, raw)


@pytest.fixture(scope="session")
def lambda_client(local_aws: Any) -> Any:
    # Its own retries would hide what the service answers.
    return local_aws.client("lambda", retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20)


@pytest.fixture(scope="session")
def role_arn(local_aws: Any) -> str:
    name = f"sandbox-tests-{os.urandom(4).hex()}"
    role = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    return str(role["Role"]["Arn"])


@pytest.fixture
def deploy(lambda_client: Any, role_arn: str) -> Iterator[Callable[..., Deployed]]:
    """Deploys a module `app` whose `handler` is the function; removed after the test."""
    names = []

    def create(source: str = "", files: dict[str, str] | None = None, **configuration: Any) -> Deployed:
        name = f"sandbox-{uuid.uuid4().hex[:12]}"
        settings = {"Runtime": PYTHON, "Handler": "app.handler", "Timeout": 30, "MemorySize": 256, **configuration}
        code = zip_of(files or {"app.py": source})
        lambda_client.create_function(FunctionName=name, Role=role_arn, Code={"ZipFile": code}, **settings)
        names.append(name)
        lambda_client.get_waiter("function_active_v2").wait(FunctionName=name)
        return Deployed(lambda_client, name)

    yield create
    for name in names:
        lambda_client.delete_function(FunctionName=name)


class Journal:
    """Keeps what would go to CloudWatch Logs."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, group: str, stream: str, text: str) -> None:
        self.text += text


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
            "account": "123456789012",
            "endpoint_url": "http://127.0.0.1:9",
            "workers": 2,
            "credentials": SandboxCredentials("id", "secret", "token"),
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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
