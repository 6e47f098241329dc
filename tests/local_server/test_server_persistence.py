"""With `--state DIR` a server started later goes on where the last one ended; without it nothing remains."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from localaws import local_command, stop_servers

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
)
OWN_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
CODE = """
import pathlib
def handle(event, context):
    file = pathlib.Path("/mnt/data/kept")
    before = file.read_text() if file.exists() else None
    file.write_text(event["write"])
    return before
"""


class Server:
    """A server in its own folder that keeps its state in `state`."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state
        self.start()

    def start(self) -> None:
        started = local_command(self.folder, "ensure", "--state", str(self.state))
        assert started.returncode == 0, started.stderr
        self.found = json.loads(started.stdout)
        self._session = boto3.Session(
            self.found["access_key_id"], self.found["secret_access_key"], region_name=self.found["region"]
        )

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self.found["endpoint_url"])

    def stop(self) -> None:
        assert "Stopped" in local_command(self.folder, "stop").stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    yield from begun(tmp_path)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that tests share which do not restart it."""
    yield from begun(tmp_path_factory.mktemp("lasting"))


def begun(parent: Path) -> Iterator[Server]:
    folder = parent / "private"
    folder.mkdir(mode=0o700)
    yield Server(folder, parent / "kept")
    stop_servers(folder)


def zipped(code: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", code)
    return archive.getvalue()


def deploy(server: Server) -> dict[str, str]:
    """A function with a VPC and an EFS mount; returns the identifiers that moto chose on the way."""
    ec2, efs, iam, functions = (server.client(name) for name in ("ec2", "efs", "iam", "lambda"))
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=TRUST)["Role"]
    subnet = ec2.describe_subnets()["Subnets"][0]
    vpc = {"Name": "vpc-id", "Values": [subnet["VpcId"]]}
    group = ec2.describe_security_groups(Filters=[vpc])["SecurityGroups"][0]["GroupId"]
    extra = ec2.create_security_group(GroupName="extra", Description="extra", VpcId=subnet["VpcId"])["GroupId"]
    system = efs.create_file_system(CreationToken="one")["FileSystemId"]
    efs.create_mount_target(FileSystemId=system, SubnetId=subnet["SubnetId"])
    point = efs.create_access_point(ClientToken="one", FileSystemId=system)
    functions.create_function(
        FunctionName="kept",
        Role=role["Arn"],
        Runtime=OWN_RUNTIME,
        Handler="app.handle",
        Code={"ZipFile": zipped(CODE)},
        VpcConfig={"SubnetIds": [subnet["SubnetId"]], "SecurityGroupIds": [group]},
        FileSystemConfigs=[{"Arn": point["AccessPointArn"], "LocalMountPath": "/mnt/data"}],
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="kept")
    return {
        "role": role["RoleId"],
        "subnet": subnet["SubnetId"],
        "group": extra,
        "system": system,
        "point": point["AccessPointId"],
    }


def identifiers(server: Server) -> dict[str, str]:
    ec2, efs, iam = (server.client(name) for name in ("ec2", "efs", "iam"))
    return {
        "role": iam.get_role(RoleName="role")["Role"]["RoleId"],
        "subnet": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "group": ec2.describe_security_groups(GroupNames=["extra"])["SecurityGroups"][0]["GroupId"],
        "system": efs.describe_file_systems()["FileSystems"][0]["FileSystemId"],
        "point": efs.describe_access_points()["AccessPoints"][0]["AccessPointId"],
    }


def test_functions_files_objects_and_identifiers_survive_a_restart(server: Server) -> None:
    made = deploy(server)
    s3 = server.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a b/ü%2F", Body=os.urandom(1000), Metadata={"a_b": "1"})
    s3.put_object(Bucket="bucket", Key="gone", Body=b"1")
    s3.delete_object(Bucket="bucket", Key="gone")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload=parts)
    objects = {item["Key"]: item["ETag"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]}
    first = server.client("lambda").invoke(FunctionName="kept", Payload=b'{"write": "one"}')
    assert (first.get("FunctionError"), first["Payload"].read()) == (None, b"null")
    revision = server.client("lambda").get_function_configuration(FunctionName="kept")["RevisionId"]
    server.stop()

    server.start()
    assert identifiers(server) == made
    s3 = server.client("s3")
    assert {item["Key"]: item["ETag"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]} == objects
    assert s3.head_object(Bucket="bucket", Key="a b/ü%2F")["Metadata"] == {"a_b": "1"}
    second = server.client("lambda").invoke(FunctionName="kept", Payload=b'{"write": "two"}')
    assert (second.get("FunctionError"), second["Payload"].read()) == (None, b'"one"')
    assert server.client("lambda").get_function_configuration(FunctionName="kept")["RevisionId"] == revision


def test_state_survives_a_crash_in_the_middle_of_writing(server: Server, tmp_path: Path) -> None:
    server.client("s3").create_bucket(Bucket="before")
    psutil.Process(server.found["pid"]).kill()
    with (tmp_path / "kept" / "moto.jsonl").open("a") as journal:
        journal.write('{"environ": {"REQUEST_ME')
    server.start()
    s3 = server.client("s3")
    assert [item["Name"] for item in s3.list_buckets()["Buckets"]] == ["before"]
    s3.create_bucket(Bucket="after")
    server.stop()
    server.start()
    names = [item["Name"] for item in server.client("s3").list_buckets()["Buckets"]]
    assert sorted(names) == ["after", "before"]


def test_two_servers_do_not_share_a_state_folder(lasting: Server, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    done = local_command(tmp_path / "other", "ensure", "--state", str(lasting.state))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(lasting.state) in done.stderr


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_the_kept_state_holds_no_credential_and_is_private(lasting: Server) -> None:
    lasting.client("s3").create_bucket(Bucket="bucket")
    journal = lasting.state / "moto.jsonl"
    assert "bucket" in journal.read_text()
    assert lasting.found["secret_access_key"] not in journal.read_text()
    assert journal.stat().st_mode & 0o077 == 0
    assert journal.parent.stat().st_mode & 0o077 == 0
