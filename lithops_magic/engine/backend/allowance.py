"""How many invocations may be in flight to a function and its copies, which AWS scales independently."""

from __future__ import annotations

from lithops_magic.engine.backend.limiter import Limiter

_FULL_SECONDS = 2.0
"""How long a copy that was refused a sandbox counts as fully scaled."""


class FunctionCopy:
    """The function, or a copy with the same definition, and how many invocations AWS accepts for it.

    Parameters
    ----------
    most
        Upper bound on concurrent invocations.
    number
        Index of the copy; 0 is the function itself.
    """

    __slots__ = ("full_until", "in_flight", "limiter", "number", "sent", "warm")

    def __init__(self, most: int = 1, number: int = 0) -> None:
        self.number = number
        self.limiter = Limiter(most)
        self.in_flight = self.sent = 0
        self.full_until = 0.0
        self.warm = 0
        """Sandboxes it is known to have."""

    def room(self, now: float) -> int:
        """Invocations that may be sent to it now; negative if more are in flight than AWS currently accepts."""
        return 0 if self.limiter.pause(now) else self.limiter.whole - self.in_flight


class Allowance:
    """Decides how many invocations may be in flight and which copy gets the next one.

    AWS reports a lack of sandboxes for one copy at a time. A full account looks the same as a function that is scaling
    as fast as it may, so every copy learns about it on its own, which is soon enough. Only refusals that concern the
    caller, and outages, apply to all copies.

    Parameters
    ----------
    most
        Upper bound on invocations in flight.
    copies
        Number of times the function is deployed.
    """

    def __init__(self, most: int, copies: int = 1) -> None:
        self._most = max(1, most)
        self._copies = [FunctionCopy(most, number) for number in range(copies)]
        self._troubled = False
        self._turn = 0

    @property
    def limit(self) -> int:
        """Estimate of how many invocations AWS accepts."""
        return max(1, min(self._most, sum(copy.limiter.whole for copy in self._copies)))

    @property
    def in_flight(self) -> int:
        """Invocations sent and not yet answered."""
        return sum(copy.in_flight for copy in self._copies)

    def allowed(self, now: float) -> int:
        """Invocations that may be in flight now."""
        in_flight = self.in_flight
        if any(copy.limiter.disturbed for copy in self._copies):
            return max(1, in_flight)
        return max(1, min(self._most, in_flight + sum(max(0, copy.room(now)) for copy in self._copies)))

    def pause(self, now: float) -> float:
        """Seconds to send nothing; 0 if sending is allowed."""
        return min(copy.limiter.pause(now) for copy in self._copies)

    def take(self, now: float, *, evenly: bool = False) -> FunctionCopy:
        """Return the copy for the next invocation and count it as in flight.

        Prefers a copy with an idle sandbox, then the first that may start another one: later jobs are likely to need
        fewer copies. With `evenly`, picks the copy that got the fewest.
        """
        # Almost every job has one, and every invocation passes here.
        chosen = self._copies[0] if len(self._copies) == 1 else self._chosen(now, evenly)
        chosen.in_flight += 1
        chosen.sent += 1
        return chosen

    def _chosen(self, now: float, evenly: bool) -> FunctionCopy:
        if not evenly:
            for copy in self._copies:
                # Cheapest check first: a copy without an idle sandbox need not be asked for room.
                if copy.in_flight < copy.warm and copy.room(now) > 0:
                    return copy
        free = [copy for copy in self._copies if copy.room(now) > 0]
        if not free:
            # `allowed` is at least 1 even if no copy has room: then one invocation probes.
            return max(self._copies, key=lambda copy: copy.room(now))
        return min(free, key=lambda copy: copy.sent) if evenly else free[0]

    def filled(self, now: float, more: bool) -> None:
        """Everything allowed was sent; raise the limits if they are fully used and `more` waits.

        When there are no sandboxes left, the copies take turns probing: together they waste no more than one attempt.
        """
        more = more and self.in_flight < self._most
        full = [copy for copy in self._copies if copy.full_until > now]
        self._turn += 1
        waiting = [copy for number, copy in enumerate(full) if number != self._turn % len(full)]
        for copy in self._copies:
            copy.limiter.filled(now, copy.in_flight, more and copy not in waiting)

    def accepted(self, copy: FunctionCopy) -> None:
        """An invocation ran."""
        copy.limiter.accepted()
        copy.warm = max(copy.warm, copy.in_flight + 1)
        if self._troubled:
            self._troubled = False
            for other in self._copies:
                other.limiter.calm()

    def setback(self, copy: FunctionCopy, now: float) -> None:
        """It is unknown whether an invocation ran."""
        self._troubled = True
        copy.limiter.setback(now)
        # An outage concerns the service, not a copy; a single lost invocation may have any cause.
        if copy.limiter.disturbed:
            for other in self._copies:
                if other is not copy:
                    other.limiter.disturb(now)

    def throttled(
        self, copies: FunctionCopy | None, now: float, retry_after: float | None = None, *, full: bool = False
    ) -> None:
        """AWS refused an invocation of the copy `copies`; None if it would have refused any other copy's as well."""
        self._troubled = True
        in_flight = self.in_flight
        for copy in self._copies if copies is None else [copies]:
            copy.limiter.throttled(now, retry_after, full=full, others=in_flight > copy.in_flight)
            copy.full_until = now + _FULL_SECONDS if full else copy.full_until

    def stalled(self, now: float) -> bool:
        """Whether nothing is running and there has been nothing but refusals for a long time."""
        return not self.in_flight and any(copy.limiter.stalled(now) for copy in self._copies)
