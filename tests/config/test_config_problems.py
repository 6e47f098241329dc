"""Everything AWS would refuse is said before, with the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from lithops_magic.config import FileSystem, Settings

ROLE = "arn:aws:iam::123456789012:role/path/lithops"
ACCESS_POINT = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0"
S3_FILES = f"arn:aws:s3files:us-east-1:123456789012:file-system/fs-{'0' * 17}/access-point/fsap-{'1' * 17}"
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:numpy:3"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/tools:1.2"
VPC = {"subnets": ("subnet-1",), "security_groups": ("sg-1",)}
GOOD = Settings(local=False, execution_role=ROLE, region="us-east-1")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"region": None},
        {"region": "us-gov-west-1"},
        {"region": "eusc-de-east-1"},
        {"execution_role": "arn:aws-cn:iam::123456789012:role/r"},
        {"memory": 128},
        {"memory": 10240, "timeout": 900, "ephemeral_storage": 10240},
        {"architecture": "arm64"},
        {**VPC, "efs": (FileSystem(ACCESS_POINT, "/mnt/data.1-x_y"),)},
        {**VPC, "efs": (FileSystem(S3_FILES, "/mnt/data"),)},
        {**VPC, "efs": (FileSystem(ACCESS_POINT[:-9], "/mnt/data"),), "local": True},
        {"layers": (LAYER,)},
        {"runtime": IMAGE},
        {"runtime": f"{IMAGE}@sha256:{'0a' * 32}"},
        {"runtime": IMAGE.replace("tools:1.2", "team/my__tools@sha256:" + "f" * 64)},
        {"runtime": IMAGE.replace("us-east-1.amazonaws.com", "cn-north-1.amazonaws.com.cn"), "region": None},
        {"env_vars": {"A1": "x" * 4087}},
        {"user_tags": {"Größe 1": "a b:c/=+-@_."}},
        {"namespace": "a-B_9"},
        {"endpoint_url": "http://127.0.0.1:4566"},
        {"local": True, "execution_role": None},
    ],
)
def test_good_settings_have_no_problems(changes: dict[str, Any]) -> None:
    assert GOOD.replace(**changes).problems() == []


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("region", {"region": "Frankfurt"}),
        ("region", {"region": "eu-centrl-1"}),
        ("execution_role", {"execution_role": None}),
        ("execution_role", {"execution_role": "lithops-role"}),
        ("execution_role", {"execution_role": "arn:aws:iam::123456789012:user/me"}),
        ("account_id", {"account_id": "12345"}),
        ("namespace", {"namespace": "a b"}),
        ("namespace", {"namespace": "x" * 38}),
        ("access_key_id", {"access_key_id": "AKIA"}),
        ("endpoint_url", {"endpoint_url": "https://user:password@host"}),
        ("endpoint_url", {"endpoint_url": "localhost:4566"}),
        ("memory", {"memory": 127}),
        ("memory", {"memory": 10241}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": 901}),
        ("ephemeral_storage", {"ephemeral_storage": 511}),
        ("architecture", {"architecture": "riscv"}),
        ("max_workers", {"max_workers": 0}),
        ("worker_processes", {"worker_processes": 0}),
        ("subnets", {**VPC, "subnets": ("subnet_1",)}),
        ("subnets", {"security_groups": ("sg-1",)}),
        ("subnets", {**VPC, "subnets": tuple(f"subnet-{n}" for n in range(17))}),
        ("security_groups", {"subnets": ("subnet-1",)}),
        ("security_groups", {**VPC, "security_groups": ("group",)}),
        ("security_groups", {**VPC, "security_groups": tuple(f"sg-{n}" for n in range(6))}),
        ("efs", {"efs": (FileSystem(ACCESS_POINT, "/mnt/a"),)}),
        ("efs", {**VPC, "efs": (FileSystem("fsap-1", "/mnt/a"),)}),
        ("efs", {**VPC, "efs": (FileSystem(ACCESS_POINT[:-9], "/mnt/a"),)}),
        ("efs", {**VPC, "efs": (FileSystem(ACCESS_POINT, "/data"),)}),
        ("efs", {**VPC, "efs": (FileSystem(ACCESS_POINT, "/mnt/a/b"),)}),
        ("efs", {**VPC, "efs": (FileSystem(ACCESS_POINT, "/mnt/a"), FileSystem(ACCESS_POINT, "/mnt/b"))}),
        ("layers", {"layers": ("numpy",)}),
        ("layers", {"layers": (LAYER.replace("us-east-1", "us-east-2"),)}),
        ("layers", {"layers": (LAYER, LAYER.replace(":3", ":4"))}),
        ("layers", {"layers": tuple(LAYER.replace("numpy", f"l{n}") for n in range(6))}),
        ("runtime", {"runtime": "tools:1.2"}),
        ("runtime", {"runtime": "docker.io/team/tools:1.2"}),
        ("runtime", {"runtime": IMAGE.removesuffix(":1.2")}),
        ("runtime", {"runtime": IMAGE.replace("team", "Team")}),
        ("runtime", {"runtime": f"https://{IMAGE}"}),
        ("runtime", {"runtime": IMAGE.replace("us-east-1", "us-east-2")}),
        ("layers", {"runtime": IMAGE, "layers": (LAYER,)}),
        ("env_vars", {"env_vars": {"1A": "x"}}),
        ("env_vars", {"env_vars": {"A": "x"}}),
        ("env_vars", {"env_vars": {"AWS_REGION": "x"}}),
        ("env_vars", {"env_vars": {"A1": "x" * 4088}}),
        ("env_vars", {"env_vars": {"A1": "é" * 2044}}),
        ("user_tags", {"user_tags": {"": "x"}}),
        ("user_tags", {"user_tags": {"aws:x": "x"}}),
        ("user_tags", {"user_tags": {"a": "x\n"}}),
        ("user_tags", {"user_tags": {"a": "#"}}),
        ("user_tags", {"user_tags": {str(n): "" for n in range(49)}}),
    ],
)
def test_each_limit(field: str, changes: dict[str, Any]) -> None:
    problems = GOOD.replace(**changes).problems()
    assert [problem.field for problem in problems] == [field]
    assert problems[0].text
    assert problems[0].fix


def test_nothing_is_clamped() -> None:
    settings = GOOD.replace(memory=99999, timeout=5000)
    assert (settings.memory, settings.timeout) == (99999, 5000)
    assert {problem.field for problem in settings.problems()} == {"memory", "timeout"}
    assert str(settings.problems()[0]) == "memory: 99999 MB is out of range. AWS Lambda takes 128 to 10240 MB."


def test_a_problem_never_shows_a_password() -> None:
    text = " ".join(map(str, GOOD.replace(endpoint_url="https://u:hidden@h", secret_access_key="hidden2").problems()))
    assert "hidden" not in text
