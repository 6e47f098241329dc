"""Replies to invocations before anything relies on them: authenticated and decoded."""

from __future__ import annotations

from dataclasses import dataclass

from lithops_magic.aws.invoke.outcomes import Ambiguous, Outcome, Reply
from lithops_magic.engine.dispatch.lanes import Flight
from lithops_magic.engine.wire.reply import VerifiedReply, WorkerReply, decode
from lithops_magic.worker.seal import is_sealed

UNAUTHENTICATED = (
    "the reply is not the function's own, and none of it was used: it was altered or replaced in transit, "
    "another program replied instead, or the image in runtime has another version of the worker"
)


class UnusableReply(Ambiguous):
    """An unusable reply."""

    __slots__ = ()


class UnauthenticatedReply(UnusableReply):
    """A reply that is not the function's own reply to this request."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of an invocation."""

    flight: Flight
    outcome: Outcome
    worker: WorkerReply | None = None
    """The worker's own reply; None if the sandbox failed before it could give one."""

    @classmethod
    def of(cls, flight: Flight, outcome: Outcome, key: bytes) -> Answer:
        """Authenticate and decode a reply: any defect makes it a lost attempt. Called from any thread."""
        try:
            worker = _worker(flight, outcome, key) if isinstance(outcome, Reply) else None
        except _NotSealed:
            return cls(flight, UnauthenticatedReply(UNAUTHENTICATED))
        except Exception as error:
            return cls(flight, UnusableReply(f"the function's reply cannot be read: {str(error) or repr(error)}"))
        return cls(flight, outcome, worker)

    @property
    def unauthenticated(self) -> bool:
        """Whether it is not the function's own reply to the request."""
        return isinstance(self.outcome, UnauthenticatedReply)


class _NotSealed(Exception):
    """The reply is not sealed with the job's key for this request."""


def _worker(flight: Flight, reply: Reply, key: bytes) -> WorkerReply | None:
    if reply.function_error is not None:
        return None  # the platform has no key: its own reply can only say that the sandbox failed
    if not isinstance(reply, VerifiedReply) and not is_sealed(reply.payload, key, flight.name):
        raise _NotSealed
    return decode(reply.payload)
