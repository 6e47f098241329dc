"""What the tests of the Lambda control plane share: a role, zips and functions that go away again."""

from __future__ import annotations

import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from localaws import LocalAws

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]

LAMBDA = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def make_zip(files: Mapping[str, str | bytes] | None = None) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in (files or {"app.py": "def handler(event, context):\n    return event\n"}).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return sink.getvalue()


@pytest.fixture(scope="session")
def local_aws(measured_aws: LocalAws) -> LocalAws:
    return measured_aws


@pytest.fixture(scope="session")
def zipped() -> Zip:
    """Makes the same zip of the same files every time."""
    return make_zip


@pytest.fixture
def lam(local_aws: Any) -> Any:
    return local_aws.client("lambda")


@pytest.fixture(scope="session")
def trust() -> str:
    """The policy of a role that Lambda may assume."""
    return json.dumps({"Version": "2012-10-17", "Statement": [LAMBDA]})


@pytest.fixture(scope="session")
def role(local_aws: Any, trust: str) -> str:
    name = "control-plane-tests"
    created = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    arn: str = created["Role"]["Arn"]
    return arn


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Names that no other test uses."""
    numbers = itertools.count()
    stem = f"control-{os.urandom(4).hex()}"
    return lambda: f"{stem}-{next(numbers)}"


@pytest.fixture
def definition(role: str, new_name: Callable[[], str]) -> dict[str, Any]:
    """The least that CreateFunction takes."""
    return {
        "FunctionName": new_name(),
        "Role": role,
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Code": {"ZipFile": make_zip()},
    }


@pytest.fixture
def create(lam: Any, role: str, new_name: Callable[[], str]) -> Iterator[Create]:
    """CreateFunction with what a test does not care about filled in; the functions are deleted afterwards."""
    names: list[str] = []

    def make(**arguments: Any) -> dict[str, Any]:
        least = {"FunctionName": new_name(), "Role": role, "Runtime": "python3.12", "Handler": "app.handler"}
        wanted = {**least, "Code": {"ZipFile": make_zip()}, **arguments}
        # None: leave out even what is filled in.
        given = {key: value for key, value in wanted.items() if value is not None}
        reply: dict[str, Any] = lam.create_function(**given)
        names.append(reply["FunctionName"])
        return reply

    yield make
    remaining = {
        entry["FunctionName"] for page in lam.get_paginator("list_functions").paginate() for entry in page["Functions"]
    }
    for name in remaining.intersection(names):
        lam.delete_function(FunctionName=name)
