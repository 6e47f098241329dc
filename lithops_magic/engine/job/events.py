"""What can happen to a job: the single stream of events from which its state and all displayed numbers are reduced.

Tasks are identified by their position in the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from lithops_magic.errors import TaskError


@dataclass(frozen=True, slots=True)
class Phase:
    """A step before the first task is sent, such as deploying."""

    text: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something the user should know about the job as a whole."""

    text: str


@dataclass(frozen=True, slots=True)
class Started:
    """The function is deployed; tasks are being sent."""

    at: float
    """Monotonic seconds, as in all events."""
    memory_mb: int
    local: bool = False
    """Whether invocations go to the local AWS, which bills nothing."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of items is known, or turned out to be unknown."""

    total: int | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """Tasks are about to be sent, in one invocation or several."""

    tasks: Sequence[int]
    at: float = 0.0
    memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class InFlight:
    """The current number of invocations in flight."""

    invocations: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Sent tasks that did not run, or ran without a result of their own, wait to be resent."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt of a task was lost; the task waits to be resent."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Throttled:
    """AWS throttled an invocation; its tasks wait to be resent."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A copy of tasks in flight was sent, because they take far longer than their peers."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Failed:
    """A task failed for good."""

    task: int
    error: TaskError
    sent: bool = True
    """False if its item could not even be sent."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """An invocation was executed, whatever the outcome of its tasks."""

    task_seconds: float = 0.0
    billed_ms: float = 0.0
    cost: float = 0.0
    """USD for memory and time."""
    request_cost: float = 0.0
    """USD for the request."""
    cold: bool = False
    max_memory_mb: int = 0
    serial_seconds: float = 0.0
    """How long its tasks would take in sequence on their own machine; 0 if unknown or run in an earlier session."""


class Charge(NamedTuple):  # half the time of a frozen dataclass, and less work for garbage collection
    """Time and cost of one attempt of one task."""

    duration_s: float
    billed_ms: float
    started_s: float
    """Seconds since the start of the job, by the sandbox's clock."""
    cold: bool
    sandbox: str
    max_memory_mb: int


class Charges(Sequence[tuple[int, Charge]]):
    """The charges of many tasks, each made when it is looked at: kept, they would be most of what is in memory.

    Parameters
    ----------
    invocations
        For each invocation, its tasks and what returns the charge of one of them.
    """

    def __init__(self, invocations: Sequence[tuple[Sequence[int], Callable[[int], Charge]]]) -> None:
        self._invocations = invocations

    def __len__(self) -> int:
        return sum(len(tasks) for tasks, _ in self._invocations)

    def __iter__(self) -> Iterator[tuple[int, Charge]]:
        for tasks, charge in self._invocations:
            for task in tasks:
                yield task, charge(task)

    @overload
    def __getitem__(self, at: int) -> tuple[int, Charge]: ...
    @overload
    def __getitem__(self, at: slice) -> list[tuple[int, Charge]]: ...
    def __getitem__(self, at: int | slice) -> tuple[int, Charge] | list[tuple[int, Charge]]:
        return list(self)[at]


@dataclass(frozen=True, slots=True)
class Answered:
    """Invocations were answered, and tasks returned a value."""

    invoked: Sequence[Invoked] = ()
    done: Sequence[tuple[int, Any, str]] = ()
    """Tasks with the values they returned and what they printed."""
    charges: Sequence[tuple[int, Charge]] = ()
    """Charges for attempts, including failed ones."""
    at: float = 0.0
    read: int = 0
    """Bytes of external data (in S3 or elsewhere) that the items of done tasks refer to."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Tasks have values that were computed earlier: they came from the cache and are not sent."""

    done: Sequence[tuple[int, Any, str]]
    """Tasks with the values they returned and what they printed."""
    saved: float = 0.0
    """USD at list price that computing them cost."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Tasks in flight came back after the job was stopped, and will not be resent."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Ended:
    """Every task has its value or its error."""

    at: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The user stopped the job; tasks not yet sent never will be."""

    at: float


@dataclass(frozen=True, slots=True)
class Broken:
    """An error ended the job; tasks not yet sent never will be."""

    at: float


Event = (
    Phase
    | Noted
    | Started
    | Counted
    | Submitted
    | InFlight
    | Returned
    | Retried
    | Throttled
    | BackedUp
    | Failed
    | Answered
    | Recalled
    | Withdrawn
    | Ended
    | Cancelled
    | Broken
)
