"""Faults that end a job: each has a class, one clear line, and keeps what was done."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

import lithops_magic
from fault_job import Counted
from fault_kinds import answering, half_body, refusing, response, throttling
from fault_proxy import ANY, FaultProxy, Play, Rule
from lithops_magic import errors
from lithops_magic.aws.invoke import outcomes
from lithops_magic.config import Settings
from lithops_magic.engine import MapResult
from lithops_magic.engine.backend import connection, limiter
from ports import reserved_port
from waiting import eventually

DONE = 10
ITEMS = range(24)
HOUR = 3600.0


def dated(code: str, message: str, offset: float) -> Play:
    """Refuse a signature with the clock of the answer `offset` seconds before this one."""

    def data() -> bytes:
        date = formatdate(time.time() + offset, usegmt=True)
        return response(403, code, f"Date: {date}\r\n", message=message)

    return answering(f"403 {code} at {offset:+.0f} s", data)


def ended(result: MapResult, kind: type[Exception], total: int = len(ITEMS)) -> str:
    """Check how a job ended that had ten tasks done; return what it says."""
    error = result.error
    assert type(error) is kind
    with pytest.raises(kind):
        result.raise_errors()
    with pytest.raises(errors.JobCancelled, match=kind.__name__):
        result[DONE]
    # What was still in flight is told of later.
    assert eventually(lambda: result.snapshot().running == 0)
    s = result.snapshot()
    assert s.state == "broken"
    assert (s.done, s.cancelled, s.failed) == (DONE, total - DONE, 0)
    assert list(result.succeeded().values()) == [item * item for item in ITEMS[:DONE]]
    text = str(error)
    assert "\n" not in text
    assert "AKIA" not in text
    return text


DENIED = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: lambda:InvokeFunction on resource: f"
MISMATCH = "The request signature we calculated does not match the signature you provided."
EARLIER = "Signature expired: 20260101T000000Z is now earlier than 20260101T005500Z (20260101T010000Z - 5 min.)"
LATER = "Signature not yet current: 20260101T010000Z is still later than 20260101T000500Z (20260101T000000Z + 5 min.)"


@pytest.mark.parametrize(
    ("play", "kind", "words"),
    [
        (refusing(403, "AccessDeniedException", DENIED), errors.NotAuthorized, ("lambda:InvokeFunction", "permission")),
        (refusing(403, "ExpiredTokenException", "It is expired."), errors.CredentialsExpired, ("aws sso login",)),
        (refusing(403, "InvalidSignatureException", EARLIER), errors.ClockSkew, ("clock",)),
        (refusing(403, "InvalidSignatureException", LATER), errors.ClockSkew, ("clock",)),
        (dated("InvalidSignatureException", MISMATCH, HOUR), errors.ClockSkew, ("clock is 60 minutes slow",)),
        (dated("RequestTimeTooSkewed", "Too far.", -HOUR), errors.ClockSkew, ("clock is 60 minutes fast",)),
        (dated("InvalidSignatureException", MISMATCH, 0), errors.InvokeError, ("credentials",)),
        (
            refusing(404, "ResourceNotFoundException", "Function not found: f"),
            errors.FunctionGone,
            ("not found", "is redeployed"),
        ),
        (refusing(502, "KMSDisabledException", "Key disabled."), errors.InvokeError, ("Enable the KMS key",)),
        (
            throttling("ReservedFunctionConcurrentInvocationLimitExceeded"),
            errors.ThrottledOut,
            ("ReservedFunctionConcurrentInvocationLimitExceeded", "reserved concurrency"),
        ),
        (refusing(408, "EFSMountTimeoutException", "Timed out."), errors.ThrottledOut, ("port 2049",)),
    ],
)
def test_each_refusal_has_a_class_and_one_line(
    play: Play,
    kind: type[Exception],
    words: tuple[str, ...],
    proxy: FaultProxy,
    counted: Callable[[], Counted],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limiter, "PATIENCE", 0.3)
    monkeypatch.setattr(outcomes, "NOT_NOW", outcomes.NOT_NOW | {"EFSMountTimeoutException": (outcomes.NETWORK, 1)})
    job = counted()
    proxy.reset(Rule(play, after=DONE))
    text = ended(job.run(ITEMS, chunksize=1, workers=1), kind)
    assert [word for word in words if word not in text] == []
    proxy.reset()
    assert job.executions() == dict.fromkeys(ITEMS[:DONE], 1)


def test_an_endpoint_that_goes_away_for_good_ends_the_job(
    proxy: FaultProxy, counted: Callable[[], Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.5)
    job = counted()

    def items() -> Iterator[int]:
        yield from ITEMS[:DONE]
        while result.snapshot().done < DONE:
            time.sleep(0.01)
        proxy.down()
        yield from ITEMS[DONE:]

    result = job.start(items(), chunksize=1, workers=4)
    assert result.wait(120)
    text = ended(result, errors.Unreachable, len(result))
    assert DONE < len(result) < len(ITEMS)
    assert proxy.url.removeprefix("http://") in text
    assert "Check the network" in text


@pytest.fixture
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 tries five times; the seconds between are not what is tested."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


@pytest.mark.usefixtures("_no_backoff")
def test_an_endpoint_that_was_never_there_is_named(proxy: FaultProxy, account: Settings) -> None:
    with reserved_port() as port:
        address = f"http://127.0.0.1:{port}"
        result = lithops_magic.map(abs, ITEMS, settings=account.replace(endpoint_url=address), background=True)
        assert result.wait(120)
    assert type(result.error) is errors.DeployError
    assert address in str(result.error)
    assert "Check the network, the region and endpoint_url." in str(result.error)
    assert result.snapshot().cancelled == len(ITEMS)


def test_a_wrong_clock_is_named_before_anything_is_deployed(proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(Rule(dated("InvalidSignatureException", MISMATCH, -HOUR), match=ANY))
    result = lithops_magic.map(abs, ITEMS, settings=account.replace(namespace="skewed"), background=True)
    assert result.wait(120)
    assert isinstance(result.error, errors.AwsError)
    assert str(result.error).endswith("This machine's clock is 60 minutes fast. Set it and retry.")


def test_a_cut_answer_before_anything_is_deployed_is_one_line(proxy: FaultProxy, account: Settings) -> None:
    proxy.reset(Rule(half_body, match=re.compile(rb"GET /2016-08-19/account-settings")))
    result = lithops_magic.map(abs, ITEMS, settings=account.replace(namespace="faults-cut"), background=True)
    assert result.wait(120)
    assert isinstance(result.error, errors.AwsError)
    assert (
        str(result.error)
        == "AWS's response has no 'AccountLimit', as if it were truncated. Check the network and retry."
    )
