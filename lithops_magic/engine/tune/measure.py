"""Measures a function on a few of its items at several sizes: a job per size, all within one budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lithops_magic.engine import api
from lithops_magic.engine.arguments import zipped
from lithops_magic.engine.dispatch.items import Items
from lithops_magic.engine.options import MapOptions, check_names
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.text.units import plural
from lithops_magic.engine.tune import remembered
from lithops_magic.engine.tune.plan import MAX_COST, ROUNDS, Trial, affordable, sizes
from lithops_magic.engine.tune.tuning import Measured, Size, Tuning
from lithops_magic.errors import LithopsMagicError, MisuseError, TaskOutOfMemory, TaskTimeout

if TYPE_CHECKING:
    from lithops_magic.config import Settings

ITEMS = 5
ARCHITECTURES = ("x86_64", "arm64")
NO_SHARE = (
    "the local AWS gives a sandbox all CPUs, whatever its memory, so time and cost at other sizes are "
    "not those of AWS; `lithops-magic local stop && lithops-magic local ensure --cpu-share` gives CPU by memory"
)


def tune(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    max_cost: float | None = None,
    settings: Settings | None = None,
    **options: Any,
) -> Tuning:
    """Measure a function on a few items at several sizes, and return the time and cost at each.

    Parameters
    ----------
    function, iterables
        As for `map`; about five items are run, twice at each size.
    max_cost
        Limit in USD at list price for all measurements; 0.05 by default.
    settings
        By default, what Lithops' configuration says, else the local AWS.
    options
        Other options of `map`, such as `memory` (the size measured first), `timeout` or `packages`.

    Raises
    ------
    TaskError
        The function fails.
    MisuseError
        An argument is wrong, or there are no items.
    """
    from lithops_magic import config

    if not callable(function) or not iterables:
        raise MisuseError("tune: give a function and items: tune(function, items)")
    check_names(options, tuple(name for name in api.OPTIONS if name != "max_cost"), "tune: ")
    if len(iterables) > 1:
        options["starmap"] = True
    chosen = MapOptions(**options, max_cost=max_cost)
    return measure(function, zipped(iterables), options=chosen, settings=settings or config.load())


def measure(
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    options: MapOptions,
    settings: Settings,
    notify: Callable[[str], None] = lambda _: None,
    name_code: Callable[[str], str] | None = None,
) -> Tuning:
    """Do what `tune` does; `notify` is told each step.

    Raises
    ------
    TaskError
        The function fails.
    MisuseError
        There are no items.
    """
    sample, total, notes = _sample(items)
    budget = options.max_cost or MAX_COST
    base = Size(options.memory or settings.memory, settings.architecture)
    bench = _Bench(function, sample, options, settings, name_code)
    notify(f"{base.memory:,} MB, which is configured")
    # The configured size first: its time and memory decide which other sizes are worth trying.
    first = bench.finish(bench.begin(Trial(base, budget)), base, must=True)
    shared, local = bench.shared(), settings.local
    measured = [first]
    if shared:
        kinds = [settings.architecture] if local or settings.runtime else ARCHITECTURES
        trials, left_out = affordable(first, sizes(base, kinds), budget - bench.spent, bench.timeout, bench.price)
        measured += [*bench.run(trials, notify, together=not local), *left_out]
    else:
        notes.append(NO_SHARE)
    measured.sort(key=lambda one: one.size)
    label = options.label or getattr(function, "__name__", "")
    tuning = Tuning(tuple(measured), base, len(sample), total, bench.spent, local, shared, tuple(notes), label)
    remembered.keep(function, settings, options, tuning)
    return tuning


def _sample(items: Iterable[Any]) -> tuple[list[Any], int | None, list[str]]:
    """Return a few items; spread from first to last if all items are available."""
    taken = Items(items)
    if taken.owned is None:
        found = list(itertools.islice(taken.iterator, ITEMS))
        notes = ["the items come from an iterator: those that were measured are consumed"]
        total = None
    else:
        whole = list(taken.owned)
        last, parts = len(whole) - 1, min(ITEMS, len(whole))
        found = [whole[round(last * part / max(1, parts - 1))] for part in range(parts)]
        notes, total = [], len(whole)
    if not found:
        raise MisuseError("tune: there are no items to measure")
    return found, total, notes


class _Bench:
    """Runs the same few items at one size after another."""

    def __init__(
        self,
        function: Callable[..., Any],
        sample: Sequence[Any],
        options: MapOptions,
        settings: Settings,
        name_code: Callable[[str], str] | None,
    ) -> None:
        self._function = function
        self._sample = sample
        self._settings = settings
        self._name_code = name_code
        self._options = replace(
            options,
            to_s3=None,
            reduce_by=None,
            chunksize=1,
            workers=min(len(sample), options.workers or len(sample)),
            # A retry would be measured as part of the task's time and price.
            retries=0,
            retry_errors=False,
            retry_memory=None,
            backups=False,
            detach=False,
            cache=None,
            errors="keep",
            callbacks=(),
        )
        self.spent = 0.0
        self.timeout = float(options.timeout or settings.timeout)

    def begin(self, trial: Trial) -> MapResult:
        """Start measuring a size."""
        settings = self._settings.replace(architecture=trial.size.architecture)
        options = replace(self._options, memory=trial.size.memory, max_cost=trial.most)
        items = [*self._sample] * ROUNDS
        return api.start(self._function, items, options=options, settings=settings, name_code=self._name_code)

    def finish(self, result: MapResult, size: Size, *, must: bool = False) -> Measured:
        """Wait for a measurement; `must`: nothing else can be measured without it.

        Raises
        ------
        LithopsMagicError
            A required measurement fails.
        """
        try:
            result.wait()
        except BaseException:
            result.cancel()
            raise
        self.spent += result.cost
        measured = self._read(result, size)
        if must and not measured.usable:
            result.raise_errors()
            raise MisuseError(f"tune: {measured.problem}: allow more with --max-cost")
        return measured

    def _read(self, result: MapResult, size: Size) -> Measured:
        used = result.snapshot().max_memory_mb
        if result.errors:
            return Measured(size, used=used, problem=_problem(next(iter(result.errors.values()))))
        stats = list(result.stats)
        # Only each item's last run.
        rows = [stats[index :: len(self._sample)] for index in range(len(self._sample))]
        done = [next((row for row in reversed(runs) if row.state == "done"), None) for runs in rows]
        warm = [row.duration_s for row in done if row is not None]
        if not warm:
            return Measured(size, used=used, problem=str(result.error or "nothing was measured").partition(". ")[0])
        return Measured(size, tuple(warm), tuple(self.price(seconds, size) for seconds in warm), used)

    def price(self, seconds: float, size: Size) -> float:
        """Return the price of a task of that duration in USD, including its request."""
        from lithops_magic.aws import prices

        tmp = self._options.tmp or self._settings.ephemeral_storage
        # AWS bills at least one millisecond.
        return prices.invocation_cost(max(1.0, seconds * 1000), size.memory, size.architecture, tmp, self._region)

    @cached_property
    def _region(self) -> str:
        from lithops_magic.aws.session import Cloud

        return self._settings.region or Cloud.connect(self._settings).region

    def run(self, trials: Sequence[Trial], notify: Callable[[str], None], *, together: bool) -> list[Measured]:
        """Measure sizes, in parallel (`together`) if they do not compete for CPU."""
        # On AWS they do not compete; on the local AWS all sandboxes share this machine's CPUs.
        groups = [list(trials)] if together and trials else [[trial] for trial in trials]
        measured: list[Measured] = []
        for group in groups:
            begun: list[tuple[MapResult, Size]] = []
            for trial in group:
                notify(f"{_name(trial.size)} ({len(measured) + len(begun) + 1} of {plural(len(trials), 'more size')})")
                try:
                    begun.append((self.begin(trial), trial.size))
                except LithopsMagicError as error:  # for example, a package is not available for this architecture
                    measured.append(Measured(trial.size, problem=str(error).partition(". ")[0]))
            try:
                measured += [self.finish(result, size) for result, size in begun]
            except BaseException:
                for result, _ in begun:
                    result.cancel()
                raise
        return measured

    def shared(self) -> bool:
        """Whether more memory means more CPU in this environment."""
        from lithops_magic.aws.session import Cloud

        return not self._settings.local or Cloud.connect(self._settings).shares_cpu()


def _name(size: Size) -> str:
    return f"{size.memory:,} MB {size.architecture}"


def _problem(error: BaseException) -> str:
    if isinstance(error, TaskOutOfMemory):
        return "out of memory"
    if isinstance(error, TaskTimeout):
        return "timed out"
    return " ".join(str(error).split())[:80]
