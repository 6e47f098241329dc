"""What can happen to a job: the one stream of events that its state, and every number a user sees, is reduced from.

Tasks are named by their position in the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
    """Monotonic seconds, as in every event."""
    memory_mb: int
    local: bool = False
    """Whether they go to the local AWS, which bills nothing."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of items is known, or proves to be unknown."""

    total: int | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """Tasks are about to be sent, in one invocation or several."""

    tasks: Sequence[int]
    at: float = 0.0
    memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class InFlight:
    """So many invocations are in flight now."""

    invocations: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Sent tasks that did not run, or ran without a result of their own, wait to be sent again."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt of a task was lost; it waits to be sent again."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Throttled:
    """AWS asked to slow down; the tasks of the invocation wait to be sent again."""

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
    """An invocation was executed, whatever became of its tasks."""

    task_seconds: float = 0.0
    billed_ms: float = 0.0
    cost: float = 0.0
    """USD for memory and time."""
    request_cost: float = 0.0
    """USD for the request."""
    cold: bool = False
    max_memory_mb: int = 0
    serial_seconds: float = 0.0
    """What its tasks would have taken alone on a machine; 0 if an earlier session has run them, or it is not known."""


class Charge(NamedTuple):  # made in half of the time of a frozen dataclass, and no burden to garbage collection
    """What one attempt of one task took."""

    duration_s: float
    billed_ms: float
    started_s: float
    """Seconds since the start of the job, by the sandbox's clock."""
    cold: bool
    sandbox: str
    max_memory_mb: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Invocations were answered, and tasks returned a value."""

    invoked: Sequence[Invoked] = ()
    done: Sequence[tuple[int, Any, str]] = ()
    """Tasks, what they returned, and what they printed."""
    charges: Sequence[tuple[int, Charge]] = ()
    """What attempts of tasks took, those that failed among them."""
    at: float = 0.0
    read: int = 0
    """Bytes of data in S3, or elsewhere, that the items of done tasks refer to."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """Tasks have values that were computed before: they were in the cache and are not sent."""

    done: Sequence[tuple[int, Any, str]]
    """Tasks, what they returned, and what they printed."""
    saved: float = 0.0
    """USD at list price that they had cost."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Tasks in flight came back after the job was stopped and will not be sent again."""

    tasks: Sequence[int]


@dataclass(frozen=True, slots=True)
class Ended:
    """Every task has its value or its error."""

    at: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The user stopped the job; what was not sent never will be."""

    at: float


@dataclass(frozen=True, slots=True)
class Broken:
    """An error ended the job; what was not sent never will be."""

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
