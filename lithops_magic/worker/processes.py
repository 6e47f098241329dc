"""Runs the tasks of a request on several processes of one sandbox, to use all of its CPUs.

It uses only pipes: `multiprocessing`'s locks, queues and pools need `/dev/shm`, which Lambda lacks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .alarm import Alarm
from .capture import Log
from .channel import Channel
from .fault import Fault
from .process import Process, attend
from .reply import Reply, relieve
from .store import forget
from .task import Runner

GRACE = 0.5
"""Share of the alarm's margin in which a process may report what it was doing; then it is killed."""
LOOK = 0.5
"""Seconds between checks for dead processes: a task's children may hold their pipes open."""

Task = dict[str, Any]


class _Worker:
    """A process that runs one task at a time."""

    process: Process

    def __init__(self, runner: Runner, alarm: Alarm, others: Iterable[_Worker]) -> None:
        end = time.monotonic() + alarm.left()

        def life(channel: Channel, log: Log) -> None:
            mine = Alarm(end)
            while True:
                channel.send(relieve(runner.run(channel.receive(), mine, log), runner.store))

        self.process = Process(life, [each for other in others for each in other.process.descriptors])
        self.task: Task | None = None
        self._given = (0.0, 0.0)

    def give(self, task: Task) -> None:
        self.process.channel.send(task)
        self.task = task
        self._given = time.time(), time.perf_counter()

    def bury(self, *, killed: bool = False) -> dict[str, Any]:
        """Kill it, and return the outcome of the task it died of, or was killed in because its time was up."""
        assert self.task is not None
        code = self.process.end(silent=not killed)
        end = {"status": "timeout"} if killed else {"status": "died", "code": code}
        started, clock = self._given
        timing = {"started": started, "seconds": time.perf_counter() - clock}
        return {"id": self.task["id"], **end, **timing, "log": self.process.take()}


def run_all(tasks: Sequence[Task], count: int, runner: Runner, alarm: Alarm, reply: Reply, log: Log) -> None:
    """Run `tasks` on `count` processes; one that dies is replaced and loses only its own task.

    Parameters
    ----------
    runner
        Runs one task and returns its outcome.
    alarm
        When it rings, no further task is started.
    reply
        Takes the outcomes as they arrive; when it is full, no further task is started.
    log
        Returns what this process has printed since the last call.
    """
    # Loaded before the fork, the function costs its time and memory only once.
    runner.prepare(alarm)
    loading = log()
    # Processes must not share a connection to S3.
    forget()
    waiting = deque(tasks)
    workers: list[_Worker] = []
    roomy = True
    try:
        while True:
            open_ = roomy and not alarm.rang
            _keep_busy(workers, waiting if open_ else deque(), count, runner, alarm)
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return
            for outcome in _collect(busy, workers, alarm):
                outcome["log"], loading = loading + outcome["log"], ""
                roomy = reply.add(outcome) and roomy
    finally:
        # The sandbox is frozen after the reply, and must not keep anything of this request.
        for worker in workers:
            worker.process.end()


def _keep_busy(workers: list[_Worker], waiting: deque[Task], count: int, runner: Runner, alarm: Alarm) -> None:
    while waiting:
        worker = next((worker for worker in workers if worker.task is None), None)
        if worker is None:
            if len(workers) == count:
                return
            worker = _Worker(runner, alarm, workers)
            workers.append(worker)
        try:
            worker.give(waiting[0])
            waiting.popleft()
        except OSError:  # a thread of an earlier task has ended it
            workers.remove(worker)
            worker.process.end()


def _collect(busy: list[_Worker], workers: list[_Worker], alarm: Alarm) -> list[dict[str, Any]]:
    """Wait for messages of busy processes; dead ones are removed from `workers`."""
    # A signal does not interrupt this wait, so it must not outlast the alarm.
    patience = GRACE * alarm.margin if alarm.rang else min(LOOK, max(0.0, alarm.left() - alarm.margin) + 0.001)
    late = alarm.rang
    until = time.monotonic() + patience
    while not (news := attend([worker.process for worker in busy], max(0.0, until - time.monotonic()))):
        if time.monotonic() >= until:
            break
    said = {id(process): message for process, message in news}
    outcomes = []
    for worker in busy:
        message = said.get(id(worker.process), ...)
        if message is None or (late and not news):
            workers.remove(worker)
            outcomes.append(worker.bury(killed=message is not None))
        elif message is not ...:
            if "fault" in message:
                raise Fault(message["fault"])
            worker.task = None
            outcomes.append(message)
    return outcomes
