"""A job as recorded in its journal: items, sent tasks, and every reply, ready for replay."""

from __future__ import annotations

import json
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lithops_magic.aws.invoke.outcomes import Ambiguous, Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.durable import records
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.engine.wire.reply import inlined
from lithops_magic.errors import JobInterrupted
from lithops_magic.worker import packing

SHARED = b'{"sandbox":"","cold":false,"outcomes":[]}'
"""The reply to several tasks if one of them was lost on its own: each is resent alone, and none is charged."""


class _Unsendable:
    """An item that could not be pickled when the job started, and still cannot."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "<an item that cannot be pickled>"

    def __reduce__(self) -> Any:
        raise pickle.PicklingError(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class _RecordedReply:
    """A reply of the worker, and its bill."""

    head: dict[str, Any]
    report: InvocationReport | None
    tasks: int
    seconds: float
    """Duration of all its tasks."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a reply says about one task."""

    reply: _RecordedReply
    outcome: dict[str, Any]


class JobHistory:
    """The contents of a journal, which may still grow. Thread-safe.

    Attributes
    ----------
    total
        Number of items; None if they came from an iterator that was not exhausted.
    flying
        Tasks sent and not answered.
    longest
        Duration in seconds of the longest answered task.
    spilled
        Whether a value is in S3.
    damaged
        Records that could not be read.
    itemless
        Tasks whose items were in damaged records, but which may still have values.
    """

    def __init__(self, total: int | None = None, *, once: bool = False, live: bool = False) -> None:
        self.total = total
        self.flying: set[int] = set()
        self.longest = 0.0
        self.spilled = False
        self.damaged = 0
        self.itemless: set[int] = set()
        self._once = once
        self._live = live
        self._items: dict[int, Any] = {}
        self._answers: dict[int, deque[_Part | Reply | Ambiguous]] = {}
        self._answered_tasks: set[int] = set()
        self._changed = threading.Condition()

    @classmethod
    def of(cls, journal: records.Excerpt, *, once: bool, live: bool = False) -> JobHistory:
        """Read a journal.

        Parameters
        ----------
        once
            No task may run twice, so that everything in a lost invocation is lost.
        live
            The journal may still grow.
        """
        history = cls(once=once, live=live)
        history.feed(journal, live=live)
        return history

    @property
    def live(self) -> bool:
        """Whether the journal may still grow."""
        return self._live

    def feed(self, news: records.Excerpt, *, live: bool) -> set[int]:
        """Read on, and return the tasks answered; `live`: the journal may still grow."""
        answered: set[int] = set()
        with self._changed:
            self.damaged += news.damaged
            for record in news.records:
                self._read(record)
                if isinstance(record, records.Executed):
                    answered.update(record.tasks)
            # Once closed, it stays closed, whatever the follower reports afterwards.
            self._live = live and self._live
            if self.damaged and self._once and not live:
                # Any other task may have been sent and must not run twice.
                sendable = {index for index, item in self._items.items() if not isinstance(item, _Unsendable)}
                self.flying.update(sendable - self._answered_tasks)
            self._changed.notify_all()
        return answered

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until the journal has ended; return whether it may still grow."""
        with self._changed:
            # A condition and not a sleep, so that `close` ends the follower at once.
            self._changed.wait_for(lambda: not self._live, seconds)
            return self._live

    def close(self) -> None:
        """Stop reading."""
        with self._changed:
            self._live = False
            self._changed.notify_all()

    def _read(self, record: records.Record) -> None:
        match record:
            case records.ItemSlice():
                self._items.update(_items(record))
            case records.SingleItem(index, fragment):
                self._items[index] = Prepared(fragment) if fragment else _Unsendable("it could not be pickled")
            case records.ItemCount(total):
                self.total = total
            case records.Sent(tasks):
                self.flying.update(tasks)
            case records.Executed(tasks, outcome):
                self.flying.difference_update(tasks)
                self._answered_tasks.update(tasks)
                self._answered(tasks, outcome)

    def items(self, why_incomplete: Callable[[int], str]) -> Iterator[Any]:
        """Yield the items in order, as soon as the journal has them.

        Parameters
        ----------
        why_incomplete
            Explains why the journal has only so many items.

        Raises
        ------
        JobInterrupted
            Some items are not in the journal.
        """
        index = 0
        while self._await(index):
            yield self._item(index)
            index += 1
        if index != self.total:
            raise JobInterrupted(why_incomplete(index))

    def _await(self, index: int) -> bool:
        """Wait for an item or the end of the journal; return whether the item exists."""
        with self._changed:
            self._changed.wait_for(lambda: index in self._items or not self._live or index == self.total)
            # A damaged record may be followed by intact ones.
            return index in self._items or (self.damaged > 0 and any(other >= index for other in self._indices()))

    def _indices(self) -> Iterator[int]:
        yield (self.total or 0) - 1
        yield from self._items
        yield from self._answers

    def _item(self, index: int) -> Any:
        if index in self._items:
            return self._items[index]
        if index not in self._answers and index not in self.flying:
            return _Unsendable("its record in the job's journal is damaged")
        self.itemless.add(index)
        return Prepared(b'{"id":%d}' % index)

    def answer(self, tasks: Sequence[int]) -> Reply | Ambiguous | None:
        """Return the next reply for a set of tasks sent together, or for some of them; None if there is none."""
        with self._changed:
            return self._answer(tasks)

    def _answer(self, tasks: Sequence[int]) -> Reply | Ambiguous | None:
        following = {task: self._answers[task][0] for task in tasks if self._answers.get(task)}
        parts = {task: part for task, part in following.items() if isinstance(part, _Part)}
        if parts:
            # What one invocation said about several tasks is returned together, so that it is billed once, and the rest
            # stays for the next request with the other tasks.
            reply = next(iter(parts.values())).reply
            same = [task for task, part in parts.items() if part.reply is reply]
            for task in same:
                self._answers[task].popleft()
            return _part_of(reply, [parts[task].outcome for task in same])
        if not following:
            return None
        # One task of the request was lost on its own in the earlier process. Resent alone, each task gets its own
        # record.
        if len(tasks) > 1:
            return records.RecalledReply(SHARED, None, "", "", None)
        self._answers[tasks[0]].popleft()
        found = following[tasks[0]]
        assert not isinstance(found, _Part)
        if isinstance(found, Ambiguous):
            return records.RecalledAmbiguous(found.message)
        return records.RecalledReply(found.payload, found.function_error, "", found.request_id, found.report)

    def _answered(self, tasks: tuple[int, ...], outcome: Reply | Ambiguous) -> None:
        worker = _worker(outcome)
        if worker is None or isinstance(outcome, Ambiguous):
            # A loss shared by several tasks was charged to none of them, unless no task may run twice.
            if len(tasks) == 1 or self._once or isinstance(outcome, Ambiguous):
                for task in tasks:
                    self._answers.setdefault(task, deque()).append(outcome)
            return
        outcomes = worker.pop("outcomes")
        reply = _RecordedReply(worker, outcome.report, len(outcomes), sum(each["seconds"] for each in outcomes))
        for position, each in enumerate(outcomes):
            self.spilled |= isinstance(each.get("value"), dict)
            self.longest = max(self.longest, each["seconds"])
            # These were resent alone and not charged (`verdicts.Disturbed`); their own reply follows in the journal.
            spoiled = each["status"] == "dropped" or (each["status"] == "timeout" and position > 0)
            if self._once or not spoiled:
                self._answers.setdefault(each["id"], deque()).append(_Part(reply, each))


def _items(record: records.ItemSlice) -> dict[int, Any]:
    """Return a record's items by index."""
    try:
        found = packing.loads(record.container)
    except Exception as error:  # a class may be gone, or the pickle may be from another Python
        found = [_Unsendable(f"it cannot be unpickled here: {type(error).__name__}: {error}")] * record.count
    items = dict(enumerate(found, record.start))
    return items | {record.start + place: _Unsendable(text) for place, text in record.unsendable.items()}


def _worker(outcome: Reply | Ambiguous) -> dict[str, Any] | None:
    """The worker's own reply, if it could give one."""
    if isinstance(outcome, Ambiguous) or outcome.function_error is not None:
        return None
    try:
        worker = inlined(outcome.payload)
    except ValueError:
        return None
    return worker if isinstance(worker, dict) and worker.get("outcomes") else None


def _part_of(reply: _RecordedReply, outcomes: list[dict[str, Any]]) -> Reply:
    """Return part of a reply, with its share of the bill."""
    seconds = sum(outcome["seconds"] for outcome in outcomes)
    share = seconds / reply.seconds if reply.seconds else len(outcomes) / reply.tasks
    report = reply.report and InvocationReport(
        reply.report.duration_ms * share,
        round(reply.report.billed_ms * share),
        reply.report.memory_mb,
        reply.report.max_memory_mb,
    )
    payload = json.dumps({**reply.head, "outcomes": outcomes}).encode()
    return records.RecalledReply(payload, None, "", "", report)
