"""A random generator that the function takes along: said before anything is sent; and numbers of each task's own."""

from __future__ import annotations

import random
from functools import partial
from random import random as draw
from typing import Any

import numpy as np
import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import api
from lithops_magic.engine.wire.function import Function

LOCAL = Settings(local=True, memory=256)


class Simulation:
    def __init__(self) -> None:
        self.parts = {"noise": [np.random.default_rng(1)]}

    def run(self, x: float) -> float:
        return x + float(self.parts["noise"][0].normal())


def functions() -> dict[str, Any]:
    rng, legacy, plain = np.random.default_rng(1), np.random.RandomState(1), random.Random(1)
    normal, simulation = rng.normal, Simulation()
    return {
        "generator": lambda x: rng.normal(),
        "legacy": lambda x: legacy.rand(),
        "plain": lambda x: plain.random(),
        "bound": lambda x: normal(),
        "object": lambda x: simulation.run(x),
        "method": simulation.run,
        "partial": partial(lambda g, x: g.random(), rng),
    }


@pytest.mark.parametrize("name", functions())
def test_it_is_said_with_the_way_out(name: str) -> None:
    (said,) = Function.pickle(functions()[name]).warnings
    assert said.startswith("tasks draw the same random numbers: ")
    assert "SeedSequence(42).spawn(len(items))" in said


def test_it_is_named() -> None:
    rng = np.random.default_rng(1)
    assert "'rng', a Generator," in Function.pickle(lambda x: rng.normal()).warnings[0]


def test_what_has_no_state_of_its_own_is_not_spoken_of() -> None:
    shared = np.random.rand
    for function in (lambda x: draw(), lambda x: shared(), lambda x: np.random.rand()):
        assert Function.pickle(function).warnings == ()


@pytest.mark.no_cover
@pytest.mark.usefixtures("local_aws")
def test_the_way_out_gives_the_same_numbers_whatever_the_chunks_are() -> None:
    def simulate(item: Any) -> float:
        x, seed = item
        return x + float(np.random.default_rng(seed).normal())

    def run(chunksize: int) -> list[float]:
        seeds = np.random.SeedSequence(42).spawn(20)
        return list(api.map(simulate, zip(range(20), seeds, strict=True), chunksize=chunksize, settings=LOCAL))

    here = [simulate(item) for item in zip(range(20), np.random.SeedSequence(42).spawn(20), strict=True)]
    assert run(1) == run(7) == here
    assert len(set(here)) == 20


@pytest.mark.usefixtures("local_aws")
def test_the_functions_of_a_package_draw_other_numbers_in_each_task() -> None:
    shared = np.random.rand
    found = list(api.map(lambda x: (draw(), float(shared())), range(12), chunksize=3, settings=LOCAL))
    assert len({number for pair in found for number in pair}) == 24


@pytest.mark.usefixtures("local_aws")
def test_a_generator_that_items_share_is_said_once() -> None:
    rng = np.random.default_rng(1)
    shared = api.map(lambda pair: pair[1].random(), [(x, rng) for x in range(4)], settings=LOCAL)
    assert len(set(shared)) == 1
    assert [note for note in shared.snapshot().notes if "items share a generator" in note and "SeedSequence" in note]
    moved = [(x, rng, rng.random()) for x in range(4)]
    streams = [(x, each) for x, each in enumerate(np.random.default_rng(1).spawn(4))]
    for own in ((each[:2] for each in map(advance, moved)), streams):
        result = api.map(lambda pair: pair[1].random(), own, settings=LOCAL)
        assert len(set(result)) == 4
        assert not [note for note in result.snapshot().notes if "same random numbers" in note]


def advance(item: Any) -> Any:
    item[1].random()
    return item
