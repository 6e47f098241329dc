"""The connection to the deployed function: backs off, waits, redeploys, and gives up when there is no hope."""

from __future__ import annotations

import math
from collections.abc import Callable

from lithops_magic import errors
from lithops_magic.aws.invoke.outcomes import EXPIRED, Ambiguous, NoConnection, Refused, Throttle
from lithops_magic.engine.backend.allowance import Allowance, FunctionCopy
from lithops_magic.engine.backend.endpoint import Backend, Endpoint, NotSent
from lithops_magic.engine.job.clock import CLOCK, Clock
from lithops_magic.errors import InvokeError, LithopsMagicError

UNREACHABLE_SECONDS = 20.0
"""How long to try to reach an unresponsive endpoint before the job gives up."""
_UNREACHABLE_PAUSE = 0.5
"""Seconds between attempts in the meantime."""
OUTAGE = 11.0
"""Seconds of outage over which a task's attempts are spread, so that shorter outages never use up the last one."""
SILENT_SECONDS, SILENT_TRIES = 60.0, 10
"""How long, and how often, to try a service that accepts invocations but answers none before the job gives up."""
_SKEWED = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SIGNATURE_DATE = ("Signature expired", "Signature not yet current")
"""How AWS's message begins when the date of a signature is the problem (AWS General Reference, SigV4)."""


class Link:
    """The connection to the deployed function.

    Parameters
    ----------
    backend
        Where the function runs.
    notify
        Told each step of connecting; an empty string when done.
    clock
        Clock for waiting and giving up.
    """

    def __init__(self, backend: Backend, notify: Callable[[str], None], clock: Clock = CLOCK) -> None:
        self.backend = backend
        self._notify = notify
        self._clock = clock
        self._endpoints: list[Endpoint] = []
        self._reconnected = False
        self._unreachable_since: float | None = None
        self._refusals = 0
        self._silent_since: float | None = None
        self._unanswered = 0
        self._outage_since: float | None = None
        """When an invocation went unanswered; None once one that was sent later is answered."""
        self.allowance = Allowance(1)

    @property
    def endpoint(self) -> Endpoint:
        """The most recently deployed function."""
        return self._endpoints[-1]

    def connect(self, *, afresh: bool = False) -> None:
        """Find or deploy the function."""
        # Appended, not replaced: invocations in flight are still answered through the sender they went out with.
        self._endpoints.append(self.backend.connect(self._notify, afresh=afresh))
        self.allowance = Allowance(self.endpoint.workers, len(self.endpoint.senders))
        self._notify("")

    def redirect(self, backend: Backend) -> None:
        """Switch to another function, unless it is the same; invocations in flight are still answered."""
        if backend is not self.backend:
            self.backend = backend
            self.connect()

    def close(self) -> None:
        """Abandon invocations in flight."""
        for endpoint in self._endpoints:
            for sender in endpoint.senders:
                sender.close()

    def accepted(self, copy: FunctionCopy, sent_at: float = math.inf) -> None:
        """An invocation of a copy of the function ran, which was sent at `sent_at`, or just now."""
        self.allowance.accepted(copy)
        self._reconnected, self._unreachable_since, self._refusals = False, None, 0
        self._silent_since, self._unanswered = None, 0
        # A reply to what was sent before an outage began does not show that it is over.
        if self._outage_since is not None and sent_at >= self._outage_since:
            self._outage_since = None

    def setback(self, outcome: Ambiguous, copy: FunctionCopy) -> None:
        """It is unknown whether an invocation ran: continue with care.

        Raises
        ------
        InvokeError
            There has been no answer for too long.
        """
        now = self._clock.now()
        self.allowance.setback(copy, now)
        # If something was answered since, and the last outage is long ago, this is another one.
        if self._outage_since is None or (self._silent_since is None and now > self._outage_since + OUTAGE):
            self._outage_since = now
        self._silent_since = self._silent_since or now
        self._unanswered += 1
        if self._unanswered > SILENT_TRIES and now - self._silent_since > SILENT_SECONDS:
            raise errors.Unreachable(f"AWS Lambda has not answered for {SILENT_SECONDS:.0f} s: {outcome.message}")

    @property
    def silent(self) -> bool:
        """Whether an invocation went unanswered, and so far none that was sent later was answered."""
        return self._outage_since is not None

    def rest(self, share: float, now: float) -> float:
        """Seconds before a task that has used up this share of its retries may be sent again."""
        if self._outage_since is None:
            return 0.0
        # Squared: the first attempts come soon, because most outages are short; the last one at the end of `OUTAGE`.
        return max(0.0, self._outage_since + OUTAGE * share**2 - now)

    def turned_away(self, outcome: Throttle | NoConnection | Refused, copy: FunctionCopy) -> None:
        """An invocation did not run: prepare for the next one.

        Raises
        ------
        InvokeError
            No further invocation can succeed.
        """
        match outcome:
            case Throttle():
                self._throttled(outcome, copy)
            case NoConnection(message):
                self._unreachable(message)
            case Refused():
                self._refused(outcome)

    def _throttled(self, outcome: Throttle, copy: FunctionCopy) -> None:
        now = self._clock.now()
        # CallerRateLimitExceeded says that this client is too fast, whatever it calls.
        refusing = None if outcome.of_caller else copy
        self.allowance.throttled(refusing, now, outcome.retry_after, full=outcome.full)
        self._refusals += 1
        hopeless = outcome.most_tries is not None and self._refusals > outcome.most_tries
        if hopeless or self.allowance.stalled(now):
            raise errors.ThrottledOut(f"AWS Lambda accepts no invocations: {outcome.reason} {outcome.fix}".rstrip())

    def _unreachable(self, message: str) -> None:
        now = self._clock.now()
        self._unreachable_since = self._unreachable_since or now
        if now - self._unreachable_since > UNREACHABLE_SECONDS:
            raise errors.Unreachable(f"AWS Lambda cannot be reached: {message}")
        if self.endpoint.local and not self._reconnected:
            self._reconnect()
        else:
            self.allowance.throttled(None, now, _UNREACHABLE_PAUSE)

    def _refused(self, outcome: Refused) -> None:
        # An observed job ends when it comes to a task that nobody will run.
        if isinstance(outcome, NotSent):
            raise errors.JobInterrupted(outcome.message)
        # State from an earlier job may be stale: the function was deleted, or the local AWS restarted.
        if not self._reconnected and (outcome.code == "ResourceNotFoundException" or self.endpoint.reused):
            return self._reconnect()
        kind, fix = _kind(outcome)
        raise kind(f"{outcome.code}: {outcome.message} {fix}".rstrip())

    def _reconnect(self) -> None:
        """Redeploy, once until something works; invocations in flight are still answered by their own sender."""
        # Before connecting: a function that is refused again right after it was deployed must end the job, not loop.
        self._reconnected = True
        try:
            self.connect(afresh=True)
        except LithopsMagicError as error:
            raise errors.FunctionGone(f"The function is gone and could not be redeployed: {error}") from error


def _kind(outcome: Refused) -> tuple[type[InvokeError], str]:
    """Return the error class for a refusal and what to do about it."""
    # InvalidSignatureException covers a wrong clock and wrong credentials: only its message tells which.
    if outcome.code in _SKEWED or outcome.message.startswith(_SIGNATURE_DATE):
        return errors.ClockSkew, "Set this machine's clock: AWS accepts signatures within five minutes of its own."
    if outcome.code in EXPIRED:
        return errors.CredentialsExpired, outcome.fix
    if outcome.code.startswith("AccessDenied"):
        return errors.NotAuthorized, outcome.fix
    if outcome.code == "ResourceNotFoundException":
        return errors.FunctionGone, outcome.fix
    return InvokeError, outcome.fix
