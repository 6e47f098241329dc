"""Runs one task in this process as a sandbox would, so that a debugger can be put to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lithops_magic.worker import packing
from lithops_magic.worker.cell import is_cell


def run_here(function: Callable[..., Any], item: Any, *, starmap: bool = False) -> Any:
    """Call `function` with a copy of `item`, or of what is in it; a coroutine function is awaited.

    The copy is a pickled one, as in a sandbox: the task must not change what the notebook has.
    """
    __tracebackhide__ = True
    if is_cell(function):
        # It assigns names, which are those of the notebook unless it is a copy as well.
        function = packing.loads(packing.dumps(function))
    copied = packing.loads(packing.dumps(item))
    value = function(*copied) if starmap else function(copied)
    return _await(value) if inspect.iscoroutine(value) else value


def _await(coroutine: Any) -> Any:
    import asyncio

    __tracebackhide__ = True
    # A notebook has an event loop in its main thread already, and no thread can have two.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
