"""One-line errors for unsupported uses of a result, each saying what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from operator import index as as_index
from types import ModuleType
from typing import Any

from lithops_magic.engine.job.job import Job
from lithops_magic.engine.options import NAMES, MapOptions, check_names
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import MissingPackage, MisuseError, NoSuchAttribute, NoSuchTask

_FIXED = {"label", "about", "detach", "starmap"}
"""Options that apply only to a job's first run."""


def position(index: Any, length: int) -> int:
    """Return the task for `index`, which may be negative.

    Raises
    ------
    MisuseError
        It is not an integer, or out of range.
    """
    try:
        place = as_index(index)
    except TypeError:
        problem = (
            f"a result is indexed by a task's number or a slice, not by a {type(index).__name__}: "
            "use [result[i] for i in …], numpy.array(result) or result.to_frame()"
        )
    else:
        if -length <= place < length:
            return place % length
        raise NoSuchTask(f"there is no task {place}: the result has {plural(length, 'task')}, counted from 0")
    raise MisuseError(problem)


def no_attribute(name: str) -> NoSuchAttribute:
    """Return the error that explains how to access a result's values."""
    return NoSuchAttribute(
        f"a MapResult has no attribute {name!r}; its values are list(result), numpy.array(result) or result.to_frame()"
    )


def start_rerun(job: Job, indices: Sequence[int], changes: Mapping[str, Any]) -> Job:
    """Rerun tasks of `job` with changed options; returns `job` itself if there are none.

    Raises
    ------
    MisuseError
        The job is not over, an option does not exist or is wrong, or something required is not available.
    """
    options = _changed(job.options, changes)
    if not job.over:
        raise MisuseError("retry: the job is still running: wait() for its end or cancel() it first")
    if not indices:
        return job
    if job.start_rerun is None:
        raise MisuseError("retry: the function is not available here; rerun its cell")
    for index in indices:
        _here(job.raw_item, index)
    return job.start_rerun(job, indices, options)


def function_and_item(job: Job, index: int) -> tuple[Callable[..., Any], Any]:
    """Return what `debug` runs.

    Raises
    ------
    MisuseError
        The function or item is not available.
    """
    if job.function is None:
        raise MisuseError("debug: the function is not available here; rerun its cell")
    return job.function, _here(job.item, index)


def followed(job: Job) -> Iterable[tuple[str, str]]:
    """Return an iterable over what the tasks of `job` print, as they print it.

    Raises
    ------
    MisuseError
        The job cannot be followed.
    """
    if job.follow is None:
        raise MisuseError("logs: this job's logs cannot be followed")
    return job.follow()


def need(module: str, caller: str, package: str) -> ModuleType:
    """Import an optional package, or one of our modules that requires it.

    Raises
    ------
    MissingPackage
        The package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        # Another missing module is a fault of the installation, not an optional package.
        if not (error.name or "").startswith(package):
            raise
        problem = f"{caller} needs {package}: install it with `%pip install {package}`"
    raise MissingPackage(problem)


def _changed(options: MapOptions, changes: Mapping[str, Any]) -> MapOptions:
    check_names(changes, tuple(name for name in NAMES if name not in _FIXED), "retry: ")
    try:
        return replace(options, **changes)
    except MisuseError as error:
        # Raised outside the handler, so that only one error is shown.
        problem = f"retry: {error}"
    raise MisuseError(problem)


def _here(item: Callable[[int], Any], index: int) -> Any:
    try:
        return item(index)
    except LookupError as error:
        problem = f"{error}; pass the items as a list to keep them"
    raise MisuseError(problem)
