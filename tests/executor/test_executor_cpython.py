"""CPython's own tests of executors (Lib/test/test_concurrent_futures, PSF licence), for ours.

Left out: what looks at threads and processes of an executor, and what shares a lock with a call. Waiting times are
conditions here where there they are durations.
"""

from __future__ import annotations

import gc
import itertools
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from typing import Any

import pytest

from executor_help import executor as make
from executor_help import notebook, run_script
from lithops_magic.executor import LambdaExecutor
from localaws import LocalAws


def create_future(state: str = PENDING, exception: Any = None, result: Any = None) -> Future[Any]:
    made: Any = Future()
    made._state, made._exception, made._result = state, exception, result
    return made


PENDING_FUTURE = create_future(state=PENDING)
RUNNING_FUTURE = create_future(state=RUNNING)
CANCELLED_FUTURE = create_future(state=CANCELLED)
CANCELLED_AND_NOTIFIED_FUTURE = create_future(state=CANCELLED_AND_NOTIFIED)
EXCEPTION_FUTURE = create_future(state=FINISHED, exception=OSError())
SUCCESSFUL_FUTURE = create_future(state=FINISHED, result=42)


FUNCTIONS = notebook("""
    import socket, time

    def mul(x, y):
        return x * y

    def capture(*args, **kwargs):
        return args, kwargs

    def sleep_and_raise(seconds):
        time.sleep(seconds)
        raise Exception("this is an exception")

    def held(port):
        # Until the test is over.
        if port:
            try:
                socket.create_connection(("127.0.0.1", port)).recv(1)
            except OSError:
                pass

    class MyObject:
        def my_method(self):
            pass

    def make_dummy_object(_):
        return MyObject()
""")
mul, capture, sleep_and_raise = FUNCTIONS["mul"], FUNCTIONS["capture"], FUNCTIONS["sleep_and_raise"]
held = FUNCTIONS["held"]


@pytest.fixture(scope="module")
def _shared(local_aws: LocalAws) -> Iterator[LambdaExecutor]:
    with make(5, chunksize=1) as executor:
        yield executor


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that holds whoever connects, until the test is over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def executor(_shared: LambdaExecutor) -> LambdaExecutor:
    return _shared


# executor.py


def test_submit(executor: LambdaExecutor) -> None:
    assert executor.submit(pow, 2, 8).result() == 256


def test_submit_keyword(executor: LambdaExecutor) -> None:
    submit: Any = executor.submit
    assert submit(mul, 2, y=8).result() == 16
    assert submit(capture, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
    with pytest.raises(TypeError):
        submit(fn=capture, arg=1)
    with pytest.raises(TypeError):
        submit(arg=1)


def test_map(executor: LambdaExecutor) -> None:
    assert list(executor.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(executor.map(pow, range(10), range(10), chunksize=3)) == list(map(pow, range(10), range(10)))


def test_map_exception(executor: LambdaExecutor) -> None:
    results = executor.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert next(results) == (0, 1)
    assert next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_map_timeout(executor: LambdaExecutor, port: int) -> None:
    executor.submit(pow, 1, 1).result()
    results = executor.map(held, [0, 0, port], timeout=4)
    assert [next(results), next(results)] == [None, None]
    with pytest.raises(futures.TimeoutError):
        next(results)


def test_shutdown_race_issue12456(local_aws: LocalAws) -> None:
    executor = make(5)
    executor.map(str, [2] * 6)
    executor.shutdown()


def test_no_stale_references(executor: LambdaExecutor) -> None:
    my_object = FUNCTIONS["MyObject"]()
    collected = threading.Event()
    callback = weakref.ref(my_object, lambda _: collected.set())
    executor.submit(my_object.my_method)
    del my_object
    assert collected.wait(120), "stale reference not collected"
    assert callback() is None


@pytest.mark.parametrize("number", [0, -1])
def test_max_workers_negative(number: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        LambdaExecutor(max_workers=number)


def test_free_reference(executor: LambdaExecutor) -> None:
    for obj in executor.map(FUNCTIONS["make_dummy_object"], range(10)):
        weak = weakref.ref(obj)
        del obj
        # The job's thread may still be on its way out of the function that has told the future.
        end = time.monotonic() + 60
        while weak() is not None and time.monotonic() < end:
            gc.collect()
        assert weak() is None


# test_as_completed.py


def test_as_completed_no_timeout(executor: LambdaExecutor) -> None:
    given = {
        CANCELLED_AND_NOTIFIED_FUTURE,
        EXCEPTION_FUTURE,
        SUCCESSFUL_FUTURE,
        executor.submit(mul, 2, 21),
        executor.submit(mul, 7, 6),
    }
    assert set(futures.as_completed(given)) == given


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_as_completed_future_times_out(executor: LambdaExecutor, timeout: float, port: int) -> None:
    completed = {CANCELLED_AND_NOTIFIED_FUTURE, EXCEPTION_FUTURE, SUCCESSFUL_FUTURE}
    future = executor.submit(held, port)
    each = futures.as_completed(completed | {future}, timeout)
    assert {next(each), next(each), next(each)} == completed
    with pytest.raises(futures.TimeoutError):
        next(each)


def test_as_completed_duplicate_futures(executor: LambdaExecutor) -> None:
    future = executor.submit(time.sleep, 0.2)
    assert len(list(futures.as_completed(itertools.repeat(future, 3)))) == 1


# test_wait.py


def test_wait_20369(executor: LambdaExecutor) -> None:
    future = executor.submit(time.sleep, 0.2)
    done, not_done = futures.wait([future, future], return_when=futures.ALL_COMPLETED)
    assert (done, not_done) == ({future}, set())


def test_wait_first_completed(executor: LambdaExecutor, port: int) -> None:
    first, second = executor.submit(mul, 21, 2), executor.submit(held, port)
    done, not_done = futures.wait([CANCELLED_FUTURE, first, second], return_when=futures.FIRST_COMPLETED)
    assert (done, not_done) == ({first}, {CANCELLED_FUTURE, second})


def test_wait_first_completed_some_already_completed(executor: LambdaExecutor, port: int) -> None:
    finished, future = {CANCELLED_AND_NOTIFIED_FUTURE, SUCCESSFUL_FUTURE}, executor.submit(held, port)
    found = futures.wait([*finished, future], return_when=futures.FIRST_COMPLETED)
    assert found == (finished, {future})


def test_wait_first_exception_some_already_complete(executor: LambdaExecutor, port: int) -> None:
    failing, future = executor.submit(divmod, 21, 0), executor.submit(held, port)
    finished = {SUCCESSFUL_FUTURE, CANCELLED_AND_NOTIFIED_FUTURE}
    given = [*finished, CANCELLED_FUTURE, failing, future]
    found = futures.wait(given, return_when=futures.FIRST_EXCEPTION)
    assert found == ({*finished, failing}, {CANCELLED_FUTURE, future})


def test_wait_first_exception_one_already_failed(executor: LambdaExecutor, port: int) -> None:
    future = executor.submit(held, port)
    found = futures.wait([EXCEPTION_FUTURE, future], return_when=futures.FIRST_EXCEPTION)
    assert found == ({EXCEPTION_FUTURE}, {future})


def test_wait_first_exception(executor: LambdaExecutor, port: int) -> None:
    first, second, third = (
        executor.submit(mul, 2, 21),
        executor.submit(sleep_and_raise, 0.5),
        executor.submit(held, port),
    )
    done, not_done = futures.wait([first, second, third], return_when=futures.FIRST_EXCEPTION)
    assert second in done
    assert not_done == {third}


def test_wait_all_completed(executor: LambdaExecutor) -> None:
    given = {
        SUCCESSFUL_FUTURE,
        CANCELLED_AND_NOTIFIED_FUTURE,
        EXCEPTION_FUTURE,
        executor.submit(divmod, 2, 0),
        executor.submit(mul, 2, 21),
    }
    assert futures.wait(given, return_when=futures.ALL_COMPLETED) == (given, set())


def test_wait_timeout(executor: LambdaExecutor, port: int) -> None:
    future = executor.submit(held, port)
    finished = {CANCELLED_AND_NOTIFIED_FUTURE, EXCEPTION_FUTURE, SUCCESSFUL_FUTURE}
    assert futures.wait([*finished, future], timeout=0.05) == (finished, {future})


# test_shutdown.py


def test_run_after_shutdown(local_aws: LocalAws) -> None:
    executor = make(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(pow, 2, 5)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(abs, [1])


def test_hang_issue12364(local_aws: LocalAws) -> None:
    executor = make(5)
    given = [executor.submit(time.sleep, 0.02) for _ in range(50)]
    executor.shutdown()
    assert [future.done() for future in given] == [True] * 50
    assert [future.result() for future in given] == [None] * 50


def test_cancel_futures(local_aws: LocalAws) -> None:
    executor = make(4, chunksize=1)
    given = [executor.submit(time.sleep, 1) for _ in range(50)]
    given[0].result()
    executor.shutdown(cancel_futures=True)
    assert sum(future.cancelled() for future in given) > 20
    others = [future for future in given if not future.cancelled()]
    assert [future.done() for future in others] == [True] * len(others)
    assert [future.exception() for future in others] == [None] * len(others)


def test_hang_gh94440(local_aws: LocalAws) -> None:
    executor = make(1)
    executor.submit(int).result()
    executor.submit(int).cancel()
    executor.shutdown(wait=True)


def test_context_manager_shutdown(local_aws: LocalAws) -> None:
    with make(5) as executor:
        assert list(executor.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError):
        executor.submit(abs, 1)


def test_del_shutdown(local_aws: LocalAws) -> None:
    executor = make(5)
    job = executor.submit(abs, -1) and executor.streams[0].job
    results = executor.map(abs, range(-5, 5))
    del executor
    gc.collect()
    assert list(results) == list(map(abs, range(-5, 5)))
    assert job.ended.wait(120)


def test_shutdown_no_wait(local_aws: LocalAws) -> None:
    executor = make(5)
    results = executor.map(abs, range(-5, 5))
    executor.shutdown(wait=False)
    assert list(results) == list(map(abs, range(-5, 5)))


@pytest.mark.parametrize(
    ("end", "printed"),
    [
        ("", {"apple\n"}),
        ("executor.shutdown(wait=False)", {"apple\n"}),
        # Empty if it ends before the call is on its way.
        ("executor.shutdown(wait=False, cancel_futures=True)", {"apple\n", ""}),
    ],
)
def test_interpreter_shutdown(local_aws: LocalAws, end: str, printed: set[str]) -> None:
    """Also test_hang_gh83386 and test_cancel_futures_wait_false."""
    done = run_script(f"""
        def show(future):
            if not future.cancelled():
                print(future.result(), flush=True)

        executor.submit(str.lower, "APPLE").add_done_callback(show)
        {end}
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in printed


def test_submit_after_interpreter_shutdown(local_aws: LocalAws) -> None:
    done = run_script("""
        import atexit

        @atexit.register
        def run_last():
            try:
                executor.submit(id, None)
            except RuntimeError:
                print("runtime-error")
                raise
    """)
    assert "RuntimeError: cannot schedule new futures" in done.stderr
    assert done.stdout == "runtime-error\n"


# test_init.py

INITIALIZER = """
    INITIALIZER_STATUS = "uninitialized"

    def init(x):
        global INITIALIZER_STATUS
        assert INITIALIZER_STATUS == "uninitialized"
        INITIALIZER_STATUS = x

    def get_init_status():
        return INITIALIZER_STATUS

    def init_fail():
        raise ValueError("error in initializer")
"""


def test_initializer(local_aws: LocalAws) -> None:
    names = notebook(INITIALIZER)
    with make(2, initializer=names["init"], initargs=("initialized",)) as executor:
        given = [executor.submit(names["get_init_status"]) for _ in range(8)]
        assert [future.result() for future in given] == ["initialized"] * 8
    assert names["INITIALIZER_STATUS"] == "uninitialized"


def test_failing_initializer(local_aws: LocalAws) -> None:
    names = notebook(INITIALIZER)
    executor = make(2, initializer=names["init_fail"])
    given = [executor.submit(names["get_init_status"]) for _ in range(4)]
    for future in given:
        with pytest.raises(futures.BrokenExecutor, match="ValueError: error in initializer"):
            future.result()
    with pytest.raises(futures.BrokenExecutor):
        executor.submit(names["get_init_status"])
    executor.shutdown()
