"""Runs one task in this process as a sandbox would, for use with a debugger."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lithops_magic.worker import packing
from lithops_magic.worker.cell import is_cell


def run_here(function: Callable[..., Any], item: Any, *, starmap: bool = False) -> Any:
    """Call `function` with a copy of `item`, or of its elements; a coroutine function is awaited.

    The copy is made by pickling, as for a sandbox, so that the task cannot change the notebook's objects.
    """
    __tracebackhide__ = True
    if is_cell(function):
        # It assigns to globals, which would be the notebook's unless the function is copied, too.
        function = packing.loads(packing.dumps(function))
    copied = packing.loads(packing.dumps(item))
    value = function(*copied) if starmap else function(copied)
    return _await(value) if inspect.iscoroutine(value) else value


def _await(coroutine: Any) -> Any:
    import asyncio

    __tracebackhide__ = True
    # A notebook already runs an event loop in its main thread, and a thread can have only one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
