"""Endpoints that are not AWS: what answers, from where and with what is said in one line, never as a traceback."""

from __future__ import annotations

import http.server
from collections.abc import Iterator

import boto3
import pytest

import lithops_magic
from lithops_magic import Settings
from lithops_magic.aws import not_aws
from lithops_magic.aws.account.doctor import check
from lithops_magic.aws.iam.create_role import create_role
from lithops_magic.aws.invoke.outcomes import Refused, classify_response
from lithops_magic.aws.session import Cloud
from lithops_magic.cli.main import main
from lithops_magic.engine.backend.deployment import FALLBACK_WORKERS
from lithops_magic.errors import LithopsMagicError
from serving import serving

ROLE = "arn:aws:iam::123456789012:role/r"
PORTAL = b"<!DOCTYPE html><html><title>Hotel  Wi-Fi</title><body>Please sign in</body></html>"
BLOCKED = b"\n<HTML><BODY><h1>Access &amp; use denied</h1> by your company's proxy</BODY></HTML>"
BUSY = b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>"


class Stranger(http.server.ThreadingHTTPServer):
    status = 200
    page = PORTAL

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Stranger

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.server.page)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    server = Stranger()
    with serving(server):
        yield server


def settings(stranger: Stranger) -> Settings:
    return Settings(
        local=False,
        region="us-east-1",
        execution_role=ROLE,
        endpoint_url=stranger.url,
        access_key_id="AKIAEXAMPLE",
        secret_access_key="hidden-secret",
    )


PAGES = [(200, PORTAL, "'Hotel Wi-Fi'"), (403, BLOCKED, "Access & use denied"), (503, BUSY, "Service Unavailable")]


@pytest.mark.parametrize(("status", "page", "words"), PAGES)
def test_a_job_says_what_answered(stranger: Stranger, status: int, page: bytes, words: str) -> None:
    stranger.status, stranger.page = status, page
    with pytest.raises(LithopsMagicError) as caught:
        lithops_magic.map(abs, [1], settings=settings(stranger))
    text = str(caught.value)
    assert str(status) in text
    assert words in text
    assert "HTTPS_PROXY" in text
    assert "<" not in text
    assert "\n" not in text
    if status < 500:
        assert stranger.url in text


@pytest.mark.parametrize(("status", "page", "words"), PAGES)
def test_every_service_says_so(
    stranger: Stranger, status: int, page: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    stranger.status, stranger.page = status, page
    session = boto3.Session("AKIAEXAMPLE", "hidden", region_name="us-east-1")
    cloud = Cloud(session, region="us-east-1", endpoint_url=stranger.url, account_id="123456789012")
    with pytest.raises(LithopsMagicError) as caught:
        create_role(cloud, settings(stranger))
    assert words in str(caught.value)
    assert "<" not in str(caught.value)
    found = list(check(cloud, settings(stranger)))
    assert found[0].text == "AWS does not say who you are."
    for one in found:
        assert "<" not in f"{one.text} {one.fix}"
        assert "Traceback" not in one.text
    assert any(words in f"{one.text} {one.fix}" for one in found)


def test_the_command_prints_one_line(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setenv(
        "LITHOPS_CONFIG",
        f'{{"aws": {{"region": "us-east-1", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "x"}},'
        f' "aws_lambda": {{"execution_role": "{ROLE}", "endpoint_url": "{stranger.url}"}}}}',
    )
    assert main(["role", "create"]) != 0
    shown = capsys.readouterr()
    assert "'Hotel Wi-Fi'" in shown.err
    assert shown.err.count("\n") == 1
    assert main(["doctor"]) != 0
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    assert "<html" not in (shown.out + shown.err).lower()


def test_the_hot_path_says_so_too() -> None:
    outcome = classify_response(403, {}, BLOCKED)
    assert isinstance(outcome, Refused)
    assert "Access & use denied" in outcome.message
    assert "<" not in outcome.message


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'<?xml version="1.0"?><Error><Code>x</Code></Error>', b"html", b"<headers/>"]
)
def test_what_aws_says_is_no_page(body: bytes) -> None:
    assert not not_aws.is_page(body)


def test_a_page_is_shown_by_its_first_words() -> None:
    assert not_aws.first_words(b"<html></html>") == ""
    assert not_aws.first_words(b"<html><script>var a;</script>Hello <b>you</b></html>") == " ('Hello you')"
    assert len(not_aws.first_words(b"<html>" + b"word " * 1000)) < 100


@pytest.fixture
def elsewhere(local_aws: object) -> Iterator[Settings]:
    """The local AWS, taken for an account."""
    iam = local_aws.client("iam")  # type: ignore[attr-defined]
    role = iam.create_role(
        RoleName="elsewhere",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",'
        ' "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]}',
    )
    yield Settings(
        local=False,
        region="us-east-1",
        execution_role=role["Role"]["Arn"],
        endpoint_url=local_aws.endpoint_url,  # type: ignore[attr-defined]
        access_key_id=local_aws.access_key_id,  # type: ignore[attr-defined]
        secret_access_key=local_aws.secret_access_key,  # type: ignore[attr-defined]
        namespace="elsewhere",
    )
    iam.delete_role(RoleName="elsewhere")


def test_an_endpoint_without_account_settings_goes_on(elsewhere: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = not_aws.watch

    def without(client: object) -> None:
        watch(client)
        if client.meta.service_model.service_name == "lambda":  # type: ignore[attr-defined]

            class Missing:
                status_code = 404

            answer = {"Error": {"Code": "UnknownOperationException", "Message": ""}, "ResponseMetadata": {}}
            client.meta.events.register(  # type: ignore[attr-defined]
                "before-call.lambda.GetAccountSettings", lambda **_: (Missing(), answer)
            )

    monkeypatch.setattr(not_aws, "watch", without)
    found = lithops_magic.map(abs, [-1, -2], settings=elsewhere)
    assert list(found) == [1, 2]
    assert any(f"{FALLBACK_WORKERS} workers are used" in note for note in found.snapshot().notes)


def test_more_workers_than_the_account_allows_are_said_with_the_quota(elsewhere: Settings) -> None:
    found = lithops_magic.map(abs, [-1], settings=elsewhere.replace(namespace="many"), workers=5000)
    assert list(found) == [1]
    (note,) = [note for note in found.snapshot().notes if note.startswith("workers is 5,000, but this account's ")]
    assert "Concurrent executions (L-B99A9384)" in note
    assert "https://us-east-1.console.aws.amazon.com/" in note
