"""Waiting for futures of one executor or of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import as_completed
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside
from lithops_magic.lithops.future import ResponseFuture
from lithops_magic.lithops.utils import FuturesList, as_list

ALWAYS = 0
ANY_COMPLETED = -1
ALL_COMPLETED = 100
THREADPOOL_SIZE, WAIT_DUR_SEC = 64, 1


def wait(
    fs: Any,
    internal_storage: Any = None,
    throw_except: bool = True,
    return_when: int = ALL_COMPLETED,
    download_results: bool = False,
    timeout: float | None = None,
    threadpool_size: int | None = None,
    wait_dur_sec: float | None = None,
    show_progressbar: bool = True,
    **_: Any,
) -> tuple[FuturesList, FuturesList]:
    """Wait for futures, and return those that are done and those that are not.

    Nothing is polled or downloaded, so the arguments about that are ignored. May be called from any thread.

    Parameters
    ----------
    throw_except
        Raise a call's error as soon as it fails; the other calls continue, and their results remain available.
    return_when
        `ALL_COMPLETED`, `ANY_COMPLETED`, `ALWAYS` (at once), or a percentage of the futures.
    timeout
        Seconds after which `TimeoutError` is raised; the calls continue.
    """
    futures = as_list(fs)
    for future in _ended(futures, _wanted(return_when, len(futures)), timeout, show_progressbar):
        # `result` raises it.
        if throw_except and future.error:
            future.result()
    executor = getattr(fs, "executor", None)
    done = FuturesList((each for each in futures if each.done), executor)
    return done, FuturesList((each for each in futures if not each.done), executor)


def get_result(
    fs: Any,
    internal_storage: Any = None,
    throw_except: bool = True,
    timeout: float | None = None,
    threadpool_size: int | None = None,
    wait_dur_sec: float | None = None,
    show_progressbar: bool = True,
    **_: Any,
) -> list[Any]:
    """Wait for futures, and return their values in order, including those that are None."""
    futures = [each for each in as_list(fs) if each._produce_output]
    wait(as_list(fs), None, throw_except, timeout=timeout, show_progressbar=show_progressbar)
    return flat(futures, throw_except)


def flat(futures: Iterable[ResponseFuture], throw_except: bool) -> list[Any]:
    """Return the values of futures; a call that returned futures is replaced by their values."""
    values: list[Any] = []
    for each in futures:
        value = each.result(throw_except)
        values += value if each.futures and isinstance(value, list) else [value]
    return values


def _wanted(return_when: Any, count: int) -> int:
    """Return how many futures must be done."""
    if isinstance(return_when, bool) or not isinstance(return_when, int | float) or not -1 <= return_when <= 100:
        raise MisuseError(
            f"return_when must be ALL_COMPLETED, ANY_COMPLETED, ALWAYS or a percentage up to 100, not {return_when!r}"
        )
    return min(1, count) if return_when == ANY_COMPLETED else math.ceil(count * return_when / 100)


def _ended(futures: Sequence[ResponseFuture], wanted: int, timeout: float | None, bar: bool) -> Any:
    """Yield futures as they are done, until enough are."""
    from lithops_magic.lithops.progress import bar as new_bar

    # `as_completed` knows only the standard library's futures; a future that is listed twice counts once.
    owners = {each.future: each for each in futures}
    shown = bar and not inside.is_task()
    progress = new_bar(total=wanted, bar_format="  {l_bar}{bar}| {n_fmt}/{total_fmt}  ") if shown else None
    try:
        if wanted <= 0:
            return
        for count, future in enumerate(as_completed(owners, timeout), 1):
            if progress is not None:
                progress.update()
            yield owners[future]
            if count >= wanted:
                return
    except TimeoutError:
        raise TimeoutError(f"not all calls were done after {timeout:g} s; they continue") from None
    finally:
        if progress is not None:
            progress.close()
