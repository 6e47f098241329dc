"""Whatever an answer says, its invocation ends: 10,000 mutations of replies, errors, logs and headers."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faulty_lambda import Context, FaultyLambda, consistent, died, run
from lithops_magic.aws.invoke import report
from lithops_magic.aws.invoke.outcomes import Outcome, Reply, Throttle, classify_response
from lithops_magic.engine.backend import connection
from lithops_magic.engine.dispatch import answers, scheduler, settlement
from lithops_magic.engine.dispatch.answers import Answer, UnauthenticatedReply
from lithops_magic.engine.dispatch.lanes import Flight
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment
from lithops_magic.engine.wire.reply import decode
from lithops_magic.errors import TaskLost
from lithops_magic.worker import handler, packing, seal
from lithops_magic.worker.reply import VALUES, encoded
from replies import opened, sealed
from thorough import share

KEY = b"k" * 32
REPORT = (
    "START\nREPORT RequestId: x\tDuration: 1.50 ms\tBilled Duration: 2 ms\t"
    "Memory Size: 512 MB\tMax Memory Used: 90 MB\n"
)
TIMES = {"started": 0.0, "seconds": 0.0, "log": ""}
ODD: list[Any] = [None, True, -1, 1e308, float("nan"), float("inf"), 10**30, "", "y", "é\ud800", "A" * 5_000]
ODD += [[], [[]], {}, {"id": []}]


def answered(name: str, items: int = 3) -> bytes:
    """What the worker says of some tasks, one of which fails."""
    requests = Function.pickle(lambda x: 1 / x).place(key=KEY)
    payload = requests.request([fragment(i, i, requests.room) for i in range(items)], name)
    reply: bytes = handler.handle(json.loads(payload), Context)
    return reply


def received(data: bytes, name: str = "request", key: bytes = KEY) -> Answer:
    """What becomes of a reply to a request."""
    flight = Flight(None, [], None, 0.0, name=name)  # type: ignore[arg-type]
    return Answer.of(flight, Reply(data, None, "", "", None), key).decoded()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, entry in entries for place in places(entry, (*path, key))]


def mutated(value: Any, chance: random.Random) -> Any:
    """Replace or remove something anywhere in it."""
    changed = json.loads(json.dumps(value))
    *way, last = chance.choice(places(changed))
    parent = changed
    for key in way:
        parent = parent[key]
    if chance.random() < 0.3:
        del parent[last]
    else:
        parent[last] = chance.choice(ODD)
    return changed


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, repeat or nest some of it."""
    at, kind = chance.randrange(len(data)), chance.randrange(4)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at : at + 9] * chance.choice([2, 99]) + data[at:]
    return b"[" * chance.choice([1, 100_000]) + data


def test_no_altered_reply_is_taken_for_the_functions_own() -> None:
    chance = random.Random(1)
    data = answered("request")
    fields = json.loads(data)
    assert received(data).worker is not None
    for number in range(share(1_000, 5_000)):
        other = spoilt(data, chance) if number % 2 else json.dumps(mutated(fields, chance)).encode()
        assert other == data or isinstance(received(other).outcome, UnauthenticatedReply), other
    assert received(data, "another").unauthenticated
    assert received(data, key=b"x" * 32).unauthenticated


def test_every_bit_of_a_reply_counts() -> None:
    data = answered("request")
    assert received(data).worker is not None
    for at in range(len(data)):
        for bit in range(8):
            other = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            assert received(other).unauthenticated, (at, bit)
        assert received(data[:at]).unauthenticated, at


@given(
    st.lists(st.binary(max_size=40) | st.integers() | st.none(), min_size=1, max_size=4),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.binary(max_size=5)), min_size=1, max_size=3),
)
def test_a_reply_is_read_as_it_was_written_or_not_at_all(values: list[Any], edits: list[Any]) -> None:
    packed = [packing.dumps(value) for value in values]
    told = [{"id": i, "status": "ok", "value": one, **TIMES} for i, one in enumerate(packed)]
    data = seal.sealed(encoded({"sandbox": "s", "cold": False, "outcomes": told}), KEY, "request")
    worker = received(data).worker
    assert worker is not None
    assert [worker.outcomes[i].value for i in range(len(values))] == packed
    other = data
    for begin, length, new in edits:
        start = int(begin * len(other))
        other = other[:start] + new + other[start + int(length * 9) :]
    assert other == data or received(other).unauthenticated


@pytest.mark.parametrize("size", [0, 2, 4, 7, -1, 10**30])
def test_a_value_of_another_size_than_told_is_not_read(size: int) -> None:
    told = {"id": 0, "status": "ok", "value": size, **TIMES}
    head = json.dumps({"sandbox": "s", "cold": False, "outcomes": [told]}).encode()
    whole = head[:-1] + VALUES + base64.b64encode(b"123") + b'"}'
    assert decode(whole.replace(b'"value": %d' % size, b'"value": 3')).outcomes[0].value == b"123"
    with pytest.raises(ValueError, match="value"):
        decode(whole)


def test_a_sealed_reply_that_makes_no_sense_is_a_lost_attempt_or_a_true_outcome() -> None:
    # As a hostile function could make it: every task ends, and the scheduler sees no exception.
    chance = random.Random(2)
    fields = json.loads(answered("request"))
    del fields["seal"]
    for _ in range(share(1_000, 3_000)):
        answer = received(sealed(mutated(fields, chance), KEY, "request"))
        assert not answer.unauthenticated
        if answer.worker is None:
            assert "cannot be read" in answer.outcome.message  # type: ignore[union-attr]


def test_no_answer_of_http_raises() -> None:
    chance = random.Random(3)
    body = json.dumps({"__type": "x#Throttling", "message": "No.", "Reason": "R", "errorType": "E"}).encode()
    names = ["x-amz-log-result", "x-amz-function-error", "x-amzn-requestid", "x-amzn-errortype", "retry-after", "date"]
    for number in range(share(2_000, 10_000)):
        log = spoilt(REPORT.encode(), chance)
        headers = {
            "x-amz-log-result": base64.b64encode(log).decode(),
            "retry-after": chance.choice(["inf", "nan", "-1", "1e999", "y", "٣", "1"]),
        }
        for name in chance.sample(names, 2):
            headers[name] = chance.choice(
                ["", "é", "=", "A", "inf", "x" * 9_000, "\x00", spoilt(body, chance).decode("latin-1")]
            )
        status = chance.choice([200, 202, 204, 301, 400, 403, 408, 413, 429, 500, 502, 503, 599, 999])
        outcome = classify_response(status, headers, spoilt(body, chance) if number % 3 else b"[" * 100_000)
        if isinstance(outcome, Throttle):
            assert outcome.retry_after is None or 0 <= outcome.retry_after <= 60


@pytest.mark.parametrize("numbers", ["1.2.3", "9" * 5_000, "٣", "1e5", "-1", "."])
def test_numbers_of_a_report_are_numbers(numbers: str) -> None:
    assert (
        report.parse_report(
            REPORT.replace("1.50", numbers).replace("Billed Duration: 2", f"Billed Duration: {numbers}")
        )
        is None
    )


class Lying(FaultyLambda):
    """Alters what the worker says, and seals it again as a hostile function could."""

    def __init__(self, change: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(lambda _: None)
        self.change = change

    def _work(self, payload: bytes, done: Callable[[Outcome], Any]) -> None:
        event = json.loads(payload)
        honest: list[Outcome] = []
        super()._work(payload, honest.append)
        (outcome,) = honest
        assert isinstance(outcome, Reply)
        fields = self.change(opened(outcome.payload))
        if isinstance(fields, dict):
            data = sealed(fields, bytes.fromhex(event["key"]), event["request"])
        else:
            data = json.dumps(fields).encode()
        done(outcome._replace(payload=data))


@pytest.fixture
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OUTAGE", 0.05)


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize("retries", [0, 2])
def test_a_job_over_answers_of_every_kind_ends_and_no_task_runs_too_often(retries: int) -> None:
    chance, lock, tasks = random.Random(4), threading.Lock(), share(100, 300)

    def change(reply: dict[str, Any]) -> Any:
        with lock:
            if chance.random() < 0.7:
                return reply
            other = mutated(reply, chance)
        # It may say that the whole job is refused, which is not what this is about.
        return reply if isinstance(other, dict) and (other.get("error") or other.get("mismatch")) else other

    backend = Lying(change)
    result = run(backend, range(tasks), retries=retries, chunksize=1)
    assert result.error is None
    assert consistent(result)
    done = result.snapshot()
    assert done.done + done.failed == tasks
    # A sealed reply without the outcome says that the task was not begun.
    if retries:
        assert max(stats.attempts for stats in result.stats) <= retries + 1


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize(
    "change",
    [
        lambda reply: {**reply, "versions": []},
        lambda reply: {**reply, "versions": {"numpy": 1}},
        lambda reply: {**reply, "outcomes": [{**one, "seconds": "y"} for one in reply["outcomes"]]},
        lambda reply: {**reply, "outcomes": [{**one, "status": "error"} for one in reply["outcomes"]]},
        lambda reply: {**reply, "outcomes": [{**one, "value": {"object": "k"}} for one in reply["outcomes"]]},
        lambda reply: {**reply, "outcomes": {"id": 1}},
        lambda reply: {name: value for name, value in reply.items() if name != "sandbox"},
    ],
)
def test_nonsense_is_that_invocations_loss_in_one_line(change: Callable[[dict[str, Any]], Any]) -> None:
    backend = Lying(lambda reply: change(reply) if any(one["id"] == 3 for one in reply["outcomes"]) else reply)
    result = run(backend, range(6), retries=1, chunksize=1)
    assert result.error is None
    assert list(result.succeeded().values()) == [x * 2 for x in range(6) if x != 3]
    error = result.errors[3]
    assert type(error) is TaskLost
    assert "\n" not in str(error)
    assert "cannot be read" in str(error)
    assert backend.runs[3] == 2


@pytest.mark.usefixtures("_no_patience")
def test_an_exception_while_an_answer_is_judged_is_that_invocations_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = settlement.verdicts.judge

    def failing(worker: Any, tasks: Any, *rest: Any) -> Any:
        if tasks[0].index == 2:
            raise MemoryError
        return judge(worker, tasks, *rest)

    monkeypatch.setattr(settlement.verdicts, "judge", failing)
    result = run(FaultyLambda(lambda _: None), range(5), retries=1, chunksize=1)
    assert list(result.succeeded().values()) == [0, 2, 6, 8]
    assert "is not valid: MemoryError" in str(result.errors[2])


@pytest.mark.usefixtures("_no_patience")
def test_an_invocation_of_which_nothing_is_heard_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_WATCH", 0.05)
    late: list[Callable[[Outcome], Any]] = []

    class Forgetful(FaultyLambda):
        def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Any:
            return replace(super().connect(notify, afresh=afresh), patience=0.5)

        def send(self, payload: bytes, done: Callable[[Outcome], Any]) -> None:
            if not late and b'"id":2,' in payload:
                late.append(done)
                return
            super().send(payload, done)

    result = run(Forgetful(lambda _: None), range(5), retries=1, chunksize=1)
    assert list(result) == [0, 2, 4, 6, 8]
    assert result.stats[2].attempts == 2
    late[0](died("Runtime.ExitError", "Error: late"))
    assert consistent(result)
    lost = run(Forgetful(lambda _: None), range(2), retries=0)
    assert list(lost) == [0, 2]


@pytest.mark.parametrize(("raised", "said"), [(ValueError("odd"), "odd"), (ValueError(), "ValueError()")])
def test_whatever_checking_a_reply_raises_is_that_invocations_loss(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str
) -> None:
    def refuse(*_: object) -> bool:
        raise raised

    monkeypatch.setattr(answers, "_is_authentic", refuse)
    answer = received(b"{}")
    assert answer.outcome == answers.UnusableReply(f"the function's reply cannot be read: {said}")
    assert (answer.worker, answer.unauthenticated) == (None, False)


def test_a_reply_of_an_earlier_process_is_read_as_strictly() -> None:
    with pytest.raises(ValueError, match="worker's format"):
        decode(b'{"sandbox": "s", "cold": true, "outcomes": [{"id": "1"}]}')
