"""Programs written for Lithops, whose import alone is another one."""

from __future__ import annotations

import textwrap
import threading
import warnings
from typing import Any

import pytest

import lithops_magic.lithops as lithops
from executor_help import notebook
from lithops_magic.errors import ConfigError, MisuseError
from lithops_magic.lithops.future import ResponseFuture
from lithops_magic.lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED
from localaws import LocalAws
from waiting import eventually

OPTIONS: dict[str, Any] = {"runtime_memory": 256, "runtime_timeout": 20}
NAMES = notebook("""
    import os, time

    def add(x, y): return x + y
    def double(x): return 2 * x
    def total(results): return sum(results)
    def nothing_for_odd(x): return None if x % 2 else x
    def inverse(x): return 1 / x
    def nap(seconds):
        time.sleep(seconds)
        return seconds
    def variable(name): return os.environ.get(name)
    def numbered(x, id): return x, id
    def say(x): print("said", x)
    def pair(x): return x, x + 1
""")
add, double, total, inverse, nap = (NAMES[name] for name in ("add", "double", "total", "inverse", "nap"))


@pytest.fixture(scope="module")
def _shared(local_aws: LocalAws) -> lithops.FunctionExecutor:
    executor = lithops.LocalhostExecutor(**OPTIONS)
    executor.call_async(double, 1).result()
    return executor


@pytest.fixture
def fexec(_shared: lithops.FunctionExecutor) -> lithops.FunctionExecutor:
    _shared.futures.clear()
    return _shared


def test_call_async(fexec: lithops.FunctionExecutor) -> None:
    fexec.call_async(add, (1, 2))
    assert fexec.get_result() == 3
    assert fexec.call_async(add, {"x": 1, "y": 5}).result() == 6
    assert fexec.call_async(double, [1]).result() == [1, 1]


def test_map(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map(double, [1, 2, 3])
    assert fexec.get_result() == [2, 4, 6]
    assert fexec.get_result(futures) == [2, 4, 6]
    assert fexec.get_result() == []
    assert fexec.get_result(fexec.map(double, [4])) == [8]
    assert fexec.get_result(fexec.map(add, [(1, 2), (3, 4)])) == [3, 7]
    assert fexec.get_result(fexec.map(add, range(3), extra_args=(10,), chunksize=2)) == [10, 11, 12]
    assert fexec.get_result(fexec.map(NAMES["numbered"], "xy" and ["x", "y"])) == [("x", 0), ("y", 1)]
    assert fexec.get_result(fexec.map(double, [])) == []


def test_values_that_are_none_keep_their_place(fexec: lithops.FunctionExecutor) -> None:
    fexec.map(NAMES["nothing_for_odd"], [0, 1, 2, 3])
    assert fexec.get_result() == [0, None, 2, None]


def test_map_reduce(fexec: lithops.FunctionExecutor) -> None:
    fexec.map_reduce(double, range(5), total)
    assert fexec.get_result() == 20
    futures = fexec.map_reduce(double, [1], NAMES["add"], extra_args_reduce=([3],), spawn_reducer=0)
    assert lithops.get_result(futures) == [[2, 3]]
    assert fexec.get_result(fexec.map_reduce(double, [], total)) == 0


@pytest.mark.parametrize(
    ("reducer", "options", "words"),
    [
        (add, {}, r"add\(x, y\) cannot be called with element 0, \[\]: missing a required argument: 'y'"),
        (total, {"obj_reduce_by_key": True}, "obj_reduce_by_key is for functions that have a parameter `obj`"),
        (5, {}, "reduce_function must be a function, not int"),
    ],
)
def test_what_is_wrong_with_a_reducer_is_said_before_anything_is_sent(
    fexec: lithops.FunctionExecutor, reducer: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(MisuseError, match=words):
        fexec.map_reduce(double, [1], reducer, **options)
    assert fexec.futures == []


def test_jobs_are_numbered_as_in_lithops(fexec: lithops.FunctionExecutor) -> None:
    mapped, reduced = fexec.map_reduce(double, [1], total)
    assert (mapped.job_id[0], reduced.job_id[0]) == ("M", "R")
    assert mapped.job_id[1:] == reduced.job_id[1:]
    assert reduced.result() == 2


def test_a_reducer_is_not_called_where_a_call_failed(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map_reduce(inverse, [1, 0], total)
    with pytest.raises(ZeroDivisionError):
        fexec.get_result(futures)
    # Who waits for the call is woken before the reducer hears of it.
    assert eventually(lambda: futures[-1].error)
    assert futures[0].result() == 1.0


def test_chains(fexec: lithops.FunctionExecutor) -> None:
    chain = fexec.map(NAMES["pair"], [1, 2]).map(add).map(double)
    assert chain.get_result() == [6, 10]
    assert fexec.map(double, [1, 2]).map_reduce(double, total).get_result() == 12
    assert fexec.get_result(fexec.map(double, fexec.map(double, [1, 2, 3])[1:])) == [8, 12]


def test_a_chain_ends_where_a_call_failed(fexec: lithops.FunctionExecutor) -> None:
    chain = fexec.map(inverse, [1, 0]).map(double)
    lithops.wait(chain, throw_except=False)
    assert [each.error for each in chain] == [False, True]
    assert fexec.get_result(chain, throw_except=False) == [2.0, None]
    with pytest.raises(ZeroDivisionError):
        chain[1].result()


def test_wait(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map(nap, [0, 4, 4, 4], chunksize=1)
    done, left = fexec.wait(futures, return_when=ALWAYS)
    assert len(done) + len(left) == 4
    done, left = fexec.wait(futures, return_when=ANY_COMPLETED)
    assert done
    with pytest.raises(TimeoutError, match="they continue"):
        lithops.wait(futures, timeout=0.01)
    done, left = lithops.wait(futures, return_when=ALL_COMPLETED)
    assert (len(done), len(left)) == (4, 0)
    assert len(lithops.wait(fexec.map(double, range(10)), return_when=50)[0]) >= 5


def test_wait_from_another_thread(fexec: lithops.FunctionExecutor) -> None:
    found: list[Any] = []
    futures = fexec.map(double, [1])
    thread = threading.Thread(target=lambda: found.append(lithops.get_result(futures, timeout=60)))
    thread.start()
    thread.join(60)
    assert found == [[2]]


def test_an_error_is_raised_and_costs_no_other_call(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map(inverse, [1, 0, 2])
    with pytest.raises(ZeroDivisionError):
        fexec.get_result()
    fexec.wait(futures, throw_except=False)
    assert [each.success for each in futures] == [True, False, True]
    assert fexec.get_result(futures, throw_except=False) == [1.0, None, 0.5]


def test_what_a_future_tells(fexec: lithops.FunctionExecutor) -> None:
    future = fexec.call_async(NAMES["say"], 3)
    assert future.result() is None
    assert (future.done, future.success, future.error, future.running) == (True, True, False, False)
    assert future.logs == "said 3\n"
    assert future.function_name == "say"
    assert future.stats["worker_func_end_tstamp"] >= future.stats["worker_func_start_tstamp"]
    assert {name for name, value in future.status().items() if value == value} >= {"worker_func_end_tstamp"}
    assert future.stats["host_submit_tstamp"] >= future.stats["host_job_create_tstamp"]
    told: list[Any] = []
    future.add_done_callback(told.append)
    assert told == [future]
    assert future.activation_id
    assert fexec.cost > 0
    assert not future.cancel()


def test_calls_that_wait_can_be_cancelled(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map(nap, [0.3] * 60, chunksize=1)
    assert futures[-1].cancel()
    assert futures[-1].cancelled()
    for each in futures:
        each.cancel()


def test_options_of_a_call(fexec: lithops.FunctionExecutor) -> None:
    future = fexec.call_async(NAMES["variable"], "GREETING", extra_env={"GREETING": 5}, include_modules=None)
    assert future.result() == "5"
    assert fexec.map(double, [1], runtime_memory=512)[0].runtime_memory == 512


def test_retries(fexec: lithops.FunctionExecutor, tmp_path: Any) -> None:
    names = notebook("""
        import os
        def flaky(folder):
            os.makedirs(folder, exist_ok=True)
            tries = len(os.listdir(folder))
            open(f"{folder}/{tries}", "w").close()
            if tries < 2:
                raise ValueError(tries)
            return tries
    """)
    with lithops.RetryingFunctionExecutor(lithops.LocalhostExecutor(**OPTIONS, max_workers=1)) as retrying:
        good = retrying.map(names["flaky"], ["/tmp/good"], retries=2)
        done, left = retrying.wait(good)
        assert (len(done), len(left), good[0].result(), good[0].failure_count) == (1, 0, 2, 2)
        bad = retrying.map(names["flaky"], ["/tmp/bad"], retries=1)
        with pytest.raises(ValueError, match="1"):
            retrying.get_result(bad)


def test_what_is_retried_is_the_same_call(fexec: lithops.FunctionExecutor) -> None:
    names = notebook("""
        import os
        def flaky(name, id):
            path = f"/tmp/same-{name}"
            if not os.path.exists(path):
                open(path, "w").close()
                raise ValueError(name)
            return name, id
        def double(x): return 2 * x
        def bad(x): return 1 / x
    """)
    retrying = lithops.RetryingFunctionExecutor(lithops.LocalhostExecutor(**OPTIONS, max_workers=1))
    # Its number is that of the call in its job, and data are what they are to `map`.
    assert retrying.get_result(retrying.map(names["flaky"], ["a", "b", "c"], retries=1)) == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
    ]
    assert retrying.get_result(retrying.map(names["flaky"], "text", retries=1)) == [("text", 0)]
    assert retrying.get_result(retrying.map(names["flaky"], {"name": "k"}, retries=1)) == [("k", 0)]
    assert retrying.get_result(retrying.map(names["double"], 5)) == [10]
    # A call whose input failed was never made, and is none to retry.
    chained = retrying.map(names["double"], retrying.executor.map(names["bad"], [0]), retries=2)
    with pytest.raises(ZeroDivisionError):
        retrying.get_result(chained)
    table = retrying.executor.job_summary()
    assert table["Job_ID"].is_unique
    assert list(table["Invocations"])[:1] == [6]


def test_job_summary(fexec: lithops.FunctionExecutor) -> None:
    fexec.get_result(fexec.map(double, range(3)))
    fexec.get_result(fexec.map_reduce(double, range(2), total))
    table = fexec.job_summary()
    assert list(table["Function"]) == ["double", "double", "total"]
    assert list(table["Invocations"]) == [3, 2, 1]
    assert (table["Cost"] > 0).all()


def test_plot(fexec: lithops.FunctionExecutor, tmp_path: Any) -> None:
    fexec.get_result(fexec.map(double, range(3)))
    assert fexec.plot(dst=str(tmp_path / "picture"))
    assert (tmp_path / "picture_0.png").read_bytes().startswith(b"\x89PNG")


def test_an_executor_can_be_used_again_after_a_with_block(local_aws: LocalAws) -> None:
    with lithops.FunctionExecutor(config={"aws_lambda": {"runtime_memory": 256}}, backend="localhost") as executor:
        assert executor.get_result(executor.map(double, [1])) == [2]
    assert executor.get_result(executor.map(double, [2])) == [4]
    assert executor.config["lithops"]["backend"] == executor.backend == "localhost"
    assert executor.config[executor.backend]["runtime_memory"] == 256


# What is wrong


def test_other_clouds_and_machines_are_refused_in_a_sentence(local_aws: LocalAws) -> None:
    with pytest.raises(ConfigError, match="use Lithops itself"):
        lithops.FunctionExecutor(backend="ibm_cf")
    with pytest.raises(ConfigError, match="use Lithops itself"):
        lithops.FunctionExecutor(config={"lithops": {"backend": "gcp_functions"}})
    with pytest.raises(ConfigError, match="localhost are supported"):
        lithops.StandaloneExecutor()


def test_what_cannot_be_mapped_is_refused_in_a_sentence(fexec: lithops.FunctionExecutor) -> None:
    with pytest.raises(MisuseError, match="futures and other values"):
        fexec.map(double, [fexec.call_async(double, 1), 2])
    with pytest.raises(MisuseError, match="the first argument must be a function"):
        fexec.map(5, [1])  # type: ignore[arg-type]
    for given in ({"obj_chunk_size": 1000}, {"obj_chunk_number": 2}, {"obj_newline": None}):
        with pytest.raises(MisuseError, match="is for functions that have a parameter `obj`"):
            fexec.map(double, ["bucket/key"], **given)
    with pytest.raises(MisuseError, match="obj_reduce_by_key is for functions"):
        fexec.map_reduce(double, [1], total, obj_reduce_by_key=True)
    with pytest.raises(MisuseError, match="return_when"):
        fexec.wait(fexec.map(double, [1]), return_when="ALL")
    with pytest.raises(MisuseError, match="futures can be waited for"):
        fexec.wait([1])


def test_a_future_is_of_the_class_that_programs_ask_for(fexec: lithops.FunctionExecutor) -> None:
    assert isinstance(fexec.call_async(double, 1), ResponseFuture)


def test_the_configuration_that_is_found_has_pythons_values(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
        lithops: {backend: localhost, retries: 3, data_cleaner: yes}
        aws_lambda: {runtime_memory: 512, account_id: 012345670123, region: "1234", env_vars: {A: "5"}}
    """
    (tmp_path / "config").write_text(textwrap.dedent(text))
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(tmp_path / "config"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor = lithops.FunctionExecutor()
    assert executor.config["lithops"] == {"backend": "localhost", "retries": 3, "data_cleaner": True}
    found = executor.config["aws_lambda"]
    assert found == {"runtime_memory": 512, "account_id": "012345670123", "region": "1234", "env_vars": {"A": "5"}}
    assert executor._settings.memory == 512
    monkeypatch.delenv("LITHOPS_CONFIG_FILE")
    monkeypatch.setenv("LITHOPS_CONFIG", '{"lithops": {"backend": "localhost"}, "aws_lambda": {"runtime_memory": 640}}')
    assert lithops.FunctionExecutor()._settings.memory == 640
