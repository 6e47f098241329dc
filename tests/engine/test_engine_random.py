"""No two tasks draw the same random numbers, whichever processes, invocations and jobs they are in."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import api

pytestmark = pytest.mark.usefixtures("local_aws")


def draws(function: Any, processes: int, chunksize: int = 25) -> list[Any]:
    settings = Settings(local=True, memory=447, worker_processes=processes)
    return list(api.map(function, range(100), settings=settings, chunksize=chunksize, workers=2))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_numpy_draws_a_hundred_different_numbers_in_each_job(processes: int) -> None:
    first, second = (draws(lambda _: (np.random.rand(), np.random.randint(2**60)), processes) for _ in range(2))
    for drawn in zip(*(first + second), strict=True):
        assert len(set(drawn)) == 200


@pytest.mark.parametrize("processes", [1, 2])
def test_pythons_own_numbers_differ_too_also_those_drawn_while_the_function_is_loaded(processes: int) -> None:
    class Draws:
        """Draws once where it is unpickled, which several processes share."""

        def __setstate__(self, state: object) -> None:
            self.first = random.random()

        def __getstate__(self) -> object:
            return 1

    start = Draws()
    drawn = draws(lambda _: (start, random.random())[1], processes)
    assert len(set(drawn)) == 100


def test_a_seed_holds_in_its_task_and_no_longer_than_its_job() -> None:
    def seeded(x: int) -> tuple[float, float]:
        np.random.seed(x)
        random.seed(x)
        return np.random.rand(), random.random()

    once, again = draws(seeded, 1), draws(seeded, 2)
    assert once == again == [(np.random.RandomState(x).rand(), random.Random(x).random()) for x in range(100)]
    free, more = (draws(lambda _: (np.random.rand(), random.random()), 1) for _ in range(2))
    assert len({*free, *more, *once}) == 300
