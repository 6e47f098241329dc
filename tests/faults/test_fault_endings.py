"""Faults that end a job: each has a class, one clear line, and keeps what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest

from conftest import Counted
from fault_proxy import FaultProxy, Play, Rule
from faults import refusing, throttling
from lithops_magic import errors
from lithops_magic.aws import outcomes
from lithops_magic.engine import MapResult, limiter, link

DONE = 10
ITEMS = range(40)
HOUR = 3600.0


def dated(offset: float) -> str:
    return f"Date: {formatdate(time.time() + offset, usegmt=True)}\r\n"


def ended(result: MapResult, kind: type[Exception], total: int = len(ITEMS)) -> str:
    """Check how a job ended that had ten tasks done; return what it says."""
    error = result.error
    assert type(error) is kind
    with pytest.raises(kind):
        result.raise_errors()
    with pytest.raises(errors.JobCancelled, match=kind.__name__):
        result[DONE]
    s = result.snapshot()
    assert s.state == "broken"
    assert (s.done, s.cancelled, s.failed) == (DONE, total - DONE, 0)
    assert result.values() == [item * item for item in ITEMS[:DONE]]
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
        (
            refusing(403, "InvalidSignatureException", MISMATCH, dated(HOUR)),
            errors.ClockSkew,
            ("clock", "60 minutes slow"),
        ),
        (
            refusing(403, "RequestTimeTooSkewed", "The difference is too large.", dated(-HOUR)),
            errors.ClockSkew,
            ("clock", "60 minutes fast"),
        ),
        (refusing(403, "InvalidSignatureException", MISMATCH, dated(0)), errors.InvokeError, ("credentials",)),
        (refusing(404, "ResourceNotFoundException", "Function not found: f"), errors.FunctionGone, ("not found",)),
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
    monkeypatch.setattr(link, "UNREACHABLE_SECONDS", 0.5)
    job = counted()

    def items() -> Iterator[int]:
        yield from ITEMS[:DONE]
        while result.snapshot().done < DONE:
            time.sleep(0.01)
        proxy.down()
        yield from ITEMS[DONE:]

    try:
        result = job.start(items(), chunksize=1, workers=4)
        assert result.wait(60)
    finally:
        proxy.up()
    text = ended(result, errors.Unreachable, len(result))
    assert DONE < len(result) < len(ITEMS)
    assert proxy.url.removeprefix("http://") in text
    assert "Check the network" in text
