"""Tuning against a simulated Lambda whose CPU grows with its memory: the sizes it names are those of the model."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lithops_magic
from lithops_magic.aws import prices
from lithops_magic.aws.invoke.outcomes import Outcome, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions, launch
from lithops_magic.engine.backend.endpoint import Endpoint, Limits
from lithops_magic.engine.tune import plan, remembered, view
from lithops_magic.engine.tune.measure import measure, tune
from lithops_magic.engine.tune.plan import MAX_COST, MEMORY, ROUNDS, affordable, sizes
from lithops_magic.engine.tune.tuning import Estimate, Measured, Size, Tuning
from lithops_magic.errors import MisuseError, RemoteError
from lithops_magic.worker import packing
from replies import sealed

REGION = "us-east-1"
SETTINGS = Settings(region=REGION, memory=1024, timeout=300, local=False)
BASE = Size(1024)


@dataclass
class Model:
    """What a task takes: waiting, and computing on its share of the CPU, with so many threads."""

    waits: float = 0.0
    computes: float = 1.0
    threads: float = 1.0
    needs: int = 100
    """MB."""
    arm: float = 1.0
    """How fast the other architecture is."""
    starts: float = 3.0
    """Seconds of the first task in a sandbox, for imports."""

    def seconds(self, size: Size, item: float = 1.0) -> float:
        speed = min(size.memory / 1769, self.threads) * (self.arm if size.architecture == "arm64" else 1)
        return item * (self.waits + self.computes / speed)

    def cost(self, size: Size, item: float = 1.0) -> float:
        seconds = max(0.001, self.seconds(size, item))
        return prices.invocation_cost(seconds * 1000, size.memory, size.architecture, 512, REGION)


class Simulated:
    """A backend and its sender; no time passes."""

    grows = False
    model: ClassVar[Model]
    asked: ClassVar[list[tuple[Size, int]]]
    fails: ClassVar[Callable[[Size, Any], Outcome | None]]

    def __init__(self, settings: Settings, workers: int | None, need: Any, tasks: int | None = None) -> None:
        self.size, self.workers = Size(settings.memory, settings.architecture), workers or 4
        self._lock = threading.Lock()
        self._seen = 0

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        def price(milliseconds: float) -> float:
            return prices.compute_cost(milliseconds, self.size.memory, self.size.architecture, 512, REGION)

        limits = Limits(self.size.memory, 300)
        return Endpoint(self, self.workers, limits, False, False, price, prices.price_of(REGION).request)

    def larger(self, factor: float) -> None:
        return None

    def close(self) -> None:
        pass

    def send(self, payload: bytes, done: Callable[[Outcome], None]) -> None:
        request = json.loads(payload)
        (task,) = request["tasks"]
        item = packing.loads(base64.b64decode(task["data"]))
        self.asked.append((self.size, item))
        with self._lock:
            cold, self._seen = self._seen < self.workers, self._seen + 1
        if (failure := type(self).fails(self.size, item)) is not None:
            return done(failure)
        if self.model.needs > self.size.memory:
            error = {"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}
            used = InvocationReport(10.0, 10, self.size.memory, self.size.memory)
            return done(Reply(json.dumps(error).encode(), "Unhandled", "", "r", used))
        seconds = self.model.seconds(self.size, item) + (self.model.starts if cold else 0)
        value = base64.b64encode(packing.dumps(item)).decode()
        outcome = {"id": task["id"], "status": "ok", "started": 0.0, "seconds": seconds, "log": "", "value": value}
        answer = {"sandbox": "s", "cold": cold, "outcomes": [outcome]}
        body = sealed(answer, bytes.fromhex(request["key"]), request["request"])
        return done(
            Reply(body, None, "", "r", InvocationReport(seconds * 1000, round(seconds * 1000), 0, self.model.needs))
        )


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., list[tuple[Size, int]]]:
    """Have jobs run in a simulated Lambda; returns what it will have been asked."""
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(launch, "LambdaBackend", Simulated)

    def simulate(fails: Callable[[Size, Any], Outcome | None] = lambda *_: None, **model: Any) -> list[Any]:
        asked: list[tuple[Size, int]] = []
        monkeypatch.setattr(Simulated, "model", Model(**model), raising=False)
        monkeypatch.setattr(Simulated, "asked", asked, raising=False)
        monkeypatch.setattr(Simulated, "fails", staticmethod(fails), raising=False)
        return asked

    return simulate


def tuned(items: Any = (1, 2, 3, 4, 5, 6, 7, 8, 9), **options: Any) -> Tuning:
    chosen = {"settings": SETTINGS, "packages": "none", "max_cost": 10, **options}
    return lithops_magic.tune(lambda x: x, items, **chosen)


def test_the_named_sizes_are_those_of_the_model(simulate: Callable[..., Any]) -> None:
    asked = simulate(waits=0.5, computes=2.0, threads=2, needs=200, arm=1.1)
    tuning = tuned()
    tried = {size for size, _ in asked}
    assert tried == {Size(memory, kind) for kind in ("x86_64", "arm64") for memory in MEMORY if memory >= 256}
    model = Simulated.model
    assert tuning.cheapest == min(tried, key=model.cost)
    fastest = min(model.seconds(size) for size in tried)
    assert tuning.fastest == min((s for s in tried if model.seconds(s) <= 1.03 * fastest), key=model.cost)
    slow, dear = max(map(model.seconds, tried)), max(map(model.cost, tried))
    assert tuning.balanced == min(tried, key=lambda size: model.seconds(size) / slow + model.cost(size) / dear)
    # Five items, the first and the last among them, twice each; the first time, with its imports, does not count.
    assert sorted(item for size, item in asked if size == BASE) == sorted([1, 3, 5, 7, 9] * ROUNDS)
    (base,) = [one for one in tuning.measured if one.size == BASE]
    assert base.time == pytest.approx(model.seconds(BASE, 5))
    assert base.cost == pytest.approx(model.cost(BASE, 5), rel=0.01)
    assert (tuning.items, tuning.total, base.used) == (5, 9, 200)
    small = next(one for one in tuning.measured if one.size == Size(128))
    assert small.problem == "too small: 200 MB are used"


def test_all_of_it_stays_within_the_money(simulate: Callable[..., Any]) -> None:
    for money in (0.0005, 0.004, MAX_COST):
        simulate(waits=20.0, computes=5.0, starts=0.0)
        tuning = tuned(
            range(1, 4), max_cost=None if money == MAX_COST else money, settings=SETTINGS.replace(timeout=900)
        )
        assert 0 < tuning.spent <= max(money, 6 * Simulated.model.cost(BASE, 3))
        left_out = [one for one in tuning.measured if one.problem == "not tried: --max-cost"]
        assert left_out
        assert not any(one.seconds for one in left_out)
    simulate(waits=1.0)
    assert not any("--max-cost" in one.problem for one in tuned().measured)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.001, 500), min_size=1, max_size=5),
    st.sampled_from(MEMORY),
    st.floats(1e-6, 1.0),
    st.floats(0.0, 1.0),
    st.floats(0.5, 6.0),
)
def test_no_trial_costs_more_than_was_planned(
    seconds: Sequence[float], memory: int, money: float, share: float, threads: float
) -> None:
    def price(time: float, size: Size) -> float:
        return prices.invocation_cost(time * 1000, size.memory, size.architecture, 512, REGION)

    base_size = Size(memory)

    def time(one: float, size: Size) -> float:
        """Part of it waits, and the rest computes."""
        speed = min(size.memory / 1769, threads) / min(memory / 1769, threads)
        return one * (share + (1 - share) / speed)

    base = Measured(base_size, tuple(seconds), tuple(price(one, base_size) for one in seconds), 100)
    others = sizes(base_size, ("x86_64", "arm64"))
    trials, left_out = affordable(base, others, money, 900, price)
    assert {trial.size for trial in trials} | {one.size for one in left_out} == set(others)
    assert sum(trial.most for trial in trials) <= money
    for trial in trials:
        taken = [time(one, trial.size) for one in seconds]
        assert max(taken) <= 900.001
        assert ROUNDS * sum(price(one, trial.size) for one in taken) <= trial.most * 1.001


def test_what_does_not_do_is_no_choice(simulate: Callable[..., Any]) -> None:
    def fails(size: Size, item: Any) -> Outcome | None:
        return (
            Reply(b'{"errorMessage":"killed"}', "Unhandled", "", "r", InvocationReport(1.0, 1, 5120, 5120))
            if (size.memory == 5120 and item == 5)
            else None
        )

    simulate(fails, computes=1.0, threads=6)
    tuning = tuned()
    bad = [one for one in tuning.measured if one.size.memory == 5120]
    assert all(one.problem and not one.usable for one in bad)
    assert 5120 not in {size.memory for size in (tuning.cheapest, tuning.balanced, tuning.fastest) if size}


def test_a_function_that_fails_is_that_error(local_aws: Any) -> None:
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        tune(lambda x: 1 / 0, [1], settings=Settings(local=True, memory=256), packages="none")


def test_nothing_to_measure_is_one_line(simulate: Callable[..., Any]) -> None:
    simulate()
    with pytest.raises(MisuseError, match="there are no items to measure"):
        tuned([])
    with pytest.raises(MisuseError, match="function and items"):
        tune("f", [1])  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="memory must be"):
        tuned(memory=1)
    with pytest.raises(MisuseError, match="tune: there is no option 'memroy'; did you mean 'memory'"):
        tuned(memroy=1)


def test_an_iterator_is_taken_from_as_far_as_it_is_measured(simulate: Callable[..., Any]) -> None:
    simulate()
    items = iter(range(1, 100))
    tuning = tuned(items)
    assert next(items) == 6
    assert (tuning.items, tuning.total) == (5, None)
    assert "are consumed" in repr(tuning)


def test_the_local_aws_says_that_memory_buys_no_cpu(
    local_aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    here = Settings(local=True, memory=256)
    tuning = tune(lambda x: sum(range(x)), range(1000, 1003), settings=here, packages="none")
    assert [one.size.memory for one in tuning.measured] == [256]
    assert (tuning.cheapest, tuning.balanced, tuning.fastest) == (None, None, None)
    told = repr(tuning)
    assert "--cpu-share" in told
    assert "MB are enough" in told
    assert "cheapest" not in told
    assert "<svg" not in view.to_html(tuning)


def test_a_local_aws_with_cpu_share_is_compared(local_aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from lithops_magic.aws.session import Cloud

    assert not Cloud.connect(Settings(local=True)).shares_cpu()
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(Cloud, "shares_cpu", lambda self: True)
    monkeypatch.setattr(plan, "MEMORY", (512,))
    here = Settings(local=True, memory=256)
    tuning = tune(lambda x: x, [1], settings=here, packages="none")
    # Those of this machine's own architecture only, and more than one.
    assert {one.size.architecture for one in tuning.measured} == {"x86_64"}
    assert len(tuning.candidates) > 1
    assert tuning.cheapest is not None


def test_an_estimate_is_remembered_for_the_function_as_it_is(simulate: Callable[..., Any]) -> None:
    simulate(waits=1.0, computes=0.5)
    k = 1

    def task(x: int) -> int:
        return x + k

    options = MapOptions(packages="none", max_cost=10)
    measure(task, range(1, 6), options=options, settings=SETTINGS)
    found = remembered.find(task, SETTINGS, options)
    assert found is not None
    estimate = found.estimate(BASE, 1000)
    assert estimate is not None
    model = Simulated.model
    assert estimate.usd == pytest.approx(1000 * model.cost(BASE, 3), rel=0.01)
    assert estimate.low < estimate.usd < estimate.high
    assert found.estimate(Size(2048), 1000) is None
    k = 2
    assert remembered.find(task, SETTINGS, options) is None
    k = 1
    assert remembered.find(task, SETTINGS, options) == found or found.measured
    assert remembered.find(task, SETTINGS.replace(local=True), options) is None


def test_a_damaged_memory_is_none(simulate: Callable[..., Any], tmp_path: Any) -> None:
    simulate()
    options = MapOptions(packages="none", max_cost=10)
    measure(abs, range(1, 4), options=options, settings=SETTINGS)
    (file,) = (tmp_path / "tunings").iterdir()
    whole = file.read_text()
    for spoilt in ("", "{}", whole[:-9], whole.replace('"format": 1', '"format": 9'), whole.replace("1024", '"x"')):
        file.write_text(spoilt)
        assert remembered.find(abs, SETTINGS, options) is None or spoilt == whole


@given(st.lists(st.floats(1e-7, 1.0), min_size=1, max_size=20), st.integers(1, 10_000))
def test_an_interval_holds_what_was_measured(costs: Sequence[float], tasks: int) -> None:
    found = Estimate.of(costs, tasks)
    assert 0 < found.low <= found.usd * (1 + 1e-9)
    assert found.usd <= found.high * (1 + 1e-9)
    assert found.measured == len(costs)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    import random

    dice, held = random.Random(1), 0
    for _ in range(400):
        costs = [dice.gauss(1.0, 0.2) for _ in range(5)]
        found = Estimate.of(costs, 1000)
        held += found.low <= 1000 <= found.high
    assert 0.92 < held / 400 < 0.98


def test_the_table_and_the_plot_say_the_same(simulate: Callable[..., Any]) -> None:
    simulate(waits=0.2, computes=1.0, threads=3)
    tuning = tuned()
    text, html = repr(tuning), tuning._repr_mimebundle_()["text/html"]
    for name in ("cheapest", "balanced", "fastest"):
        size = tuning.choice(name)
        assert size is not None
        assert f"{name}: {size.memory:,} MB on {size.architecture}" in text
    assert "configured" in text
    assert 'src="data:image/svg+xml;base64,' in html
    picture = base64.b64decode(html.partition("base64,")[2].partition('"')[0]).decode()
    assert picture.count("<circle") == len(tuning.candidates)
