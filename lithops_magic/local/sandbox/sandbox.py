"""One execution environment: a folder, a log stream and the processes that run a function in it, one at a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lithops_magic.local.model import RunnableVersion, SandboxCredentials
from lithops_magic.local.sandbox import platform_log
from lithops_magic.local.sandbox.cpu_share import CpuShare
from lithops_magic.local.sandbox.isolation import Isolation, View
from lithops_magic.local.sandbox.memory_limit import MemoryWatch
from lithops_magic.local.sandbox.platform_log import Outcome
from lithops_magic.local.sandbox.process import Output, SandboxProcess
from lithops_magic.local.sandbox.runtime_api import Call, Reply, RuntimeApi

Credentials = Callable[[str, str], Awaitable[SandboxCredentials]]
"""Takes the ARN of the execution role and the function's name."""

LOG_INTERVAL = 0.25
"""Seconds between shipments of a running function's output to its log."""
LOG_KEPT = 65_536
"""Characters of an invocation's log kept for its reply, which includes the last 4 KB."""
INIT_LIMIT = 10.0
"""Seconds of Lambda's Init phase; a longer one is restarted inside the first invocation."""

XRAY = {
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
"""X-Ray's variables as functions see them; its SDK sends datagrams, which nothing receives here."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """A finished invocation.

    Attributes
    ----------
    function_error
        Value of `X-Amz-Function-Error`, None when the function returned.
    log
        The function's output, framed by Lambda's own lines.
    """

    payload: bytes
    function_error: str | None
    log: str


@dataclass(frozen=True, slots=True)
class SandboxContext:
    """What all sandboxes of a server share."""

    isolation: Isolation
    watch: MemoryWatch
    variables: dict[str, str]
    """Region and endpoint, as in the functions' environment."""
    credentials: Credentials
    log: Callable[[str, str, str], None]
    """Takes log group, log stream and text."""
    share: CpuShare | None = None
    """None if every sandbox may use all CPUs."""


class Sandbox:
    """Runs one invocation at a time.

    Parameters
    ----------
    home
        This sandbox's folder; removed by `close`.
    opt
        What the function sees as `/opt`.
    """

    def __init__(self, version: RunnableVersion, home: Path, opt: Path, platform: SandboxContext) -> None:
        self.version = version
        self.stale = False
        self._platform = platform
        mounts = tuple((mount.target, mount.source) for mount in version.mounts)
        self._view = View(home, version.code, opt, mounts, version.ephemeral_storage)
        for folder in (home, self._view.tmp, self._view.root):
            folder.mkdir(mode=0o700)
        self._output = Output(home / "output")
        self._stream = f"{datetime.now(UTC):%Y/%m/%d}/[{version.version}]{os.urandom(16).hex()}"
        self._process: SandboxProcess | None = None
        self._initialized = False
        self._peak = 0
        self._line = b""
        """Output since the last newline."""
        self._unshipped = self._log_tail = ""
        """The beginning and end of this invocation's log."""

    async def invoke(self, call: Call) -> Invoked:
        """Run one event; a failure of the function becomes a payload worded as on Lambda."""
        log = ""
        init: float | None = None
        if not self._initialized:
            init, log = await self._init_phase()
        started = time.perf_counter()
        log += platform_log.start_line(call.request_id, self.version.version)
        self._log_tail, self._unshipped = "", log
        shipping = asyncio.create_task(self._ship_while_it_runs())
        try:
            outcome, more = await self._within_timeout(call)
        finally:
            shipping.cancel()
        elapsed = time.perf_counter() - started
        if outcome.status == "timeout":
            # What Lambda reports, however long the kill took.
            elapsed = float(self.version.timeout)
        log = more + self._take_log() + outcome.message
        size = self.version.memory
        log += platform_log.end_lines(call.request_id, outcome, elapsed * 1000, init, size, self._peak)
        self._ship(log)
        return Invoked(outcome.payload, "Unhandled" if outcome.failed else None, self._log_tail)

    async def _ship_while_it_runs(self) -> None:
        """Ship complete lines to the log as they are printed, as AWS does, so that a log can be followed live."""
        while True:
            await asyncio.sleep(LOG_INTERVAL)
            printed = self._line + self._output.read()
            end = printed.rfind(b"\n") + 1 if len(printed) < LOG_KEPT else len(printed)
            self._line = printed[end:]
            self._ship(printed[:end].decode(errors="replace"))

    def _ship(self, text: str) -> None:
        text, self._unshipped = self._unshipped + text, ""
        if text:
            self._platform.log(self.version.log_group, self._stream, text)
            self._log_tail = (self._log_tail + text)[-LOG_KEPT:]

    def freeze(self) -> None:
        """Stop processes the function left running, as Lambda does between invocations."""
        if self._process:
            self._process.freeze()

    def thaw(self) -> None:
        if self._process:
            self._process.thaw()

    async def close(self) -> None:
        """Kill the process and remove the sandbox's folder."""
        await self._end_process()
        self._output.close()
        # In a thread: other invocations must not wait while a large `/tmp` is deleted.
        await asyncio.to_thread(shutil.rmtree, self._view.home, ignore_errors=True)

    async def _init_phase(self) -> tuple[float | None, str]:
        """Return its milliseconds (None if the first invocation has to retry it) and what was logged."""
        self._initialized = True
        started = time.perf_counter()
        try:
            async with asyncio.timeout(INIT_LIMIT):
                failure = await self._start_process("")
        except TimeoutError:
            failure = Outcome(b"", True, "timeout")
        milliseconds = (time.perf_counter() - started) * 1000
        if failure is None:
            return milliseconds, self._take_log()
        await self._end_process()
        return None, self._take_log() + platform_log.init_line(milliseconds, "init", failure)

    async def _within_timeout(self, call: Call) -> tuple[Outcome, str]:
        # Only now: the Init phase has its own limit and does not count against the function's timeout, as on Lambda.
        call.deadline = time.time() + self.version.timeout
        log: list[str] = []
        try:
            async with asyncio.timeout(self.version.timeout):
                outcome = await self._run(call, log)
        except TimeoutError:
            outcome = platform_log.timed_out(call.request_id, self.version.timeout)
        process = self._process
        if process and not process.exited.done():
            process.check_peak()
            if process.out_of_memory:
                outcome = platform_log.exited(call.request_id, -9, True)
        if outcome.status:
            await self._end_process()
        elif process:
            self._platform.watch.discard(process)
            self._peak = max(self._peak, process.peak)
        return outcome, "".join(log)

    async def _run(self, call: Call, log: list[str]) -> Outcome:
        """Hand the event over, starting a process first if there is none."""
        while True:
            if self._process is None:
                started = time.perf_counter()
                failure = await self._start_process(call.request_id)
                if failure is not None:
                    milliseconds = (time.perf_counter() - started) * 1000
                    log.append(self._take_log() + platform_log.init_line(milliseconds, "invoke", failure))
                    return failure
            process = self._process
            assert process is not None
            # Sampled only while it is busy: between invocations it is frozen.
            self._platform.watch.add(process)
            process.api.offer(call)
            await first_of(call.reply, process.exited)
            if call.reply.done():
                return outcome_of(call.reply.result())
            if call.delivered:
                return platform_log.exited(call.request_id, process.exited.result(), process.out_of_memory)
            # It exited after its last reply, before asking for this event.
            await self._end_process()

    async def _start_process(self, request_id: str) -> Outcome | None:
        """Start a process and wait until it asks for an event; return the failure if it never does."""
        api = RuntimeApi()
        session = await self._platform.credentials(self.version.role, self.version.name)
        environment = self._environment(await api.start(), session)
        specification = self._platform.isolation.specification(self._view, environment)
        supervisors = self._platform.isolation.supervisors
        self._peak = 0
        process = SandboxProcess(api, self._output, supervisors, self.version.memory << 20, self._platform.share)
        self._process = process
        process.start(specification)
        self._platform.watch.add(process)
        await first_of(api.ready, process.exited)
        if not api.ready.done():
            return await self._died_at_start(request_id, process)
        body = api.ready.result()
        if body is None:
            return None
        return platform_log.init_failed(body)

    async def _died_at_start(self, request_id: str, process: SandboxProcess) -> Outcome:
        status = process.exited.result()
        if request_id and status < 0 and not process.out_of_memory:
            # Lambda keeps restarting such a function until its timeout.
            await asyncio.Event().wait()
        return platform_log.exited(request_id, status, process.out_of_memory)

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process:
            self._platform.watch.discard(process)
            await process.close()
            self._peak = max(self._peak, process.peak)

    def _take_log(self) -> str:
        printed, self._line = self._line + self._output.read(), b""
        return printed.decode(errors="replace")

    def _environment(self, address: str, session: SandboxCredentials) -> dict[str, str]:
        """Return the function's own variables and those Lambda documents; none of the host's."""
        # The function's own variables override those above them, such as TZ and PATH, but none of those below.
        version = self.version
        return {
            "LANG": "en_US.UTF-8",
            "SHLVL": "0",
            "TZ": ":UTC",
            **XRAY,
            **self._platform.variables,
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
            **self._platform.isolation.paths(self._view),
            **dict(version.environment),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory),
            "AWS_LAMBDA_FUNCTION_NAME": version.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream,
            "AWS_LAMBDA_RUNTIME_API": address,
            "_HANDLER": version.handler,
        }


async def first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def outcome_of(reply: Reply) -> Outcome:
    return platform_log.too_large() if reply.payload is None else Outcome(reply.payload, reply.failed)
