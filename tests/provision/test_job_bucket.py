"""The bucket for large objects: its name, its protection, and other people's buckets."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import bucket_name, ensure_bucket
from lithops_magic.config import Settings
from lithops_magic.errors import AwsError
from provision_help import EnforcingAws, answer_instead, cloud_of, refuse

ACCOUNT = "123456789012"


@given(
    st.from_regex(r"[a-zA-Z0-9-_]{1,37}", fullmatch=True),
    st.sampled_from(["us-east-1", "ap-southeast-5", "eusc-de-east-1"]),
)
def test_names_are_legal_and_tell_namespaces_apart(namespace: str, region: str) -> None:
    name = bucket_name(ACCOUNT, region, namespace)
    assert 3 <= len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name[-1].isalnum()
    assert name.endswith(f"-{ACCOUNT}-{region}")
    assert name not in {
        bucket_name(ACCOUNT, region, other) for other in (f"{namespace}_", namespace.swapcase() + "x", None)
    }


def test_name_without_namespace() -> None:
    assert bucket_name(ACCOUNT, "eu-west-1", None) == "lithops-magic-123456789012-eu-west-1"
    assert bucket_name(ACCOUNT, "eu-west-1", "lab") == "lithops-magic-lab-123456789012-eu-west-1"


def test_it_is_created_protected_once(
    local_aws: Any, account: Cloud, namespace: str, owner_headers: list[tuple[str, str | None]]
) -> None:
    settings, said = Settings(namespace=namespace), list[str]()
    name = ensure_bucket(account, settings, said.append)
    assert said == [f"Creating the bucket {name} …"]

    s3 = local_aws.client("s3")
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    ownership = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert (rule["Status"], rule["Filter"]["Prefix"], rule["Expiration"]) == ("Enabled", "lithops-magic/", {"Days": 7})
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}

    assert {owner for operation, owner in owner_headers if operation != "CreateBucket"} == {account.account_id}
    owner_headers.clear()
    assert ensure_bucket(account, settings) == name
    assert owner_headers == [("GetBucketLifecycleConfiguration", account.account_id)]


def test_a_region_other_than_the_first_is_named(local_aws: Any, namespace: str) -> None:
    name = ensure_bucket(cloud_of(local_aws, region="eu-west-1"), Settings(namespace=namespace))
    assert name.endswith("-eu-west-1")
    assert local_aws.client("s3").get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"


def test_an_interrupted_creation_is_finished_and_other_rules_are_kept(
    local_aws: Any, account: Cloud, namespace: str
) -> None:
    s3 = local_aws.client("s3")
    name = bucket_name(account.account_id, "us-east-1", namespace)
    s3.create_bucket(Bucket=name)
    theirs = {"ID": "theirs", "Filter": {"Prefix": "other/"}, "Status": "Enabled", "Expiration": {"Days": 90}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [theirs]})

    ensure_bucket(account, Settings(namespace=namespace))

    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "lithops-magic"]
    assert rules[0] == theirs
    assert s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]


@pytest.mark.parametrize(("scheme", "there"), [("https", False), ("https", True), ("http", False)])
def test_plain_http_is_refused_unless_there_is_another_policy(
    account: Cloud, namespace: str, scheme: str, there: bool
) -> None:
    s3, written = account.client("s3"), list[dict[str, Any]]()

    def put(parameters: dict[str, Any]) -> dict[str, Any]:
        written.append(parameters)
        return {}

    assert account.account_id  # asked for while there still is an endpoint
    account.endpoint_url = f"{scheme}://s3.example"
    missing = {"Error": {"Code": "NoSuchBucketPolicy", "Message": "no"}}
    answer_instead(s3, "GetBucketPolicy", lambda _: {"Policy": "{}"} if there else missing)
    answer_instead(s3, "PutBucketPolicy", put)
    name = ensure_bucket(account, Settings(namespace=namespace))
    assert len(written) == (scheme == "https" and not there)
    for call in written:
        (statement,) = json.loads(call["Policy"])["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


def test_a_name_that_another_account_took_is_one_clear_error(local_aws: Any, account: Cloud, namespace: str) -> None:
    role = "arn:aws:iam::111111111111:role/other"
    keys = local_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    other = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")
    name = bucket_name(account.account_id, "us-east-1", namespace)
    other.client("s3", endpoint_url=local_aws.endpoint_url).create_bucket(Bucket=name)
    # AWS would refuse the very first call; the local AWS does not look at the expected owner.
    refuse(account.client("s3"), "GetBucketLifecycleConfiguration", "NoSuchBucket")

    with pytest.raises(
        AwsError, match=f"^The bucket {name} exists, but it is not this account's .*namespace.$"
    ) as caught:
        ensure_bucket(account, Settings(namespace=namespace))
    assert caught.value.code == "BucketAlreadyExists"


def test_another_notebook_creating_it_at_the_same_time_does_not_matter(
    local_aws: Any, account: Cloud, namespace: str
) -> None:
    settings = Settings(namespace=namespace)
    name = bucket_name(account.account_id, "us-east-1", namespace)

    def beaten(_: dict[str, Any]) -> dict[str, Any]:
        local_aws.client("s3").create_bucket(Bucket=name)
        return {"Error": {"Code": "OperationAborted", "Message": "A conflicting operation is in progress."}}

    answer_instead(account.client("s3"), "CreateBucket", beaten)
    assert ensure_bucket(account, settings) == name
    assert local_aws.client("s3").get_bucket_lifecycle_configuration(Bucket=name)["Rules"]


def test_a_caller_without_permission_hears_so(enforcing: EnforcingAws, namespace: str) -> None:
    with pytest.raises(AwsError, match="you may not use it") as caught:
        ensure_bucket(enforcing.user(), Settings(namespace=namespace))
    assert "\n" not in str(caught.value)


def test_an_administrators_bucket_needs_no_right_to_its_settings(enforcing: EnforcingAws, namespace: str) -> None:
    enforcing.enforce(False)
    name = bucket_name(ACCOUNT, "us-east-1", namespace)
    enforcing.aws.client("s3").create_bucket(Bucket=name)
    # The local AWS calls the permission after the operation, AWS s3:ListBucket.
    assert ensure_bucket(enforcing.user("s3:HeadBucket"), Settings(namespace=namespace)) == name
