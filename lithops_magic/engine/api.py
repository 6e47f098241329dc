"""The engine's entrance: start a job, or map a function over items and wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal

from lithops_magic.engine.backend import LambdaBackend
from lithops_magic.engine.job import Job
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.payload import Function
from lithops_magic.engine.result import MapResult
from lithops_magic.engine.scheduler import Scheduler
from lithops_magic.engine.source import Source
from lithops_magic.packages import Request

if TYPE_CHECKING:
    from lithops_magic.config import Settings


def start(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    options: MapOptions,
    settings: Settings,
    name_code: Callable[[str], str] | None = None,
) -> MapResult:
    """Start a job and return at once.

    Parameters
    ----------
    function
        Called with each item in a sandbox; a coroutine function is awaited there.
    items
        Taken lazily, never more than needed to keep the sandboxes busy.
    options
        How the job is run; what it leaves open comes from `settings`.
    settings
        Region, role and defaults.
    name_code
        Maps the file name of a code object to what the user calls it.

    Raises
    ------
    SerializationError
        The function cannot be pickled or is too large; nothing was sent.
    PackageError
        A package or module that it needs cannot be shipped.
    """
    blob = Function.pickle(function, items, Request.parse(options.packages))
    changes = {"memory": options.memory, "timeout": options.timeout}
    settings = settings.replace(**{name: value for name, value in changes.items() if value is not None})
    job = Job(options, name_code or (lambda name: name), len(items) if isinstance(items, Sized) else None)
    Scheduler(job, blob, Source(iter(items)), LambdaBackend(settings, options.workers, blob.need)).start()
    return MapResult(job)


def map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    memory: int | None = None,
    timeout: int | None = None,
    chunksize: int | None = None,
    workers: int | None = None,
    retries: int = 2,
    errors: Literal["raise", "keep"] = "raise",
    packages: str | Sequence[str] | None = None,
    settings: Settings | None = None,
    background: bool = False,
) -> MapResult:
    """Run `function` over `items` on AWS Lambda and return their values in order.

    Parameters
    ----------
    function
        Called with each item in a sandbox; a coroutine function is awaited there.
    items
        Any iterable, also an endless one; taken lazily.
    memory
        MB of the function; more memory also means more CPU.
    timeout
        Seconds one invocation may take, at most 900.
    chunksize
        Tasks per invocation; by default adapted to the measured duration of the tasks.
    workers
        Most invocations in flight; by default what the account allows.
    retries
        How often a task is tried again after a crash, a time-out or a lost connection; 0 never runs a task twice.
        Exceptions of the function are not retried.
    errors
        ``"raise"``: raise the first error with a summary of all when the job is over; ``"keep"``: only keep them.
    packages
        Packages that the function gets beside those it is seen to use, or in other versions: ``"numpy==2.1 polars"``,
        a requirements file, a list of such; ``"none"`` ships none at all.
    settings
        Defaults to what Lithops' configuration says, else the local AWS.
    background
        Return at once; the result fills while the job runs.

    Raises
    ------
    SerializationError
        The function cannot be pickled or is too large; nothing was sent.
    PackageError
        A package or module that it needs cannot be shipped.
    TaskError
        A task failed; its ``result`` holds everything else.
    """
    from lithops_magic import config

    options = MapOptions(
        memory=memory,
        timeout=timeout,
        chunksize=chunksize,
        workers=workers,
        retries=retries,
        errors=errors,
        packages=packages if packages is None or isinstance(packages, str) else tuple(packages),
    )
    result = start(function, items, options=options, settings=settings or config.load())
    if background:
        return result
    try:
        result.wait()
    except BaseException:
        result.cancel()
        raise
    if errors == "raise" or result.error is not None:
        result.raise_errors()
    return result
