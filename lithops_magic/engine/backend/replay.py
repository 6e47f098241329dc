"""A backend that knows what tasks came to in an earlier process: it invokes only for what is left, or for nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lithops_magic.aws.invoke.outcomes import Done, Outcome
from lithops_magic.engine.backend.aws_lambda import Backend, Endpoint, Left, Sender
from lithops_magic.engine.durable.history import Recall
from lithops_magic.engine.durable.kept_results import Watch
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.store import Place

UNKNOWN = "it was sent by another process, and left no result in S3"

Rest = Callable[["Replay", bytes, Done, str], None]


def tasks_of(payload: bytes) -> list[int]:
    """Return the indices of the tasks of a request."""
    # Nothing that a request quotes can contain a quotation mark: data are base64.
    start = payload.rindex(b'"tasks":[') + len(b'"tasks":')
    tasks: list[dict[str, Any]] = json.loads(payload[start:-1])
    return [task["id"] for task in tasks]


class Replay:
    """A sender that answers from a journal and from what tasks kept in S3, and hands on what neither knows.

    Parameters
    ----------
    recall
        What the journal tells.
    watch
        Waits for results of tasks that were sent; None if there can be none.
    expires
        Monotonic time when these will have come, if at all.
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
        expires: float,
        sender: Sender,
        rest: Rest,
        why_left: str,
    ) -> None:
        self._recall = recall
        self._watch = watch
        self._expires = expires
        self.sender = sender
        self._rest = rest
        self._why_left = why_left
        self._left: list[Done] = []
        self._waiting = 0
        self._stopped = False
        self._lock = threading.Lock()

    def send(self, payload: bytes, done: Done) -> None:
        """Answer from what is known, now or later."""
        tasks = tasks_of(payload)
        if known := self._recall.answer(tasks):
            done(known)
            return None
        flying = self._recall.flying.intersection(tasks)
        self._recall.flying -= flying
        if not flying or self._watch is None:
            return self._rest(self, payload, done, "")

        def found(reply: Outcome | None) -> None:
            with self._lock:
                self._waiting -= 1
            if reply is not None:
                done(reply)
            elif self._stopped:
                self.leave(done)
            else:
                self._rest(self, payload, done, UNKNOWN)
            self._end_if_idle()

        with self._lock:
            self._waiting += 1
        return self._watch.expect(flying, self._expires, found)

    def leave(self, done: Done) -> None:
        """Leave tasks as they are; the job ends when no result of a task that was sent before may still come."""
        with self._lock:
            self._left.append(done)
        self._end_if_idle()

    def stop(self) -> None:
        """The job is over: leave what is left at once."""
        self._stopped = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        with self._lock:
            if (self._waiting or self._recall.flying) and not self._stopped:
                return
            left, self._left = self._left, []
        for done in left:
            done(Left("", self._why_left, ""))

    def close(self) -> None:
        """Wait for nothing more."""
        self.sender.close()
        if self._watch is not None:
            self._watch.close()


class ReplayBackend:
    """Where a job goes on that an earlier process began.

    Parameters
    ----------
    job
        The job.
    recall
        What its journal tells.
    endpoint
        Opens the way to the function, or stands for it where nothing is sent.
    rest
        Gets what is not known: the request, whom to answer, and why it is not known if it was sent before.
    why_left
        Why tasks are left as they are, and what to do about it.
    seconds
        How long results of tasks that were sent may still come.
    runs
        How often a task of a detached job is begun at most.
    """

    def __init__(
        self,
        job: Job,
        recall: Recall,
        endpoint: Callable[[Callable[[str], None]], Endpoint],
        rest: Rest,
        why_left: str,
        seconds: float,
        runs: int = 0,
    ) -> None:
        self._job = job
        self._recall = recall
        self._endpoint = endpoint
        self._rest = rest
        self._why_left = why_left
        self._expires = time.monotonic() + seconds
        self._runs = runs
        self._stopped = False
        self._replay: Replay | None = None
        self._watch: Watch | None = None

    def stop(self) -> None:
        """The job is over: keep tasks of a detached job from being begun, and wait only for those that were."""
        self._stopped = True
        if self._watch is not None and self._runs:
            self._watch.forbid()
        if self._replay is not None:
            self._replay.stop()

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:  # noqa: ARG002
        """Open the way."""
        endpoint = self._endpoint(notify)
        if endpoint.store is not None:
            place = Place.of_job(endpoint.store, self._job.id, key=self._job.key)
            self._watch = Watch(place, endpoint.limits.timeout, self._runs)
        self._replay = Replay(self._recall, self._watch, self._expires, endpoint.sender, self._rest, self._why_left)
        if self._stopped:
            self.stop()
        return replace(endpoint, sender=self._replay, workers=endpoint.workers + len(self._recall.flying))

    def larger(self, factor: float) -> Backend | None:  # noqa: ARG002
        """Return None: a task that ran out of memory in an earlier process gets no more in this one."""
        return None
