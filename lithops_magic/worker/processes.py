"""Runs the tasks of a request on several processes of one sandbox, so that all its CPUs work.

Lambda has no `/dev/shm`, without which the locks, queues and pools of `multiprocessing` fail: these are only pipes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NoReturn

from .alarm import Alarm
from .reply import Reply, relieve
from .store import forget
from .task import Runner

GRACE = 0.5
"""Share of the alarm's margin that a process gets to report what it was doing; then it is killed."""
LOOK = 0.5
"""Seconds after which to look for the dead: what a task has spawned may hold its pipe open."""

Task = dict[str, Any]


class _Child:
    """A process that runs one task after the other."""

    def __init__(self, runner: Runner, alarm: Alarm, others: Sequence[_Child]) -> None:
        self.connection, theirs = Pipe()
        self.task: Task | None = None
        self._given = (0.0, 0.0)
        self._status: int | None = None
        # What is buffered would be written by both.
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Libraries may have started threads, which the child lacks; they are made for that.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            for connection in (self.connection, *(other.connection for other in others)):
                connection.close()
            _serve(theirs, runner, alarm.left())
        theirs.close()

    def give(self, task: Task) -> None:
        self.task = task
        self._given = time.time(), time.perf_counter()
        self.connection.send(task)

    def take(self) -> dict[str, Any]:
        """Return the outcome of its task; raises EOFError or OSError if it died over it."""
        outcome: dict[str, Any] = self.connection.recv()
        self.task = None
        return outcome

    def is_dead(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self._status = status
        return pid != 0

    def bury(self, task: Task, *, kill: bool = False) -> dict[str, Any]:
        """Return the outcome of a task whose process died, or is killed because its time is up."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
        code = os.waitstatus_to_exitcode(self._wait())
        started, clock = self._given
        end = {"status": "timeout"} if kill else {"status": "died", "code": code}
        return {"id": task["id"], **end, "started": started, "seconds": time.perf_counter() - clock, "log": ""}

    def end(self) -> None:
        """Let it exit: the sandbox is frozen after the reply, and must not keep what belongs to this request."""
        if self.task is not None:
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()
        self._wait()

    def _wait(self) -> int:
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        return self._status


def run_all(tasks: Sequence[Task], count: int, runner: Runner, alarm: Alarm, reply: Reply) -> None:
    """Run `tasks` on `count` processes; one that dies takes no other task with it and is replaced.

    Parameters
    ----------
    runner
        Runs one task and returns its outcome.
    alarm
        When it rings, no task is begun any more.
    reply
        Takes the outcomes, in the order in which they arrive; when it is full, no task is begun any more.
    """
    # Loaded before the fork, the function takes its time and its memory once.
    runner.prepare(alarm)
    # No process may go on where another one is in a conversation with S3.
    forget()
    waiting = deque(tasks)
    children: list[_Child] = []
    roomy = True
    try:
        while True:
            open_ = roomy and not alarm.rang
            _keep_busy(children, waiting if open_ else deque(), count, runner, alarm)
            busy = [child for child in children if child.task is not None]
            if not busy:
                return
            for outcome in _collect(busy, children, alarm):
                roomy = reply.add(outcome) and roomy
    finally:
        for child in children:
            child.end()


def _keep_busy(children: list[_Child], waiting: deque[Task], count: int, runner: Runner, alarm: Alarm) -> None:
    while waiting:
        child = next((child for child in children if child.task is None), None)
        if child is None:
            if len(children) == count:
                return
            child = _Child(runner, alarm, children)
            children.append(child)
        try:
            child.give(waiting[0])
            waiting.popleft()
        except OSError:  # a thread of an earlier task has ended it
            children.remove(child)
            child.end()


def _collect(busy: list[_Child], children: list[_Child], alarm: Alarm) -> list[dict[str, Any]]:
    """Wait for news of the processes that have a task; the dead are taken off `children`."""
    # A signal does not end this wait, so that it must not last beyond the alarm.
    patience = GRACE * alarm.margin if alarm.rang else min(LOOK, max(0.0, alarm.left() - alarm.margin) + 0.001)
    late = alarm.rang
    ready = wait([child.connection for child in busy], patience)
    late = late and not ready
    outcomes = []
    for child in busy:
        assert child.task is not None
        task = child.task
        if child.connection in ready:
            try:
                outcomes.append(child.take())
            except (EOFError, OSError):
                children.remove(child)
                outcomes.append(child.bury(task))
        elif late or child.is_dead():
            children.remove(child)
            outcomes.append(child.bury(task, kill=late))
    return outcomes


def _serve(connection: Connection, runner: Runner, seconds: float) -> NoReturn:
    """The life of a process."""
    alarm = Alarm(seconds)
    try:
        while True:
            outcome = relieve(runner.run(connection.recv(), alarm), runner.store)
            sys.stdout.flush()
            sys.stderr.flush()
            connection.send(outcome)
    except EOFError:
        os._exit(0)
    finally:
        # Neither the handlers nor the buffers of the process it was forked from are its own.
        os._exit(1)
