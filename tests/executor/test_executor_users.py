"""Libraries that take an executor, or a back-end, given ours: each compared with what it computes by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import joblib  # type: ignore[import-untyped]
import pytest
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from executor_help import SETTINGS, executor, notebook
from lithops_magic import register_joblib
from lithops_magic.errors import MisuseError
from localaws import LocalAws

NAMES = notebook("""
    def square(x):
        return x * x

    def outer(n):
        from joblib import Parallel, delayed
        return sum(Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(n)))

    def where():
        from joblib.parallel import get_active_backend
        return type(get_active_backend()[0]).__name__
""")
square, outer = NAMES["square"], NAMES["outer"]


@pytest.fixture
def backend(local_aws: LocalAws) -> Iterator[None]:
    register_joblib()
    with parallel_config(backend="lambda", settings=SETTINGS):
        yield


def test_joblib(backend: None) -> None:
    assert Parallel()(delayed(square)(i) for i in range(30)) == [i * i for i in range(30)]
    assert joblib.effective_n_jobs() == 1000
    assert joblib.effective_n_jobs(3) == 3


def test_joblib_nested(backend: None) -> None:
    assert Parallel(n_jobs=2)(delayed(outer)(i) for i in range(5)) == [sum(range(i)) for i in range(5)]
    assert Parallel()([delayed(NAMES["where"])()]) == ["ThreadingBackend"]


def test_joblib_as_a_generator(backend: None) -> None:
    assert list(Parallel(return_as="generator")(delayed(square)(i) for i in range(9))) == [i * i for i in range(9)]
    unordered = Parallel(return_as="generator_unordered")(delayed(square)(i) for i in range(9))
    assert sorted(unordered) == [i * i for i in range(9)]


def test_joblib_raises_and_goes_on(backend: None) -> None:
    with Parallel() as parallel:
        with pytest.raises(ZeroDivisionError):
            parallel(delayed(divmod)(1, i) for i in range(3))
        assert parallel(delayed(square)(i) for i in range(3)) == [0, 1, 4]


def test_joblib_times_out(backend: None) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - multiprocessing's TimeoutError is none
        Parallel(timeout=0.2)(delayed(time.sleep)(2) for _ in range(2))
    assert type(raised.value).__name__ == "TimeoutError"


def test_joblib_refuses_an_option_that_there_is_not(local_aws: LocalAws) -> None:
    register_joblib()
    with pytest.raises(MisuseError, match="did you mean 'memory'"):
        parallel_config(backend="lambda", memry=1024)


def test_tqdm(local_aws: LocalAws) -> None:
    with executor(2) as pool, tqdm(pool.map(abs, range(20)), total=20, disable=True) as bar:
        assert list(bar) == list(range(20))


def test_anything_that_takes_a_pools_map(local_aws: LocalAws) -> None:
    """As SciPy's `workers=` does: a bound `map`, over and over, with an object that can be called."""
    names = notebook("""
        class Wrapped:
            def __init__(self, f, *args): self.f, self.args = f, args
            def __call__(self, x): return self.f(x, *self.args)
    """)

    def minimize(evaluate: Any) -> list[int]:
        best = list(range(-4, 4))
        for _ in range(5):
            scores = list(evaluate(names["Wrapped"](pow, 2), best))
            best = [x + (score > 1) * (-1) ** (x > 0) for x, score in zip(best, scores, strict=True)]
        return best

    with executor(2) as pool:
        assert minimize(pool.map) == minimize(map)
