"""What a user holds: the values of a job, everything known about it, and the operations on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from lithops_magic.engine.job.job import Job
from lithops_magic.engine.job.task import R
from lithops_magic.engine.result import misuse, script
from lithops_magic.engine.result.job_values import JobValues
from lithops_magic.engine.result.logs import LogLines, Text, find, tell
from lithops_magic.engine.result.reduction import Reduction
from lithops_magic.engine.text.short_repr import short_repr
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    import re
    from pathlib import Path

    import pandas as pd  # type: ignore[import-untyped]

    from lithops_magic.engine.result.gallery import Gallery
    from lithops_magic.engine.result.plots import Plot


class MapResult(JobValues[R]):
    """The values of a job in the order of its items, complete or not.

    Indexing gives a task's value, raises its error if it failed, and raises `TaskPending` or `JobCancelled` if it has
    neither. The object is the same before, during and after the job, on success, failure and interrupt.
    """

    def __init__(self, job: Job, reduction: Reduction | None = None) -> None:
        super().__init__(job)
        self._reduction = reduction
        """The reduction of all values, if one was requested."""
        self._follow: Callable[[MapResult[Any]], object] = MapResult.finish
        """How `retry` waits for the end; a notebook shows progress while waiting."""

    @property
    def reduced(self) -> Any:
        """What the job's `reduce` function made of all values; waits for it.

        Raises
        ------
        MisuseError
            The job has no such function.
        JobCancelled
            It was not called, because not every task succeeded.
        TaskError
            The reduction failed.
        """
        __tracebackhide__ = True
        if self._reduction is None:
            raise MisuseError("This job has no reducer: start it with reduce=FUNCTION (--reduce NAME).")
        return self._reduction.value()

    @property
    def cost(self) -> float:
        """USD at list price so far, requests included."""
        return super().cost + (0.0 if self._reduction is None else self._reduction.cost)

    def finish(self) -> Self:
        """Wait until the job is over, stop it on an interrupt, and raise errors as its option `errors` says."""
        __tracebackhide__ = True
        super().finish()
        if self._reduction is not None and not self.errors:
            try:
                self._reduction.value()
            except KeyboardInterrupt as error:
                self.cancel()
                script.interrupted(error, self._job)
                raise
        return self

    def cancel(self) -> bool:
        """Send nothing more and return at once; results of what is in flight are still kept when they arrive.

        Returns
        -------
        bool
            Whether that stopped anything; False if everything was over already.
        """
        stopped = super().cancel()
        if self._reduction is not None:
            stopped = not self._reduction.wait(0) or stopped
            self._reduction.cancel()
        return stopped

    def retry(self, *, background: bool = False, **changes: Any) -> Self:
        """Rerun the tasks that failed or did not finish; their new values take their places in this result.

        Parameters
        ----------
        background
            Return immediately; the result fills while the tasks run.
        changes
            Options of `lithops_magic.map` to change for this run, such as ``memory=4096`` or ``timeout=900``;
            ``max_cost`` covers all runs together.

        Returns
        -------
        MapResult
            This result itself.

        Raises
        ------
        MisuseError
            The job is not over, an option does not exist, or an item is no longer available.
        TaskError
            A task failed again; all other results are kept.
        """
        __tracebackhide__ = True
        unfinished = [index for index in range(len(self)) if self._job.ledger.state(index) != "done"]
        # The result stays the same object: variables that hold it see the new values.
        job, self._job = self._job, misuse.start_rerun(self._job, unfinished, changes)
        if self._job is job and self._reduction is None:
            return self
        if self._reduction is not None:
            self._reduction = self._reduction.anew()
            self._reduction.follow(self)
        if not background:
            self._follow(self)
        return self

    def debug(self, index: int) -> Any:
        """Run one task here, not on Lambda, with the same item, so that `%debug` opens at the line that fails.

        Parameters
        ----------
        index
            The task's position in the input.

        Returns
        -------
        Any
            What the task returned.
        """
        from lithops_magic.engine.result.rerun import run_here

        __tracebackhide__ = True
        position = misuse.position(index, len(self))
        function, item = misuse.function_and_item(self._job, position)
        print(f"Task {position} runs here now, not on Lambda: {short_repr(item)}")  # noqa: T201
        return run_here(function, item, starmap=self._job.options.starmap)

    @overload
    def logs(self) -> LogLines: ...
    @overload
    def logs(self, index: int) -> str: ...
    @overload
    def logs(self, index: int | None = None, *, grep: str | re.Pattern[str]) -> LogLines: ...
    @overload
    def logs(
        self, index: int | None = None, *, grep: str | re.Pattern[str] | None = None, follow: Literal[True]
    ) -> None: ...
    def logs(
        self, index: int | None = None, *, grep: str | re.Pattern[str] | None = None, follow: bool = False
    ) -> str | LogLines | None:
        """What tasks printed; long output is cut in the middle, which it says.

        Parameters
        ----------
        index
            One task, whose output is returned verbatim; None for the lines of all tasks.
        grep
            Return only lines that match this regular expression.
        follow
            Print what tasks print while they run, until the job is over or this is interrupted, which does not stop the
            job. Each line is prefixed with its task, or with the first and last of the tasks that were sent together.

        Returns
        -------
        str or LogLines
            `LogLines` is a sequence of (task index, line). None with `follow`.
        """
        __tracebackhide__ = True
        if follow:
            position = None if index is None else misuse.position(index, len(self))
            tell(misuse.followed(self._job), position, grep)
            return None
        printed = self._job.logs()
        if index is None:
            return find(printed, grep)
        position = misuse.position(index, len(self))
        text = printed.get(position, "")
        return Text(text) if grep is None else find({position: text}, grep)

    def to_frame(self, *, full: bool = False) -> pd.DataFrame:
        """One row per task: item, value, error, state, duration, memory used, attempts and cost.

        Integers and booleans keep their type even if some tasks have no value (pandas' nullable types).

        Parameters
        ----------
        full
            Add billed time, memory, cold starts, sandbox, and times in seconds since the start of the job, which is
            ``frame.attrs["began"]``.

        Raises
        ------
        MissingPackage
            pandas is not installed.
        """
        from lithops_magic.engine.result.data_frame import to_frame

        __tracebackhide__ = True
        item = partial(self._job.item, download=False)
        table, _ = self._job.attempts()
        return to_frame(table, self.snapshot(), item, self._job.ledger.values, self.errors, self._job.began, full=full)

    def show(self, count: int = 12) -> Gallery:
        """Show what the first tasks returned or, if they return nothing, have drawn or displayed, side by side.

        Parameters
        ----------
        count
            Number of tasks to show, out of those that have a value.
        """
        from lithops_magic.engine.result.gallery import Gallery, ShownValue

        values = self.succeeded()
        chosen = islice(values.items(), max(0, count))
        return Gallery((ShownValue(index, self._item_repr(index), value) for index, value in chosen), len(values))

    def plot(self, kind: str = "overview", *, path: str | Path | None = None) -> Plot:
        """Draw the job.

        Parameters
        ----------
        kind
            "timeline" of the sandboxes, "histogram" of the durations, "concurrency" over time, "cost" by task, or
            "overview" of all four.
        path
            File to write the plot to as well; its suffix, such as .png or .svg, determines the format.

        Raises
        ------
        MissingPackage
            matplotlib is not installed.
        MisuseError
            The kind does not exist, there is nothing to draw yet, or the file cannot be written.
        """
        __tracebackhide__ = True
        plots = misuse.need("lithops_magic.engine.result.plots", "plot()", "matplotlib")
        drawn: Plot = plots.plot(kind, *self._job.attempts(), self.snapshot(), self._label)
        if path is not None:
            drawn.save(path)
        return drawn

    def summary(self) -> str:
        """The job in a few lines: tasks, time, speed-up, cost and grouped errors."""
        return Text(repr(self))

    def __repr__(self) -> str:
        from lithops_magic.engine.result import summary

        return summary.to_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from lithops_magic.engine.result import summary

        return {"text/plain": summary.to_text(self), "text/html": summary.to_html(self)}
