"""Measures a cell or a function at several sizes, and writes the chosen size into the cell."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import duration
from lithops_magic.engine.tune import measure as measuring
from lithops_magic.engine.tune.tuning import Size, Tuning
from lithops_magic.notebook.display.progress import sink
from lithops_magic.notebook.display.run_job import Stopped
from lithops_magic.notebook.display.status import show
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.config import Settings
    from lithops_magic.engine import MapOptions

# Expressions rather than the parser of lines, because the cell's text must otherwise stay as it was typed.
_TUNE = re.compile(r"(?:^|\s+)--tune(?:(?:=|\s+)(?:cheapest|balanced|fastest))?(?=\s|$)")
_MEMORY = re.compile(r"(?:^|\s+)--memory(?:=|\s+)\S+")


def measure(
    shell: InteractiveShell,
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    options: MapOptions,
    settings: Settings,
    progress: bool,
    name_code: Callable[[str], str],
) -> Tuning:
    """Measure, and show the results."""
    __tracebackhide__ = True
    where, began = sink(shell, wanted=progress), time.monotonic()

    def notify(step: str) -> None:
        text = f"Tuning: {step} … {duration(time.monotonic() - began)}"
        where.draw({"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"})

    tuning: Tuning | None = None
    with contextlib.suppress(KeyboardInterrupt):
        tuning = measuring.measure(
            function, items, options=options, settings=settings, notify=notify, name_code=name_code
        )
    if tuning is None:
        # Raised outside the handler, so that the interrupt is not shown as this error's context.
        raise Stopped("Stopped: nothing more is measured, and nothing was chosen")
    text = f"Tuned in {duration(time.monotonic() - began)}: nothing else was run."
    where.finish({"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"})
    show(tuning._repr_mimebundle_())
    return tuning


def chosen(tuning: Tuning | None, name: str) -> Size:
    """Return the size with that name.

    Raises
    ------
    UsageError
        There is no such size.
    """
    if tuning is None:
        raise UsageError("nothing was measured yet; write `%lambda_tune FUNCTION ITEMS`, or --tune in a cell's line")
    size = tuning.choice(name)
    if size is None:
        raise UsageError(f"no size is the {name}: {measuring.NO_SHARE}")
    return size


def choose(shell: InteractiveShell, tuning: Tuning, name: str) -> None:
    """Replace `--tune` in the running cell with the size of that name.

    Raises
    ------
    UsageError
        There is no such size.
    """
    size = chosen(tuning, name)
    # The running cell as typed: `In` has it as IPython has transformed it.
    cell = getattr(getattr(shell.displayhook, "exec_result", None), "info", None)
    source = getattr(cell, "raw_cell", None) or shell.user_ns["In"][-1]
    shell.set_next_input(rewritten(source, size), replace=True)
    if size.architecture != tuning.base.architecture:
        text = f"{size.architecture} cannot be set in a cell: `%lambda_tune --save {name}` writes it into the file."
        show({"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"})


def rewritten(cell: str, size: Size) -> str:
    """Return a cell in which the first magic with `--tune` has the memory option of a size instead."""
    lines = cell.split("\n")
    for number, line in enumerate(lines):
        if _TUNE.search(line):
            lines[number] = _TUNE.sub(f" --memory {size.memory}", _MEMORY.sub("", line), count=1)
            break
    return "\n".join(lines)
