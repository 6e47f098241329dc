"""moto's services answer through our front, signed by plain boto3."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lithops_magic.local.front import moto_app
from localaws import LocalAws

ASSUME = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
)


@pytest.fixture
def bucket(local_aws: LocalAws) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    local_aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(params=[None, "s3v4"])
def presigning(request: pytest.FixtureRequest, local_aws: LocalAws) -> Iterator[Any]:
    """An S3 client signing URLs the old way (boto3's default) and the new way."""
    client = local_aws.client("s3", signature_version=request.param)
    yield client
    client.close()


def test_s3_round_trip_keeps_key_metadata_and_type(local_aws: LocalAws, bucket: str) -> None:
    s3 = local_aws.client("s3")
    key = "a folder/ünï+code%2F&=?#.bin"
    s3.put_object(Bucket=bucket, Key=key, Body=b"\x00\xff" * 10, Metadata={"under_score": "1"}, ContentType="a/b")
    found = s3.get_object(Bucket=bucket, Key=key)
    assert found["Body"].read() == b"\x00\xff" * 10
    assert found["Metadata"] == {"under_score": "1"}
    assert found["ContentType"] == "a/b"
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 20
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_s3_range(local_aws: LocalAws, bucket: str) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    found = s3.get_object(Bucket=bucket, Key="k", Range="bytes=2-4")
    assert found["Body"].read() == b"234"
    assert found["ContentRange"] == "bytes 2-4/10"


def test_s3_ranges_that_are_read_slowly_come_whole_and_hold_up_nobody(local_aws: LocalAws, bucket: str) -> None:
    data, size, readers = random.Random(0).randbytes(5 * 2**20), 3 * 2**20, moto_app.THREADS + 8
    s3 = local_aws.client("s3", max_pool_connections=readers + 1, retries={"total_max_attempts": 1})
    s3.put_object(Bucket=bucket, Key="large", Body=data)
    starts = [number * 50_021 for number in range(readers)]
    bodies = [s3.get_object(Bucket=bucket, Key="large", Range=f"bytes={at}-{at + size - 1}")["Body"] for at in starts]
    begun = [body.read(10) for body in bodies]
    # More than moto has threads have not been read, and it answers.
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    assert s3.get_object(Bucket=bucket, Key="other")["Body"].read() == b"other"
    for at, first, body in zip(starts, begun, bodies, strict=True):
        assert first + body.read() == data[at : at + size]


def test_s3_first_writer_wins(local_aws: LocalAws, bucket: str) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as failure:
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert failure.value.response["Error"]["Code"] == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_s3_multipart_upload_of_a_big_file(local_aws: LocalAws, bucket: str, tmp_path: Any) -> None:
    s3 = local_aws.client("s3")
    content = os.urandom(1 << 20) * 20
    (tmp_path / "big").write_bytes(content)
    s3.upload_file(str(tmp_path / "big"), bucket, "big")
    s3.download_file(bucket, "big", str(tmp_path / "back"))
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert s3.head_object(Bucket=bucket, Key="big")["ETag"].strip('"').endswith("-3")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256", "CRC64NVME"])
def test_s3_checksums(local_aws: LocalAws, bucket: str, algorithm: str) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", ChecksumAlgorithm=algorithm)
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == b"123456789"


def test_s3_virtual_hosted_addressing(local_aws: LocalAws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    session = boto3.Session(local_aws.access_key_id, local_aws.secret_access_key, region_name=local_aws.region)
    endpoint = f"http://localhost:{local_aws.port}"
    s3 = session.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "virtual"}))
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"host style")
    assert s3.meta.endpoint_url == endpoint
    assert s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}).startswith(
        f"http://{bucket}."
    )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    with urllib.request.urlopen(
        s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a/b c"}), timeout=60
    ) as answer:
        assert answer.read() == b"host style"
    assert local_aws.client("s3").get_object(Bucket=bucket, Key="a/b c")["Body"].read() == b"host style"
    s3.close()


def test_presigned_urls_upload_and_download(presigning: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "a folder/key+1"}
    put = urllib.request.Request(presigning.generate_presigned_url("put_object", Params=where), b"signed", method="PUT")
    put.add_header("Content-Type", "")
    with urllib.request.urlopen(put, timeout=60):
        pass
    with urllib.request.urlopen(presigning.generate_presigned_url("get_object", Params=where), timeout=60) as answer:
        assert answer.read() == b"signed"


def test_a_presigned_url_for_one_key_opens_no_other(presigning: Any, bucket: str) -> None:
    presigning.put_object(Bucket=bucket, Key="mine", Body=b"1")
    presigning.put_object(Bucket=bucket, Key="other", Body=b"2")
    url = presigning.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "mine"})
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(url.replace("/mine", "/other"), timeout=60)
    with failure.value as answer:
        assert (answer.code, b"SignatureDoesNotMatch" in answer.read()) == (403, True)


def test_iam_role_with_a_managed_policy(local_aws: LocalAws) -> None:
    iam = local_aws.client("iam")
    name = f"role-{uuid.uuid4().hex}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUME)
    policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [item["PolicyArn"] for item in attached] == [policy]


def test_sts_caller_identity(local_aws: LocalAws) -> None:
    assert local_aws.client("sts").get_caller_identity()["Account"] == local_aws.account_id


def test_keys_of_an_assumed_role_are_accepted(local_aws: LocalAws) -> None:
    iam, sts = local_aws.client("iam"), local_aws.client("sts")
    name = f"role-{uuid.uuid4().hex}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUME)["Role"]["Arn"]
    keys = sts.assume_role(RoleArn=role, RoleSessionName="someone")["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], local_aws.region)
    assumed = session.client("sts", endpoint_url=local_aws.endpoint_url)
    assert assumed.get_caller_identity()["Arn"].endswith(f"assumed-role/{name}/someone")
    assumed.close()


def test_ec2_default_network_and_efs(local_aws: LocalAws) -> None:
    ec2, efs = local_aws.client("ec2"), local_aws.client("efs")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    system = efs.create_file_system(CreationToken=uuid.uuid4().hex)["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnets[0]["SubnetId"])
    point = efs.create_access_point(ClientToken=uuid.uuid4().hex, FileSystemId=system)["AccessPointId"]
    assert len(efs.describe_mount_targets(FileSystemId=system)["MountTargets"]) == 1
    assert efs.describe_access_points(FileSystemId=system)["AccessPoints"][0]["AccessPointId"] == point


def test_logs(local_aws: LocalAws) -> None:
    logs = local_aws.client("logs")
    group = f"/group/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    moment = int(time.time() * 1000)
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": moment, "message": "hello"}])
    assert logs.get_log_events(logGroupName=group, logStreamName="s")["events"][0]["message"] == "hello"


@pytest.mark.parametrize(
    ("service", "operation"),
    [("logs", "list_anomalies"), ("ec2", "describe_trunk_interface_associations"), ("cloudformation", "list_stacks")],
)
def test_what_moto_lacks_is_said_at_once(local_aws: LocalAws, service: str, operation: str) -> None:
    with pytest.raises(ClientError) as failure:
        getattr(local_aws.client(service), operation)()
    assert failure.value.response["Error"]["Code"] == "NotImplemented"
    assert service in failure.value.response["Error"]["Message"]
    assert failure.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_bytes_are_counted_by_operation(local_aws: LocalAws, bucket: str) -> None:
    s3 = local_aws.client("s3")
    before = local_aws.traffic()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 70_000)
    for _ in range(3):
        s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    after = local_aws.traffic()
    # What is sent may be framed in chunks with a checksum.
    assert 70_000 <= after["received"]["s3:PutObject"] - before["received"].get("s3:PutObject", 0) < 71_000
    assert after["sent"]["s3:GetObject"] - before["sent"].get("s3:GetObject", 0) == 210_000


def test_requests_are_counted_by_operation(local_aws: LocalAws, bucket: str) -> None:
    s3 = local_aws.client("s3")
    before = local_aws.requests()
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.copy_object(Bucket=bucket, Key="k2", CopySource={"Bucket": bucket, "Key": "k"})
    s3.get_object(Bucket=bucket, Key="k")
    s3.head_object(Bucket=bucket, Key="k")
    s3.list_objects_v2(Bucket=bucket)
    s3.list_objects(Bucket=bucket)
    s3.get_object_tagging(Bucket=bucket, Key="k")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"1")
    s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    s3.list_buckets()
    local_aws.client("logs").describe_log_groups()
    local_aws.client("efs").describe_file_systems()
    local_aws.client("sts").get_caller_identity()
    local_aws.client("lambda").list_functions()
    after = local_aws.requests()
    changed = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
    operations = (
        "s3:PutObject s3:CopyObject s3:GetObject s3:HeadObject s3:ListObjectsV2 s3:ListObjects s3:GetObjectTagging "
        "s3:CreateMultipartUpload s3:UploadPart s3:ListParts s3:DeleteObjects s3:ListBuckets logs:DescribeLogGroups "
        "efs:DescribeFileSystems sts:GetCallerIdentity lambda:ListFunctions"
    )
    assert changed == dict.fromkeys(operations.split(), 1)
