"""What the local AWS has from the start, before a request has needed any other service than Lambda."""

from __future__ import annotations

import gc
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader, Loader

from lithops_magic.local.front.quick_start import gc_paused, parse_models_once
from localaws import local_command

ROLE = "lithops-magic-local"
CODE = """
import boto3
def handle(event, context):
    return boto3.client("sts").get_caller_identity()
"""


def test_a_first_function_runs_under_a_role_that_is_there_already(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    found = json.loads(local_command(folder, "ensure").stdout)
    try:
        session = boto3.Session(found["access_key_id"], found["secret_access_key"], region_name=found["region"])
        functions, iam = (session.client(name, endpoint_url=found["endpoint_url"]) for name in ("lambda", "iam"))
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("app.py", CODE)
        functions.create_function(
            FunctionName="first",
            Role=f"arn:aws:iam::{found['account_id']}:role/{ROLE}",
            Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            Handler="app.handle",
            Timeout=60,
            Code={"ZipFile": archive.getvalue()},
        )
        functions.get_waiter("function_active_v2").wait(FunctionName="first")
        seen = json.loads(functions.invoke(FunctionName="first")["Payload"].read())
        role = iam.get_role(RoleName=ROLE)["Role"]
        assert seen["Arn"] == f"arn:aws:sts::{found['account_id']}:assumed-role/{ROLE}/first"
        assert seen["UserId"] == f"{role['RoleId']}:first"
        iam.delete_role(RoleName=ROLE)
        with pytest.raises(functions.exceptions.InvalidParameterValueException, match="cannot be assumed by Lambda"):
            functions.update_function_configuration(FunctionName="first", Role=role["Arn"])
    finally:
        local_command(folder, "stop")


def test_sessions_share_the_models_that_were_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = JSONFileLoader.load_file
    parsed: list[str] = []

    def noted(loader: JSONFileLoader, path: str) -> Any:
        parsed.append(path)
        return read(loader, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    parse_models_once()
    models = [boto3.Session().client(name, "eu-west-1").meta.service_model for name in ("efs", "ec2", "efs")]
    assert models[0].operation_names == models[2].operation_names != models[1].operation_names
    assert parsed
    assert len(parsed) == len(set(parsed))


@pytest.mark.parametrize("service", ["ec2", "efs", "iam", "lambda", "logs", "s3", "s3control", "sqs", "sts"])
def test_no_request_of_a_client_changes_the_model_of_others(service: str) -> None:
    parse_models_once()
    before = json.dumps(Loader().load_service_model(service, "service-2"))
    client = boto3.client(service, "eu-west-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example")
    for name in client.meta.method_to_api_mapping.values():
        model = client.meta.service_model.operation_model(name)
        event = f"{client.meta.service_model.service_id.hyphenize()}.{name}"
        client.meta.events.emit(
            f"before-parameter-build.{event}", params={"Bucket": "b", "Key": "k"}, model=model, context={}
        )
    assert json.dumps(Loader().load_service_model(service, "service-2")) == before


def test_garbage_is_collected_again_after_a_slow_call() -> None:
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
