"""Our signature against botocore's, byte for byte."""

from __future__ import annotations

import datetime
from dataclasses import replace
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials

from lithops_magic.aws.invoke.connect import InvokeTarget
from lithops_magic.aws.invoke.signing import Stamp

NOW = datetime.datetime(2026, 2, 28, 23, 59, 59, tzinfo=datetime.UTC)
UNSIGNED = ("content-length", "user-agent")


def expected(target: InvokeTarget, credentials: Credentials, payload: bytes) -> dict[str, str]:
    request = AWSRequest("POST", target.url.geturl(), headers=target.headers, data=payload)
    SigV4Auth(credentials, target.service, target.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name.lower() not in UNSIGNED}


@pytest.mark.parametrize("payload", [b"", b"{}", bytes(range(256)) * 5_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize("token", [None, "a/session+token=="], ids=["user", "role"])
@pytest.mark.parametrize(
    "url",
    [
        "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/name/invocations",
        "http://127.0.0.1:4566/base//./path/2015-03-31/functions/name/invocations",
        "https://host/2015-03-31/functions/arn%3Aaws-cn%3Alambda%3Acn-north-1%3A1%3Afunction%3An%C3%A4me/invocations",
    ],
    ids=["aws", "base path", "encoded"],
)
def test_a_signature_is_botocores(url: str, token: str | None, payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: NOW.replace(tzinfo=None))
    target = InvokeTarget(urlsplit(url), "cn-north-1", "lambda", "agent", None, "")
    stamp = Stamp(target, ReadOnlyCredentials("AKIAEXAMPLE", "se/cret+", token), int(NOW.timestamp()))
    assert dict(stamp.sign(payload)) == expected(target, Credentials("AKIAEXAMPLE", "se/cret+", token), payload)
    # The same connection serves another function.
    other = replace(target, url=target.url._replace(path=f"{target.url.path}2"))
    signed = dict(stamp.sign(payload, other.url.path))
    assert signed == expected(other, Credentials("AKIAEXAMPLE", "se/cret+", token), payload)


def test_a_stamp_shows_no_secret() -> None:
    target = InvokeTarget(urlsplit("https://host/path"), "us-east-1", "lambda", "agent", None, "")
    assert "hidden" not in repr(Stamp(target, ReadOnlyCredentials("AKIAEXAMPLE", "hidden", None), 0))
