"""A backend that knows earlier outcomes of tasks: it invokes only for the remaining tasks, or not at all."""

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
from lithops_magic.engine.backend.endpoint import Backend, Endpoint, NotSent, Sender
from lithops_magic.engine.durable.history import JobHistory
from lithops_magic.engine.durable.kept_results import Watch
from lithops_magic.engine.job.events import Noted
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.store import Place
from lithops_magic.packages import Need

UNKNOWN = "it was sent by another process, and left no result in S3"

Rest = Callable[["Replay", "AwaitedRequest", str], None]


def tasks_of(payload: bytes) -> list[int]:
    """Return the indices of the tasks of a request."""
    # The only quotation marks are the request's own: its data are base64.
    start = payload.rindex(b'"tasks":[') + len(b'"tasks":')
    tasks: list[dict[str, Any]] = json.loads(payload[start:-1])
    return [task["id"] for task in tasks]


@dataclass(slots=True, eq=False)
class AwaitedRequest:
    """A request that waits until another process records its outcome."""

    tasks: list[int]
    payload: bytes
    done: Done
    sender: Sender
    """Sends to the function or copy that the request is for."""


class Replay:
    """A sender that answers from a journal and from results kept in S3, and forwards the requests neither can answer.

    Called by the job's scheduler, the follower of the journal, and the S3 watch, each from its own thread; every
    request is answered exactly once.

    Parameters
    ----------
    history
        The journal's contents.
    watch
        Waits for results of sent tasks; None if there can be none.
    seconds
        How long those may still arrive; asked once, when the journal ends.
    sender
        Invokes the function.
    rest
        Handles requests with unknown outcome: the request, whom to answer, and why it is unknown if it was sent before.
    why_left
        Why tasks are left unfinished, and what to do about it.
    """

    def __init__(
        self,
        history: JobHistory,
        watch: Watch | None,
        seconds: Callable[[], float],
        sender: Sender,
        rest: Rest,
        why_left: str,
    ) -> None:
        self._history = history
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
        """Answer from known outcomes, now or later."""
        self.answer(AwaitedRequest(tasks_of(payload), payload, done, self._sender))

    def on_news(self, tasks: Set[int]) -> None:
        """Handle what the journal says about these tasks, or its end."""
        over = not self._history.live
        if not over and not tasks:
            return
        with self._lock:
            touched = [over or not tasks.isdisjoint(request.tasks) for request in self._following]
            fresh = list(compress(self._following, touched))
            self._following = list(compress(self._following, map(not_, touched)))
        # Requests that still have no answer wait again.
        for request in fresh:
            self.answer(request)
        if over:
            self._end_if_idle()

    def answer(self, request: AwaitedRequest) -> None:
        """Answer a request from known outcomes, now or later."""
        with self._lock:
            known = self._history.answer(request.tasks)
            if known is None and self._history.live and not self._stopped:
                self._following.append(request)
                return
            flying = set() if known else self._history.flying.intersection(request.tasks)
            # Claimed under the lock: two requests must not both wait for one result.
            self._history.flying -= flying
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
        """Monotonic time by which results will have arrived, if at all."""
        with self._lock:
            if self._expires is None:
                self._expires = time.monotonic() + self._seconds()
            return self._expires

    def leave(self, done: Done) -> None:
        """Leave tasks unfinished; the job ends once no result of a sent task can arrive anymore."""
        with self._lock:
            self._left.append(done)
            first = len(self._left) == 1
        self._end_if_idle()
        if first and not self._stopped and self._timer is None:
            # The job must end even if the journal has sent tasks that nothing waits for.
            self._timer = threading.Timer(max(0.0, self._until() - time.monotonic()), self._give_up)
            # It must not keep the interpreter from exiting.
            self._timer.daemon = True
            self._timer.start()

    def _give_up(self) -> None:
        with self._lock:
            self._history.flying.clear()
        self._end_if_idle()

    def stop(self) -> None:
        """The job is over: give up the remaining tasks immediately."""
        self._stopped = True
        self._history.close()
        self.on_news(frozenset())

    def _end_if_idle(self) -> None:
        with self._lock:
            if (self._waiting or self._history.flying or self._history.live) and not self._stopped:
                return
            left, self._left = self._left, []
        for done in left:
            done(NotSent("", self._why_left, ""))

    def close(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
        self._sender.close()
        if self._watch is not None:
            self._watch.close()


@dataclass(frozen=True, slots=True)
class CopyReplay:
    """Sends to a copy of the function what a replay cannot answer."""

    replay: Replay
    sender: Sender

    def send(self, payload: bytes, done: Done) -> None:
        """Answer from known outcomes, now or later."""
        self.replay.answer(AwaitedRequest(tasks_of(payload), payload, done, self.sender))

    def close(self) -> None:
        """Abandon invocations in flight to the copy."""
        self.sender.close()


class ReplayBackend:
    """Continues a job that an earlier process started.

    Parameters
    ----------
    job
        The job.
    history
        The journal's contents.
    endpoint
        Connects to the function, or stands in for it if nothing will be sent.
    rest
        Handles requests with unknown outcome: the request, whom to answer, and why it is unknown if it was sent before.
    why_left
        Why tasks are left unfinished, and what to do about it.
    seconds
        Returns how long results of sent tasks may still arrive.
    runs
        How many times a task of a detached job is started at most.
    """

    grows = False

    def __init__(
        self,
        job: Job,
        history: JobHistory,
        endpoint: Callable[[Callable[[str], None]], Endpoint],
        rest: Rest,
        why_left: str,
        seconds: Callable[[], float],
        runs: int = 0,
    ) -> None:
        self._job = job
        self._history = history
        self._endpoint = endpoint
        self._rest = rest
        self._why_left = why_left
        self._seconds = seconds
        self._runs = runs
        self._stopped = False
        self._replay: Replay | None = None
        self._watch: Watch | None = None

    def stop(self) -> None:
        """The job is over: keep a detached job's tasks from starting, and wait only for those that have."""
        self._stopped = True
        self._history.close()
        if self._watch is not None and self._runs:
            self._watch.forbid()
        if self._replay is not None:
            self._replay.stop()

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:  # noqa: ARG002
        """Connect."""
        endpoint = self._endpoint(notify)
        if endpoint.store is not None:
            place = Place.of_job(endpoint.store, self._job.id, key=self._job.key)
            self._watch = Watch(place, endpoint.limits.timeout, self._runs, self._say)
        self._replay = Replay(self._history, self._watch, self._seconds, endpoint.sender, self._rest, self._why_left)
        if self._stopped:
            self.stop()
        return replace(
            endpoint,
            sender=self._replay,
            copies=tuple(CopyReplay(self._replay, sender) for sender in endpoint.copies),
            patience=math.inf,
            # Requests that only wait for results of an earlier process occupy no sandbox of ours.
            workers=endpoint.workers + len(self._history.flying),
        )

    def on_news(self, tasks: Set[int]) -> None:
        """Handle what the journal says about these tasks, or its end."""
        if self._replay is not None:
            self._replay.on_news(tasks)

    def _say(self, problem: str) -> None:
        self._job.publish(Noted(problem))

    def needing(self, need: Need) -> Backend:  # noqa: ARG002
        """Return itself: the needs of all items were known before anything was sent."""
        return self

    def larger(self, factor: float) -> Backend | None:  # noqa: ARG002
        """Return None: a task that ran out of memory in an earlier process gets no more in this one."""
        return None
