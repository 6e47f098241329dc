"""`lithops-magic verify`: everything holds on the local AWS, and whatever another service answers is a finding."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lithops_magic import Settings
from lithops_magic.cli.main import main
from lithops_magic.verify import CHECKS, Finding, Report, verify
from lithops_magic.verify.answers import Expected, ServiceReply, compare
from lithops_magic.verify.finding import Observation
from localaws import LocalAws

PROGRAM = [sys.executable, "-c", "import sys; from lithops_magic.cli.main import main; sys.exit(main(sys.argv[1:]))"]


@pytest.fixture
def project(local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose configuration has a namespace of its own."""
    (tmp_path / ".lithops_config").write_text("aws_lambda:\n  local: true\n  namespace: verified\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(local_aws: LocalAws) -> list[str]:
    """What is there of that namespace."""
    groups = local_aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/lithops-magic-verified")
    buckets = local_aws.client("s3").list_buckets()["Buckets"]
    names = [function["FunctionName"] for function in local_aws.functions()] + [*local_aws.layers()]
    names += [group["logGroupName"] for group in groups["logGroups"]] + [bucket["Name"] for bucket in buckets]
    return [name for name in names if "lithops-magic-verified" in name]


def test_everything_holds_on_the_local_aws(
    local_aws: LocalAws, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["verify"])
    shown = capsys.readouterr()
    assert code == 0, shown.out
    assert shown.err == ""
    assert len(re.findall("^✓", shown.out, re.MULTILINE)) == len(CHECKS)  # one is skipped, and cleanup is one more
    assert "no EFS is configured" in shown.out
    assert made(local_aws) == []
    report = (project / "lithops-magic-verify.md").read_text()
    assert all(f"| {name} |" in report for name, _, _ in CHECKS)
    account = boto3.client(
        "sts",
        endpoint_url=local_aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=local_aws.access_key_id,
        aws_secret_access_key=local_aws.secret_access_key,
    ).get_caller_identity()["Account"]
    for secret in (account, local_aws.access_key_id, local_aws.secret_access_key, str(Path.home()) + "/"):
        assert secret not in report + shown.out
    assert "verified-" not in report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(local_aws: LocalAws, project: Path, number: signal.Signals) -> None:
    with subprocess.Popen([*PROGRAM, "verify"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("✓ deployment"):
                assert made(local_aws)
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors == "Interrupted; what the checks created was deleted.\n"
    assert made(local_aws) == []
    assert not (project / "lithops-magic-verify.md").exists()


def test_the_budget_bounds_it(local_aws: LocalAws, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--max-cost", "1e-7", "--report", "r.md"]) == 0
    shown = capsys.readouterr().out
    assert "✓ deployment" in shown
    assert "– warm start" in shown
    assert "of at most $1e-07 spent" in shown
    assert "skipped" in (project / "r.md").read_text()
    assert made(local_aws) == []


@pytest.mark.parametrize("amount", ["0", "-1", "inf", "nan", "$1", ""])
def test_a_budget_must_be_one(project: Path, capsys: pytest.CaptureFixture[str], amount: str) -> None:
    assert main(["verify", f"--max-cost={amount}"]) == 1
    assert "--max-cost must be an amount of US dollars above 0" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_said_first(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--report", "no/such/folder.md"]) == 1
    shown = capsys.readouterr()
    assert "cannot be written" in shown.err
    assert "✓" not in shown.out


@pytest.fixture
def stranger() -> Iterator[tuple[str, str]]:
    """A server that is like AWS and none of ours, with a role: moto's own, whose functions only echo."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    body = json.dumps({"lambda": {"use_docker": False}}).encode()
    request = urllib.request.Request(
        f"{url}/moto-api/config", body, {"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=30).close()
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = boto3.client(
        "iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="x"
    )
    role = iam.create_role(
        RoleName="somebody", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    yield url, role["Role"]["Arn"]
    server.stop()


def test_another_service_gives_differences_and_no_crash(
    stranger: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    url, role = stranger
    settings = Settings(
        local=False,
        region="us-east-1",
        execution_role=role,
        endpoint_url=url,
        access_key_id="AKIAEXAMPLEEXAMPLE00",
        secret_access_key="hidden-secret",
    )
    found = {finding.name: finding for finding in verify(settings, 0.02)}
    assert len(found) == len(CHECKS) + 1
    assert found["deployment"].seen.status == "failed"
    assert found["order"].seen == Observation("skipped", "the first job did not work")
    assert found["Invoke: unknown function"].seen.status == "differs"
    assert "status 200 instead of 404" in found["Invoke: unknown function"].seen.differences
    assert "no header x-amz-function-error" in found["Invoke: exception"].seen.differences
    assert found["S3: range"].seen.status == "ok"
    assert found["cleanup"].seen.status == "ok"
    report = Report([*found.values()], url, settings)
    assert not report.passed
    text = report.to_markdown()
    assert "123456789012" not in text
    assert "hidden-secret" not in text
    assert "AKIAEXAMPLE" not in text
    assert "somebody" not in text


def test_every_kind_of_difference_is_named() -> None:
    expected = Expected(200, "", "", ("x-a",), {"body": r"\d+", "kind": "x"})
    answer = ServiceReply(500, "Broken", "no", frozenset({"x-b", "date"}), {"body": "12", "kind": {"y": 1}})
    seen = compare(expected, answer)
    assert seen.status == "differs"
    assert seen.differences == (
        "status 500 instead of 200",
        "code Broken instead of none",
        "message 'no' instead of ''",
        "no header x-a",
        "kind '{\"y\": 1}' instead of 'x'",
        "extra headers: x-b",
    )
    same = compare(expected, ServiceReply(200, headers=frozenset({"x-a", "x-c"}), values={"body": 5, "kind": "x"}))
    assert same == Observation("ok", "200", ("extra headers: x-c",))


def test_what_is_nobodys_business_is_not_in_a_report() -> None:
    secrets = {
        "account": "arn:aws:iam::123456789012:role/team-role",
        "key": "ASIAABCDEFGHIJKLMNOP",
        "token": "FwoGZXIvYXdzE" + "a" * 60,
        "network": "subnet-0123456789abcdef0 sg-0123456789abcdef0 vpc-0a1b2c3d",
        "password": "https://user:pass@proxy.example/",
        "home": str(Path.home() / "work"),
    }
    settings = Settings(execution_role="arn:aws:iam::123456789012:role/team-role", namespace="team-x")
    findings = [
        Finding(name, "", Observation("failed", f"{text} team-x"), 0.0, 0, 0.0) for name, text in secrets.items()
    ]
    text = Report(findings, "AWS account 123456789012", settings).to_markdown()
    for hidden in ("123456789012", "team-role", "ASIAABC", "FwoGZ", "0123456789abcdef0", "0a1b2c3d", "pass@", "team-x"):
        assert hidden not in text, hidden
    assert os.fspath(Path.home() / "work") not in text
