"""Gives each invocation a sandbox: warm before cold, most recently used first, never more than the limit."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import uuid
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lithops_magic.local.model import RunnableVersion
from lithops_magic.local.sandbox.runtime_api import Call
from lithops_magic.local.sandbox.sandbox import Invoked, Sandbox, SandboxContext

T = TypeVar("T")


class Pool:
    """At most `workers` sandboxes, each for one version of one function."""

    def __init__(self, state: Path, workers: int, platform: SandboxContext) -> None:
        self._homes = state / "sandboxes"
        self._opts = state / "opt"
        for folder in (self._homes, self._opts):
            folder.mkdir(parents=True)
        self._workers = workers
        self._platform = platform
        self._idle: list[Sandbox] = []
        """Most recently used last."""
        self._busy: set[Sandbox] = set()
        self._starting = 0
        self._waiting: deque[tuple[RunnableVersion, asyncio.Future[Sandbox | None]]] = deque()
        self._calls: set[asyncio.Task[Any]] = set()
        self._closings: set[asyncio.Task[Any]] = set()

    @property
    def busy(self) -> int:
        """Invocations running or waiting for a sandbox."""
        return len(self._calls)

    async def invoke(self, version: RunnableVersion, call: Call) -> Invoked:
        """Run one invocation to its end even if the caller disconnects: on Lambda, it could not be stopped either."""
        return await asyncio.shield(spawn(self._run(version, call), self._calls))

    def retire(self, name: str) -> None:
        """Close the sandboxes of a changed or deleted function, busy ones after their invocation."""
        for sandbox in [sandbox for sandbox in self._idle if sandbox.version.name == name]:
            self._idle.remove(sandbox)
            self._end(sandbox)
        for sandbox in self._busy:
            sandbox.stale = sandbox.stale or sandbox.version.name == name

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for sandbox in self._idle:
            self._end(sandbox)
        await asyncio.gather(*self._closings)

    async def _run(self, version: RunnableVersion, call: Call) -> Invoked:
        sandbox = await self._acquire(version)
        try:
            return await sandbox.invoke(call)
        except BaseException:
            # Its process may still be at work on this invocation.
            sandbox.stale = True
            raise
        finally:
            self._release(sandbox)

    async def _acquire(self, version: RunnableVersion) -> Sandbox:
        """Return a sandbox, marked busy until it is released."""
        sandbox = self._warm(version)
        if sandbox is None and not self._reserve():
            turn: asyncio.Future[Sandbox | None] = asyncio.get_running_loop().create_future()
            self._waiting.append((version, turn))
            sandbox = await turn
        if sandbox is None:
            sandbox = await self._create(version)
        self._busy.add(sandbox)
        return sandbox

    def _warm(self, version: RunnableVersion) -> Sandbox | None:
        # Most recently used first: the system may have reclaimed the memory of the others, which then wake slowly.
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].version == version:
                sandbox = self._idle.pop(index)
                sandbox.thaw()
                return sandbox
        return None

    def _reserve(self) -> bool:
        """Reserve a slot for a new sandbox, evicting the least recently used one if need be."""
        if len(self._idle) + len(self._busy) + self._starting >= self._workers:
            if not self._idle:
                return False
            self._end(self._idle.pop(0))
        self._starting += 1
        return True

    def _release(self, sandbox: Sandbox) -> None:
        """Hand the sandbox, or its slot, to the longest-waiting invocation; else keep it warm."""
        following = self._next_waiting()
        if following and following[0] == sandbox.version and not sandbox.stale:
            following[1].set_result(sandbox)
            return
        self._busy.discard(sandbox)
        if following:
            # The ended sandbox's slot is handed on, so that no later invocation can take it.
            self._starting += 1
            following[1].set_result(None)
        if following or sandbox.stale:
            self._end(sandbox)
        else:
            sandbox.freeze()
            self._idle.append(sandbox)

    def _next_waiting(self) -> tuple[RunnableVersion, asyncio.Future[Sandbox | None]] | None:
        while self._waiting:
            version, turn = self._waiting.popleft()
            if not turn.done():
                return version, turn
        return None

    def _end(self, sandbox: Sandbox) -> None:
        spawn(sandbox.close(), self._closings)

    async def _create(self, version: RunnableVersion) -> Sandbox:
        try:
            opt = await asyncio.to_thread(self._merged_layers, version.layers)
            return Sandbox(version, self._homes / uuid.uuid4().hex, opt, self._platform)
        except BaseException:
            # The reserved slot must not be lost: whoever waits longest may use it.
            following = self._next_waiting()
            if following:
                self._starting += 1
                following[1].set_result(None)
            raise
        finally:
            self._starting -= 1

    def _merged_layers(self, layers: tuple[Path, ...]) -> Path:
        """Return a folder with the layers merged, built once per combination."""
        if len(layers) == 1:
            return layers[0]
        target = self._opts / hashlib.sha256("\0".join(map(str, layers)).encode()).hexdigest()
        if not target.exists():
            scratch = self._opts / uuid.uuid4().hex
            scratch.mkdir()
            for layer in layers:
                shutil.copytree(layer, scratch, symlinks=True, dirs_exist_ok=True, copy_function=link_or_copy)
            try:
                scratch.rename(target)
            except OSError:
                # Another sandbox of the same function has already built it.
                shutil.rmtree(scratch)
        return target


def spawn(work: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
    """Run `work` as a task, referenced in `tasks` until it is done (asyncio itself holds tasks only weakly)."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


def link_or_copy(source: str, target: str) -> None:
    """Link or copy a file; a later layer's replaces an earlier one's."""
    # Never overwritten: the target may be a hard link to a file of the earlier layer, which has to stay as it is.
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
