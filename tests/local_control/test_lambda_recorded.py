"""Replies and refusals of the real service, as public recordings have them: status, members and texts are the same."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded.json").read_text())
"""Compared with LocalStack's snapshots, which were recorded from AWS; what varies there is in braces."""

SUCCESSES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded_successes.json").read_text())[
    "sequences"
]
"""Calls one after the other, and what AWS replied to each; the file names its source."""


@pytest.fixture(scope="module")
def known(local_aws: Any, role: str, zipped: Callable[..., bytes]) -> dict[str, Any]:
    """What the recordings are about, and the values for the names in braces."""
    lam, ec2, bucket = local_aws.client("lambda"), local_aws.client("ec2"), f"recorded-{os.urandom(4).hex()}"
    code = {"ZipFile": zipped()}
    common = {"Role": role, "Runtime": "python3.12", "Handler": "app.handler", "Code": code}
    for name in ("known", "bare"):
        made = lam.create_function(FunctionName=name, Publish=True, **common)
    lam.update_function_configuration(FunctionName="known", Description="second")
    lam.publish_version(FunctionName="known")
    lam.create_alias(FunctionName="known", Name="current", FunctionVersion="1")
    statement = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    lam.add_permission(FunctionName="known", **statement)
    lam.add_permission(FunctionName="known", Qualifier="current", **statement)
    for _ in range(2):
        lam.publish_layer_version(LayerName="known-layer", Content=code)
    local_aws.client("s3").create_bucket(Bucket=bucket)
    subnet = ec2.describe_subnets()["Subnets"][0]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])["SecurityGroups"]
    return {
        "{arn}": f"arn:aws:lambda:{local_aws.region}:{local_aws.account_id}",
        "{account}": local_aws.account_id,
        "{region}": local_aws.region,
        "{role}": role,
        "{sha}": made["CodeSha256"],
        "{zip}": zipped(),
        "{not a zip}": b"this is not a zip",
        "{bucket}": bucket,
        "{subnet}": subnet["SubnetId"],
        "{group}": groups[0]["GroupId"],
    }


def filled(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    if not isinstance(value, str) or value in known:
        return known.get(value, value) if isinstance(value, str) else value
    for name, text in known.items():
        value = value.replace(name, text) if isinstance(text, str) else value
    return value


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['operation']}-{case['code']}")
def test_refusals_are_the_recorded_ones(local_aws: Any, known: dict[str, Any], case: dict[str, Any]) -> None:
    client = local_aws.client("lambda", parameter_validation=False, retries={"total_max_attempts": 1})
    with pytest.raises(ClientError) as caught:
        getattr(client, case["operation"])(**filled(case["parameters"], known))
    answer: dict[str, Any] = {**caught.value.response}
    metadata, error = answer.pop("ResponseMetadata"), answer.pop("Error")
    members = {key: value for key, value in answer.items() if key.lower() != "message"}
    found = (metadata["HTTPStatusCode"], error["Code"], error["Message"], members)
    assert found == (case["status"], case["code"], filled(case["message"], known), case["members"])


@pytest.mark.parametrize("text", ["NaN", '{"x": Infinity}', "[-Infinity]"])
def test_what_is_no_json_is_refused(local_aws: Any, known: dict[str, Any], text: str) -> None:
    client = local_aws.client("lambda", retries={"total_max_attempts": 1})
    with pytest.raises(ClientError) as caught:
        client.invoke(FunctionName="known", Payload=text)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"


@pytest.mark.parametrize("document", ["nonsense", "[1]", '{"Statement": "x"}', '{"Statement": [{"Principal": 7}]}'])
def test_a_role_whose_policy_is_none_cannot_be_assumed(
    local_aws: Any, known: dict[str, Any], document: str, definition: dict[str, Any]
) -> None:
    name = f"no-policy-{os.urandom(4).hex()}"
    try:
        role = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    except ClientError:
        # IAM itself knows better.
        return
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        local_aws.client("lambda").create_function(**{**definition, "Role": role})


def test_a_policy_has_the_revision_of_what_it_belongs_to(local_aws: Any, known: dict[str, Any]) -> None:
    lam = local_aws.client("lambda")

    def revisions() -> tuple[str, str, str, str]:
        function = lam.get_function_configuration(FunctionName="known")["RevisionId"]
        policy = lam.get_policy(FunctionName="known")["RevisionId"]
        alias = lam.get_alias(FunctionName="known", Name="current")["RevisionId"]
        return function, policy, alias, lam.get_policy(FunctionName="known", Qualifier="current")["RevisionId"]

    before = revisions()
    assert (before[0], before[2]) == (before[1], before[3])
    added = {"StatementId": "more", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    lam.add_permission(FunctionName="known", RevisionId=before[0], FunctionUrlAuthType="NONE", **added)
    after = revisions()
    assert after[0] != before[0]
    assert (after[0], after[2:]) == (after[1], before[2:])
    statements = json.loads(lam.get_policy(FunctionName="known")["Policy"])["Statement"]
    assert statements[-1]["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
    lam.remove_permission(FunctionName="known", StatementId="more", RevisionId=after[0])
    assert revisions()[0] != after[0]


class Same:
    """Compares with a recording, in which ``<name:1>`` stands for something that is the same wherever it stands."""

    def __init__(self) -> None:
        self._meant: dict[str, str] = {}

    def __call__(self, recorded: Any, found: Any) -> bool:
        if isinstance(recorded, dict):
            found = json.loads(found) if isinstance(found, str) else found
            return recorded.keys() == found.keys() and all(self(recorded[key], found[key]) for key in recorded)
        if isinstance(recorded, list):
            return len(recorded) == len(found) and all(map(self, recorded, found))
        if not isinstance(recorded, str):
            return bool(recorded == found)
        if recorded == "date":
            return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT.*", found))
        return self._text(recorded, str(found))

    def _text(self, recorded: str, found: str) -> bool:
        *parts, last = re.split(r"(<[a-z0-9-]+(?::\d+)?>)", recorded)
        pattern = "".join(f"(?P<p{at}>.+?)" if part[:1] == "<" else re.escape(part) for at, part in enumerate(parts))
        match = re.fullmatch(pattern + re.escape(last), found)
        if match is None:
            return False
        for at, name in enumerate(parts):
            if ":" in name and name[:1] == "<":
                if self._meant.setdefault(name, match[f"p{at}"]) != match[f"p{at}"]:
                    return False
                # Two revisions that differ there differ here.
                if name.startswith("<uuid") and [*self._meant.values()].count(match[f"p{at}"]) > 1:
                    return False
        return True


@pytest.mark.parametrize("sequence", SUCCESSES, ids=lambda sequence: sequence["case"])
def test_replies_are_the_recorded_ones(local_aws: Any, role: str, zipped: Callable[..., bytes], sequence: Any) -> None:
    client, same, name = local_aws.client("lambda"), Same(), f"recorded-{os.urandom(4).hex()}"
    known = {"{name}": name, "{role}": role, "{zip}": zipped()}
    home = {"<region>": local_aws.region, "<partition>": "aws", "111111111111": local_aws.account_id}
    try:
        for step in sequence["steps"]:
            if step["operation"] == "wait":
                client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
                continue
            answer = getattr(client, step["operation"])(**filled(step["parameters"], known))
            metadata = answer.pop("ResponseMetadata")
            if step["reply"]:
                assert metadata["HTTPStatusCode"] == step["reply"]["status"]
                assert same(filled(step["reply"]["members"], home), answer), (step["operation"], answer)
    finally:
        with contextlib.suppress(ClientError):
            client.delete_function(FunctionName=name)
        client.delete_layer_version(LayerName=name, VersionNumber=1)


def test_a_functions_own_limit_says_no_time_to_wait(local_aws: Any, known: dict[str, Any]) -> None:
    lam = local_aws.client("lambda", retries={"total_max_attempts": 1})
    lam.put_function_concurrency(FunctionName="bare", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        lam.invoke(FunctionName="bare")
    lam.delete_function_concurrency(FunctionName="bare")
    answer: dict[str, Any] = {**caught.value.response}
    assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 429
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    text = {"Message": "Rate Exceeded.", "Code": "TooManyRequestsException"}
    assert answer == {"Error": text, "Reason": reason, "Type": "User", "message": "Rate Exceeded."}


def test_tags_change_the_revision_and_no_sandbox(local_aws: Any, known: dict[str, Any]) -> None:
    lam = local_aws.client("lambda")
    arn = f"{known['{arn}']}:function:bare"
    revisions = [lam.get_function_configuration(FunctionName="bare")["RevisionId"]]
    for change in (
        lambda: lam.tag_resource(Resource=arn, Tags={"a": "b"}),
        lambda: lam.untag_resource(Resource=arn, TagKeys=["a"]),
    ):
        change()
        revisions.append(lam.get_function_configuration(FunctionName="bare")["RevisionId"])
    assert len(set(revisions)) == 3
