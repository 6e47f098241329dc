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


# Ambiguous: the function may well have run, so the attempt counts, and with retries=0 the task is not sent again.
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
    """The worker's own reply; None if it is not decoded yet, or the sandbox failed before it could give one."""

    @classmethod
    def of(cls, flight: Flight, outcome: Outcome, key: bytes) -> Answer:
        """Authenticate a reply; without the right seal, the attempt is lost. Called from any thread."""
        try:
            # In the transport's callback, because the transport must know at once whether to close the connection. An
            # exception there would leave the invocation unanswered until its patience runs out.
            authentic = not isinstance(outcome, Reply) or _is_authentic(flight, outcome, key)
        except Exception as error:
            return cls(flight, _unusable(error))
        return cls(flight, outcome if authentic else UnauthenticatedReply(UNAUTHENTICATED))

    def decoded(self) -> Answer:
        """Return it with the worker's own reply decoded; only when needed, as a decoded reply takes more memory."""
        if not isinstance(self.outcome, Reply) or self.outcome.function_error is not None:
            return self
        try:
            # Whatever a reply contains must cost its own invocation only: this runs in the thread that runs the whole
            # job.
            return Answer(self.flight, self.outcome, decode(self.outcome.payload))
        except Exception as error:
            return Answer(self.flight, _unusable(error))

    @property
    def unauthenticated(self) -> bool:
        """Whether it is not the function's own reply to the request."""
        return isinstance(self.outcome, UnauthenticatedReply)


def _is_authentic(flight: Flight, reply: Reply, key: bytes) -> bool:
    # The platform has no key: its own reply can only say that the sandbox failed.
    vouched = reply.function_error is not None or isinstance(reply, VerifiedReply)
    return vouched or is_sealed(reply.payload, key, flight.name)


def _unusable(error: Exception) -> UnusableReply:
    return UnusableReply(f"the function's reply cannot be read: {str(error) or repr(error)}")
