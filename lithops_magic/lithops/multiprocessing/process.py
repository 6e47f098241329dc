"""The `Process` of `multiprocessing`: one call on AWS Lambda."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from lithops_magic.lithops import inside
from lithops_magic.lithops.multiprocessing import config

_numbers = itertools.count(1)
_children: list[CloudProcess] = []
_executors: dict[str, Any] = {}
"""The executors by configuration: their processes share one deployed function."""


class CloudProcess:
    """A call with the interface of a process.

    Its output is printed when it is joined; its return value is discarded, like any process's. If it fails, `join`
    raises its error, as in Lithops.

    Parameters
    ----------
    group
        None.
    target, args, kwargs
        The function to call, unless a subclass overrides `run`.
    name
        Its name.
    daemon
        Ignored: nothing waits for it in any case.
    """

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        # Conditions and texts are those of `multiprocessing`, for programs that rely on them.
        assert group is None, "process grouping is not implemented"
        self._target, self._args, self._kwargs = target, tuple(args or ()), dict(kwargs or {})
        self._number = next(_numbers)
        self.name = name or f"{type(self).__name__}-{self._number}"
        self.daemon = bool(daemon)
        self._call: Future[Any] | None = None
        self._printed = False

    def __getstate__(self) -> dict[str, Any]:
        # A subclass's `run` is pickled with its object, whose future belongs to this process.
        return {**vars(self), "_call": None}

    def run(self) -> None:
        """Call the target; subclasses may override this."""
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def start(self) -> None:
        """Start the call."""
        assert self._call is None, "cannot start a process twice"
        # The plain function, so that its calls are recognized as equally long and share a pickle; a subclass's `run`
        # may use anything of the object.
        if type(self).run is CloudProcess.run and self._target is not None:
            self._call = _executor().submit(self._target, *self._args, **self._kwargs)
        else:
            self._call = _executor().submit(self.run)
        _children.append(self)

    def join(self, timeout: float | None = None) -> None:
        """Wait for it to end, and raise its error, if any."""
        call = self._started("join")
        try:
            error = None if call.cancelled() else call.exception(timeout)
        except TimeoutError:
            return
        if not self._printed:
            self._printed = True
            print(getattr(error, "log", "") or getattr(call, "log", ""), end="")  # noqa: T201 - as a process does
        if error is not None:
            raise error

    def is_alive(self) -> bool:
        """Whether it has started and not ended."""
        return self._call is not None and not self._call.done()

    @property
    def exitcode(self) -> int | None:
        """0; 1 if it failed; -15 if it was terminated; None before it ends."""
        if self._call is None or not self._call.done():
            return None
        return -15 if self._call.cancelled() else int(self._call.exception() is not None)

    def terminate(self) -> None:
        """Cancel it, unless it has been sent: a running sandbox cannot be stopped."""
        self._started("terminate").cancel()

    kill = terminate

    def close(self) -> None:
        """Remove it from the active children."""
        if self.is_alive():
            raise ValueError("Cannot close a process while it is still running. You should first call join().")
        with suppress(ValueError):
            _children.remove(self)

    @property
    def ident(self) -> int | None:
        """A unique number; None before it has started."""
        return None if self._call is None else self._number

    pid = ident

    @property
    def sentinel(self) -> Future[Any]:
        """The future of the call."""
        return self._started("wait for")

    def _started(self, what: str) -> Future[Any]:
        assert self._call is not None, f"can only {what} a started process"
        return self._call

    def __repr__(self) -> str:
        state = "initial" if self._call is None else "started" if self.is_alive() else f"stopped, {self.exitcode}"
        return f"<{type(self).__name__} {self.name}: {state}>"


def _executor() -> Any:
    key = repr((config.get_parameter(config.LITHOPS_CONFIG), config.get_parameter(config.ENV_VARS)))
    if key not in _executors:
        _executors[key] = config.executor()
    return _executors[key]


def active_children() -> list[CloudProcess]:
    """Return the processes that have started and not ended."""
    _children[:] = [each for each in _children if each.is_alive()]
    return list(_children)


def current_process() -> Any:
    """Return the object for this process."""
    return multiprocessing.current_process()


def parent_process() -> Any:
    """Return the object for the parent process; None in a sandbox, which does not know it."""
    return None if inside.is_task() else multiprocessing.parent_process()
