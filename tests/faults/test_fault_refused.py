"""What S3 refuses over real HTTP, to tasks and the notebook: one line with bucket, action and way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

import lithops_magic
from executor_help import notebook
from fault_proxy import FaultProxy, Passage, Play, Rule
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.data.inside import refusals
from lithops_magic.errors import AwsError, MisuseError, TaskError
from lithops_magic.lithops.storage import Storage
from lithops_magic.notebook.magics import bucket_names
from localaws import LocalAws

BUCKET = "refused-data"
OF_BUCKET = re.compile(rb"\w+ /refused-data\b")
NAMES = notebook("""
    from lithops_magic.lithops.storage import Storage

    def line(call, *args):
        try:
            call(*args)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def read(obj): return obj.read()
    def written(x): return {"x": x}
    def refused(obj):
        storage, bucket = Storage(), obj.bucket
        return {
            "read": line(obj.read),
            "stream": line(obj.data_stream.readline),
            "get": line(storage.get_object, bucket, "k"),
            "head": line(storage.head_object, bucket, "k"),
            "download": line(storage.download_file, bucket, "k", "/tmp/k"),
            "put": line(storage.put_object, bucket, "k", "text"),
            "large": line(storage.put_object, bucket, "k", b"0" * 9_000_000),
            "delete": line(storage.delete_object, bucket, "k"),
            "many": line(storage.delete_objects, bucket, ["k"]),
            "list": line(storage.list_keys, bucket),
        }
""")
WAYS = {
    "list": ("s3:ListBucket", "list", "--bucket"),
    **dict.fromkeys(("put", "large"), ("s3:PutObject", "write", "--writable-bucket")),
    **dict.fromkeys(("delete", "many"), ("s3:DeleteObject", "delete", "--writable-bucket")),
}


def refusing(status: int, code: str, message: str = "", extra: str = "") -> Rule:
    """Answer for S3, as S3 does: HEAD has no body."""

    async def play(passage: Passage) -> None:
        await passage.request()
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        body = b"" if passage.head.startswith(b"HEAD") else body
        head = f"HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        await passage.client.send(head.encode() + body)

    played: Play = play
    return Rule(played, match=OF_BUCKET)


@pytest.fixture(scope="module")
def bucket(local_aws: LocalAws) -> Iterator[None]:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"a\nb\n")
    yield
    s3.delete_object(Bucket=BUCKET, Key="k")
    s3.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def through(account: Settings, proxy: FaultProxy, bucket: None) -> Settings:
    """The local AWS, whose S3 both the notebook and the tasks reach through the proxy."""
    variables = {"AWS_ENDPOINT_URL_S3": proxy.url}
    return account.replace(env_vars=variables, efs=(), subnets=(), security_groups=(), timeout=60)


def lines_in_a_task(through: Settings, proxy: FaultProxy, rule: Rule) -> dict[str, str]:
    proxy.reset()
    items = list(lithops_magic.s3(f"{BUCKET}/k").bound(lambda: through))
    proxy.reset(rule)
    return dict(lithops_magic.map(NAMES["refused"], items, settings=through)[0])


def test_who_may_not_is_told_what_lets_tasks(through: Settings, proxy: FaultProxy) -> None:
    found = lines_in_a_task(through, proxy, refusing(403, "AccessDenied", "Access Denied"))
    for call, line in found.items():
        action, verb, flag = WAYS.get(call, ("s3:GetObject", "read", "--bucket"))
        assert "\n" not in line, call
        assert f"the execution role may not {verb} s3://{BUCKET}/" in line, (call, line)
        assert f"`lithops-magic role create {flag} {BUCKET}` allows it" in line, (call, line)
        assert f"({action})" in line, (call, line)


def test_other_refusals_are_one_line_too(through: Settings, proxy: FaultProxy) -> None:
    denied = "no identity-based policy allows the kms:Decrypt action"
    found = lines_in_a_task(through, proxy, refusing(403, "AccessDenied", denied))
    # What S3 adds is said as well, where it says more than no.
    assert f"S3 says: {denied}" in found["read"]
    found = lines_in_a_task(through, proxy, refusing(404, "NoSuchBucket", "The specified bucket does not exist"))
    assert {call for call, line in found.items() if BUCKET not in line or "\n" in line} == set()
    assert found["read"] == f"FileNotFoundError: there is no bucket {BUCKET}"
    assert found["get"].endswith(f"No such key /{BUCKET}/k found in storage: there is no bucket {BUCKET}")
    found = lines_in_a_task(through, proxy, refusing(404, "NoSuchKey", "The specified key does not exist."))
    assert found["read"] == f"FileNotFoundError: s3://{BUCKET}/k was deleted after it was listed"
    assert found["get"] == f"StorageNoSuchKeyError: No such key /{BUCKET}/k found in storage."
    moved = refusing(301, "PermanentRedirect", "Use the right endpoint", "x-amz-bucket-region: eu-west-3\r\n")
    for call, line in lines_in_a_task(through, proxy, moved).items():
        assert f"the bucket {BUCKET} is in eu-west-3" in line, (call, line)
        assert "set region: eu-west-3" in line, (call, line)
        assert "\n" not in line


@pytest.fixture
def denied(proxy: FaultProxy) -> None:
    proxy.reset(refusing(403, "AccessDenied", "Access Denied"))


@pytest.mark.usefixtures("denied")
def test_what_a_task_may_not_write_fails_with_the_way_out(through: Settings) -> None:
    with pytest.raises(TaskError) as caught:
        lithops_magic.map(NAMES["written"], [1], to_s3=f"{BUCKET}/{{index}}.json", settings=through)
    assert f"may not write s3://{BUCKET}/0.json: `lithops-magic role create --writable-bucket {BUCKET}`" in str(
        caught.value
    )


@pytest.mark.usefixtures("denied")
@pytest.mark.parametrize(
    ("address", "action"), [("k", "s3:GetObject"), ("", "s3:ListBucket"), ("*.csv", "s3:ListBucket")]
)
def test_who_may_not_see_it_is_told_before_anything_is_sent(through: Settings, address: str, action: str) -> None:
    with pytest.raises(AwsError) as caught:
        lithops_magic.map(NAMES["read"], lithops_magic.s3(f"{BUCKET}/{address}"), settings=through)
    line = str(caught.value)
    assert f"you need {action} (`lithops-magic policy user --bucket {BUCKET}` prints it)" in line
    assert "requester_pays=True" in line
    assert "\n" not in line


@pytest.mark.usefixtures("denied")
def test_nothing_is_completed_of_what_may_not_be_listed(through: Settings) -> None:
    assert bucket_names.beginning_with(f"{BUCKET}/", lambda: through) == []


EU = "x-amz-bucket-region: eu-west-3\r\n"


@pytest.mark.parametrize(
    ("address", "rule", "words"),
    [
        ("k", refusing(404, "NoSuchBucket"), f"there is no bucket '{BUCKET}'"),
        ("folder/", refusing(404, "NoSuchBucket"), f"there is no bucket '{BUCKET}'"),
        ("k", refusing(301, "PermanentRedirect", extra=EU), "is in eu-west-3"),
        ("folder/", refusing(301, "PermanentRedirect", extra=EU), "is in eu-west-3"),
        # So S3 answers HEAD that is signed for another region.
        ("k", refusing(400, "", extra=EU), "is in eu-west-3"),
    ],
)
def test_what_is_not_there_or_elsewhere_is_said_when_it_is_listed(
    through: Settings, proxy: FaultProxy, address: str, rule: Rule, words: str
) -> None:
    proxy.reset(rule)
    with pytest.raises((MisuseError, AwsError)) as caught:
        list(lithops_magic.s3(f"{BUCKET}/{address}").bound(lambda: through))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def requester(passage: bytes) -> bool:
    return b"\r\nx-amz-request-payer: requester\r\n" in passage.lower()


async def unpaid(passage: Passage) -> None:
    """As a bucket whose requesters pay."""
    if requester(passage.head):
        await passage.client.send(await passage.forward())
        return
    await refusing(403, "AccessDenied", "Access Denied").play(passage)


def test_requesters_pay_for_listing_and_for_every_part(through: Settings, proxy: FaultProxy) -> None:
    proxy.reset(Rule(unpaid, match=OF_BUCKET))
    for address in ("k", ""):
        with pytest.raises(AwsError, match="requester_pays=True"):
            list(lithops_magic.s3(f"{BUCKET}/{address}").bound(lambda: through))
        items = lithops_magic.s3(f"{BUCKET}/{address}", chunk=2, requester_pays=True)
        assert list(lithops_magic.map(NAMES["read"], items, settings=through)) == [b"a\n", b"b\n"]


@pytest.fixture
def of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "lithops-magic-0123")


@pytest.mark.usefixtures("of_a_task")
def test_nobody_is_advised_to_open_the_job_bucket() -> None:
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "DeleteObject")
    line = refusals.refusal(error, "s3://lithops-magic-1-r/x", "lithops-magic-1-r", "delete")
    assert line is not None
    assert "`lithops-magic role create` brings the role up to date" in line
    assert "--writable-bucket" not in line


def test_a_storage_of_the_notebook_tells_its_user(through: Settings, proxy: FaultProxy) -> None:
    storage = Storage({"lithops": {"storage": "aws_s3"}})
    vars(storage._place)["client"] = Cloud.connect(through).client("s3")
    proxy.reset(refusing(403, "AccessDenied", "Access Denied"))
    calls: dict[str, Callable[[], Any]] = {
        "--bucket": lambda: storage.list_keys(BUCKET),
        "--writable-bucket": lambda: storage.put_object(BUCKET, "k", b"x"),
    }
    for flag, call in calls.items():
        with pytest.raises(ClientError) as caught:
            call()
        assert f"`lithops-magic policy user {flag} {BUCKET}` prints it" in str(caught.value)
