"""A job's values and errors in a form that any process can unpickle."""

from __future__ import annotations

from typing import Any

from lithops_magic.engine.job.job import Job
from lithops_magic.errors import TaskError, facts
from lithops_magic.worker import packing


def portable(job: Job) -> tuple[list[Any], dict[int, BaseException]]:
    """Return a value for each task, and, by index, the error of each task without one."""
    total = job.snapshot().total
    count = len(job.ledger) if total is None else total
    values: list[Any] = [None] * count
    errors: dict[int, BaseException] = {}
    for index in range(count):
        if unfinished := job.why_unfinished(index):
            # A built-in class: whoever unpickles it may not have ours.
            errors[index] = RuntimeError(str(unfinished))
        elif index in job.ledger.errors:
            errors[index] = _plain(job.ledger.errors[index])
        else:
            values[index] = job.ledger.values[index]
    return values, errors


def _plain(error: TaskError) -> BaseException:
    """Return the user's own exception if it can be pickled: a sandbox does not have our classes."""
    original = facts(error).original
    try:
        if original is not None:
            copy: BaseException = packing.loads(packing.dumps(original))
            details = facts(error)
            item = f" ({details.item})" if details.item else ""
            copy.add_note(f"Task {details.index}{item}" + (f" at {details.where}" if details.where else ""))
            return copy
    except BaseException:  # its methods are the user's
        pass
    return RuntimeError(str(error))
