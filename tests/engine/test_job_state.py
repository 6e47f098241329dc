"""A job's state follows from its events alone: rows, counts, futures, endings and callbacks, against values by hand."""

from __future__ import annotations

import io
import math
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from lithops_magic.callbacks import Tqdm
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job import job as job_module
from lithops_magic.engine.job.clock import CLOCK, Clock
from lithops_magic.engine.job.events import Charge
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.ledger import Ledger, TaskStats
from lithops_magic.engine.job.listeners import Listeners
from lithops_magic.engine.job.snapshot import Snapshot
from lithops_magic.engine.job.task import Task, TaskFuture
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire.item import Prepared, prepare
from lithops_magic.errors import JobCancelled, TaskError, TaskPending
from lithops_magic.worker import packing

ERROR = TaskError("why", index=1)


def charge(seconds: float, started: float, sandbox: str = "box", **more: Any) -> Charge:
    return Charge(seconds, seconds * 1000, started, more.get("cold", False), sandbox, more.get("memory", 90))


def ledger(rows: int) -> Ledger:
    made = Ledger()
    assert [made.add() for _ in range(rows)] == list(range(rows))
    return made


def job(items: list[Any] | None = None, **options: Any) -> Job:
    return Job(MapOptions(**options), str, len(items) if items else None, items=items)


def started(count: int, **options: Any) -> tuple[Job, list[Task]]:
    """Return a job and its tasks, all of them sent."""
    made = job(list(range(count)), **options)
    made.publish(ev.Started(time.monotonic(), 512))
    tasks = [task for item in range(count) if (task := made.add(item))]
    assert made.submit(tasks, 512)
    return made, tasks


# Rows


def test_a_row_follows_its_task() -> None:
    rows = ledger(3)
    assert rows.state(2) == rows.state(99) == rows.state(5000) == "queued"
    assert rows.stats(0) == TaskStats(
        index=0, sent_s=pytest.approx(math.nan, nan_ok=True), started_s=pytest.approx(math.nan, nan_ok=True),
        ended_s=pytest.approx(math.nan, nan_ok=True),
    )  # fmt: skip
    rows.apply(ev.Submitted([0, 1], at=12.0, memory_mb=512), began=10.0)
    assert [rows.state(index) for index in range(3)] == ["running", "running", "queued"]
    rows.apply(ev.Answered((), [(0, "value", "printed")], [(0, charge(3.0, 2.5, cold=True))], at=16.0), began=10.0)
    rows.apply(ev.Failed(1, ERROR), began=10.0)
    assert rows.stats(0) == TaskStats(
        index=0, state="done", duration_s=3.0, billed_ms=3000.0, cold=True, sandbox="box", attempts=1,
        max_memory_mb=90, memory_mb=512, sent_s=2.0, started_s=2.5, ended_s=5.5,
    )  # fmt: skip
    assert (rows.values, rows.errors, rows.logs) == (["value", None, None], {1: ERROR}, {0: "printed"})
    assert list(rows.order) == [0, 1]
    assert (rows.indices("done"), rows.indices("failed"), rows.indices("queued")) == ([0], [1], [2])


def test_the_table_is_the_rows_column_by_column() -> None:
    rows = ledger(2)
    for index, name in enumerate(("one", "two")):
        rows.submit(index, 1.0 + index, 256)
        rows.charge(index, charge(2.0, 1.5 + index, name, cold=index == 1, memory=70), received=9.0)
        rows.mark(index, "done")
    table = rows.table()
    for index in range(2):
        assert {name: column[index] for name, column in table.items()} == {
            name: getattr(rows.stats(index), name) for name in TaskStats.__slots__
        }
    assert set(table) == set(TaskStats.__slots__)
    for _ in range(2):
        rows.charge(0, charge(2.0, 1.5, "two"), received=9.0)
    assert len(rows._names) == 3  # each name is kept once
    assert [rows.stats(index).sandbox for index in range(2)] == ["two", "two"]


def test_an_item_is_forgotten_when_its_task_is_done_and_kept_when_it_failed() -> None:
    rows = ledger(2)
    rows.items = {0: "a", 1: "b"}
    rows.apply(ev.Answered((), [(0, 1, "")]), began=0.0)
    rows.apply(ev.Failed(1, ERROR), began=0.0)
    assert rows.items == {1: "b"}
    assert rows.logs == {}
    rows.apply(ev.Answered((), [(0, 1, "")]), began=0.0)  # which has no item any more


def test_a_sandbox_without_a_name_has_none() -> None:
    rows = ledger(1)
    rows.submit(0, 1.0, 512)
    rows.charge(0, charge(2.0, 1.5, ""), received=9.0)
    assert (rows.stats(0).sandbox, rows.table()["sandbox"]) == ("", [""])


def test_what_runs_again_is_queued_and_what_it_cost_remains() -> None:
    rows = ledger(2)
    for index in range(2):
        rows.submit(index, 1.0, 512)
        rows.charge(index, charge(2.0, 1.0), received=4.0)
    rows.apply(ev.Answered((), [(0, "value", "log")]), began=0.0)
    rows.apply(ev.Failed(1, ERROR), began=0.0)
    copied = rows.without([1, 3])
    assert len(copied) == 4
    assert [copied.state(index) for index in range(4)] == ["done", "queued", "queued", "queued"]
    assert (copied.values, copied.errors, copied.logs, list(copied.order)) == (
        ["value", None, None, None],
        {},
        {0: "log"},
        [0],
    )
    assert copied.stats(1).billed_ms == 2000.0
    copied.submit(1, 7.0, 512)
    copied.submit(3, 7.0, 512)
    # The attempt before is a row of its own; a task that never ran has none.
    assert [(row.index, row.attempts, row.ended_s) for row in copied.lost] == [(1, 1, 3.0)]
    assert math.isnan(copied.stats(1).started_s)
    assert copied.stats(1).attempts == 2
    copied.submit(1, 8.0, 512)
    assert len(copied.lost) == 1
    # The original is as it was.
    assert (len(rows), rows.errors, rows.state(1), list(rows.order)) == (2, {1: ERROR}, "failed", [0, 1])
    redone = copied.without([0])
    assert (redone.values[0], redone.logs, list(redone.order)) == (None, {}, [])
    assert (copied.values[0], copied.logs) == ("value", {0: "log"})


def test_only_what_did_not_run_by_itself_is_no_attempt() -> None:
    rows = ledger(4)
    rows.apply(ev.Submitted(range(4)), began=0.0)
    for index, kind in enumerate((ev.Returned, ev.Throttled, ev.Withdrawn, ev.Retried)):
        rows.apply(kind([index]), began=0.0)
    assert [rows.stats(index).attempts for index in range(4)] == [0, 0, 0, 1]
    assert rows.indices("queued") == [0, 1, 2, 3]
    rows.submit(3, 1.0, 512)
    assert rows.lost == []  # nothing was heard of the first attempt


def test_a_million_rows_take_a_block_at_a_time_and_each_is_its_own() -> None:
    rows = ledger(2050)
    for index in (0, 1023, 1024, 2049):
        rows.submit(index, float(index), 512)
        rows.charge(index, charge(1.0, float(index), f"box {index}"), received=index + 1.0)
    assert [row.sandbox for index in (0, 1, 1023, 1024, 2049) if (row := rows.stats(index))] == [
        "box 0",
        "",
        "box 1023",
        "box 1024",
        "box 2049",
    ]
    assert math.isnan(rows.stats(2048).sent_s)
    assert (rows.stats(2048).attempts, rows.stats(2049).attempts, rows.stats(2049).started_s) == (0, 1, 2049.0)
    assert len(rows.table()["state"]) == 2050
    assert (len(rows.indices("queued")), rows.indices("running")) == (2046, [0, 1023, 1024, 2049])


def test_only_what_ran_and_ended_has_a_duration() -> None:
    rows = ledger(4)
    for index in range(3):
        rows.submit(index, 0.0, 512)
        rows.charge(index, charge(1.0 + index, 0.0), received=9.0)
    rows.apply(ev.Answered((), [(0, 1, "")]), began=0.0)
    rows.apply(ev.Failed(1, ERROR), began=0.0)
    rows.apply(ev.Recalled([(3, 1, "")], 0.0), began=0.0)
    assert rows.durations() == [1.0, 2.0]
    assert (rows.stats(3).cached, rows.stats(2).cached) == (True, False)


def test_the_machine_s_clock() -> None:
    before = time.monotonic()
    CLOCK.sleep(0.001)
    assert CLOCK.now() - before >= 0.001
    told = CLOCK.queue()
    told.put("message")
    assert told.get_nowait() == "message"


# Counts


def test_a_job_that_goes_on_keeps_what_was_spent_and_starts_its_counts_anew() -> None:
    before = Snapshot(
        total=10, running=1, in_flight=1, done=4, failed=2, cancelled=3, retried=7, throttled=8, backups=9,
        invocations=11, phase="Deploying", notes=("a note",), state="cancelled", task_seconds=12.0, cost=0.5,
        request_cost=0.1, memory_mb=512, started_at=100.0, running_at=103.0, ended_at=110.0,
    )  # fmt: skip
    assert before.rerun(4, 200.0) == Snapshot(
        total=10, done=4, retried=7, throttled=8, backups=9, invocations=11, task_seconds=12.0, cost=0.5,
        request_cost=0.1, memory_mb=512, started_at=190.0, elapsed=10.0, running_seconds=7.0,
    )  # fmt: skip


def test_the_memory_that_was_used_is_the_most_of_any_invocation() -> None:
    made = job([1])
    made.publish(ev.Answered([ev.Invoked(max_memory_mb=70), ev.Invoked(max_memory_mb=80)]))
    made.publish(ev.Answered([ev.Invoked(max_memory_mb=60)]))
    made.publish(ev.Answered())
    assert made.snapshot().max_memory_mb == 80
    assert made.snapshot().invocations == 3


def test_events_after_the_end_change_no_phase_and_no_state() -> None:
    made = job([1])
    made.cancel()
    made.publish(ev.Phase("Deploying"))
    made.publish(ev.Started(1.0, 512))
    assert (made.snapshot().state, made.snapshot().phase, made.snapshot().running_at) == ("cancelled", "", None)


def test_a_new_job_knows_nothing_and_can_do_nothing_yet() -> None:
    made, other = job([1]), job()
    assert (len(made.id), len(made.key)) == (16, 32)
    assert made.id != other.id
    assert made.key != other.key
    assert (made.serve(0.0), made.on_cancel()) == (False, None)
    assert (made.start_rerun, made.follow, made.download, made.written) == (None, None, None, False)
    assert (made.error, made.over, made.whole, made.sequence, other.sequence) == (None, False, True, [1], None)
    assert (made.running, made.queued, made.failed, made.logs(), made.rows()) == (0, 1, {}, {}, [])


def test_an_item_in_s3_is_downloaded_unless_that_is_not_wanted() -> None:
    made = job()
    away = Prepared(fragment=b'{"id":0,"object":"key"}')
    made.add(away)
    made.add(prepare("here"))
    made.download = lambda fields: packing.dumps([fields["object"]])
    assert made.raw_item(0) is away
    assert (made.item(0), made.item(1), made.item(1, download=False)) == (["key"], "here", "here")
    with pytest.raises(LookupError, match="item 0 is in S3"):
        made.item(0, download=False)


def test_what_tasks_read_counts_when_they_are_done() -> None:
    made = job(["a", "b", "c"])
    tasks = [task for octets in (5, 0, 7) if (task := made.add("x", octets))]
    assert made.submit(tasks, 512)
    made.record((), (), [(task, None, "") for task in tasks[:2]])
    assert made.snapshot().read == 5
    made.record((), (), [(tasks[2], None, "")])
    assert made.snapshot().read == 12
    assert made.ledger.octets == {0: 5, 2: 7}
    plain = job(["a"])
    task = plain.add("a")
    assert task is not None
    assert plain.submit([task], 512)
    plain.record((), (), [(task, None, "")])
    assert (plain.snapshot().read, plain.ledger.octets) == (0, {})


def test_values_from_the_cache_are_those_of_tasks_unless_the_job_was_stopped() -> None:
    made, tasks = started(3)
    future = made.future(0)
    assert made.recall([(tasks[0], "value", "log"), (tasks[1], "other", "")], 0.25)
    assert future.result(0) == "value"
    assert (made.ledger.values, made.logs()) == (["value", "other", None], {0: "log"})
    assert [task.settled for task in tasks] == [True, True, False]
    assert (made.snapshot().cached, made.snapshot().saved, made.snapshot().done) == (2, 0.25, 2)
    made.cancel()
    assert not made.recall([(tasks[2], "late", "")], 0.25)
    assert (made.ledger.values[2], tasks[2].settled, made.snapshot().saved) == (None, False, 0.25)


# Futures and endings


def test_a_future_has_what_its_task_has() -> None:
    made, tasks = started(4)
    pending = made.future(0)
    assert (pending.index, pending.running(), pending.cancel()) == (0, True, False)
    made.record([ev.Invoked(cost=0.5)], [(0, charge(1.0, 0.0))], [(tasks[0], "value", "log")])
    assert pending.result(0) == "value"
    assert made.future(0) is pending
    assert (tasks[0].settled, tasks[1].settled) == (True, False)
    assert (made.snapshot().cost, made.snapshot().done, made.snapshot().running) == (0.5, 1, 3)
    assert made.logs() == {0: "log"}
    assert made.stats(0).duration_s == 1.0
    failing = made.future(1)
    made.fail(tasks[1], ERROR)
    assert failing.exception(0) is ERROR
    assert made.failed == {1: ERROR}
    assert tasks[1].settled
    assert (made.snapshot().failed, made.snapshot().running) == (1, 2)
    made.fail(tasks[2], TaskError("item", index=2), sent=False)
    assert made.snapshot().running == 2
    assert list(made.failed) == [1, 2]
    assert [row.state for row in made.rows()] == ["done", "failed", "failed", "running"]
    assert made.future(1).exception(0) is ERROR  # also of one that is asked for late


def test_a_task_without_outcome_says_why() -> None:
    made, tasks = started(2)
    assert made.why_unfinished(0) is not None
    assert str(made.why_unfinished(0)) == "Task 0 has not finished yet: it is running. Use wait()."
    assert str(made.why_unfinished(7)) == "Task 7 has not finished yet: it is queued. Use wait()."
    assert isinstance(made.why_unfinished(0), TaskPending)
    waiting = made.future(7)
    made.record((), (), [(tasks[0], 1, "")])
    assert made.why_unfinished(0) is None
    made.break_off(ValueError("gone"))
    assert str(made.why_unfinished(7)) == "Task 7 was not run: the job ended with ValueError: gone"
    assert isinstance(waiting.exception(0), JobCancelled)
    # What is in flight may still come.
    assert isinstance(made.why_unfinished(1), TaskPending)
    other, _ = started(1)
    other.cancel()
    assert str(other.why_unfinished(5)) == "Task 5 was not run: the job was stopped"


def test_a_job_ends_once() -> None:
    told: list[str] = []
    made, tasks = started(2)
    made.when_over(lambda: told.append("waited"))
    assert not made.ended.is_set()
    made.record((), (), [(task, None, "") for task in tasks])
    assert told == []
    made.end()
    assert (made.over, made.ended.is_set(), made.snapshot().state, told) == (True, True, "finished", ["waited"])
    made.when_over(lambda: told.append("late"))
    made.cancel()
    made.break_off(ValueError("late"))
    assert (made.snapshot().state, made.error, told) == ("finished", None, ["waited", "late"])
    assert not made.submit(tasks, 512)
    assert made.add(9) is None


def test_how_a_job_ended() -> None:
    broken, _ = started(1)
    broken.error = ValueError("items")
    broken.end()
    assert broken.snapshot().state == "broken"
    off, _ = started(3)
    off.break_off(ValueError("no"))
    assert (off.snapshot().state, str(off.error), off.snapshot().cancelled) == ("broken", "no", 0)
    stopped = job([1, 2, 3])
    asked: list[bool] = []
    stopped.on_cancel = lambda: asked.append(stopped.over)
    stopped.interrupt()
    assert (stopped.snapshot().state, stopped.snapshot().cancelled, asked) == ("cancelled", 3, [True])
    alone = job([1], detach=True)
    alone.interrupt()
    assert not alone.over
    note = f"the job continues without this process: lithops_magic.attach({alone.id!r}); .cancel() stops it"
    assert alone.snapshot().notes == (note,)


def test_a_stopped_iterator_had_as_many_items_as_were_taken() -> None:
    made = job()
    assert (made.queued, made.snapshot().total) == (None, None)
    first, second = made.add("a"), made.add("b")
    assert first is not None
    assert second is not None
    assert (first.index, first.item, second.index, second.item) == (0, "a", 1, "b")
    assert made.submit([first], 256)
    assert (made.running, made.stats(0).memory_mb, made.stats(0).attempts) == (1, 256, 1)
    made.cancel()
    assert (made.snapshot().total, made.snapshot().cancelled) == (2, 1)
    assert made.raw_item(1) == made.item(1) == "b"
    other = job(["x", "y"])
    assert (other.raw_item(1), other.whole) == ("y", True)
    lost = job()
    with pytest.raises(LookupError, match="item 4 was taken from an iterator and not kept"):
        lost.raw_item(4)


def test_items_that_are_more_than_they_said_make_the_total_unknown() -> None:
    made = Job(MapOptions(), str, 1)
    made.add("a")
    assert made.snapshot().total == 1
    made.add("b")
    assert made.snapshot().total is None


def test_again_runs_what_is_missing_over_the_same_items() -> None:
    made, tasks = started(3)
    made.function = abs
    made.record([ev.Invoked(cost=0.5)], (), [(tasks[0], "zero", ""), (tasks[2], "two", "")])
    made.fail(tasks[1], ERROR)
    made.end()
    options = MapOptions(retries=9)
    again = made.rerun([1], options)
    assert (again.options, again.function, again.name_code, again.sequence) == (options, abs, str, [0, 1, 2])
    assert (again.whole, made.whole) == (False, True)
    assert (again.snapshot().done, again.snapshot().failed, again.snapshot().total) == (2, 0, 3)
    assert again.snapshot().cost == 0.5
    assert not again.over
    assert again.began < time.time()
    assert again.began == pytest.approx(time.time() - again.clock(), abs=5.0)
    task = again.add("item")
    assert task is not None
    assert task.index == 1
    again.record((), (), [(task, "one", "")])
    assert again.ledger.values == ["zero", "one", "two"]
    assert made.ledger.values == ["zero", None, "two"]


def test_callbacks_of_what_runs_again_are_told_the_whole_number() -> None:
    heard: list[ev.Event] = []
    before = Job(MapOptions(), str, 3, items=[1, 2, 3], clock=Clock())
    again = before.rerun([1], MapOptions(callbacks=(lambda event, _: heard.append(event),)))
    assert again.time is before.time
    again.await_callbacks()
    assert heard == [ev.Counted(3)]


def test_the_clock_of_what_runs_again_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now, wall = [100.0], [1000.0]
    monkeypatch.setattr(job_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(job_module.time, "time", lambda: wall[0])
    made = job([1, 2])
    now[0], wall[0] = 107.0, 1007.0
    assert made.clock() == 7.0
    made.cancel()
    now[0], wall[0] = 150.0, 1050.0
    again = made.rerun([0, 1], MapOptions())
    assert again.clock() == again.snapshot().elapsed == 7.0
    assert again.began == 1043.0


def test_a_wait_ends_with_the_job_or_serves_it() -> None:
    made = job([1])
    made.await_end(0.0)
    served: list[float] = []

    def serve(seconds: float) -> bool:
        served.append(seconds)
        return True

    made.serve = serve
    made.await_end(600.0)
    assert served == [600.0]
    made.serve = lambda _: False
    threading.Timer(0.05, made.cancel).start()
    made.await_end(600.0)
    assert made.over


def test_what_a_futures_callback_raises_is_logged_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    future: TaskFuture[int] = TaskFuture(3)
    seen: list[Future[Any]] = []

    def raising(error: BaseException) -> Any:
        def call(_: Future[Any]) -> None:
            raise error

        return call

    for error in (ValueError("mine"), SystemExit("out")):
        future.add_done_callback(raising(error))
    future.add_done_callback(seen.append)
    future.set_result(1)
    assert seen == [future]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["mine", "out"]
    assert all(f"exception calling callback for {future!r}" in record.getMessage() for record in caplog.records)
    assert {record.name for record in caplog.records} == {"concurrent.futures"}


# Callbacks


def test_listeners_are_told_in_order_from_a_thread_of_their_own() -> None:
    heard: list[tuple[str, Any]] = []

    def broken(event: ev.Event, snapshot: Snapshot) -> None:
        raise KeyError("mine")

    def hear(event: ev.Event, snapshot: Snapshot) -> None:
        heard.append((threading.current_thread().name, event))

    class Named:
        def __call__(self, event: ev.Event, snapshot: Snapshot) -> None:
            raise SystemExit(3)

    said: list[str] = []
    listeners = Listeners([broken, Named(), hear], said.append)
    listeners.catch_up()  # nothing was told
    events = [ev.Phase("one"), ev.Phase("two"), ev.Ended(1.0)]
    for event in events[:2]:
        listeners.tell(event, Snapshot())
    thread = listeners._thread
    assert thread is not None
    assert thread.daemon
    listeners.catch_up()
    assert heard == [("lithops-magic-callbacks", event) for event in events[:2]]
    assert said == [
        "the callback broken is no longer called: it raised KeyError: 'mine'",
        "the callback Named is no longer called: it raised SystemExit: 3",
    ]
    # What was in flight at the end is still told; then the thread ends.
    listeners.tell(events[2], Snapshot(ended_at=1.0, running=1))
    listeners.catch_up()
    assert thread.is_alive()
    listeners.tell(events[2], Snapshot(ended_at=1.0))
    thread.join(30)
    assert not thread.is_alive()
    assert len(heard) == 4
    listeners.catch_up()


def test_a_job_tells_its_total_first_and_notes_a_callback_that_raised() -> None:
    heard: list[tuple[ev.Event, int | None]] = []

    def broken(event: ev.Event, snapshot: Snapshot) -> None:
        raise ValueError("mine")

    made = job([1, 2], callbacks=(lambda event, snapshot: heard.append((event, snapshot.total)), broken))
    made.publish(ev.Phase("Deploying"))
    made.await_callbacks()
    assert heard[:2] == [(ev.Counted(2), 2), (ev.Phase("Deploying"), 2)]
    assert made.snapshot().notes == ("the callback broken is no longer called: it raised ValueError: mine",)
    made.cancel()
    made.await_callbacks()
    assert isinstance(heard[-1][0], ev.Cancelled)


def test_the_bar_shows_counts_failures_and_money() -> None:
    shown = io.StringIO()
    bar = Tqdm(file=shown, ascii=True, ncols=100, mininterval=0)
    bar(ev.Phase(""), Snapshot(total=10))
    drawn: Any = bar._bar
    bar(ev.Noted("a note"), Snapshot(total=10, done=3, failed=2, cost=0.5, request_cost=0.25))
    assert (drawn.n, drawn.total, drawn.unit) == (5, 10, "task")
    assert drawn.postfix == "failed=2, cost=$0.7500"
    bar(ev.Phase(""), Snapshot(total=12, done=4, cost=0.5, request_cost=0.25))
    assert (drawn.n, drawn.total, drawn.postfix) == (4, 12, "cost=$0.7500")
    # While tasks are in flight, the bar stays.
    bar(ev.Ended(1.0), Snapshot(total=12, done=11, running=1, ended_at=1.0))
    assert bar._bar is drawn
    bar(ev.Ended(1.0), Snapshot(total=12, done=12, ended_at=1.0))
    assert bar._bar is None
    assert drawn.disable
    assert "a note\n" in shown.getvalue()
    assert "12/12" in shown.getvalue()
    assert Tqdm(unit="image")._options == {"unit": "image"}


def test_charges_that_are_made_when_looked_at_are_a_sequence_like_any_other() -> None:
    asked: list[int] = []

    def first(task: int) -> ev.Charge:
        asked.append(task)
        return charge(float(task), 0.5)

    charges = ev.Charges([([4, 2], first), ([], first), ([7], lambda _: charge(9.0, 1.0))])
    assert (len(charges), asked) == (3, [])
    expected = [(4, charge(4.0, 0.5)), (2, charge(2.0, 0.5)), (7, charge(9.0, 1.0))]
    assert list(charges) == expected
    assert [charges[0], charges[-1], *charges[1:2]] == [expected[0], expected[2], expected[1]]
    rows = Ledger()
    for _ in range(8):
        rows.add()
    rows.apply(ev.Answered((), (), charges, at=16.0), began=10.0)
    assert [rows.stats(index).duration_s for index in (4, 2, 7, 0)] == [4.0, 2.0, 9.0, 0.0]
