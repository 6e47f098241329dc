"""The engine's entrance: start a job, or map a function over items and wait."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lithops_magic import data, user_code
from lithops_magic.aws import local_server
from lithops_magic.engine.arguments import check_call, check_items, zipped
from lithops_magic.engine.job.task import R
from lithops_magic.engine.options import KEEP_AFTER, NAMES, Callback, MapOptions
from lithops_magic.engine.result import script
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine.result.map_result import MapResult


def start(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    options: MapOptions,
    settings: Settings,
    name_code: Callable[[str], str] | None = None,
    reduce: Callable[[list[Any]], Any] | None = None,
    waits: bool = False,
) -> MapResult:
    """Start a job and return immediately.

    Parameters
    ----------
    function
        Called with each item in a sandbox; a coroutine function is awaited there.
    items
        A collection is copied at once (not its elements); anything else is consumed lazily, as a `for` loop would, and
        never further ahead than needed to keep the sandboxes busy.
    options
        How the job runs; options left unset take their defaults from `settings`.
    settings
        Region, role and defaults.
    name_code
        Maps the file name of a code object to the name the user knows it by.
    reduce
        Called once with the list of all values, as one more task, after every task has succeeded.
    waits
        Whether this thread will wait for the job: if so, an iterator is advanced in this thread while it waits.

    Raises
    ------
    SerializationError
        A function cannot be pickled; nothing was sent.
    PackageError
        A required package or module cannot be shipped.
    MisuseError
        The items are not iterable.
    """
    if options.reduce_by and reduce is None:
        raise MisuseError("reduce_by needs a function to reduce with: reduce=FUNCTION (--reduce NAME)")
    check_items(items)
    items = data.bound(items, settings)
    if options.detach:
        from lithops_magic.engine import handover

        handover.check(options, reduced=reduce is not None)
        items = handover.all_items(items)
    if settings.local:
        # Before anything is imported or pickled, because it takes longest, but not for a call that is refused.
        local_server.begin()
    # These are most of a job's import time; the local AWS starts in the meantime.
    from lithops_magic.engine import handover
    from lithops_magic.engine.dispatch.items import Items
    from lithops_magic.engine.job.job import Job
    from lithops_magic.engine.launch import launch
    from lithops_magic.engine.result.groups import Groups
    from lithops_magic.engine.result.map_result import MapResult
    from lithops_magic.engine.result.reduction import Reduction

    taken = Items(items)
    once_more = partial(start, settings=settings, name_code=name_code)
    groups = Groups(options.reduce_by) if options.reduce_by else None
    if groups is not None:
        watched = groups.watch(taken.iterator)
        # All items of a collection now, so that one without a group is refused before anything is sent.
        taken.iterator = iter([*watched]) if taken.complete else watched
    reduction = None if reduce is None else Reduction.prepare(reduce, options, once_more, groups)
    job = Job(
        handover.scheduled(options) if options.detach else options,
        name_code or user_code.name,
        taken.total,
        function,
        taken.owned,
    )
    result = MapResult(launch(job, function, taken, settings, options, waits=waits), reduction)
    if reduction is not None:
        reduction.follow(result)
    return result


def map(
    function: Callable[..., Coroutine[Any, Any, R] | R],
    *iterables: Iterable[Any],
    memory: int | None = None,
    timeout: int | None = None,
    tmp: int | None = None,
    env: Mapping[str, str] | None = None,
    chunksize: int | None = None,
    workers: int | None = None,
    retries: int = 2,
    retry_errors: bool = False,
    retry_memory: float | None = None,
    backups: bool = False,
    max_cost: float | None = None,
    detach: bool = False,
    keep_after: float = KEEP_AFTER,
    errors: Literal["raise", "keep"] = "raise",
    locals: bool = False,
    cache: bool | str | float | None = None,
    reduce_by: str | None = None,
    to_s3: str | None = None,
    packages: str | Sequence[str] | None = None,
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    starmap: bool = False,
    callbacks: Callback | Sequence[Callback] = (),
    reduce: Callable[[list[Any]], Any] | None = None,
    settings: Settings | None = None,
    background: bool = False,
    progress: bool = False,
) -> MapResult[R]:
    """Run `function` over `items` on AWS Lambda and return their values in order.

    Every job starts clean, with only what is sent and an empty `/tmp`. Within one job, tasks that happen to run in the
    same sandbox share objects that the function changes (a captured list, a module's variable, a cache) and files in
    `/tmp`; environment variables and the working folder are reset after each task.

    A random generator that the function captures is the same in every task. For independent numbers that are the
    same in every run, give each task a seed of its own: map over
    ``zip(items, numpy.random.SeedSequence(42).spawn(len(items)))`` and begin the task with
    ``rng = numpy.random.default_rng(seed)``.

    Parameters
    ----------
    function
        Called with each item in a sandbox, or with one item of each iterable; a coroutine function is awaited there.
    iterables
        What to map over: any iterable, even an endless one, with the semantics of a `for` loop. A collection is copied
        at once (a list of references: do not change its elements while the job runs). Anything else is consumed lazily,
        in this thread while it waits and otherwise in another, and each item is pickled before the next one is
        requested. With several iterables, mapping stops at the end of the shortest.
    memory
        Memory of the function in MB; more memory also means more CPU.
    timeout
        Maximum seconds per invocation, up to 900.
    tmp
        Size of `/tmp` in MB, 512 to 10,240.
    env
        Environment variables for the tasks, besides those of the settings; changing them deploys no new function.
    chunksize
        Tasks per invocation; by default adapted to the measured duration of the tasks.
    workers
        Maximum invocations in flight; by default what the account allows. Above 1,000, the function is deployed several
        times, because AWS starts at most 1,000 sandboxes of each function in ten seconds.
    retries
        How often a task is retried after a crash, a timeout or a lost connection; 0 never runs a task twice. Exceptions
        that the function raises are not retried.
    retry_errors
        Also retry tasks whose function raised an exception.
    retry_memory
        Factor by which to raise the memory of a task that ran out of it when it is retried, such as 2.
    backups
        Near the end of the job, send a second copy of a task that takes more than three times as long as its peers; the
        first result wins. Off by default, because such a task runs twice: only for functions that may run twice.
    max_cost
        USD at list price after which nothing more is sent; what is in flight then is still billed.
    detach
        Hand all tasks to Lambda as asynchronous invocations and return as soon as that is done: the job continues
        without this process, its results are kept in S3 for seven days, and ``lithops_magic.attach(result.job_id)``
        picks it up. `workers` does not limit it, and it takes at most 100,000 items.
    keep_after
        Seconds after which a task's result is also kept in S3, where a lost connection or kernel cannot take it.
    errors
        ``"raise"``: raise the first error with a summary of all when the job is over; ``"keep"``: only keep them.
    locals
        Whether an error shows the local variables of the frame that failed.
    cache
        Reuse values computed before, by any notebook of this account and namespace, and keep the new ones: True for 30
        days, or a time such as ``"12h"`` or ``"90d"``. A value is reused if the function (its code, what it captures,
        the modules and the versions of the packages it reaches, `files` and `env`) and the item are the same.
        Randomness, the time and other files are not tracked: a function that depends on them returns what it returned
        then.
    reduce_by
        Reduce the values of each group of items separately. Groups are named by an attribute of the items, or by a key
        of dictionaries, such as ``"key"`` for the parts of each object; the result's ``reduced`` is then a dictionary.
    to_s3
        Leave the values in S3, where tasks write them: an address such as ``"bucket/prefix/{index}.parquet"``, whose
        suffix (parquet, csv, json, npy, else pickle; bytes as they are) says how. The result has references with `key`,
        ``read()`` and ``get()`` instead. A task that runs twice writes the same object twice.
    packages
        Packages to ship in addition to those that the function is seen to use, or in other versions: ``"numpy==2.1
        polars"``, a requirements file, or a list of these; ``"none"`` ships none at all. Once a file names hashes,
        everything that is fetched must match its own.
    files
        Files and folders to put into the tasks' working folder: a path, a pattern such as ``"data/*.csv"``, or a list
        of these. What is in or below this process's folder keeps its relative path; anything else goes by its own name.
    starmap
        Call the function with each item's elements as its arguments, as `itertools.starmap` does.
    callbacks
        Each is called with every event of the job (``lithops_magic.callbacks``) and a snapshot of it, one after the
        other in a thread of its own; one that raises is not called again, and the job continues.
    reduce
        Called once with the list of all values, as one more task on Lambda, when every task has succeeded; what it
        returns is the result's ``reduced``.
    settings
        Defaults to Lithops' configuration, else the local AWS.
    background
        Return at once; the result fills up while the job runs.
    progress
        Show a tqdm progress bar.

    Returns
    -------
    MapResult
        A sequence of the values, complete unless it is a background job.

    Raises
    ------
    SerializationError
        The function cannot be pickled; nothing was sent.
    PackageError
        A package or module that it needs cannot be shipped.
    MisuseError
        An argument is wrong, or a detached job cannot have it; nothing was sent.
    KeyboardInterrupt
        It was interrupted; the message says what was kept and how to continue.
    TaskError
        A task failed; its ``task.result`` holds everything else.
    BudgetSpent
        The job reached `max_cost`; ``lithops_magic.MapResult`` keeps what was done when it runs in the background.
    """
    from lithops_magic import config

    __tracebackhide__ = True
    # The arguments, as long as no local variable has an option's name.
    given = vars()
    script.install()
    check_call(function, iterables, reduce=reduce, settings=settings, background=background, progress=progress)
    options = MapOptions(**{name: given[name] for name in OPTIONS})
    if len(iterables) > 1:
        if starmap:
            raise MisuseError("map: starmap=True takes one iterable, of tuples of arguments; several need no starmap")
        options = replace(options, starmap=True)
    if progress:
        from lithops_magic.engine.job.progress_bar import Tqdm

        options = replace(options, callbacks=(*options.callbacks, Tqdm()))
    result: MapResult[R]
    waits = not (background or detach)
    settings = settings or config.load()
    for problem in settings.unread:
        warnings.warn(problem, stacklevel=2)
    try:
        iterables = tuple(data.bound(each, settings) for each in iterables)
        result = start(function, zipped(iterables), options=options, settings=settings, reduce=reduce, waits=waits)
    except KeyboardInterrupt as interrupt:
        script.interrupted(interrupt, None)
        raise
    if detach:
        from lithops_magic.engine.handover import handed_over

        return handed_over(result)
    return result if background else result.finish()


OPTIONS = tuple(name for name in NAMES if name not in ("label", "about"))
"""The options of `map`."""
