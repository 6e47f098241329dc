"""Jobs that tasks start, futures that they return, and processes."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import lithops_magic.lithops as lithops
from executor_help import notebook
from lithops_magic.errors import InvokeError, NotAuthorized
from lithops_magic.lithops import multiprocessing, nested
from lithops_magic.lithops.future import ResponseFuture
from lithops_magic.lithops.multiprocessing import config
from localaws import LocalAws

NAMES = notebook("""
    import random
    import lithops_magic.lithops as lithops
    from lithops_magic.lithops.multiprocessing import Pool
    from lithops_magic.lithops import multiprocessing

    FACTOR = 3

    def times(id, x): return FACTOR * x
    def total(results): return sum(results)
    def inverse(x): return 1 / x
    def later(n): return lithops.FunctionExecutor().map(times, range(n))
    def one(x): return lithops.FunctionExecutor().call_async(times, x)
    def now(n):
        executor = lithops.FunctionExecutor(runtime_memory=256)
        executor.map_reduce(times, range(n), total)
        return executor.get_result(), executor.backend
    def deep(x): return lithops.FunctionExecutor().call_async(one, x).result() + x
    def more(x): return lithops.FunctionExecutor(runtime_memory=512).call_async(times, x).result()
    def more_of_one(x): return lithops.FunctionExecutor().call_async(times, x, runtime_memory=512).result()
    def wrong(x): return lithops.FunctionExecutor().map(inverse, [x])
    def large(n): return len(lithops.FunctionExecutor().call_async(bytes, n).result())
    def too_large(n): return lithops.FunctionExecutor().call_async(len, random.randbytes(n)).result()
    def begin(text):
        global begun
        begun = text
    def seen(x): return begun, x
    def pooled(n):
        with Pool(initializer=begin, initargs=("begun",)) as pool:
            return pool.map(seen, range(n))
    def nothing(): pass
    def greet(name, language="english"):
        print({"english": "hello", "german": "hallo"}[language], name)
""")


@pytest.fixture(scope="module")
def fexec(local_aws: LocalAws) -> lithops.FunctionExecutor:
    return lithops.LocalhostExecutor(runtime_memory=256, runtime_timeout=50)


def call(fexec: lithops.FunctionExecutor, name: str, *args: Any) -> Any:
    return fexec.call_async(NAMES[name], args).result()


def test_a_task_starts_a_job(fexec: lithops.FunctionExecutor) -> None:
    assert call(fexec, "now", 3) == (9, "aws_lambda")


def test_futures_that_a_task_returns_become_its_values(fexec: lithops.FunctionExecutor) -> None:
    future = fexec.call_async(NAMES["later"], 3)
    assert (future.result(), future.futures) == ([0, 3, 6], True)
    assert fexec.get_result(future) == [0, 3, 6]
    assert fexec.get_result(fexec.map(NAMES["later"], [1, 2])) == [0, 0, 3]
    assert call(fexec, "one", 5) == 15


def test_jobs_of_jobs_of_jobs_have_sandboxes_however_many_wait(
    fexec: lithops.FunctionExecutor, local_aws: LocalAws
) -> None:
    count = local_aws.workers + 1
    # Each level alone has more calls than there are sandboxes.
    assert fexec.get_result(fexec.map(NAMES["deep"], range(count), chunksize=1)) == [4 * x for x in range(count)]


def test_another_memory_within_a_task_is_said_to_be_ignored(fexec: lithops.FunctionExecutor) -> None:
    for name in ("more", "more_of_one"):
        future = fexec.call_async(NAMES[name], 1)
        assert future.result() == 3
        assert "runtime_memory=512 is ignored within a task: its calls run in its own function" in str(future.logs)
    future = fexec.call_async(NAMES["now"], 1)
    future.result()
    assert "ignored" not in str(future.logs)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("AccessDeniedException", NotAuthorized, "`lithops-magic role create --nested` allows it"),
        ("TooManyRequestsException", InvokeError, "run fewer of them at once \\(max_workers of the outer executor\\)"),
        ("RecursiveInvocationException", InvokeError, "stopped by AWS after 16 levels"),
        ("ServiceException", InvokeError, "was refused: ServiceException"),
    ],
)
def test_what_aws_does_not_allow_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception], words: str
) -> None:
    class Refused(Exception):
        def __init__(self) -> None:
            super().__init__(code)
            self.response = {"Error": {"Code": code}}

    class Client:
        def invoke(self, **_: Any) -> None:
            raise Refused

    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "lithops-magic-0123")
    future = nested.NestedFuture()
    nested._make(Client(), {}, future)
    with pytest.raises(kind, match=words):
        future.result()


def test_errors_of_a_nested_job_are_the_tasks(fexec: lithops.FunctionExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        call(fexec, "wrong", 0)


def test_large_values_come_back_and_large_arguments_say_what_to_do(fexec: lithops.FunctionExecutor) -> None:
    assert call(fexec, "large", 8_000_000) == 8_000_000
    with pytest.raises(Exception, match="put large data into storage"):
        call(fexec, "too_large", 8_000_000)


def test_a_pool_in_a_task(fexec: lithops.FunctionExecutor) -> None:
    assert call(fexec, "pooled", 2) == [("begun", 0), ("begun", 1)]


def test_futures_travel_with_what_became_of_them(fexec: lithops.FunctionExecutor) -> None:
    futures = pickle.loads(pickle.dumps(fexec.map(NAMES["inverse"], [2, 0])))
    assert lithops.get_result(futures[:1]) == [0.5]
    with pytest.raises(ZeroDivisionError):
        lithops.wait(futures)
    assert isinstance(futures[1], ResponseFuture)
    assert futures[1].function_name == "inverse"


def test_processes(fexec: lithops.FunctionExecutor, capsys: pytest.CaptureFixture[str]) -> None:
    config.set_parameter(config.LITHOPS_CONFIG, {"backend": "localhost", "runtime_memory": 256})
    try:
        one = multiprocessing.Process(target=NAMES["greet"], args=("you",), kwargs={"language": "german"})
        assert (one.exitcode, one.is_alive(), one.pid) == (None, False, None)
        one.start()
        assert multiprocessing.active_children() in ([], [one])
        one.join()
        assert capsys.readouterr().out == "hallo you\n"
        assert (one.exitcode, one.is_alive()) == (0, False)
        two = multiprocessing.get_context("spawn").Process(target=NAMES["greet"], args=("you", "none"), name="two")
        two.start()
        with pytest.raises(KeyError):
            two.join()
        assert (two.exitcode, two.name) == (1, "two")
        with pytest.raises(AssertionError, match="start a process twice"):
            two.start()
        with pytest.raises(AssertionError, match="join a started process"):
            multiprocessing.Process(target=NAMES["nothing"]).join()
    finally:
        config.reset()


def test_parameters_of_multiprocessing(fexec: lithops.FunctionExecutor) -> None:
    with pytest.raises(KeyError):
        config.set_parameter("NO_SUCH", 1)
    config.update(ENV_VARS={"A": 1})
    assert config.get_parameter(config.ENV_VARS) == {"A": 1}
    config.reset()
    assert config.get_parameter(config.ENV_VARS) == {}
