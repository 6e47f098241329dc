"""Callbacks see every event of a job in order, and can do it no harm."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lithops_magic
from faulty_lambda import FaultyLambda, died
from lithops_magic import callbacks
from lithops_magic.callbacks import Answered, Ended, Event, Failed, Snapshot, Started, Submitted, Tqdm
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions, MapResult
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.snapshot import reduce
from lithops_magic.engine.wire.function import Function

SETTINGS = Settings(local=True, memory=256, timeout=10)


class Heard:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.snapshots: list[Snapshot] = []
        self.threads: set[str] = set()

    def __call__(self, event: Event, snapshot: Snapshot) -> None:
        self.events.append(event)
        self.snapshots.append(snapshot)
        self.threads.add(threading.current_thread().name)


def squaring() -> Callable[[int], int]:
    """A function that travels by value: this module's own would bring the module along."""

    def square(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        return x * x

    return square


square = squaring()


def test_the_events_tell_the_whole_job(local_aws: Any) -> None:
    heard = Heard()
    result = lithops_magic.map(square, range(8), settings=SETTINGS, errors="keep", chunksize=2, callbacks=heard)
    assert heard.threads == {"lithops-magic-callbacks"}
    kinds = [type(event) for event in heard.events]
    assert kinds.count(Started) == kinds.count(Ended) == 1
    assert kinds[-1] is Ended
    sent = [task for event in heard.events if isinstance(event, Submitted) for task in event.tasks]
    assert sorted(sent) == list(range(8))
    values = {task: value for event in heard.events if isinstance(event, Answered) for task, value, _ in event.done}
    assert values == result.succeeded() == {x: x * x for x in range(8) if x != 3}
    assert [(event.task, str(event.error)) for event in heard.events if isinstance(event, Failed)] == [
        (3, str(result.errors[3]))
    ]
    # Every number follows from the events.
    replayed = Snapshot(started_at=heard.snapshots[-1].started_at)
    for event in heard.events:
        replayed = reduce(replayed, event)
    assert replayed.at(0.0) == heard.snapshots[-1].at(0.0)
    assert heard.snapshots[-1].at(0.0) == result.snapshot().at(0.0)


def test_what_is_retried_and_lost_is_told_with_its_tasks() -> None:
    lost = iter([died("Runtime.ExitError", "Error: gone")] * 2)
    heard = Heard()
    job = Job(MapOptions(retries=1, callbacks=(heard,), chunksize=1), str, 1)
    backend = FaultyLambda(lambda ids: next(lost, None), workers=1)
    Scheduler(job, Function.pickle(abs), Source([-1]), backend).start()
    result = MapResult(job)
    assert result.wait(120)
    job.await_callbacks()
    told = [(type(event).__name__, list(getattr(event, "tasks", []))) for event in heard.events]
    assert [each for each in told if each[0] in ("Submitted", "Retried")] == [
        ("Submitted", [0]),
        ("Retried", [0]),
        ("Submitted", [0]),
    ]
    assert [event.task for event in heard.events if isinstance(event, Failed)] == [0]


@pytest.mark.parametrize("error", [KeyError("mine"), SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_raises_is_called_no_more_and_hurts_nobody(local_aws: Any, error: BaseException) -> None:
    calls: list[Event] = []

    def broken(event: Event, _: Snapshot) -> None:
        calls.append(event)
        raise error

    heard = Heard()
    result = lithops_magic.map(square, [1, 2], settings=SETTINGS, callbacks=[broken, heard])
    assert list(result) == [1, 4]
    assert len(calls) == 1
    assert isinstance(heard.events[-1], Ended) or any(isinstance(event, Ended) for event in heard.events)
    assert any(f"broken is no longer called: it raised {type(error).__name__}" in n for n in result.snapshot().notes)


def test_a_slow_callback_does_not_hold_up_the_job(local_aws: Any) -> None:
    gate = threading.Event()
    result = lithops_magic.map(square, [1, 2], settings=SETTINGS, callbacks=lambda *_: gate.wait(60), background=True)
    assert result.wait(120)
    assert list(result) == [1, 4]
    gate.set()


def test_callbacks_are_told_of_a_retry_as_well(local_aws: Any) -> None:
    heard = Heard()
    result = lithops_magic.map(square, [2, 3], settings=SETTINGS, errors="keep", callbacks=heard)
    before = len(heard.events)
    result.retry()
    assert [event.task for event in heard.events[before:] if isinstance(event, Failed)] == [1]


def test_progress_draws_a_bar_that_ends_full(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    result = lithops_magic.map(square, [1, 2, 4], settings=SETTINGS, progress=True)
    assert list(result) == [1, 4, 16]
    assert "3/3" in shown.getvalue()
    assert "cost=$" in shown.getvalue()


def test_a_bar_of_an_iterator_learns_its_total(local_aws: Any) -> None:
    shown = io.StringIO()

    def items() -> Iterator[int]:
        yield from (1, 2)

    lithops_magic.map(square, items(), settings=SETTINGS, callbacks=Tqdm(file=shown, desc="squares"))
    assert "squares" in shown.getvalue()
    assert "2/2" in shown.getvalue()


def test_every_event_is_public() -> None:
    assert {kind.__name__ for kind in Event.__args__} <= set(callbacks.__all__)  # type: ignore[attr-defined]
    assert all(getattr(callbacks, name).__doc__ for name in callbacks.__all__ if name != "Event")
