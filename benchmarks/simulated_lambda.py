"""A Lambda service that only takes time: it enforces AWS's scaling quota, starts, crashes and answers as AWS would.

It runs nothing. An invocation lasts as long as the durations of its tasks, which a task's index determines; the value
of a task is its item. New environments come from a bucket of their function that AWS fills at a thousand per ten
seconds and that holds no more; an invocation that finds neither an idle environment of its function nor one in the
bucket is answered with 429, as is one for which the account has too much running already.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import heapq
import json
import math
import random
import re
import resource
import subprocess
import sys
import time
import urllib.request
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from null_lambda import IDENTITY

from lithops_magic.worker.seal import sealed

SEED = 20260101
SIGMA = 0.6
"""Standard deviation of a duration's logarithm: the slowest tenth takes more than twice the median."""
STRAGGLERS = 0.001
DELAY = 9
"""Means by which a straggler is slower the first time it runs, and only then: its environment is slow, not the task."""
_TASK = re.compile(rb'"id":(\d+),"data":"([^"]*)"')
_CONFIGURATION = {
    "FunctionName": "simulated",
    "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:simulated",
    "MemorySize": 1769,
    "Timeout": 900,
    "State": "Active",
}
_CRASH = (
    b'{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r Error: Runtime exited with error: exit status 1"}'
)
_FULL = b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}'


def _field(body: bytes, name: bytes) -> str:
    """Return a text field of a request that precedes its tasks."""
    return body.partition(b'"%s":"' % name)[2].partition(b'"')[0].decode()


@dataclass(frozen=True)
class World:
    """What the service allows and how its tasks behave."""

    tasks: int
    mean: float
    """Seconds of a task, stragglers left out."""
    concurrency: int
    """Of the account."""
    burst: int = 1000
    """Environments of one function that can start at once."""
    refill: float = 100.0
    """Further environments of it per second."""
    copies: int = 1
    """How often the function may be deployed."""
    crashes: float = 0.01
    """Share of the invocations that end with their sandbox."""
    cold: float = 0.25
    """Seconds that a new environment takes to start."""

    def durations(self) -> array[float]:
        """Return the seconds of each task the first time it runs."""
        dice = random.Random(SEED)
        middle = math.log(self.mean) - SIGMA**2 / 2  # the mean of a log-normal is above its median
        durations = array("d", (dice.lognormvariate(middle, SIGMA) for _ in range(self.tasks)))
        for index in self.stragglers():
            durations[index] += DELAY * self.mean
        return durations

    def stragglers(self) -> frozenset[int]:
        """Return which tasks are slow the first time."""
        return frozenset(random.Random(SEED + 2).sample(range(self.tasks), round(self.tasks * STRAGGLERS)))

    def least_makespan(self, durations: array[float]) -> float:
        """Return the theoretical minimum in seconds: all that the quota allows works without a pause."""
        work, burst, refill = sum(durations), self.burst * self.copies, self.refill * self.copies
        ramp = max(0.0, (self.concurrency - burst) / refill)
        before_full = ramp * (min(burst, self.concurrency) + self.concurrency) / 2
        if work >= before_full:
            spent = ramp + (work - before_full) / self.concurrency
        else:  # the root of burst * t + refill / 2 * t**2 = work
            spent = ((burst**2 + 2 * refill * work) ** 0.5 - burst) / refill
        return max(spent, max(durations))

    def in_order_makespan(self, durations: array[float]) -> float:
        """Return the seconds of a scheduler that knows no duration: as above, but the tasks are taken in order."""
        burst, refill = self.burst * self.copies, self.refill * self.copies
        free = [max(0.0, (k + 1 - burst) / refill) for k in range(self.concurrency)]
        heapq.heapify(free)
        ended = 0.0
        for seconds in durations:
            end = free[0] + seconds
            heapq.heapreplace(free, end)
            ended = max(ended, end)
        return ended


class Function:
    """One function: its idle environments, and how many more AWS starts for it now."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.idle = 0
        self.bucket, self.filled = float(world.burst), time.monotonic()

    def start(self) -> bool:
        """Whether AWS starts another environment."""
        now = time.monotonic()
        self.bucket = min(self.world.burst, self.bucket + (now - self.filled) * self.world.refill)
        self.filled = now
        if self.bucket < 1:
            return False
        self.bucket -= 1
        return True


class Service:
    """The account: its functions, and what has happened in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.durations = world.durations()
        self.stragglers = world.stragglers()
        self.runs = bytearray(world.tasks)
        """How often each task was started, that is, its side effects."""
        self.dice = random.Random(SEED + 1)
        self.functions: dict[bytes, Function] = {}
        self.running = 0
        self.counts = dict.fromkeys(("invocations", "throttled", "crashed", "cold", "most_running"), 0)

    def function(self, name: bytes) -> Function:
        if name not in self.functions:
            self.functions[name] = Function(self.world)
        return self.functions[name]

    def environment(self, function: Function) -> str:
        """Take an environment; return "warm" or "cold", or "" if none is available."""
        if self.running >= self.world.concurrency:
            return ""
        warm = function.idle > 0
        if warm:
            function.idle -= 1
        elif not function.start():
            return ""
        self.running += 1
        self.counts["cold"] += not warm
        self.counts["most_running"] = max(self.counts["most_running"], self.running)
        return "warm" if warm else "cold"

    def seconds(self, index: int) -> float:
        """Return how long a task takes if it runs now."""
        slow = index in self.stragglers and self.runs[index]
        return self.durations[index] - (DELAY * self.world.mean if slow else 0.0)

    def begin(self, function: Function, body: bytes) -> tuple[float, bytes] | None:
        """Return how long an invocation takes and its answer; None if it is refused."""
        state = self.environment(function)
        if not state:
            self.counts["throttled"] += 1
            return None
        self.counts["invocations"] += 1
        tasks = [(int(index), data) for index, data in _TASK.findall(body)]
        crashed = self.dice.random() < self.world.crashes
        # A crash interrupts the work anywhere; only tasks started by then have had an effect.
        until = self.dice.random() * sum(self.seconds(index) for index, _ in tasks) if crashed else float("inf")
        spent, outcomes = 0.0, []
        for index, data in tasks:
            seconds = self.seconds(index)
            self.runs[index] = min(255, self.runs[index] + 1)
            outcomes.append(
                b'{"id":%d,"status":"ok","value":"%s","started":0,"seconds":%.6f,"log":""}' % (index, data, seconds)
            )
            spent += seconds
            if spent > until:
                break
        init = self.world.cold if state == "cold" else 0.0
        if crashed:
            self.counts["crashed"] += 1
            return until + init, response(200, _CRASH, b"X-Amz-Function-Error: Unhandled\r\n" + _log(until, init))
        protocol = body[body.index(b'"protocol":') + 11 : body.index(b",")]
        reply = b'"protocol":%s,"sandbox":"s","cold":%s,"python":"%d.%d","outcomes":[%s]}' % (
            protocol,
            b"true" if init else b"false",
            *sys.version_info[:2],
            b",".join(outcomes),
        )
        key, name = (_field(body, field) for field in (b"key", b"request"))
        answer = sealed([reply], bytes.fromhex(key), name)
        return spent + init, response(200, answer, _log(spent, init))

    def end(self, function: Function, crashed: bool) -> None:
        """Give an environment back."""
        self.running -= 1
        function.idle += not crashed

    def facts(self) -> dict[str, Any]:
        return {
            **self.counts,
            "functions": len(self.functions),
            "service_cpu": time.process_time(),
            "run": sum(1 for times in self.runs if times),
            "run_twice": sum(1 for times in self.runs if times > 1),
        }


def _log(seconds: float, init: float) -> bytes:
    times = f"Duration: {seconds * 1000:.2f} ms\tBilled Duration: {(seconds + init) * 1000 + 1:.0f} ms"
    start = f"Init Duration: {init * 1000:.2f} ms\t" if init else ""
    text = f"\nREPORT RequestId: r\t{times}\tMemory Size: 1769 MB\tMax Memory Used: 40 MB\t{start}"
    return b"X-Amz-Log-Result: %s\r\n" % base64.b64encode(text.encode())


def response(status: int, body: bytes, headers: bytes = b"") -> bytes:
    usual = b"Content-Type: application/json\r\nX-Amzn-RequestId: r\r\nContent-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d X\r\n%s%s\r\n%s" % (status, usual, headers, body)


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection with one request at a time, limited to what our transport and boto3 use."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        line, _, headers = head.partition(b"\r\n")
        at = headers.lower().find(b"content-length:")
        length = int(headers[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(body) >= length:
            self.buffer = b""
            self.answer(line, body)

    def answer(self, line: bytes, body: bytes) -> None:
        if b"/invocations" in line:
            function = self.service.function(line.split(b"/", 4)[3])
            begun = self.service.begin(function, body)
            if begun is None:
                self.transport.write(response(429, _FULL, b"x-amzn-ErrorType: TooManyRequestsException\r\n"))
            else:
                asyncio.get_running_loop().call_later(begun[0], partial(self.finish, function, begun[1]))
        elif line.startswith(b"POST / "):
            self.transport.write(response(200, IDENTITY.encode()))
        elif b"/facts" in line:
            self.transport.write(response(200, json.dumps(self.service.facts()).encode()))
        else:
            limits = {"UnreservedConcurrentExecutions": self.service.world.concurrency}
            answer = {"AccountLimit": limits, "Configuration": _CONFIGURATION}
            self.transport.write(response(200, json.dumps(answer).encode()))

    def finish(self, function: Function, reply: bytes) -> None:
        self.service.end(function, b"X-Amz-Function-Error" in reply)
        self.transport.write(reply)


async def serve(world: World) -> None:
    service = Service(world)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, service), "127.0.0.1", 0, backlog=16_384)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def settings_for(url: str) -> Any:
    """Return the engine's settings for the service at an address; imported only now, since the service needs none."""
    from lithops_magic.config import Settings

    return Settings(
        local=False,
        region="us-east-1",
        execution_role="arn:aws:iam::123456789012:role/simulated",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="secret",
        endpoint_url=url,
        timeout=900,
    )


def allow_files() -> None:
    """Allow a socket for each connection."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def simulated_lambda(world: World) -> Iterator[str]:
    """Run the service in its own process and yield its URL."""
    command = [sys.executable, __file__, json.dumps(asdict(world))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def facts(url: str) -> dict[str, Any]:
    """Return what has happened in the account."""
    with urllib.request.urlopen(f"{url}/facts") as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("world", help="JSON")
    allow_files()
    asyncio.run(serve(World(**json.loads(arguments.parse_args().world))))
