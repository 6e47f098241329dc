"""What is saved here is accepted by Lithops itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.config import FileSystem, Settings, load, save

# It is not imported here: it changes for the whole process how exceptions are pickled.
if find_spec("lithops") is None:
    pytest.skip("Lithops is not installed: its own reading of saved files cannot be tried", allow_module_level=True)

SCRIPT = """\
import json, sys
from lithops.config import default_config
config = default_config(config_file=sys.argv[1])
# Lithops' AWS Lambda backend reads the variables and tags in just this way.
config["aws_lambda"]["environment"] = {entry["name"]: entry["value"] for entry in config["aws_lambda"]["env_vars"]}
config["aws_lambda"]["tags"] = {**config["aws_lambda"]["user_tags"]}
print(json.dumps({"backend": config["lithops"]["backend"], **config["aws_lambda"]}))
"""

FULL = Settings(
    local=False,
    region="eu-west-1",
    execution_role="arn:aws:iam::123456789012:role/lithops",
    memory=2048,
    timeout=300,
    ephemeral_storage=1024,
    architecture="arm64",
    runtime="123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools:1.2",
    max_workers=50,
    env_vars={"LEVEL": "1", "MODE": "yes"},
    user_tags={"team": "physics"},
    namespace="mine",
    account_id="012345670123",
    subnets=("subnet-1",),
    security_groups=("sg-1",),
    efs=(FileSystem("arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0", "/mnt/a"),),
    profile="research",
)


def as_lithops_reads(path: Path) -> dict[str, Any]:
    # Lithops makes folders and reconfigures logging when it is imported: it gets its own process.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=path.parent,
        env={**os.environ, "TMPDIR": str(path.parent)},
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


def test_a_new_file(tmp_path: Path) -> None:
    save(FULL, tmp_path / "config")
    read = as_lithops_reads(tmp_path / "config")
    assert read["backend"] == "aws_lambda"
    assert read["region"] == "eu-west-1"
    assert read["execution_role"] == FULL.execution_role
    assert (read["runtime_memory"], read["runtime_timeout"], read["ephemeral_storage"]) == (2048, 300, 1024)
    assert read["vpc"] == {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}
    assert read["runtime"] == FULL.runtime
    assert read["efs"] == [{"access_point": FULL.efs[0].access_point, "mount_path": "/mnt/a"}]
    assert read["environment"] == FULL.env_vars
    assert read["tags"] == FULL.user_tags


def test_a_file_from_which_everything_optional_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "config"
    save(FULL.replace(access_key_id="AKIA", secret_access_key="secret"), path)
    save(Settings(local=False, region="eu-west-1", execution_role=FULL.execution_role), path)
    read = as_lithops_reads(path)
    assert (read["backend"], read["vpc"], read["efs"]) == ("aws_lambda", {"subnets": [], "security_groups": []}, [])
    assert load(path).problems() == []


def test_a_role_on_the_local_aws(tmp_path: Path) -> None:
    save(FULL.replace(local=True), tmp_path / "config")
    assert as_lithops_reads(tmp_path / "config")["backend"] == "aws_lambda"
