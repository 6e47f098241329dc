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
from .process import CHECK_INTERVAL, Process, receive_any
from .reply import Reply, spilled
from .store import forget
from .task import Runner

REPORT_SHARE = 0.5
"""Share of the alarm's margin in which a process may report what it was doing; then it is killed."""

Task = dict[str, Any]


class _Worker:
    """A process that runs one task at a time."""

    process: Process

    def __init__(self, runner: Runner, alarm: Alarm, others: Iterable[_Worker]) -> None:
        end = time.monotonic() + alarm.left()

        def main(channel: Channel, log: Log) -> None:
            own_alarm = Alarm(end)
            while True:
                channel.send(spilled(runner.run(channel.receive(), own_alarm, log), runner.store))

        self.process = Process(main, [each for other in others for each in other.process.descriptors])
        self.task: Task | None = None
        self._assigned = (0.0, 0.0)

    def assign(self, task: Task) -> None:
        self.process.channel.send(task)
        self.task = task
        self._assigned = time.time(), time.perf_counter()

    def reap(self, *, killed: bool = False) -> dict[str, Any]:
        """Kill it, and return the outcome of the task it died of, or was killed in because its time was up."""
        assert self.task is not None
        code = self.process.end(silent=not killed)
        outcome = {"status": "timeout"} if killed else {"status": "died", "code": code}
        started, clock = self._assigned
        timing = {"started": started, "seconds": time.perf_counter() - clock}
        return {"id": self.task["id"], **outcome, **timing, "log": self.process.take()}


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
    has_room = True
    try:
        while True:
            accepting = has_room and not alarm.rang
            _assign(workers, waiting if accepting else deque(), count, runner, alarm)
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return
            for outcome in _collect(busy, workers, alarm):
                outcome["log"], loading = loading + outcome["log"], ""
                has_room = reply.add(outcome) and has_room
    finally:
        # The sandbox is frozen after the reply, and must not keep anything of this request.
        for worker in workers:
            worker.process.end()


def _assign(workers: list[_Worker], waiting: deque[Task], count: int, runner: Runner, alarm: Alarm) -> None:
    while waiting:
        worker = next((worker for worker in workers if worker.task is None), None)
        if worker is None:
            if len(workers) == count:
                return
            worker = _Worker(runner, alarm, workers)
            workers.append(worker)
        try:
            worker.assign(waiting[0])
            waiting.popleft()
        except OSError:  # a thread of an earlier task has ended it
            workers.remove(worker)
            worker.process.end()


def _collect(busy: list[_Worker], workers: list[_Worker], alarm: Alarm) -> list[dict[str, Any]]:
    """Wait for messages of busy processes; dead ones are removed from `workers`."""
    # A signal does not interrupt this wait, so it must not outlast the alarm.
    timeout = (
        REPORT_SHARE * alarm.margin
        if alarm.rang
        else min(CHECK_INTERVAL, max(0.0, alarm.left() - alarm.margin) + 0.001)
    )
    overdue = alarm.rang
    deadline = time.monotonic() + timeout
    while not (received := receive_any([worker.process for worker in busy], max(0.0, deadline - time.monotonic()))):
        if time.monotonic() >= deadline:
            break
    messages = {id(process): message for process, message in received}
    outcomes = []
    for worker in busy:
        message = messages.get(id(worker.process), ...)
        if message is None or (overdue and not received):
            workers.remove(worker)
            outcomes.append(worker.reap(killed=message is not None))
        elif message is not ...:
            if "fault" in message:
                raise Fault(message["fault"])
            worker.task = None
            outcomes.append(message)
    return outcomes
