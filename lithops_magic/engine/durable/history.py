"""What a journal tells of a job: its items, which tasks were sent, and every answer, to be played back."""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import Report
from lithops_magic.engine.durable import records
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.errors import JobInterrupted
from lithops_magic.worker import packing

SHARED = b'{"sandbox":"","cold":false,"outcomes":[]}'
"""The answer to several tasks of which one was lost by itself: each is sent again alone, and none is charged."""


class _Unsendable:
    """An item that could not be pickled when the job was started, and cannot now."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<an item that cannot be pickled>"

    def __reduce__(self) -> Any:
        raise pickle.PicklingError(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """An answer of the worker, and what it was billed for."""

    head: dict[str, Any]
    report: Report | None
    seconds: float
    """Of all its tasks."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What an answer says of one task."""

    told: _Told
    outcome: dict[str, Any]


@dataclass(slots=True)
class Recall:
    """What a journal tells.

    Attributes
    ----------
    total
        Number of items; None if they came from an iterator that was not at its end.
    flying
        Tasks that were sent and not answered.
    longest
        Seconds of the longest task that was answered.
    spilled
        Whether a value is in S3.
    """

    total: int | None = None
    flying: set[int] = field(default_factory=set)
    longest: float = 0.0
    spilled: bool = False
    _items: dict[int, Any] = field(default_factory=dict)
    _answers: dict[int, deque[_Part | Reply | Ambiguous]] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Sequence[records.Record], *, once: bool) -> Recall:
        """Read a journal; `once`: no task may run twice, so that what a lost invocation had is lost."""
        recall = cls()
        for record in journal:
            match record:
                case records.Items(container):
                    for item in packing.loads(container):
                        lost = isinstance(item, records.Unsendable)
                        recall._items[len(recall._items)] = _Unsendable(item.text) if lost else item
                case records.Taken(index, fragment):
                    recall._items[index] = Prepared(fragment) if fragment else _Unsendable("it could not be before")
                case records.Counted(total):
                    recall.total = total
                case records.Sent(tasks):
                    recall.flying.update(tasks)
                case records.Answered(tasks, outcome):
                    recall.flying.difference_update(tasks)
                    recall._answered(tasks, outcome, once=once)
        return recall

    def items(self, missing: str) -> Iterator[Any]:
        """Yield the items in their order.

        Raises
        ------
        JobInterrupted
            There were others, which the journal does not have.
        """
        for index in range(len(self._items)):
            if index not in self._items:
                break
            yield self._items[index]
        else:
            index = len(self._items)
        if index != self.total:
            raise JobInterrupted(missing.format(index))

    def answer(self, tasks: Sequence[int]) -> Reply | Ambiguous | None:
        """Return the next answer that tasks which are sent together had; to some of them if not to all.

        None if there is none.
        """
        following = {task: self._answers[task][0] for task in tasks if self._answers.get(task)}
        parts = {task: part for task, part in following.items() if isinstance(part, _Part)}
        if parts:
            told = next(iter(parts.values())).told
            same = [task for task, part in parts.items() if part.told is told]
            for task in same:
                self._answers[task].popleft()
            return _reply(told, [parts[task].outcome for task in same])
        if not following:
            return None
        if len(tasks) > 1:
            return records.RecalledReply(SHARED, None, "", "", None)
        self._answers[tasks[0]].popleft()
        found = following[tasks[0]]
        assert not isinstance(found, _Part)
        if isinstance(found, Ambiguous):
            return records.RecalledAmbiguous(found.message)
        return records.RecalledReply(found.payload, found.function_error, "", found.request_id, found.report)

    def _answered(self, tasks: tuple[int, ...], outcome: Reply | Ambiguous, *, once: bool) -> None:
        worker = _worker(outcome)
        if worker is None or isinstance(outcome, Ambiguous):
            # What several lost together was charged to none of them, unless none may run twice.
            if len(tasks) == 1 or once or isinstance(outcome, Ambiguous):
                for task in tasks:
                    self._answers.setdefault(task, deque()).append(outcome)
            return
        outcomes = worker.pop("outcomes")
        told = _Told(worker, outcome.report, sum(each["seconds"] for each in outcomes))
        for position, each in enumerate(outcomes):
            self.spilled |= isinstance(each.get("value"), dict)
            self.longest = max(self.longest, each["seconds"])
            spoilt = each["status"] == "dropped" or (each["status"] == "timeout" and position > 0)
            if once or not spoilt:
                self._answers.setdefault(each["id"], deque()).append(_Part(told, each))


def _worker(outcome: Reply | Ambiguous) -> dict[str, Any] | None:
    """The worker's own answer, if it could give one."""
    if isinstance(outcome, Ambiguous) or outcome.function_error is not None:
        return None
    try:
        worker = json.loads(outcome.payload)
    except ValueError:
        return None
    return worker if isinstance(worker, dict) and worker.get("outcomes") else None


def _reply(told: _Told, outcomes: list[dict[str, Any]]) -> Reply:
    """Return a part of an answer, with its share of the bill."""
    seconds = sum(outcome["seconds"] for outcome in outcomes)
    share = seconds / told.seconds if told.seconds else 1.0
    report = told.report and Report(
        told.report.duration_ms * share,
        round(told.report.billed_ms * share),
        told.report.memory_mb,
        told.report.max_memory_mb,
    )
    payload = json.dumps({**told.head, "outcomes": outcomes}).encode()
    return records.RecalledReply(payload, None, "", "", report)
