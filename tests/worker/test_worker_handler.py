"""The worker as a plain function: one outcome per task, whatever the task does."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lithops_magic
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment
from lithops_magic.engine.wire.reply import WorkerReply, decode, unpack, unpickle
from lithops_magic.worker import alarm, capture, culprit, handler, packing, processes
from lithops_magic.worker import reply as reply_limit
from replies import opened
from waiting import has_ended


class Context:
    """Lambda's context object, as far as the worker looks at it."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline - time.monotonic()) * 1000)


def raw(
    function: Callable[[Any], Any], items: Iterable[Any], /, *, seconds: float = 60, **changes: Any
) -> dict[str, Any]:
    blob = Function.pickle(function).place()
    request = json.loads(blob.request(fragment(i, item, blob.room) for i, item in enumerate(items)))
    return opened(handler.handle({**request, **changes}, Context(seconds)))


def run(function: Callable[[Any], Any], items: Iterable[Any], *, seconds: float = 60) -> WorkerReply:
    return decode(json.dumps(raw(function, items, seconds=seconds)).encode())


def statuses(reply: WorkerReply) -> list[str]:
    return [reply.outcomes[i].status for i in sorted(reply.outcomes)]


def test_values_come_back_per_task() -> None:
    reply = run(lambda x: [x, None][x % 2], range(4))
    assert [unpickle(reply.outcomes[i].value) for i in range(4)] == [0, None, 2, None]
    assert all(outcome.seconds >= 0 for outcome in reply.outcomes.values())


def test_an_error_leaves_its_neighbours_alone() -> None:
    reply = run(lambda x: 1 / x, [1, 0, 2])
    assert statuses(reply) == ["ok", "error", "ok"]
    error = reply.outcomes[1].traceback
    assert error is not None
    assert (error.type, error.message) == ("ZeroDivisionError", "division by zero")
    assert [frame.function for frame in error.frames] == ["<lambda>"]
    assert error.frames[0].source.startswith("reply = run(lambda x: 1 / x")
    assert isinstance(unpack(reply.outcomes[1].exception), ZeroDivisionError)


@pytest.mark.parametrize("leave", [sys.exit, lambda code: exec("raise KeyboardInterrupt")])
def test_leaving_is_an_error_of_the_task(leave: Callable[[int], None]) -> None:
    def task(x: int) -> int:
        if x == 1:
            leave(3)
        return x

    assert statuses(run(task, range(3))) == ["ok", "error", "ok"]


def test_causes_are_described() -> None:
    def task(_: int) -> None:
        try:
            {}["key"]  # type: ignore[index]
        except KeyError as error:
            raise RuntimeError("outer") from error

    error = run(task, [0]).outcomes[0].traceback
    assert error is not None
    assert error.cause is not None
    assert (error.type, error.cause.type) == ("RuntimeError", "KeyError")


def test_an_exception_that_cannot_be_printed_or_pickled_still_has_its_type() -> None:
    class Odd(Exception):
        def __init__(self, lock: Any) -> None:
            self.lock = lock

        def __str__(self) -> str:
            raise ValueError("no text")

    def task(_: int) -> None:
        import threading

        raise Odd(threading.Lock())

    outcome = run(task, [0]).outcomes[0]
    assert outcome.traceback is not None
    assert outcome.traceback.type == "Odd"
    again = unpack(outcome.exception)
    assert (type(again).__name__, vars(again)) == ("Odd", {})
    assert "ValueError" in outcome.traceback.message


def test_the_time_limit_is_an_outcome_with_the_users_line_and_keeps_earlier_tasks() -> None:
    def task(x: int) -> int:
        while x == 1:
            time.sleep(0.01)
        return x

    reply = run(task, range(4), seconds=1)
    assert {i: one.status for i, one in reply.outcomes.items()} == {0: "ok", 1: "timeout"}
    error = reply.outcomes[1].traceback
    assert error is not None
    assert "time.sleep" in error.frames[-1].source


def test_catching_every_exception_does_not_catch_the_time_limit() -> None:
    def stubborn(_: int) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    assert statuses(run(stubborn, [0], seconds=0.5)) == ["timeout"]


def test_a_task_is_not_begun_without_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm.Alarm, "_set", alarm.Alarm._ring)
    assert statuses(run(lambda x: (tmp_path / str(x)).touch(), range(3))) == ["timeout"]
    assert list(tmp_path.iterdir()) == []


def test_coroutines_are_awaited() -> None:
    async def task(x: int) -> int:
        import asyncio

        await asyncio.sleep(0)
        if x == 1:
            raise ValueError("one")
        return x + 1

    reply = run(task, range(2))
    assert unpickle(reply.outcomes[0].value) == 1
    error = reply.outcomes[1].traceback
    assert error is not None
    assert [frame.function for frame in error.frames] == ["task"]


def test_what_a_task_prints_is_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    def task(x: int) -> None:
        print("out", x)
        print("err", x, file=sys.stderr)
        logging.getLogger("mine").warning("log %d", x)
        sys.stdout.writelines(["lines\n"])
        assert sys.stdout.encoding

    reply = run(task, range(2))
    assert reply.outcomes[1].log == "out 1\nerr 1\nWARNING:mine:log 1\nlines\n"
    assert "out 0" in capfd.readouterr().out


def test_long_output_keeps_head_and_tail() -> None:
    def task(_: int) -> None:
        for number in range(100_000):
            print(number)
        print("\ud800")

    log = run(task, [0]).outcomes[0].log
    assert log.startswith("0\n1\n")
    assert log.endswith("99999\n\\ud800\n")
    assert "characters cut" in log
    assert len(log) < capture.LIMIT + 100


def test_a_result_that_cannot_be_pickled_is_named() -> None:
    reply = run(lambda x: (i for i in range(x)) if x else x, range(2))
    assert statuses(reply) == ["ok", "unpicklable"]
    assert reply.outcomes[1].of == "generator"


class Holder:
    def __init__(self, part: Any) -> None:
        self.name, self.part = "a name", part


class Slotted:
    __slots__ = ("part",)

    def __init__(self, part: Any) -> None:
        self.part = part


class Refusing(Holder):
    def __getstate__(self) -> Any:
        raise TypeError("a pool stays where it is")


@dataclass
class Data:
    number: int
    part: Any


LOCK: Any = threading.Lock()


def closure(part: Any) -> Callable[[], Any]:
    return lambda: part


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (LOCK, "cannot"),
        ({"a": 1, "model": Holder(LOCK)}, "it['model'].part: "),
        ([0, (1, Slotted(LOCK))], "it[1][1].part: "),
        (Data(1, {"x": [LOCK]}), "it.part['x'][0]: "),
        ({(1, Holder(LOCK)): 1}, "the key (1, "),
        (closure({"k": LOCK}), "it's part['k']: "),
        (Holder(LOCK).__init__, "it.__self__.part: "),  # type: ignore[misc]
        ({frozenset({Slotted(LOCK)})}, "an element of an element of it.part: "),
    ],
)
def test_what_cannot_be_pickled_is_located(value: Any, where: str) -> None:
    with pytest.raises(TypeError) as caught:
        packing.dumps(value)
    text = culprit.locate(value, "it", caught.value)
    assert text.startswith(where)
    assert text.endswith("cannot pickle '_thread.lock' object")


def test_what_refuses_to_be_pickled_says_so_itself_whatever_it_is_made_of() -> None:
    value = {"pool": Refusing(LOCK)}
    with pytest.raises(TypeError) as caught:
        packing.dumps(value)
    assert culprit.locate(value, "it", caught.value) == "it['pool']: a pool stays where it is"


def test_the_search_for_it_ends_in_a_large_object_with_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    endless: list[Any] = [[number] for number in range(1000)]
    endless += [endless, LOCK]
    with pytest.raises(TypeError) as caught:
        packing.dumps(endless)
    assert culprit.locate(endless, "it", caught.value) == "cannot pickle '_thread.lock' object"


def test_where_a_result_cannot_be_pickled_is_reported() -> None:
    def task(_: int) -> Any:
        return {"model": [threading.Lock()]}

    outcome = run(task, [0]).outcomes[0]
    assert (outcome.status, outcome.of) == ("unpicklable", "dict")
    assert outcome.reason == "result['model'][0]: cannot pickle '_thread.lock' object"


def test_the_variables_of_the_frame_that_failed_are_reported_where_that_is_asked() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    lines = ["def task(x):", " text, odd = 'long' * 1000, Odd()", *(f" v{i} = {i}" for i in range(50)), " loads(text)"]
    names: dict[str, Any] = {"Odd": Odd, "loads": json.loads}
    exec(compile("\n".join(lines), "Cell In[1]", "exec"), names)
    task = names["task"]
    (outcome,) = raw(task, [7], locals=True)["outcomes"]
    (frame,) = [frame for frame in outcome["error"]["frames"] if "locals" in frame]
    assert frame["function"] == "task"
    assert frame["locals"]["x"] == "7"
    assert len(frame["locals"]["text"]) <= 200
    assert len(frame["locals"]) == 40
    assert frame["locals"]["odd"].startswith("<Odd instance at ")
    (outcome,) = raw(task, [7])["outcomes"]
    assert not [frame for frame in outcome["error"]["frames"] if "locals" in frame]
    error = decode(json.dumps(raw(task, [7], locals=True)).encode()).outcomes[0].traceback
    assert error is not None
    assert {frame.function: len(frame.locals) > 0 for frame in error.frames}["task"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts) | st.tuples(parts, parts),
    ),
    st.integers(0, 300_000),
    st.booleans(),
)
def test_every_value_survives_packing(value: Any, size: int, compressible: bool) -> None:
    array = bytearray(size) if compressible else bytearray(os.urandom(size))
    value = (value, pickle.PickleBuffer(array), bytes(array))
    first, buffer, copy = packing.loads(packing.dumps(value))
    assert (first, bytes(buffer), copy) == (value[0], bytes(array), bytes(array))


def test_arrays_come_back_writable_and_compressed_where_it_pays() -> None:
    numpy = pytest.importorskip("numpy")
    zeros, noise = numpy.zeros(100_000), numpy.random.default_rng(1).normal(size=100_000)
    assert len(packing.dumps(zeros)) < 10_000
    assert 800_000 <= len(packing.dumps(noise)) < 800_400
    back = packing.loads(packing.dumps({"zeros": zeros, "noise": noise, "few": noise[:3]}))
    for array in back.values():
        array[0] = 7
    assert (back["noise"][1:] == noise[1:]).all()


def test_a_result_over_the_limit_is_named_with_its_size() -> None:
    reply = run(os.urandom, [10, 8_000_000, 20])
    assert statuses(reply) == ["ok", "too_large", "ok"]
    assert reply.outcomes[1].size > 8_000_000


def test_a_full_reply_leaves_the_rest_for_another_one() -> None:
    reply = run(lambda x: os.urandom(2_000_000), range(5))
    assert statuses(reply) == ["ok", "ok"]
    assert len(json.dumps(raw(lambda x: os.urandom(2_000_000), range(5)))) <= 6_291_556


def test_a_result_that_fits_only_by_itself_is_dropped() -> None:
    reply = run(os.urandom, [1_500_000, 4_000_000, 10])
    assert statuses(reply) == ["ok", "dropped", "ok"]


def test_a_reply_is_filled_to_the_byte() -> None:
    def length(size: int) -> tuple[str, int]:
        reply = raw(os.urandom, [size])
        # Told where there is room: what the tests before this one left behind, and what they did not find.
        for name in ("left", "missing"):
            reply.pop(name, None)
        outcome = reply["outcomes"][0]
        # These vary in length from run to run.
        times = sum(len(str(number)) for number in (outcome["started"], outcome["seconds"], reply["waited"]))
        return outcome["status"], len(json.dumps(reply)) - times

    empty = length(0)[1]
    largest = (reply_limit.LIMIT - empty - 60) // 4 * 3
    assert length(largest)[0] == "ok"
    assert reply_limit.LIMIT - 150 < length(largest)[1] <= reply_limit.LIMIT
    assert length(largest + 90)[0] == "too_large"


@pytest.mark.parametrize("name", ["protocol", "python", "cloudpickle"])
def test_a_mismatch_is_told_and_nothing_is_unpickled(name: str) -> None:
    reply = raw(lambda x: x, [1], **{name: "2.0", "function": {"sha256": "x", "data": "not a pickle"}})
    assert "outcomes" not in reply
    assert f"{name} 2.0" in reply["error"]


def test_a_missing_module_is_named() -> None:
    class Needy:
        def __reduce__(self) -> Any:
            return __import__, ("no_such_module_here",)

    outcome = run(lambda x: x, [Needy()]).outcomes[0]
    assert outcome.traceback is not None
    assert outcome.traceback.type == "ModuleNotFoundError"
    assert "'no_such_module_here'" in outcome.traceback.message
    assert "item" in outcome.traceback.message


def test_the_function_is_unpickled_once_per_sandbox() -> None:
    class Counted:
        loads = 0

        def __reduce__(self) -> Any:
            return count, ()

    def count() -> Callable[[int], int]:
        import builtins

        builtins.loads = getattr(builtins, "loads", 0) + 1  # type: ignore[attr-defined]
        return lambda x: builtins.loads  # type: ignore[attr-defined,no-any-return]

    first, second = run(Counted(), [0]), run(Counted(), [0])  # type: ignore[arg-type]
    assert unpickle(first.outcomes[0].value) == unpickle(second.outcomes[0].value) == 1


def test_only_the_first_invocation_is_cold() -> None:
    first, second = run(lambda x: x, [0]), run(lambda x: x, [0])
    assert first.sandbox == second.sandbox
    assert not second.cold


def on_two(function: Callable[[Any], Any], items: Iterable[Any], *, seconds: float = 60) -> dict[int, dict[str, Any]]:
    before = psutil.Process().children()
    reply = raw(function, items, seconds=seconds, processes=2)
    left = [child for child in psutil.Process().children() if child not in before]
    assert [child for child in left if not has_ended(child.pid)] == []
    return {outcome["id"]: outcome for outcome in reply["outcomes"]}


def test_processes_share_the_tasks_and_are_gone_with_the_reply(capfd: pytest.CaptureFixture[str]) -> None:
    def task(x: int) -> int:
        print("task", x)
        if x == 3:
            raise ValueError
        return os.getpid()

    outcomes = on_two(task, range(5))
    assert [outcomes[i]["log"] for i in range(5)] == [f"task {i}\n" for i in range(5)]
    assert outcomes[3]["status"] == "error"
    pids = {packing.loads(base64.b64decode(outcomes[i]["value"])) for i in (0, 1, 2, 4)}
    assert len(pids) == 2
    assert os.getpid() not in pids
    mark, *printed = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"lithops-magic [0-9a-f]{12} 0-4", mark)
    assert sorted(printed) == [f"task {i}" for i in range(5)]


def test_a_process_is_replaced_when_it_dies_even_if_something_holds_its_pipe() -> None:
    def task(x: int) -> int:
        if x == 1:
            os._exit(3)
        if x == 2:
            if os.fork() == 0:
                time.sleep(1)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    outcomes = on_two(task, range(6))
    assert {i: outcome["status"] for i, outcome in outcomes.items()} == {
        **dict.fromkeys((0, 3, 4, 5), "ok"),
        **dict.fromkeys((1, 2), "died"),
    }
    assert (outcomes[1]["code"], outcomes[2]["code"]) == (3, -signal.SIGKILL)


def test_a_task_goes_to_another_process_if_its_own_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    assign, calls = processes._Worker.assign, []

    def assign_once_to_the_dead(worker: processes._Worker, task: dict[str, Any]) -> None:
        calls.append(task["id"])
        if len(calls) == 2:
            os.kill(worker.process.pid, signal.SIGKILL)
            raise BrokenPipeError
        assign(worker, task)

    monkeypatch.setattr(processes._Worker, "assign", assign_once_to_the_dead)
    outcomes = on_two(lambda x: (x, os.getpid()), range(4))
    values = [packing.loads(base64.b64decode(outcomes[i]["value"])) for i in range(4)]
    assert [x for x, _ in values] == [0, 1, 2, 3]
    assert len({pid for _, pid in values}) == 2


def test_a_process_that_ignores_the_time_limit_is_killed_and_nothing_more_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The other one gets 3 seconds to report where it was, which a loaded machine may need.
    monkeypatch.setattr(processes, "REPORT_SHARE", 20)

    def task(x: int) -> int:
        if x == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        if x < 2:
            time.sleep(60)
        return x

    outcomes = on_two(task, range(4), seconds=1.5)
    assert {i: outcome["status"] for i, outcome in outcomes.items()} == {0: "timeout", 1: "timeout"}
    assert "time.sleep(60)" in str(outcomes[1]["error"])


def test_a_full_reply_ends_the_work_of_processes_too() -> None:
    outcomes = on_two(lambda x: os.urandom(3_000_000), range(9))
    assert 1 <= [outcome["status"] for outcome in outcomes.values()].count("ok") < 9


def test_code_of_another_python_is_refused_before_it_can_crash_this_one() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def __repr__(self) -> str:
            return f"at {self.x}"

    for value in (lambda x: x, Point(3), [1, {"k": Point}]):
        packed = packing.dumps(value)
        assert packing.loads(packed)
        other = packed.replace(sys.version[:4].encode(), b"3.10")
        with pytest.raises(ValueError, match=r"^it has code of Python 3\.10$"):
            packing.loads(other)


def test_another_python_reads_values_and_refuses_code() -> None:
    program = (
        "import sys, base64; sys.path[:0] = sys.argv[1:3]\n"
        "from lithops_magic.worker import packing\n"
        "for data in sys.argv[3:]:\n"
        "    try: print(packing.loads(base64.b64decode(data)))\n"
        "    except ValueError as error: print(error)\n"
    )
    folders = [str(Path(module.__file__ or "").parent.parent) for module in (cloudpickle, lithops_magic)]
    data = [base64.b64encode(packing.dumps(value)).decode() for value in ({"a": 1.5}, lambda x: x)]
    pythons = [shutil.which(f"python3.{minor}") for minor in range(12, 16)]
    for python in filter(None, pythons):
        command = [python, "-c", program, *folders, *data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if "No module named" not in done.stderr and "command not found" not in done.stderr:  # as pyenv's stand-ins say
            same = f"{sys.version_info.major}.{sys.version_info.minor}" in Path(python).name
            refused = f"it has code of Python {sys.version[:4]}"
            assert done.stdout.splitlines()[0] == "{'a': 1.5}", done.stderr
            assert same or done.stdout.splitlines()[1:] == [refused], done.stderr
