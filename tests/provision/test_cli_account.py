"""`lithops-magic role`, `policy` and `doctor`, as typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.cli.main import main
from provision_help import Network


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return tmp_path / "lithops.yaml"


def write(configuration: Path, **keys: Any) -> list[str]:
    """Options that make a command read a configuration with these keys, on the local AWS."""
    configuration.write_text(json.dumps({"aws_lambda": {"local": True, **keys}}))
    return ["--config", str(configuration)]


def test_role_create_prints_the_arn_and_what_to_write(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any, namespace: str
) -> None:
    options = write(configuration, namespace=namespace)
    assert main(["role", "create", *options]) == 0
    printed = capsys.readouterr()
    arn = f"arn:aws:iam::123456789012:role/lithops-magic-execution-{namespace}"
    assert printed.out == f"{arn}\n"
    assert f"aws_lambda:\n  execution_role: {arn}\n" in printed.err
    assert local_aws.endpoint_url in printed.err

    options = write(configuration, namespace=namespace, execution_role=arn)
    assert main(["role", "create", *options]) == 0
    assert capsys.readouterr() == (f"{arn}\n", "")


@pytest.mark.parametrize("name", ["a b", "", "role/x", "é", "x" * 65])
def test_a_name_that_no_role_can_have_is_one_line(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["role", "create", f"--name={name}", "--local"]) == 1
    assert capsys.readouterr().err == (
        f"lithops-magic: --name must be 1 to 64 letters, digits and +=,.@_-, not {name!r}.\n"
    )


def test_role_create_lets_tasks_read_and_write_buckets_of_the_users_own(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any, namespace: str
) -> None:
    name = f"lithops-magic-execution-{namespace}"

    def allowed() -> set[tuple[str, str]]:
        iam = local_aws.client("iam")
        policies = [each for each in iam.list_role_policies(RoleName=name)["PolicyNames"] if "-data-" in each]
        documents = [iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in policies]
        statements = [statement for document in documents for statement in document["Statement"]]
        return {(action, resource) for each in statements for action in each["Action"] for resource in each["Resource"]}

    read = {("s3:ListBucket", "arn:aws:s3:::raw-data")} | {
        (action, "arn:aws:s3:::raw-data/*") for action in ("s3:GetObject", "s3:GetObjectVersion")
    }
    options = write(configuration, namespace=namespace)
    assert main(["role", "create", "--bucket", "raw-data", *options]) == 0
    assert allowed() == read
    # What was opened stays open, and what was writable stays writable.
    assert main(["role", "create", "--writable-bucket", "s3://results/to", *options]) == 0
    assert main(["role", "create", "--bucket", "results", *options]) == 0
    assert {(action, "arn:aws:s3:::results/*") for action in ("s3:PutObject", "s3:DeleteObject")} < allowed()
    assert read < allowed()
    capsys.readouterr()
    assert main(["policy", "execution", "--bucket", "raw-data", *options]) == 0
    statements = json.loads(capsys.readouterr().out)["Statement"]
    assert {"DataLists", "DataRead"} <= {each["Sid"] for each in statements}
    assert main(["policy", "user", "--bucket", "no bucket", *options]) != 0
    assert "'no bucket' is not a bucket name." in capsys.readouterr().err


def test_role_create_lets_tasks_start_jobs_when_asked(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any, namespace: str
) -> None:
    name, options = f"lithops-magic-execution-{namespace}", write(configuration, namespace=namespace)
    iam = local_aws.client("iam")
    assert main(["role", "create", *options]) == 0
    assert f"{name}-nested" not in iam.list_role_policies(RoleName=name)["PolicyNames"]
    assert main(["role", "create", "--nested", *options]) == 0
    assert main(["role", "create", *options]) == 0
    document = iam.get_role_policy(RoleName=name, PolicyName=f"{name}-nested")["PolicyDocument"]
    capsys.readouterr()
    assert main(["policy", "execution", "--nested", *options]) == 0
    printed = {each["Sid"]: each for each in json.loads(capsys.readouterr().out)["Statement"]}
    assert document["Statement"] == [printed["Nested"]]
    assert printed["Nested"]["Action"] == ["lambda:InvokeFunction"]
    assert f":function:lithops-magic-{namespace}-?" in printed["Nested"]["Resource"]


def test_role_create_takes_another_name(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any, namespace: str
) -> None:
    assert main(["role", "create", "--name", f"mine-{namespace}", *write(configuration)]) == 0
    assert capsys.readouterr().out.endswith(f":role/mine-{namespace}\n")
    assert local_aws.client("iam").get_role(RoleName=f"mine-{namespace}")


@pytest.mark.parametrize("whose", ["user", "execution"])
def test_policy_prints_json(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any, network: Network, whose: str
) -> None:
    vpc = {"subnets": list(network.subnets), "security_groups": [network.group]}
    assert main(["policy", whose, *write(configuration, vpc=vpc)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["Version"] == "2012-10-17"
    assert {"user": "PassExecutionRole", "execution": "NetworkNotForTheCode"}[whose] in {
        statement["Sid"] for statement in document["Statement"]
    }


def test_user_policy_names_the_role_that_will_be_created(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any
) -> None:
    assert main(["policy", "user", *write(configuration, namespace="lab")]) == 0
    assert '"arn:aws:iam::123456789012:role/lithops-magic-execution-lab"' in capsys.readouterr().out


def test_doctor_is_content_with_a_plain_local_aws(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any
) -> None:
    assert main(["doctor", *write(configuration)]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"local AWS · configured by .*; --account checks your AWS account", first)
    assert len(lines) >= 8
    assert all(line.startswith("ok ") for line in lines)
    assert last == f"{len(lines)} checks: no problems"


def test_doctor_fails_with_a_problem_and_says_the_fix(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any
) -> None:
    vpc = {"subnets": ["subnet-nowhere"], "security_groups": ["sg-nowhere"]}
    assert main(["doctor", *write(configuration, vpc=vpc)]) == 1
    assert "problem subnets: There is no subnet-nowhere in us-east-1. Correct subnets.\n" in capsys.readouterr().out


def test_doctor_also_tells_what_the_configuration_itself_has_wrong(
    capsys: pytest.CaptureFixture[str], configuration: Path, local_aws: Any
) -> None:
    assert main(["doctor", *write(configuration, runtime_memory=1)]) == 1
    printed = capsys.readouterr().out
    assert "problem memory: 1 MB is out of range." in printed
    assert printed.endswith("1 problem\n")
    assert "ok      concurrency: " in printed


def test_doctor_without_credentials_is_one_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert main(["doctor", "--account"]) == 1
    first, line, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("AWS · no configuration found", "1 check: 1 problem")
    assert line.startswith("problem credentials: No AWS credentials were found.")


def test_a_profile_means_the_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["role", "create", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_the_doctor_says_which_keys_of_the_file_nobody_reads(
    local_aws: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("Aws:\n  region: x\naws_lambda:\n  local: true\n  runtime_memry: 5\n")
    main(["doctor", "--config", str(file)])
    out = capsys.readouterr().out
    assert "note    " in out
    assert "did you mean 'runtime_memory'?" in out
    assert "did you mean 'aws'?" in out
