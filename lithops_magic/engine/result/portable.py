"""The values and errors of a job in a form that any process can have."""

from __future__ import annotations

from typing import Any

from lithops_magic.engine.job.job import Job
from lithops_magic.errors import TaskError, facts
from lithops_magic.worker import packing


def portable(job: Job) -> tuple[list[Any], dict[int, BaseException]]:
    """Return a value for each task, and by index why there is none."""
    total = job.snapshot().total
    count = len(job.ledger) if total is None else total
    values: list[Any] = [None] * count
    errors: dict[int, BaseException] = {}
    for index in range(count):
        if missing := job.missing(index):
            errors[index] = RuntimeError(str(missing))
        elif index in job.ledger.errors:
            errors[index] = _plain(job.ledger.errors[index])
        else:
            values[index] = job.ledger.values[index]
    return values, errors


def _plain(error: TaskError) -> BaseException:
    """Return the user's own exception, if it can travel: a sandbox has no classes of ours."""
    original = facts(error).original
    try:
        if original is not None:
            copy: BaseException = packing.loads(packing.dumps(original))
            known = facts(error)
            item = f" ({known.item})" if known.item else ""
            copy.add_note(f"Task {known.index}{item}" + (f" at {known.where}" if known.where else ""))
            return copy
    except BaseException:  # its methods are the user's
        pass
    return RuntimeError(str(error))
