"""Makes the calls of an executor's jobs: each element, part of an object or group of values becomes a future."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside
from lithops_magic.lithops.arguments import Binding, elements
from lithops_magic.lithops.future import JobInfo, ResponseFuture
from lithops_magic.lithops.objects import Cut, parts

if TYPE_CHECKING:
    from lithops_magic.executor import LambdaExecutor

CALL, MAP, REDUCE = "A", "M", "R"
"""Kinds of jobs: the letters with which Lithops' job ids begin."""
_WHOLE = Cut()


class Jobs:
    """The jobs of one executor.

    Parameters
    ----------
    executor_id, backend
        Of the executor.
    settings
        What its configuration means here.
    storage
        Makes what a parameter `storage` is given.
    """

    def __init__(self, executor_id: str, backend: str, settings: Any, storage: Callable[[], Any]) -> None:
        self._executor_id, self._backend, self._settings, self._storage = executor_id, backend, settings, storage
        self._count = 0
        self._executors: dict[tuple[tuple[str, str], ...], LambdaExecutor] = {}

    @property
    def streams(self) -> list[Any]:
        """The engine's executors: one for each deployed function."""
        return [stream for each in self._executors.values() for stream in each.streams]

    def mapped(
        self,
        kind: str,
        function: Callable[..., Any],
        data: Any,
        extra: Any,
        options: Mapping[str, Any],
        cut: Cut = _WHOLE,
    ) -> list[ResponseFuture]:
        """Call a function for each element of `data`, for the value of each future or for each part of objects."""
        _check_callable("the first argument", function)
        job, executor = self._job(kind, self._count, function, options), self._executor(options)
        self._count += 1
        binding = Binding(function, extra, self._storage)
        if binding.takes_objects:
            found = list(parts(data, cut, self._settings))
            if kind == CALL and len(found) > 1:
                raise MisuseError(f"call_async makes one call, and there are {len(found)} objects: use map")
            futures = _submitted(job, executor, function, binding, found)
            for future, (_, part) in zip(futures, found, strict=True):
                future.origin = part.bucket, part.key
            return futures
        cut.refuse()
        given = elements(data)
        chained = [each for each in given if isinstance(each, ResponseFuture)]
        if chained and len(chained) < len(given):
            raise MisuseError("an iterable of futures and other values cannot be mapped over: get their results first")
        if chained:
            for source in chained:
                # Their values are inputs now: as in Lithops, `get_result` returns those of the last job only.
                source._produce_output = False
            inputs = [([source], _first) for source in chained]
            return _following(job, executor, function, binding, inputs)
        return _submitted(job, executor, function, binding, [(element, None) for element in given])

    def reducer(
        self, function: Callable[..., Any], extra: Any, options: Mapping[str, Any]
    ) -> Callable[[Sequence[list[ResponseFuture]]], list[ResponseFuture]]:
        """Return a function that starts the reducers: one call per group of the last job's futures, with their values.

        Raises
        ------
        MisuseError
            The function cannot be called with a list.
        """
        _check_callable("reduce_function", function)
        binding = Binding(function, extra, self._storage)
        # Tried with an empty list, so that a reducer that takes no list is refused before the map runs.
        binding.bind(([],), 0)

        def reduced(groups: Sequence[list[ResponseFuture]]) -> list[ResponseFuture]:
            # Numbered like the job that it reduces, as in Lithops.
            job = self._job(REDUCE, self._count - 1, function, options)
            return _following(job, self._executor(options), function, binding, [(group, _alone) for group in groups])

        return reduced

    def _executor(self, options: Mapping[str, Any]) -> LambdaExecutor:
        # One executor, and thus one deployed function, for each combination of options.
        key = tuple(sorted((name, str(value)) for name, value in options.items()))
        if key not in self._executors:
            self._executors[key] = inside.executor(settings=self._settings, **options)
        return self._executors[key]

    def _job(self, kind: str, number: int, function: Callable[..., Any], options: Mapping[str, Any]) -> JobInfo:
        settings = self._settings
        return JobInfo(
            executor_id=self._executor_id,
            job_id=f"{kind}{number:03d}",
            function_name=getattr(function, "__name__", type(function).__name__),
            runtime_memory=options.get("memory", settings.memory),
            execution_timeout=options.get("timeout", settings.timeout),
            runtime_name=settings.runtime or "default",
            backend=self._backend,
            created=time.time(),
        )


def _check_callable(what: str, given: Any) -> None:
    if not callable(given):
        raise MisuseError(f"{what} must be a function, not {type(given).__name__}")


def _submitted(
    job: JobInfo, executor: LambdaExecutor, function: Callable[..., Any], binding: Binding, given: list[tuple[Any, Any]]
) -> list[ResponseFuture]:
    """Call a function for elements, each with the part of an object that it is about, if any."""
    # All elements are checked before the first is sent.
    calls = [binding.bind(element, number, part) for number, (element, part) in enumerate(given)]
    futures = [ResponseFuture(job, number) for number in range(len(calls))]
    for future, (args, kwargs) in zip(futures, calls, strict=True):
        future._start(partial(executor.submit, function, *args, **kwargs))
    return futures


def _following(
    job: JobInfo,
    executor: LambdaExecutor,
    function: Callable[..., Any],
    binding: Binding,
    inputs: Sequence[tuple[list[ResponseFuture], Callable[[list[Any]], Any]]],
) -> list[ResponseFuture]:
    """Call a function once per input, as soon as its futures have values, with the element made from these."""

    def beginning(number: int, element: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
        def begin(values: list[Any]) -> Any:
            args, kwargs = binding.bind(element(values), number)
            return executor.submit(function, *args, **kwargs)

        return begin

    futures = [ResponseFuture(job, number) for number in range(len(inputs))]
    for number, (future, (sources, element)) in enumerate(zip(futures, inputs, strict=True)):
        future._after(sources, beginning(number, element))
    return futures


def _first(values: list[Any]) -> Any:
    return values[0]


def _alone(values: list[Any]) -> Any:
    """Return an element that passes the values as a single argument, whatever their types."""
    return (values,)
