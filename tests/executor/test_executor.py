"""`LambdaExecutor` beyond CPython's own tests: what a call sees, what it may not leave, and where it is used from."""

from __future__ import annotations

import asyncio
import builtins
import functools
import math
import os
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor_help import executor as make
from executor_help import notebook, run_script
from lithops_magic.engine.calls import CallFuture
from lithops_magic.engine.dispatch.chunk_size import GROWTH, ChunkSizes
from lithops_magic.engine.job.events import Noted
from lithops_magic.engine.wire.call import Callees
from lithops_magic.errors import JobCancelled, RemoteError, SerializationError, TaskCrashed
from lithops_magic.executor import LambdaExecutor
from lithops_magic.packages import Request
from localaws import LocalAws
from waiting import eventually


@pytest.fixture(scope="module")
def _shared(local_aws: LocalAws) -> Iterator[LambdaExecutor]:
    with make(2) as executor:
        yield executor


@pytest.fixture
def executor(_shared: LambdaExecutor) -> LambdaExecutor:
    return _shared


# What a call sees


def test_a_function_sees_the_notebook_as_it_was_when_it_was_submitted(executor: LambdaExecutor) -> None:
    names = notebook("""
        import math
        k, table, log = 1, {"k": 1}, len

        def number(): return k
        def inside(): return table["k"]
        def called(): return number() + 10
        def builtin(): return log("abc")
        def default(x=k): return x
        def closing():
            def inner(): return k
            return inner
    """)
    waiting: list[tuple[Future[Any], Any]] = []
    functions = [names[name] for name in ("number", "inside", "called", "builtin", "default")] + [names["closing"]()]
    for k in (2, 2, 3, 1):
        names["k"] = names["table"]["k"] = k
        names["log"] = len if k == 2 else max
        names["default"].__defaults__ = (k,)
        waiting += [(executor.submit(function), function()) for function in functions]
    assert [future.result() for future, _ in waiting] == [value for _, value in waiting]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "del a", "code", "attribute", "cell", "nothing"]), st.integers(0, 2)),
        max_size=12,
    )
)
@settings(max_examples=50, deadline=None)
def test_a_pickle_is_used_again_only_where_a_new_one_says_the_same(changes: list[tuple[str, int]]) -> None:
    names = notebook("""
        a, b = 0, [0]
        def make(n):
            def f(d=1): return (globals().get("a"), a, b, n)
            def move(x):
                nonlocal n
                n = x
            return f, move
        f, move = make(0)
        codes = [make(0)[0].__code__, (lambda: a).__code__]
    """)
    # Of the function alone, without what could change and remain the same object.
    plain = notebook("""
        a = 0
        def f(d=1): return a
    """)
    known, fresh = Callees(Request(nothing=True), None), Callees(Request(nothing=True), None)
    for what, value in changes:
        match what:
            case "a":
                names["a"] = plain["a"] = value
            case "b":
                names["b"][0] = value
            case "del a":
                names.pop("a", None), plain.pop("a", None)
            case "code":
                plain["f"].__defaults__ = (value,)
            case "attribute":
                names["f"].note = plain["f"].note = value
            case "cell":
                names["move"](value)
        for each in (names["f"], plain["f"]):
            fresh._callees.clear()
            assert known.pickle(each).pickle == fresh.pickle(each).pickle


def test_what_is_called_brings_its_state_and_leaves_none(executor: LambdaExecutor) -> None:
    names = notebook("""
        class Counter:
            def __init__(self): self.n = 0
            def add(self, other=None):
                self.n += 1
                return self.n, other is self
            def __call__(self): return self.add()

        def grow(values, x):
            values.append(x)
            return len(values)

        def seen(x, known=[]):
            return x
    """)
    counter, values = names["Counter"](), []
    calls = [counter.add, counter, functools.partial(names["grow"], values, 1), values.append]
    given = [executor.submit(*each) for each in ([counter.add], [counter], [calls[2]], [counter.add, counter]) * 3]
    assert [future.result() for future in given] == [(1, False), (1, False), 1, (1, True)] * 3
    assert (counter.n, values) == (0, [])
    assert executor.submit(values.append, 1).result() is None


@pytest.mark.parametrize("function", ["len", "sum", "sorted", "abs"])
def test_builtins_and_types_are_called(executor: LambdaExecutor, function: str) -> None:
    here = getattr(builtins, function)
    given = -3 if function == "abs" else [3, 1]
    assert executor.submit(here, given).result() == here(given)
    assert executor.submit(complex, 1, imag=2).result() == 1 + 2j
    assert executor.submit(math.hypot, 3, 4).result() == 5.0


def test_a_coroutine_function_is_awaited(executor: LambdaExecutor) -> None:
    names = notebook("""
        import asyncio
        async def later(x):
            await asyncio.sleep(0)
            return x
    """)
    assert executor.submit(names["later"], 5).result() == 5


def test_a_large_function_travels_once_and_not_with_each_call(local_aws: LocalAws, executor: LambdaExecutor) -> None:
    names = notebook("def at(data, i): return data[i]")
    data = os.urandom(300_000)
    before = sum(local_aws.traffic()["received"].values())
    with make(2) as other:
        assert list(other.map(functools.partial(names["at"], data), range(0, 300_000, 3000))) == list(data[::3000])
        given = [other.submit(functools.partial(names["at"], data), i) for i in range(10)]
        assert [future.result() for future in given] == list(data[:10])
        # One that is small goes another way.
        assert other.submit(abs, -1).result() == 1
    assert sum(local_aws.traffic()["received"].values()) - before < 20 * len(data)


def test_more_large_functions_than_are_kept_at_hand(executor: LambdaExecutor) -> None:
    names = notebook("def first(data): return data[0]")
    blobs = [bytes([i]) + os.urandom(20_000) for i in range(6)]
    given = [executor.submit(functools.partial(names["first"], blob)) for blob in blobs * 2]
    assert [future.result() for future in given] == [*range(6)] * 2


# What goes wrong


def test_an_error_is_of_its_class_and_says_which_call(executor: LambdaExecutor) -> None:
    names = notebook("""
        def fail(x, *, y):
            try:
                {}[x]
            except KeyError as error:
                raise LookupError(f"{x} and {y}") from error
    """)
    error = executor.submit(names["fail"], 1, y="two").exception()
    assert isinstance(error, LookupError)
    assert isinstance(error, RemoteError)
    assert isinstance(error.__cause__, KeyError)
    assert "fail(1, y='two')" in str(error)
    assert "lithops_magic" not in "".join(getattr(error, "__notes__", []))


@pytest.mark.parametrize("what", ["function", "argument", "keyword", "map"])
def test_what_cannot_be_pickled_is_told_by_the_future(executor: LambdaExecutor, what: str) -> None:
    lock = threading.Lock()
    submit: Any = executor.submit
    match what:
        case "function":
            error = submit(lambda: lock).exception()
        case "argument":
            error = submit(abs, [lock]).exception()
        case "keyword":
            error = submit(dict, x=lock).exception()
        case _:
            results = executor.map(abs, [1, lock])
            assert next(results) == 1
            with pytest.raises(SerializationError) as raised:
                next(results)
            error = raised.value
    assert isinstance(error, SerializationError)
    assert "lock" in str(error)
    assert executor.submit(abs, -1).result() == 1


def test_an_executor_stays_where_it_was_made(executor: LambdaExecutor) -> None:
    for argument in (executor, executor.map, {"workers": executor.submit}):
        with pytest.raises(SerializationError, match="an executor cannot be sent to its own tasks; leave it out of"):
            executor.submit(id, argument).result()


def test_a_crash_costs_no_neighbour(local_aws: LocalAws) -> None:
    with make(2, retries=1) as executor:
        executor.submit(abs, 0).result()
        calls = [executor.submit(os._exit if i == 3 else abs, i) for i in range(8)]
        assert isinstance(calls[3].exception(), TaskCrashed)
        assert [future.result() for i, future in enumerate(calls) if i != 3] == [0, 1, 2, 4, 5, 6, 7]


def test_a_job_that_broke_is_followed_by_another(local_aws: LocalAws) -> None:
    with make(2) as executor:
        executor.submit(abs, 0).result()
        job = executor.streams[0].job
        future = executor.submit(time.sleep, 30)
        assert eventually(future.running)
        job.break_off(RuntimeError("no such luck"))
        with pytest.raises(RuntimeError, match="no such luck"):
            future.result(60)
        assert executor.submit(abs, -2).result() == 2


def test_a_stopped_job_leaves_no_future_without_an_answer(local_aws: LocalAws) -> None:
    executor = make(1, chunksize=1)
    executor.submit(abs, 0).result()
    calls = [executor.submit(time.sleep, 3) for _ in range(20)]
    assert eventually(calls[0].running)
    executor.streams[0].job.cancel()
    assert wait(calls, 60).not_done == set()
    assert all(isinstance(future.exception(), JobCancelled) for future in calls[10:])


# Maps


def test_map_is_lazy_with_a_buffer(executor: LambdaExecutor) -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1_000_000):
            taken.append(i)
            yield i

    results = executor.map(abs, items(), buffersize=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert taken == list(range(8))
    results.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"chunksize": 0}, ValueError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": 1.5}, TypeError),
    ],
)
def test_map_refuses_what_the_standard_library_refuses(
    executor: LambdaExecutor, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        executor.map(abs, [1], **options)


def test_results_that_nobody_wants_are_cancelled(local_aws: LocalAws) -> None:
    with make(1, chunksize=1) as executor:
        calls = executor.map(time.sleep, [0.01] + [0.2] * 40)
        next(calls)
        futures = list(calls._futures)
        calls.close()
        executor.shutdown()
        assert sum(future.cancelled() for future in futures) > 20


# Where it is used from


def test_many_threads_submit(executor: LambdaExecutor) -> None:
    found: dict[int, list[int]] = {}

    def work(thread: int) -> None:
        found[thread] = [each.result() for each in [executor.submit(pow, thread, n) for n in range(50)]]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {n: [n**m for m in range(50)] for n in range(8)}


def test_asyncio(executor: LambdaExecutor) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        first = await loop.run_in_executor(executor, pow, 2, 5)
        second = await executor.submit(pow, 2, 6)
        third = [value async for value in executor.map(abs, [-1, -2])]
        fourth = await asyncio.gather(*(loop.run_in_executor(executor, abs, -n) for n in range(5)))
        with pytest.raises(ZeroDivisionError):
            await executor.submit(divmod, 1, 0)
        return [first, second, third, fourth]

    assert asyncio.run(main()) == [32, 64, [1, 2], [0, 1, 2, 3, 4]]


def test_callbacks_may_raise_anything(executor: LambdaExecutor, caplog: pytest.LogCaptureFixture) -> None:
    future = executor.submit(abs, -1)
    told = threading.Event()
    future.add_done_callback(lambda _: (_ for _ in ()).throw(SystemExit("no")))
    future.add_done_callback(lambda _: told.set())
    assert future.result() == 1
    assert told.wait(120)
    assert executor.submit(abs, -2).result() == 2


def test_a_callback_may_submit(local_aws: LocalAws) -> None:
    with make(1, chunksize=1) as executor:
        more: list[Future[int]] = []
        executor.submit(abs, 0).add_done_callback(lambda _: more.append(executor.submit(abs, -1)))
        assert eventually(lambda: bool(more))
        assert more[0].result() == 1
        refused: list[BaseException] = []

        def submit(future: Future[Any]) -> None:
            try:
                executor.submit(abs, -2)
            except RuntimeError as error:
                refused.append(error)

        waiting = [executor.submit(time.sleep, 0.1) for _ in range(40)]
        for each in waiting:
            each.add_done_callback(submit)
        executor.shutdown(cancel_futures=True)
        assert len(refused) > 20


def test_arguments_and_results_that_exceed_a_request(executor: LambdaExecutor) -> None:
    data = os.urandom(7_000_000)
    assert executor.submit(len, data).result() == len(data)
    assert executor.submit(bytes, 7_000_000).result() == bytes(7_000_000)


def test_what_a_call_printed(executor: LambdaExecutor) -> None:
    future = executor.submit(print, "hello")
    assert future.result() is None
    assert future.log == "hello\n"


def test_the_end_of_a_program_waits_for_what_was_submitted(local_aws: LocalAws) -> None:
    done = run_script("""
        import time
        for each in (executor.submit(time.sleep, 0.5), *map(executor.submit, [abs] * 5, range(5))):
            each.add_done_callback(lambda future: print(future.result(), flush=True))
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["0", "1", "2", "3", "4", "None"]


def test_a_program_that_ends_by_an_error_ends(local_aws: LocalAws) -> None:
    done = run_script("""
        executor.submit(abs, -1).result()
        raise SystemExit(3)
    """)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_child_process_has_an_executor_of_its_own(local_aws: LocalAws) -> None:
    done = run_script("""
        import os
        print(executor.submit(abs, -1).result(), flush=True)
        if (child := os.fork()) == 0:
            print(executor.submit(abs, -2).result(60), flush=True)
            executor.shutdown()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), executor.submit(abs, -3).result(), flush=True)
    """)
    assert done.stdout.split() == ["1", "2", "0", "3"], done.stderr
    assert done.returncode == 0


def test_a_future_has_all_that_a_future_of_the_standard_library_has() -> None:
    """It makes its attributes itself."""
    plain: dict[str, Any] = vars(Future())
    ours: dict[str, Any] = vars(CallFuture())
    assert {name: value for name, value in ours.items() if name != "_condition"} == {
        name: value for name, value in plain.items() if name != "_condition"
    }


def test_many_threads_wait_for_one_future() -> None:
    future: CallFuture[int] = CallFuture()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(future.result(60))) for _ in range(8)]
    for thread in threads:
        thread.start()
    future.set_running_or_notify_cancel()
    future.set_result(5)
    for thread in threads:
        thread.join(60)
    assert found == [5] * 8


# How calls share invocations


def test_each_kind_of_call_has_a_pace_of_its_own() -> None:
    chunk_sizes = ChunkSizes(None, 1_000_000)
    chunk_sizes.of("quick").observe(100, 0.0001, 100)
    assert chunk_sizes.of("quick").size(None, 10) == 100 * GROWTH
    assert chunk_sizes.of("slow").size(None, 10) == 1
    assert chunk_sizes.latest.size(None, 10) == 1
    chunk_sizes.restart()
    assert chunk_sizes.of("quick").size(None, 10) == 1
    chunk_sizes.of("quick").observe(1, 1e-6, 1)
    assert chunk_sizes.of("quick").size(None, 10) == GROWTH


def test_tiny_calls_share_invocations_and_long_ones_that_follow_do_not(local_aws: LocalAws) -> None:
    names = notebook("""
        import time
        def work(seconds):
            time.sleep(seconds)
            return time.time(), seconds
    """)
    with make(4) as executor:
        for future in [executor.submit(abs, n) for n in range(3000)]:
            future.result()
        job = executor.streams[0].job
        assert job.snapshot().invocations < 300
        before = job.snapshot().invocations
        calls = [executor.submit(names["work"], 0.2) for _ in range(8)]
        wait(calls, 60)
        assert job.snapshot().invocations - before >= 4


def test_an_executor_keeps_nothing_of_calls_that_are_done(local_aws: LocalAws) -> None:
    with make(2) as executor:
        given = [executor.submit(divmod, n, n % 2) for n in range(20)]
        wait(given, 60)
        ledger = executor.streams[0].job.ledger
        assert eventually(lambda: not ledger.items)
        assert (ledger.errors, ledger.logs, [each for each in ledger.values if each is not None]) == ({}, {}, [])


def test_what_the_user_should_know_is_a_warning_once(
    local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = notebook("""
        import glob
        def read(x): return glob.glob("table.csv") if x else x
    """)
    Path("table.csv").write_text("1")
    with make() as made:
        with pytest.warns(UserWarning, match=r"looks for table\.csv") as told:
            assert made.submit(names["read"], 0).result() == 0
        assert told[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert list(made.map(names["read"], [0, 0])) == [0, 0]


def test_notes_of_the_job_are_told_from_its_own_thread(local_aws: LocalAws) -> None:
    with make() as made:
        made.submit(abs, -1).result()
        job = made.streams[0].job
        with pytest.warns(UserWarning, match="worth knowing"):
            job.publish(Noted("worth knowing"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            job.publish(Noted("worth knowing"))
