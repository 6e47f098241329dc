"""What the scheduler needs of AWS: a deployed function that can be invoked, and what an invocation costs."""

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
"""Invocations at once where none is sent."""


class Sender(Protocol):
    """Invokes one function many times at once; `aws.invoke.Transport` is one."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one invocation and return at once; `done` is called once, from another thread.

        It returns False for an answer that is not the function's own: the connection that brought it is closed.
        """

    def close(self) -> None:
        """Abandon everything and return at once."""


class Left(Refused):
    """Not sent, because the job is only looked at."""

    __slots__ = ()


class NoSender:
    """The sender of a job that is only observed: it sends nothing."""

    def send(self, payload: bytes, done: Done) -> None:  # noqa: ARG002
        """Refuse."""
        done(Left("", "", ""))

    def close(self) -> None:
        """There is nothing to abandon."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox has."""

    memory: int
    """MB."""
    timeout: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A function that can be invoked."""

    sender: Sender
    workers: int
    """Most invocations in flight."""
    limits: Limits
    local: bool
    reused: bool
    """Whether it was known from an earlier job and may have gone meanwhile."""
    price: Callable[[float], float]
    """USD for a number of billed milliseconds."""
    request_price: float
    """USD per invocation."""
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""
    patience: float = math.inf
    """Seconds after which an invocation of which nothing was heard is given up."""
    differences: tuple[str, ...] = ()
    """Packages of which it has another version than the notebook, one phrase each."""
    store: Store | None = None
    """Where what does not fit in an invocation is put."""
    copies: tuple[Sender, ...] = ()
    """Invoke further copies of the function, which AWS scales by themselves."""

    @property
    def senders(self) -> tuple[Sender, ...]:
        """Of the function and its copies."""
        return (self.sender, *self.copies)


class Backend(Protocol):
    """Where functions run."""

    @property
    def grows(self) -> bool:
        """Whether to connect again deploys a function with all that has turned out to be needed meanwhile."""

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Find or deploy the function; `notify` is told each step. `afresh`: what was known is gone."""

    def larger(self, factor: float) -> Backend | None:
        """Return the same with `factor` times the memory, as far as AWS has it; None if it has the most already."""

    def needing(self, need: Need) -> Backend:
        """Return the same where the function has what `need` says."""
