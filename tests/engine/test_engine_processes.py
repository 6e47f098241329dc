"""`worker_processes`: the CPUs of one sandbox share its tasks, and one that dies loses only its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.errors import ImportFailed, RemoteError, TaskCrashed, TaskTimeout

pytestmark = pytest.mark.usefixtures("local_aws")


def lmap(function: Any, items: Any, *, timeout: int = 60, **options: Any) -> MapResult:
    settings = Settings(local=True, memory=512, worker_processes=3, timeout=timeout)
    return api.map(function, items, settings=settings, errors="keep", **options)


def test_tasks_run_at_the_same_time_with_their_own_logs_and_errors() -> None:
    def task(x: int) -> tuple[int, int]:
        print("task", x)
        # Three wait for one another: on fewer than three processes they would wait in vain.
        meeting = Path(f"/tmp/meeting-{x // 3}")
        (meeting / str(x)).mkdir(parents=True)
        deadline = time.monotonic() + 20
        while len([*meeting.iterdir()]) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if x == 4:
            raise ValueError("four")
        return x, os.getpid()

    result = lmap(task, range(6))
    assert [value[0] for value in list(result.succeeded().values())] == [0, 1, 2, 3, 5]
    assert len({value[1] for value in list(result.succeeded().values())}) == 3
    assert [result.logs(i) for i in range(6)] == [f"task {i}\n" for i in range(6)]
    assert isinstance(result.errors[4], ValueError)
    assert isinstance(result.errors[4], RemoteError)
    # By itself a chunk has a task for each process.
    assert result.snapshot().invocations <= 2


def test_a_process_that_dies_loses_only_its_own_task() -> None:
    def task(x: int) -> int:
        if x == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if x == 3:
            os._exit(7)
        return x

    result = lmap(task, range(8), chunksize=8, retries=0)
    assert list(result.succeeded().values()) == [0, 2, 4, 5, 6, 7]
    assert {i: type(error) for i, error in result.errors.items()} == {1: TaskCrashed, 3: TaskCrashed}
    assert "signal 11 (Segmentation fault)" in str(result.errors[1])
    assert "status 7" in str(result.errors[3])
    assert result.snapshot().invocations == 1


def test_the_time_limit_is_kept_even_by_a_process_that_does_not_listen() -> None:
    def task(x: int) -> int:
        if x == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        if x < 2:
            time.sleep(60)
        return x

    # On a busy machine the platform's limit may come before the reply: then each is run again by itself.
    result = lmap(task, range(6), chunksize=6, retries=1, timeout=4)
    assert list(result.succeeded().values()) == [2, 3, 4, 5]
    assert [type(result.errors[i]) for i in range(2)] == [TaskTimeout, TaskTimeout]


def test_a_large_result_of_each_process_and_a_variable_of_the_environment() -> None:
    def task(x: int) -> bytes:
        return os.urandom(6_000_000) + os.environ["LETTER"].encode()

    result = lmap(task, range(3), chunksize=3, env={"LETTER": "a"})
    assert [(len(value), value[-1:]) for value in result] == [(6_000_001, b"a")] * 3
    assert lmap(lambda x: os.environ.get("LETTER"), [0]).values() == [None]


def test_a_function_that_cannot_be_loaded_fails_for_each_task() -> None:
    class Needy:
        def __reduce__(self) -> Any:
            return __import__, ("no_such_module_here",)

    needy = Needy()
    result = lmap(lambda x: needy, range(3), chunksize=3)
    assert [type(error).__mro__[1] for error in result.errors.values()] == [ImportFailed] * 3
    assert "'no_such_module_here'" in str(result.errors[0])


def test_local_variables_of_a_task_that_failed_come_only_when_they_are_asked_for() -> None:
    def task(x: int) -> None:
        half = x // 2
        raise ValueError(half)

    for asked, seen in ((True, {"x": "7", "half": "3"}), (False, {})):
        error = lmap(task, [7], locals=asked).errors[0]
        assert error.traceback is not None
        assert error.traceback.frames[-1].locals == seen


def test_what_needs_shared_memory_says_what_to_use_instead_and_pipes_work() -> None:
    def task(kind: str) -> Any:
        import concurrent.futures
        import multiprocessing
        from multiprocessing import shared_memory

        def answer() -> None:
            end.send(kind)

        if kind == "executor":
            return list(concurrent.futures.ProcessPoolExecutor(2).map(abs, [1]))
        if kind == "memory":
            return shared_memory.SharedMemory(create=True, size=10).name
        if kind == "value":
            return multiprocessing.Value("i", 3)
        if kind == "process":
            start, end = multiprocessing.Pipe()
            process = multiprocessing.Process(target=answer)
            process.start()
            process.join()
            return start.recv()
        return getattr(multiprocessing, kind)()

    kinds = ["Pool", "Lock", "Queue", "Event", "executor", "memory", "value", "process"]
    result = lmap(task, kinds, chunksize=len(kinds))
    assert result[kinds.index("process")] == "process"
    assert len(result.errors) == len(kinds) - 1
    for error in result.errors.values():
        assert "Lambda has no shared memory (/dev/shm)" in str(error)
        assert all(word in str(error) for word in ("ThreadPoolExecutor", "Pipe", "worker_processes"))
