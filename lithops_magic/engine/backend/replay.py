"""A backend that knows what tasks came to in an earlier process: it invokes only for what is left, or for nothing."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from operator import not_
from typing import Any

from lithops_magic.aws.invoke.outcomes import Done, Outcome
from lithops_magic.engine.backend.endpoint import Backend, Endpoint, Left, Sender
from lithops_magic.engine.durable.history import Recall
from lithops_magic.engine.durable.kept_results import Watch
from lithops_magic.engine.job.events import Noted
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.store import Place
from lithops_magic.packages import Need

UNKNOWN = "it was sent by another process, and left no result in S3"

Rest = Callable[["Replay", "AwaitedRequest", str], None]


def tasks_of(payload: bytes) -> list[int]:
    """Return the indices of the tasks of a request."""
    # Nothing that a request quotes can contain a quotation mark: data are base64.
    start = payload.rindex(b'"tasks":[') + len(b'"tasks":')
    tasks: list[dict[str, Any]] = json.loads(payload[start:-1])
    return [task["id"] for task in tasks]


@dataclass(slots=True, eq=False)
class AwaitedRequest:
    """A request that waits for another process to write down what it came to."""

    tasks: list[int]
    payload: bytes
    done: Done
    sender: Sender
    """Invokes the function, or the copy of it, that the request is for."""


class Replay:
    """A sender that answers from a journal and from what tasks kept in S3, and hands on what neither knows.

    Called by the job's scheduler, by whoever reads on in the journal, and by the watch of S3, each from its own thread;
    whatever is sent is answered exactly once.

    Parameters
    ----------
    recall
        What the journal tells.
    watch
        Waits for results of tasks that were sent; None if there can be none.
    seconds
        How long these may still come, asked once when the journal tells no more.
    sender
        Invokes the function.
    rest
        Gets what is not known: the request, whom to answer, and why it is not known if it was sent before.
    why_left
        Why tasks are left as they are, and what to do about it.
    """

    def __init__(
        self,
        recall: Recall,
        watch: Watch | None,
        seconds: Callable[[], float],
        sender: Sender,
        rest: Rest,
        why_left: str,
    ) -> None:
        self._recall = recall
        self._watch = watch
        self._seconds = seconds
        self._sender = sender
        self._rest = rest
        self._why_left = why_left
        self._following: list[AwaitedRequest] = []
        self._left: list[Done] = []
        self._waiting = 0
        self._stopped = False
        self._expires: float | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def send(self, payload: bytes, done: Done) -> None:
        """Answer from what is known, now or later."""
        self.answer(AwaitedRequest(tasks_of(payload), payload, done, self._sender))

    def told(self, tasks: Set[int]) -> None:
        """The journal tells more, of these tasks; or no more at all."""
        over = not self._recall.live
        if not over and not tasks:
            return
        with self._lock:
            touched = [over or not tasks.isdisjoint(request.tasks) for request in self._following]
            fresh = list(compress(self._following, touched))
            self._following = list(compress(self._following, map(not_, touched)))
        # Those that are still not answered wait again.
        for request in fresh:
            self.answer(request)
        if over:
            self._end_if_idle()

    def answer(self, request: AwaitedRequest) -> None:
        """Answer a request from what is known, now or later."""
        with self._lock:
            known = self._recall.answer(request.tasks)
            if known is None and self._recall.live and not self._stopped:
                self._following.append(request)
                return
            flying = set() if known else self._recall.flying.intersection(request.tasks)
            self._recall.flying -= flying
        if known:
            request.done(known)
        elif not flying or self._watch is None:
            self._rest(self, request, "")
        else:
            with self._lock:
                self._waiting += 1
            self._watch.expect(flying, self._until(), partial(self._found, request))

    def _found(self, request: AwaitedRequest, reply: Outcome | None) -> None:
        with self._lock:
            self._waiting -= 1
        if reply is not None:
            request.done(reply)
        elif self._stopped:
            self.leave(request.done)
        else:
            self._rest(self, request, UNKNOWN)
        self._end_if_idle()

    def _until(self) -> float:
        """Monotonic time when results will have come, if at all."""
        with self._lock:
            if self._expires is None:
                self._expires = time.monotonic() + self._seconds()
            return self._expires

    def leave(self, done: Done) -> None:
        """Leave tasks as they are; the job ends when no result of a task that was sent before may still come."""
        with self._lock:
            self._left.append(done)
            first = len(self._left) == 1
        self._end_if_idle()
        if first and not self._stopped and self._timer is None:
            # Must end even if the journal has tasks that were sent but that nothing waits for.
            self._timer = threading.Timer(max(0.0, self._until() - time.monotonic()), self._give_up)
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self) -> None:
        with self._lock:
            self._recall.flying.clear()
        self._end_if_idle()

    def stop(self) -> None:
        """The job is over: leave what is left at once."""
        self._stopped = True
        self._recall.close()
        self.told(frozenset())

    def _end_if_idle(self) -> None:
        with self._lock:
            if (self._waiting or self._recall.flying or self._recall.live) and not self._stopped:
                return
            left, self._left = self._left, []
        for done in left:
            done(Left("", self._why_left, ""))

    def close(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._sender.close()
        if self._watch is not None:
            self._watch.close()


@dataclass(frozen=True, slots=True)
class CopyReplay:
    """Sends to a copy of the function what a replay does not know."""

    replay: Replay
    sender: Sender

    def send(self, payload: bytes, done: Done) -> None:
        """Answer from what is known, now or later."""
        self.replay.answer(AwaitedRequest(tasks_of(payload), payload, done, self.sender))

    def close(self) -> None:
        """Abandon what is in flight to the copy."""
        self.sender.close()


class ReplayBackend:
    """Where a job goes on that an earlier process began.

    Parameters
    ----------
    job
        The job.
    recall
        What its journal tells.
    endpoint
        Connects to the function, or replaces it where nothing is sent.
    rest
        Gets what is not known: the request, whom to answer, and why it is not known if it was sent before.
    why_left
        Why tasks are left as they are, and what to do about it.
    seconds
        Tells how long results of tasks that were sent may still come.
    runs
        How often a task of a detached job is begun at most.
    """

    grows = False

    def __init__(
        self,
        job: Job,
        recall: Recall,
        endpoint: Callable[[Callable[[str], None]], Endpoint],
        rest: Rest,
        why_left: str,
        seconds: Callable[[], float],
        runs: int = 0,
    ) -> None:
        self._job = job
        self._recall = recall
        self._endpoint = endpoint
        self._rest = rest
        self._why_left = why_left
        self._seconds = seconds
        self._runs = runs
        self._stopped = False
        self._replay: Replay | None = None
        self._watch: Watch | None = None

    def stop(self) -> None:
        """The job is over: keep tasks of a detached job from being begun, and wait only for those that were."""
        self._stopped = True
        self._recall.close()
        if self._watch is not None and self._runs:
            self._watch.forbid()
        if self._replay is not None:
            self._replay.stop()

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:  # noqa: ARG002
        """Open the way."""
        endpoint = self._endpoint(notify)
        if endpoint.store is not None:
            place = Place.of_job(endpoint.store, self._job.id, key=self._job.key)
            self._watch = Watch(place, endpoint.limits.timeout, self._runs, self._say)
        self._replay = Replay(self._recall, self._watch, self._seconds, endpoint.sender, self._rest, self._why_left)
        if self._stopped:
            self.stop()
        return replace(
            endpoint,
            sender=self._replay,
            copies=tuple(CopyReplay(self._replay, sender) for sender in endpoint.copies),
            patience=math.inf,
            workers=endpoint.workers + len(self._recall.flying),
        )

    def told(self, tasks: Set[int]) -> None:
        """The journal tells more, of these tasks; or no more at all."""
        if self._replay is not None:
            self._replay.told(tasks)

    def _say(self, problem: str) -> None:
        self._job.publish(Noted(problem))

    def needing(self, need: Need) -> Backend:  # noqa: ARG002
        """Return itself: what its items need was known before."""
        return self

    def larger(self, factor: float) -> Backend | None:  # noqa: ARG002
        """Return None: a task that ran out of memory in an earlier process gets no more in this one."""
        return None
