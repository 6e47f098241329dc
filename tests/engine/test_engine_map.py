"""Jobs end to end: real boto3 over real HTTP, a real deployed function, real sandboxes."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

import lithops_magic.engine as engine
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions, MapResult, api
from lithops_magic.errors import (
    DiskFull,
    InitFailed,
    ItemError,
    JobCancelled,
    RemoteError,
    ResultError,
    SerializationError,
    TaskCrashed,
    TaskError,
    TaskOutOfMemory,
    TaskPending,
    TaskTimeout,
)
from recording import record_no_job

pytestmark = pytest.mark.usefixtures("local_aws")


def lmap(function: Callable[[Any], Any], items: Any, **options: Any) -> MapResult:
    return api.map(function, items, settings=Settings(local=True, memory=256), **options)


def keep(function: Callable[[Any], Any], items: Any, **options: Any) -> MapResult:
    return lmap(function, items, errors="keep", **options)


def background(function: Callable[[Any], Any], items: Any, **options: Any) -> MapResult:
    return lmap(function, items, background=True, **options)


def patiently(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def held_at(gate: socket.socket, first: int = 0) -> Callable[[int], int]:
    """A task that, from item `first` on, runs until the gate closes its connection."""
    address = gate.getsockname()

    def task(x: int) -> int:
        if x >= first:
            with socket.create_connection(address) as connection:
                connection.recv(1)
        return x

    return task


def test_values_come_in_the_order_of_the_items() -> None:
    result = lmap(lambda x: x * x, range(300))
    assert list(result) == [x * x for x in range(300)]
    assert (len(result), result[-1], result[1:3]) == (300, 299**2, [1, 4])
    assert list(result.succeeded().values()) == list(result)
    s = result.snapshot()
    assert (s.state, s.done, s.queued, s.running) == ("finished", 300, 0, 0)
    assert 0 < s.invocations < 300
    with pytest.raises(IndexError):
        result[300]


def test_any_value_is_a_value() -> None:
    def task(x: int) -> Any:
        return [None, ValueError("returned, not raised"), {"a": (1, 2)}, NotImplemented, lambda: 7][x]

    result = lmap(task, range(5))
    assert (result[0], result[2], result[3], result[4]()) == (None, {"a": (1, 2)}, NotImplemented, 7)
    assert isinstance(result[1], ValueError)
    assert not result.errors


def test_no_items_is_a_finished_job() -> None:
    result = lmap(lambda x: x, [])
    assert (list(result), result.snapshot().state) == ([], "finished")


def test_closures_and_globals_travel() -> None:
    offset = 10

    def helper(x: int) -> int:
        return x + offset

    assert list(lmap(lambda x: helper(x), [1, 2])) == [11, 12]


def test_coroutine_functions_are_awaited() -> None:
    async def task(x: int) -> int:
        await asyncio.sleep(0.001)
        return x

    assert list(lmap(task, range(3))) == [0, 1, 2]


def test_a_generator_of_items_is_taken_lazily() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    result = background(lambda x: x, items(), chunksize=2, workers=2)
    patiently(lambda: result.snapshot().done >= 10)
    assert result.snapshot().total is None
    result.cancel()
    done = result.snapshot().done
    assert taken <= done + 2 * 2 + 2 + result.snapshot().running + 4
    assert len(list(result.succeeded().values())) >= 10


def test_the_items_of_a_generator_are_let_go_as_their_tasks_end() -> None:
    born: list[None] = []
    gone: list[None] = []
    most = 0

    class Item:
        def __init__(self) -> None:
            nonlocal most
            born.append(None)
            most = max(most, len(born) - len(gone))

        def __del__(self) -> None:
            gone.append(None)

        def __reduce__(self) -> Any:
            return int, (7,)

    result = lmap(lambda x: x, (Item() for _ in range(6_000)), chunksize=100, workers=4)
    assert list(result.succeeded().values()) == [7] * 6_000
    assert len(born) == 6_000
    patiently(lambda: len(gone) == 6_000)
    # The chunks in flight and those that are made ready meanwhile.
    assert most <= 3 * 4 * 100


def test_one_failure_among_a_thousand_is_found_and_the_rest_kept() -> None:
    def task(x: int) -> float:
        return 1 / (x - 617)

    result = keep(task, range(1000))
    assert list(result.errors) == [617]
    assert result[0] == 1 / -617
    assert len(list(result.succeeded().values())) == 999
    error = result.errors[617]
    assert isinstance(error, RemoteError)
    assert isinstance(error, ZeroDivisionError)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert (error.index, error.item) == (617, "617")
    assert "return 1 / (x - 617)" in str(error)
    with pytest.raises(ZeroDivisionError):
        result[617]


def test_errors_are_raised_grouped_and_counted() -> None:
    def task(x: int) -> float:
        if x % 10 == 0:
            raise KeyError(x)
        return 1 / (x % 2)

    with pytest.raises(TaskError) as caught:
        lmap(task, range(40))
    text = str(caught.value)
    assert "16 of 40 tasks failed with ZeroDivisionError at" in text
    assert "4 of 40 tasks failed with KeyError at" in text
    assert "`return 1 / (x % 2)`" in text
    assert isinstance(caught.value.result, MapResult)
    assert caught.value.result[1] == 1.0
    rendered = "\n".join(caught.value._render_traceback_())
    assert "in task" in rendered
    assert "lithops_magic/engine" not in rendered


def test_code_is_called_what_the_user_calls_it() -> None:
    source = "\n\ndef task(x):\n    return 1 / x\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, "/tmp/ipykernel_1/123.py", "exec"), namespace)
    job = engine.start(
        namespace["task"],
        [0],
        options=MapOptions(),
        settings=Settings(local=True, memory=256),
        name_code=lambda name: "Cell In[6]" if name == "/tmp/ipykernel_1/123.py" else name,
    )
    assert job.wait(120)
    assert job.errors[0].where == "Cell In[6], line 4"
    assert "Cell In[6], line 4, in task" in "\n".join(job.errors[0]._render_traceback_())


def test_an_exception_that_cannot_be_rebuilt_is_still_named() -> None:
    class Local(Exception):
        def __init__(self, code: int, text: str) -> None:
            super().__init__(f"{text} ({code})")

    def task(_: int) -> None:
        raise Local(3, "odd")

    error = keep(task, [0]).errors[0]
    assert isinstance(error, RemoteError)
    assert error.traceback is not None
    assert error.traceback.type.endswith("Local")
    assert "odd (3)" in str(error)


def test_a_users_exception_class_can_be_caught() -> None:
    class Mine(Exception):
        pass

    def task(_: int) -> None:
        raise Mine("a", 1)

    with pytest.raises(Mine) as caught:
        lmap(task, [0])
    assert caught.value.args == ("a", 1)


def test_an_os_error_keeps_its_number() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        lmap(lambda name: Path(name).stat(), ["/no/such/file"])
    assert caught.value.errno == 2
    assert caught.value.filename == "/no/such/file"


def test_leaving_python_is_a_users_error() -> None:
    result = keep(lambda x: sys.exit(x) if x else x, range(2), chunksize=2)
    assert result[0] == 0
    assert isinstance(result.errors[1], RemoteError)
    assert not isinstance(result.errors[1], SystemExit)
    assert "SystemExit" in str(result.errors[1])


def test_a_time_out_in_a_chunk_keeps_its_neighbours() -> None:
    def task(x: int) -> int:
        while x == 2:
            time.sleep(0.01)
        return x

    result = keep(task, range(6), chunksize=6, timeout=3, retries=1)
    assert list(result.succeeded().values()) == [0, 1, 3, 4, 5]
    error = result.errors[2]
    assert isinstance(error, TaskTimeout)
    assert "3 s" in str(error)
    assert "time.sleep" in str(error)
    assert result.stats[2].attempts == 2


def test_a_time_out_in_c_code_is_the_platforms_and_keeps_its_neighbours() -> None:
    def task(x: int) -> int:
        if x == 1:
            # A mask keeps the worker's alarm from ringing, as code that never returns to Python does.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            time.sleep(60)
        return x

    result = keep(task, range(3), chunksize=3, timeout=2, retries=1)
    assert list(result.succeeded().values()) == [0, 2]
    assert isinstance(result.errors[1], TaskTimeout)


def test_a_segmentation_fault_in_a_chunk_keeps_its_neighbours() -> None:
    def task(x: int) -> int:
        if x == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return x

    result = keep(task, range(6), chunksize=6, retries=1)
    assert list(result.succeeded().values()) == [0, 1, 2, 4, 5]
    error = result.errors[3]
    assert isinstance(error, TaskCrashed)
    assert "segmentation fault" in str(error)
    assert "run this item in a script" in str(error)
    assert "attempt 2 of 2" in str(error)


def test_a_sandbox_killed_for_its_memory_is_named_with_what_it_used() -> None:
    def task(x: int) -> int:
        hog: list[bytes] = []
        while x == 1 and len(hog) < 100:
            hog.append(b"x" * 10_000_000)
        return x

    result = keep(task, range(3), chunksize=3, retries=1)
    assert list(result.succeeded().values()) == [0, 2]
    error = result.errors[1]
    assert type(error) is TaskOutOfMemory
    assert "it used up 256 of the function's 256 MB; raise it with memory (--memory)" in str(error)
    assert "attempt 2 of 2" in str(error)


def test_a_sandbox_that_cannot_start_is_named(local_aws: Any) -> None:
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        # As the package of that name on PyPI, which is for Python 2: a layer comes before the standard library.
        archive.writestr("python/uuid.py", "print 'Python 2'\n")
    arn = local_aws.client("lambda").publish_layer_version(LayerName="old", Content={"ZipFile": layer.getvalue()})
    settings = Settings(local=True, memory=256, layers=(arn["LayerVersionArn"],))
    error = api.map(abs, [1], settings=settings, errors="keep", retries=0).errors[0]
    assert type(error) is InitFailed
    assert "Check the function's layers" in str(error)


def test_a_full_disk_is_named_and_keeps_its_neighbours() -> None:
    def task(path: str) -> str:
        with Path(path).open("wb", buffering=0) as file:
            file.write(b"x")
        return path

    # Linux answers a write to this device as it does on a disk without room.
    result = keep(task, ["/dev/null", "/dev/full", "/dev/null"], chunksize=3)
    assert list(result.succeeded().values()) == ["/dev/null", "/dev/null"]
    error = result.errors[1]
    assert isinstance(error, DiskFull)
    assert "No space left on device" in str(error)
    assert "--tmp" in str(error)


def test_a_function_that_cannot_be_pickled_is_refused_before_anything_is_sent() -> None:
    lock = threading.Lock()
    with pytest.raises(SerializationError, match=r"'lock'.*tasks share no memory.*create it inside the function"):
        api.start(lambda x: lock, [1], options=MapOptions(), settings=Settings(local=True))


def test_an_item_that_cannot_be_sent_fails_alone() -> None:
    result = keep(lambda x: len(x) if isinstance(x, bytes) else 0, [b"abc", threading.Lock(), b"a"])
    assert list(result.succeeded().values()) == [3, 1]
    assert isinstance(result.errors[1], ItemError)
    assert isinstance(result.errors[1], SerializationError)
    assert "lock' object; tasks share no memory" in str(result.errors[1])


def test_a_result_that_cannot_be_sent_fails_alone() -> None:
    def task(x: int) -> Any:
        return [1, (i for i in range(3)), 4][x]

    result = keep(task, range(3), chunksize=3)
    assert list(result.succeeded().values()) == [1, 4]
    assert type(result.errors[1]) is ResultError
    assert "'generator' object; it can be consumed only in its task: return a list of its values" in str(
        result.errors[1]
    )


def test_a_result_that_cannot_be_unpickled_here_is_named() -> None:
    def task(_: int) -> Any:
        class Poison:
            def __reduce__(self) -> Any:
                return __import__, ("only_there",)

        return Poison()

    error = keep(task, [0]).errors[0]
    assert isinstance(error, ResultError)
    assert "only_there" in str(error)


def test_large_results_of_a_chunk_take_several_replies() -> None:
    result = lmap(lambda x: random.Random(x).randbytes(1_000_000), range(12), chunksize=12)
    assert list(result) == [random.Random(x).randbytes(1_000_000) for x in range(12)]
    assert 3 <= result.snapshot().invocations <= 6


def test_large_items_take_several_requests() -> None:
    result = lmap(len, [random.randbytes(1_000_000)] * 10, chunksize=10)
    assert list(result) == [1_000_000] * 10
    assert result.snapshot().invocations >= 3


def test_each_task_has_its_own_log() -> None:
    result = lmap(lambda x: print("task", x), range(20))
    assert [result.logs(i) for i in range(20)] == [f"task {i}\n" for i in range(20)]


def test_time_cost_and_sandboxes_are_accounted_for() -> None:
    result = lmap(lambda x: time.sleep(0.05), range(8), chunksize=2)
    s = result.snapshot()
    assert s.invocations == 4
    assert s.billed_ms >= 400
    assert s.task_seconds >= 0.4
    assert s.request_cost == pytest.approx(4 * 2e-7)
    assert result.cost == pytest.approx(s.cost + s.request_cost)
    assert s.memory_mb == 256
    assert 0 < s.max_memory_mb <= 256
    assert all(stats.duration_s >= 0.05 and stats.sandbox and stats.attempts == 1 for stats in result.stats)
    assert sum(stats.billed_ms for stats in result.stats) == pytest.approx(s.billed_ms)


def test_futures_and_as_completed() -> None:
    result = background(lambda x: 1 // x, range(6))
    done, pending = futures.wait(result.futures, timeout=60)
    assert not pending
    assert {future.index for future in done} == set(range(6))  # type: ignore[attr-defined]
    assert isinstance(result.futures[0].exception(), ZeroDivisionError)
    assert sorted(future.index for future in result.as_completed()) == list(range(6))
    assert not result.futures[1].cancel()


def test_a_result_can_be_awaited() -> None:
    async def main() -> list[Any]:
        return list(await background(lambda x: x, range(3)))

    assert asyncio.run(main()) == [0, 1, 2]


def test_an_interrupted_job_keeps_what_is_done_and_returns_at_once(local_aws: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        result = background(held_at(gate, first=4), range(100), chunksize=1, workers=4)
        # Four tasks run on until the test lets them go.
        held = [gate.accept()[0] for _ in range(4)]
        before = local_aws.requests()
        result.cancel()
        assert result.wait(120)
        s = result.snapshot()
        assert (s.state, s.done, s.running, s.queued, s.cancelled) == ("cancelled", 4, 4, 0, 92)
        assert list(result.succeeded().values()) == [0, 1, 2, 3]
        with pytest.raises(JobCancelled):
            result[99]
        for connection in held:
            connection.close()
        patiently(lambda: not result.snapshot().running)
        s = result.snapshot()
        assert (s.done, s.queued, s.cancelled) == (8, 0, 92)
        assert local_aws.requests()["lambda:Invoke"] == before["lambda:Invoke"]


def test_an_unfinished_task_says_so() -> None:
    result = background(lambda x: time.sleep(0.5), range(2))
    with pytest.raises(TaskPending, match="wait"):
        result[1]
    assert not result.wait(0.01)
    assert result.wait(120)


def test_an_interrupt_reaches_the_waiting_main_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        result = background(held_at(gate), range(2), chunksize=1, workers=2)
        held = [gate.accept()[0] for _ in range(2)]
        threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            result.wait(60)
        assert result.snapshot().running == 2
        result.cancel()
        for connection in held:
            connection.close()


def test_no_thread_outlives_a_job() -> None:
    before = set(threading.enumerate())
    lmap(lambda x: x, iter(range(50)))
    patiently(lambda: not [each for each in set(threading.enumerate()) - before if "lithops" in each.name])


def test_a_deleted_function_is_deployed_again(local_aws: Any) -> None:
    def names() -> list[str]:
        return [one["FunctionName"] for one in local_aws.functions() if one["FunctionName"].startswith("lithops-magic")]

    assert list(lmap(lambda x: x, range(3))) == [0, 1, 2]
    for name in names():
        local_aws.client("lambda").delete_function(FunctionName=name)
    assert list(lmap(lambda x: x, range(3))) == [0, 1, 2]
    assert len(names()) == 1


def test_a_second_job_costs_only_its_invocations(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record_no_job(monkeypatch)
    lmap(lambda x: x, [0])
    before = local_aws.requests()
    lmap(lambda x: x + 1, [0])
    after = local_aws.requests()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        "lambda:Invoke": 1
    }
