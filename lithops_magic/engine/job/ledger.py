"""Records of all tasks in compact columns: a million tasks must strain neither memory nor garbage collection."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lithops_magic.engine.job import events as ev
from lithops_magic.errors import TaskError, facts

Table = Mapping[str, Sequence[Any]]
"""Rows of tasks, as columns named after the fields of `TaskStats`."""

State = Literal["queued", "running", "done", "failed"]

_STATES: tuple[State, ...] = ("queued", "running", "done", "failed")
_CODES: dict[State, int] = {state: code for code, state in enumerate(_STATES)}
_QUEUED, _RUNNING, _DONE, _FAILED = _CODES.values()
_NEVER = math.nan
_BLOCK = 1024
"""Rows allocated at a time."""
_NEVERS = array("f", [_NEVER]) * _BLOCK


@dataclass(slots=True, kw_only=True)
class TaskStats:
    """Outcome and cost of one task. Times are seconds since the start of the job, nan if unknown."""

    index: int
    state: State = "queued"
    duration_s: float = 0.0
    """Duration of the last attempt in seconds, measured in the sandbox."""
    billed_ms: float = 0.0
    """Its share, by duration, of the billed time of its invocations."""
    cold: bool = False
    """Whether it caused a cold start."""
    sandbox: str = ""
    attempts: int = 0
    """How often it was sent, not counting when it did not run or had no result of its own."""
    max_memory_mb: int = 0
    """Peak memory of its last invocation."""
    memory_mb: int = 0
    """Memory of the function it was last sent to."""
    cached: bool = False
    """Whether its value came from the cache, in which case it was not sent."""
    sent_s: float = _NEVER
    """When it was last sent."""
    started_s: float = _NEVER
    """When the sandbox started it."""
    ended_s: float = _NEVER
    """When the sandbox finished it."""


class Ledger:
    """One row per task, reduced from the job's events. Not thread-safe: its job does the locking."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        """None if there is none."""
        self.errors: dict[int, TaskError] = {}
        self.logs: dict[int, str] = {}
        """Only for tasks that printed something."""
        self.items: dict[int, Any] = {}
        """Only for tasks that are not done, unless items can be looked up elsewhere."""
        self.octets: dict[int, int] = {}
        """Bytes of external data that an item refers to, if any."""
        self.order = array("I")
        """Tasks in the order they ended."""
        self._states = bytearray()
        self._cold, self._cached = bytearray(), bytearray()
        self._attempts, self._used, self._memory = array("H"), array("H"), array("H")
        self._sandbox = array("I")
        # Single precision: a millisecond within some hours, in half of the memory.
        self._duration, self._billed = array("f"), array("f")
        self._sent, self._started, self._ended = array("f"), array("f"), array("f")
        self._sandboxes: dict[str, int] = {"": 0}
        self._names: list[str] = [""]
        self._to_resend: set[int] = set()
        """Tasks whose last attempt counts but was lost, until they are resent."""
        self.lost: list[TaskStats] = []
        """Lost attempts, each with the task's row at the time."""

    def __len__(self) -> int:
        return len(self.values)

    def apply(self, event: ev.Event, began: float) -> None:
        """Apply an event of the job that started at monotonic time `began`."""
        match event:
            case ev.Submitted(tasks, at, memory_mb):
                for index in tasks:
                    self.submit(index, at - began, memory_mb)
            case ev.Returned(tasks) | ev.Throttled(tasks) | ev.Withdrawn(tasks):
                for index in tasks:
                    self.take_back(index, counted=False)
            case ev.Retried(tasks):
                for index in tasks:
                    self.take_back(index, counted=True)
            case ev.Answered(_, done, charges, at):
                for index, charge in charges:
                    self.charge(index, charge, at - began)
                for index, value, log in done:
                    self._done(index, value, log)
            case ev.Recalled(done):
                for index, value, log in done:
                    self._cached[index] = True
                    self._done(index, value, log)
            case ev.Failed(index, error):
                self._failed(index, error)

    def _done(self, index: int, value: Any, log: str) -> None:
        self.values[index] = value
        if self.items:
            self.items.pop(index, None)
        self._ended_with(index, _DONE, log)

    def _failed(self, index: int, error: TaskError) -> None:
        self.errors[index] = error
        self._ended_with(index, _FAILED, facts(error).log)

    def _ended_with(self, index: int, code: int, log: str) -> None:
        if log:
            self.logs[index] = log
        self._states[index] = code
        self.order.append(index)

    def add(self) -> int:
        """Add a row and return its index."""
        index = len(self.values)
        self.values.append(None)
        if index == len(self._states):
            self._enlarge()
        return index

    def _enlarge(self) -> None:
        """Allocate further rows in bulk: growing each column row by row would be a good part of a task's cost."""
        for flags in (self._states, self._cold, self._cached):
            flags.extend(bytes(_BLOCK))
        for numbers in (self._attempts, self._used, self._memory, self._sandbox, self._duration, self._billed):
            numbers.frombytes(bytes(_BLOCK * numbers.itemsize))
        for times in (self._sent, self._started, self._ended):
            times.extend(_NEVERS)

    def without(self, indices: Iterable[int]) -> Ledger:
        """Return a copy in which some tasks (added if absent) have no outcome; their cost remains."""
        copied = Ledger()
        # Columns are copied, values are shared: results may be large.
        vars(copied).update({name: copy.copy(column) for name, column in vars(self).items()})
        for index in indices:
            while index >= len(copied):
                copied.add()
            copied.values[index] = None
            copied.errors.pop(index, None)
            copied.logs.pop(index, None)
            copied.mark(index, "queued")
            copied._to_resend.add(index)
        copied.order = array("I", [index for index in self.order if copied.state(index) == "done"])
        return copied

    def state(self, index: int) -> State:
        """Return a task's state; a task that was not added yet counts as queued."""
        return _STATES[self._states[index]] if index < len(self._states) else "queued"

    def indices(self, state: State) -> list[int]:
        """Return the tasks in a state, in item order."""
        code = _CODES[state]
        return [index for index, found in enumerate(self._states[: len(self)]) if found == code]

    def durations(self) -> list[float]:
        """Return the duration in seconds of each task that has run and ended."""
        rows = zip(self._duration, self._states, self._cached, strict=True)
        return [seconds for seconds, state, cached in rows if state in (_DONE, _FAILED) and not cached]

    def mark(self, index: int, state: State) -> None:
        """Set a task's state."""
        self._states[index] = _CODES[state]

    def submit(self, index: int, at: float, memory_mb: int) -> None:
        """Record that a task is sent."""
        # Kept only now, when the next attempt is about to overwrite the row.
        if index in self._to_resend:
            self._to_resend.discard(index)
            # An attempt whose reply was lost has no charge, and thus no row worth keeping.
            if not math.isnan(self._ended[index]):
                self.lost.append(self.stats(index))
        self._started[index] = self._ended[index] = _NEVER
        self._states[index] = _RUNNING
        self._attempts[index] += 1
        self._sent[index] = at
        self._memory[index] = memory_mb

    def take_back(self, index: int, *, counted: bool) -> None:
        """Record that a task is queued again; `counted`: the attempt counts."""
        self._states[index] = _QUEUED
        self._attempts[index] -= not counted
        if counted:
            self._to_resend.add(index)

    def charge(self, index: int, charge: ev.Charge, received: float) -> None:
        """Add the charge of an attempt; sandbox clocks are trusted only between sending and receiving."""
        duration, billed_ms, started, cold, sandbox, used = charge
        sent = self._sent[index]
        self._duration[index] = duration
        self._billed[index] += billed_ms
        self._cold[index] = cold
        # The column holds 16 bits; AWS's maximum of 10,240 MB fits, what a sandbox claims need not.
        self._used[index] = min(used, 65_535)
        self._sandbox[index] = self._number(sandbox)
        # A sandbox's clock may be off by seconds: a task cannot have started before it was sent, nor ended after its
        # reply.
        self._started[index] = min(max(started, sent), max(sent, received - duration))
        self._ended[index] = min(self._started[index] + duration, received)

    def stats(self, index: int) -> TaskStats:
        """Return a task's row."""
        return TaskStats(
            index=index,
            state=_STATES[self._states[index]],
            duration_s=self._duration[index],
            billed_ms=self._billed[index],
            cold=bool(self._cold[index]),
            sandbox=self._names[self._sandbox[index]],
            attempts=self._attempts[index],
            max_memory_mb=self._used[index],
            memory_mb=self._memory[index],
            cached=bool(self._cached[index]),
            sent_s=self._sent[index],
            started_s=self._started[index],
            ended_s=self._ended[index],
        )

    def table(self) -> Table:
        """Return a copy of all rows."""
        rows = len(self)
        return {
            "index": range(rows),
            "state": [_STATES[code] for code in self._states[:rows]],
            "duration_s": self._duration[:rows].tolist(),
            "billed_ms": self._billed[:rows].tolist(),
            "cold": list(map(bool, self._cold[:rows])),
            "sandbox": [self._names[number] for number in self._sandbox[:rows]],
            "attempts": self._attempts[:rows].tolist(),
            "max_memory_mb": self._used[:rows].tolist(),
            "memory_mb": self._memory[:rows].tolist(),
            "cached": list(map(bool, self._cached[:rows])),
            "sent_s": self._sent[:rows].tolist(),
            "started_s": self._started[:rows].tolist(),
            "ended_s": self._ended[:rows].tolist(),
        }

    def _number(self, sandbox: str) -> int:
        number = self._sandboxes.get(sandbox)
        if number is None:
            number = self._sandboxes[sandbox] = len(self._names)
            self._names.append(sandbox)
        return number
