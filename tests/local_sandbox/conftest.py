"""What the tests of the sandboxes share: functions deployed from source, and runtimes without a server."""

from __future__ import annotations

import base64
import io
import json
import os
import textwrap
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localaws import LocalAws
from sandbox_help import PYTHON, Bench

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
def local_aws(measured_aws: LocalAws) -> LocalAws:
    return measured_aws


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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
