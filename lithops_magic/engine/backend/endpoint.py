"""What the scheduler needs from AWS: a deployed function that can be invoked, and the price of an invocation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lithops_magic.aws.invoke.outcomes import Done, Refused
from lithops_magic.engine.wire.store import Store

if TYPE_CHECKING:
    from lithops_magic.packages import Need

UNLIMITED = 1_000_000_000
"""Limit of concurrent invocations where none is sent."""


class Sender(Protocol):
    """Invokes one function many times concurrently; `aws.invoke.Transport` is one."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one invocation and return immediately; `done` is called once, from another thread.

        `done` returns False if the answer is not from the function itself: its connection is then closed.
        """

    def close(self) -> None:
        """Abandon everything and return immediately."""


class NotSent(Refused):
    """Not sent, because the job is only observed."""

    __slots__ = ()


class NoSender:
    """The sender of a job that is only observed: it sends nothing."""

    def send(self, payload: bytes, done: Done) -> None:  # noqa: ARG002
        """Refuse to send."""
        done(NotSent("", "", ""))

    def close(self) -> None:
        """Do nothing: there is nothing to abandon."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a sandbox."""

    memory: int
    """Memory in MB."""
    timeout: int
    """Timeout in seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A function that can be invoked."""

    sender: Sender
    workers: int
    """Maximum invocations in flight."""
    limits: Limits
    local: bool
    reused: bool
    """Whether it is known from an earlier job and may be gone by now."""
    price: Callable[[float], float]
    """USD for a number of billed milliseconds."""
    request_price: float
    """USD per invocation."""
    notes: tuple[str, ...] = ()
    """Notes for the user, one sentence each."""
    patience: float = math.inf
    """Seconds after which an unanswered invocation is given up."""
    differences: tuple[str, ...] = ()
    """Packages whose version differs from the notebook's, one phrase each."""
    store: Store | None = None
    """Where data that do not fit in an invocation go."""
    copies: tuple[Sender, ...] = ()
    """Invoke the copies of the function, which AWS scales independently."""

    @property
    def senders(self) -> tuple[Sender, ...]:
        """The senders of the function and its copies."""
        return (self.sender, *self.copies)


class Backend(Protocol):
    """Where functions run."""

    @property
    def grows(self) -> bool:
        """Whether reconnecting deploys a function with everything found to be needed since."""

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Find or deploy the function; `notify` is told each step. `afresh`: what was known before is gone."""

    def larger(self, factor: float) -> Backend | None:
        """Return a backend with `factor` times the memory, capped at AWS's maximum; None if already at it."""

    def needing(self, need: Need) -> Backend:
        """Return a backend whose function meets `need`."""
