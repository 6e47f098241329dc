"""How many invocations may be in flight to a function and its copies: AWS starts sandboxes for each by itself."""

from __future__ import annotations

from lithops_magic.engine.backend.limiter import Limiter

_FULL_SECONDS = 2.0
"""For which a copy that was refused a sandbox counts as having all that there are."""


class FunctionCopy:
    """The function, or a further one with the same definition, and what AWS takes for it.

    Parameters
    ----------
    most
        Invocations that are never exceeded.
    number
        Which of them it is; 0 is the function itself.
    """

    __slots__ = ("full_until", "in_flight", "limiter", "number", "sent", "warm")

    def __init__(self, most: int = 1, number: int = 0) -> None:
        self.number = number
        self.limiter = Limiter(most)
        self.in_flight = self.sent = 0
        self.full_until = 0.0
        self.warm = 0
        """Sandboxes that it has, as far as is known."""

    def room(self, now: float) -> int:
        """Invocations that may be sent to it now; less than none where it has more than AWS takes by now."""
        return 0 if self.limiter.pause(now) else self.limiter.whole - self.in_flight


class Allowance:
    """Says how many invocations may be in flight, and to which copy the next one goes.

    What AWS says of sandboxes it says of one copy: it may be the account that is full, but nobody can tell that from a
    function that is starting as fast as it may, and from each other copy it is learned soon enough. Only what is about
    the caller, and an outage, is about all of them.

    Parameters
    ----------
    most
        Invocations in flight that are never exceeded.
    copies
        How often the function is deployed.
    """

    def __init__(self, most: int, copies: int = 1) -> None:
        self._most = max(1, most)
        self._copies = [FunctionCopy(most, number) for number in range(copies)]
        self._troubled = False
        self._turn = 0

    @property
    def limit(self) -> int:
        """Invocations that AWS is thought to take, at most."""
        return max(1, min(self._most, sum(copy.limiter.whole for copy in self._copies)))

    @property
    def in_flight(self) -> int:
        """Invocations that were sent and not answered."""
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
        """Return the copy for the next invocation, which is in flight from now on.

        It is one with a sandbox at leisure, if there is any, or the first that may have another sandbox: what comes
        after this job is likely to need fewer. `evenly`: it is the one that got the fewest.
        """
        chosen = self._copies[0] if len(self._copies) == 1 else self._chosen(now, evenly)
        chosen.in_flight += 1
        chosen.sent += 1
        return chosen

    def _chosen(self, now: float, evenly: bool) -> FunctionCopy:
        if not evenly:
            for copy in self._copies:
                # In this order: what has no sandbox at leisure need not be asked whether it has room.
                if copy.in_flight < copy.warm and copy.room(now) > 0:
                    return copy
        free = [copy for copy in self._copies if copy.room(now) > 0]
        if not free:
            return max(self._copies, key=lambda copy: copy.room(now))
        return min(free, key=lambda copy: copy.sent) if evenly else free[0]

    def filled(self, now: float, more: bool) -> None:
        """What is allowed was sent; allow more, if all of it is used and `more` waits.

        Where there is no sandbox for more, the copies take turns to try: together they ask in vain no more than one.
        """
        more = more and self.in_flight < self._most
        full = [copy for copy in self._copies if copy.full_until > now]
        self._turn += 1
        waiting = [copy for number, copy in enumerate(full) if number != self._turn % len(full)]
        for copy in self._copies:
            copy.limiter.filled(now, copy.in_flight, more and copy not in waiting)

    def accepted(self, copy: FunctionCopy) -> None:
        """An invocation was executed."""
        copy.limiter.accepted()
        copy.warm = max(copy.warm, copy.in_flight + 1)
        if self._troubled:
            self._troubled = False
            for other in self._copies:
                other.limiter.calm()

    def setback(self, copy: FunctionCopy, now: float) -> None:
        """Nobody knows whether an invocation ran."""
        self._troubled = True
        copy.limiter.setback(now)
        if copy.limiter.disturbed:
            for other in self._copies:
                if other is not copy:
                    other.limiter.disturb(now)

    def throttled(
        self, copies: FunctionCopy | None, now: float, retry_after: float | None = None, *, full: bool = False
    ) -> None:
        """AWS refused an invocation; `copies` says which, None that it would have refused any other copy's as well."""
        self._troubled = True
        in_flight = self.in_flight
        for copy in self._copies if copies is None else [copies]:
            copy.limiter.throttled(now, retry_after, full=full, others=in_flight > copy.in_flight)
            copy.full_until = now + _FULL_SECONDS if full else copy.full_until

    def stalled(self, now: float) -> bool:
        """Whether nothing runs, and nothing but refusals came for long."""
        return not self.in_flight and any(copy.limiter.stalled(now) for copy in self._copies)
