"""Connecting to an account and to the local AWS."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws import local_server
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.errors import AwsError, ConfigError, LocalAWSError

ROLE = "arn:aws:iam::123456789012:role/lithops"
ACCOUNT = Settings(
    local=False,
    execution_role=ROLE,
    region="eu-west-1",
    access_key_id="AKIAIOSFODNN7EXAMPLE",
    secret_access_key="hidden",
)


def test_the_local_aws_is_found_without_touching_the_environment(local_aws: Any) -> None:
    before = dict(os.environ)
    cloud = Cloud.connect(Settings())
    assert (cloud.endpoint_url, cloud.region, cloud.account_id) == (
        local_aws.endpoint_url,
        local_aws.region,
        local_aws.account_id,
    )
    assert cloud.is_local
    assert cloud.client("sts").get_caller_identity()["Account"] == local_aws.account_id
    assert cloud.client("sts") is cloud.client("sts")
    assert dict(os.environ) == before
    assert cloud.describe() == f"local AWS at {local_aws.endpoint_url}"
    assert local_aws.secret_access_key not in repr(cloud)
    assert local_aws.access_key_id not in repr(cloud)


def test_neither_profile_nor_proxy_disturbs_the_local_aws(
    local_aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "aws-config"
    config.write_text("[default]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:9\nretry_mode = nonsense\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    cloud = Cloud.connect(Settings())
    assert cloud.client("sts").get_caller_identity()["Account"] == local_aws.account_id


def test_an_account_is_described_without_asking_it() -> None:
    cloud = Cloud.connect(ACCOUNT.replace(account_id="123456789012"))
    assert cloud.describe() == "AWS account 123456789012 in eu-west-1"
    assert not cloud.is_local
    assert "AKIA" not in repr(cloud)
    assert "hidden" not in repr(cloud)
    assert Cloud.connect(ACCOUNT.replace(endpoint_url="http://127.0.0.1:9")).describe() == (
        "AWS in eu-west-1 at http://127.0.0.1:9"
    )


def test_wrong_credentials_are_said_in_one_line(local_aws: Any) -> None:
    cloud = Cloud.connect(ACCOUNT.replace(endpoint_url=local_aws.endpoint_url))
    with pytest.raises(AwsError) as caught:
        _ = cloud.account_id
    assert "\n" not in str(caught.value)
    assert "AKIA" not in str(caught.value)
    assert "credentials" in str(caught.value)


def test_an_account_reached_by_endpoint_asks_for_its_number_once(local_aws: Any) -> None:
    settings = ACCOUNT.replace(
        endpoint_url=local_aws.endpoint_url,
        region=local_aws.region,
        access_key_id=local_aws.access_key_id,
        secret_access_key=local_aws.secret_access_key,
    )
    cloud = Cloud.connect(settings)
    before = local_aws.requests().get("sts:GetCallerIdentity", 0)
    assert {cloud.account_id for _ in range(3)} == {local_aws.account_id}
    assert local_aws.requests()["sts:GetCallerIdentity"] == before + 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access_key_id": None, "secret_access_key": None}, "No AWS credentials were found"),
        ({"profile": "no-such-profile", "access_key_id": None, "secret_access_key": None}, "no-such-profile"),
        ({"region": None}, "No AWS region is set"),
        ({"region": "eu-centrl-1"}, "Did you mean eu-central-1"),
        ({"execution_role": None}, "execution_role"),
        ({"memory": 1}, "memory: 1 MB is out of range"),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Cloud.connect(ACCOUNT.replace(**changes))
    assert "\n" not in str(caught.value)


def test_the_region_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    assert Cloud.connect(ACCOUNT.replace(region=None)).region == "ap-south-1"


def interpreter(tmp_path: Path, script: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a shell script")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo warning >&2; echo 'No module named moto: pip install lithops-magic[local]' >&2; exit 1",
            "No module named",
        ),
        ("exit 3", "exited with status 3"),
        ("echo nonsense", "reported no address"),
        ("exit 0", "reported no address"),
        ("exec sleep 60", "did not start within"),
    ],
)
def test_a_local_aws_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, script))
    monkeypatch.setattr(local_server, "ANNOUNCE_AFTER", 0.3)
    monkeypatch.setattr(local_server, "MAX_START", 1.0)
    with pytest.raises(LocalAWSError, match=words) as caught:
        Cloud.connect(Settings())
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a shell script")
def test_a_slow_start_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        '{"endpoint_url": "http://127.0.0.1:9", "region": "us-east-1", "account_id": "1",'
        ' "access_key_id": "k", "secret_access_key": "s"}'
    )
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, f"sleep 1; echo '{answer}'"))
    monkeypatch.setattr(local_server, "ANNOUNCE_AFTER", 0.1)
    heard: list[str] = []
    assert local_server.ensure_local_aws(heard.append).endpoint_url == "http://127.0.0.1:9"
    assert heard == ["Starting the local AWS …"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a shell script")
def test_what_was_begun_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        '{"endpoint_url": "http://127.0.0.1:9", "region": "us-east-1", "account_id": "1",'
        ' "access_key_id": "k", "secret_access_key": "s"}'
    )
    runs = tmp_path / "runs"
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, f"echo $PLACE >> {runs}; echo '{answer}'"))
    monkeypatch.setattr(local_server, "_started", [])
    monkeypatch.setenv("PLACE", "here")
    local_server.begin()
    local_server.begin()
    local_server.ensure_local_aws(lambda _: None)
    assert runs.read_text().split() == ["here"]
    # Once somebody has asked, it runs: later jobs have nothing to wait for.
    local_server.begin()
    assert runs.read_text().split() == ["here"]

    monkeypatch.setattr(local_server, "_started", [])
    local_server.begin()
    monkeypatch.setenv("PLACE", "elsewhere")
    local_server.ensure_local_aws(lambda _: None)
    assert runs.read_text().split()[-1] == "elsewhere"
