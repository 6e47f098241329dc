"""`lithops.multiprocessing.Pool`, with the standard library's own pool of threads as the oracle."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

import lithops_magic.lithops.multiprocessing as mp
from executor_help import SETTINGS, notebook
from lithops_magic.errors import MisuseError
from localaws import LocalAws

NAMES = notebook("""
    start = 0
    def begin(x):
        global start
        start = x
    def shifted(x): return start + x
    def add(x, y=1): return x + y
    def inverse(x): return 1 / x
    def nap(seconds): __import__("time").sleep(seconds)
""")
add, inverse, nap = NAMES["add"], NAMES["inverse"], NAMES["nap"]


@pytest.fixture(scope="module")
def pool(local_aws: LocalAws) -> Iterator[mp.Pool]:
    with mp.Pool(2, settings=SETTINGS, packages="none") as pool:
        yield pool


def test_it_returns_what_the_standard_librarys_pool_returns(pool: mp.Pool) -> None:
    with ThreadPool(2) as oracle:
        for each in (lambda pool: pool.map(add, range(20)), lambda pool: pool.starmap(add, [(1, 2), (3, 4)])):
            assert each(pool) == each(oracle)
        for each in (lambda pool: pool.apply(add, (1,), {"y": 5}), lambda pool: pool.map(add, [])):
            assert each(pool) == each(oracle)
        for name in ("imap", "imap_unordered"):
            assert sorted(getattr(pool, name)(add, range(9))) == sorted(getattr(oracle, name)(add, range(9)))
        assert list(pool.imap(add, range(9))) == list(oracle.imap(add, range(9)))


def test_asynchronous_results(pool: mp.Pool) -> None:
    told: list[Any] = []
    result = pool.map_async(add, [1, 2], callback=told.append)
    assert result.get(60) == [2, 3]
    assert (result.ready(), result.successful(), told) == (True, True, [[2, 3]])
    failed = pool.apply_async(inverse, (0,), error_callback=told.append)
    with pytest.raises(ZeroDivisionError):
        failed.get(60)
    assert not failed.successful()
    assert isinstance(told[1], ZeroDivisionError)


def test_a_result_that_is_not_there_yet(pool: mp.Pool) -> None:
    result = pool.apply_async(time.sleep, (3,))
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.05)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    result.wait(60)
    assert result.ready()


def test_errors_are_raised(pool: mp.Pool) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.map(inverse, [1, 0])
    with pytest.raises(ZeroDivisionError):
        list(pool.imap_unordered(inverse, [0]))


def test_an_initializer_and_the_end_of_a_pool(local_aws: LocalAws) -> None:
    pool = mp.Pool(1, NAMES["begin"], (100,), settings=SETTINGS, packages="none")
    result = pool.map_async(NAMES["shifted"], range(5))
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.map(add, [1])
    pool.join()
    assert result.get() == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("name", ["Queue", "Lock", "Value", "Manager", "Barrier", "util"])
def test_what_shares_memory_says_what_to_use_instead(name: str) -> None:
    assert hasattr(multiprocessing, name)
    with pytest.raises(MisuseError, match=f"multiprocessing.{name}: sandboxes share no memory"):
        getattr(mp, name)


def test_a_pool_has_one_process_at_least() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        mp.Pool(0)


def test_imap_goes_on_after_an_error_and_knows_timeouts(pool: mp.Pool) -> None:
    results = pool.imap(inverse, [1, 0, 2])
    assert results.next(timeout=60) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == [0.5]
    with pytest.raises(mp.TimeoutError):
        pool.imap_unordered(nap, [3]).next(timeout=0.01)
