"""Lithops itself, as it is installed, deploys to the local AWS and runs there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws import LocalAws, local_command, stop_servers

PROGRAM = """
import json, os
from botocore.httpsession import URLLib3Session

# Lithops invokes at AWS's own address, whatever endpoint boto3 is told: this stands in for the name server.
send = URLLib3Session.send
def redirected(self, request):
    prefix = f"https://lambda.{os.environ['AWS_DEFAULT_REGION']}.amazonaws.com"
    if request.url.startswith(prefix):
        request.url = os.environ["AWS_ENDPOINT_URL"] + request.url.removeprefix(prefix)
    return send(self, request)
URLLib3Session.send = redirected

import lithops
from lithops.serverless.backends.aws_lambda import config

# No function here uses it, and to install, zip and unpack it takes most of the time.
config.DEFAULT_REQUIREMENTS.remove("numpy")

def square(x): return x * x
def add(results): return sum(results)
def fail(x): raise LookupError(f"no {x}")
def where(x): return os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]

found = {}
with lithops.FunctionExecutor() as executor:
    executor.map(square, range(7))
    found["map"] = executor.get_result()
    executor.call_async(square, 12)
    found["call"] = executor.get_result()
    found["reduce"] = executor.get_result(executor.map_reduce(square, [2, 3, 4], add))
    try:
        executor.get_result(executor.call_async(fail, "such"))
    except Exception as error:
        found["error"] = [type(error).__name__, str(error)]
    found["memory"] = [executor.get_result(executor.map(where, [0], runtime_memory=size))[0] for size in (256, 512)]
    executor.clean(clean_cloudobjects=True)
    executor.compute_handler.clean()
print(json.dumps(found))
"""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[LocalAws]:
    """A local AWS whose functions are usable at once: Lithops looks every 25 seconds whether one is."""
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    started = local_command(folder, "ensure", "--workers", "4", "--settle", "0")
    assert started.returncode == 0, started.stderr
    yield LocalAws(**json.loads(started.stdout), folder=folder)
    stop_servers(folder)


def test_lithops_deploys_runs_and_cleans(patient: LocalAws, tmp_path: Path) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = patient.client("iam").create_role(RoleName="lithops", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    configuration = {
        # The program cleans up once, at its end; by default, a process of its own does so after each result.
        "lithops": {"backend": "aws_lambda", "storage": "aws_s3", "log_level": "INFO", "data_cleaner": False},
        "aws": {"region": patient.region},
        "aws_lambda": {"execution_role": arn},
    }
    file = tmp_path / "lithops.yaml"
    file.write_text(json.dumps(configuration))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    # Nothing of ours runs in it that coverage could measure.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {
        **inherited,
        "LITHOPS_CONFIG_FILE": str(file),
        "AWS_ENDPOINT_URL": patient.endpoint_url,
        "AWS_DEFAULT_REGION": patient.region,
        "AWS_ACCESS_KEY_ID": patient.access_key_id,
        "AWS_SECRET_ACCESS_KEY": patient.secret_access_key,
    }
    command = [sys.executable, str(program)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    if "No matching distribution" in _builder_log(patient):
        pytest.skip("functions reach no package index here")
    assert done.returncode == 0, done.stderr[-3000:] + _builder_log(patient)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "map": [x * x for x in range(7)],
        "call": 144,
        "reduce": 29,
        "error": ["LookupError", "no such"],
        "memory": ["256", "512"],
    }
    assert patient.client("lambda").list_functions()["Functions"] == []
    assert patient.client("lambda").list_layers()["Layers"] == []


def _builder_log(aws: LocalAws) -> str:
    """What the function printed in which Lithops installs its layer's packages."""
    logs = aws.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/lithops")["logGroups"]
    names = [group["logGroupName"] for group in groups if "layer_builder" in group["logGroupName"]]
    events = [event["message"] for name in names for event in logs.filter_log_events(logGroupName=name)["events"]]
    return "\n".join(events)[-3000:]
