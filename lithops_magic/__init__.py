"""Parallel Python from a notebook on AWS Lambda.

Names
-----
attach                    Return the result of a job that another process started, or this one.
callbacks                 What happens to a job, and a progress bar, for `callbacks=` of `map`.
config                    The settings, and the Lithops configuration they are read from and saved to.
errors                    The exceptions a user can meet.
JobRecord                 A job that this machine knows, as `jobs` lists it.
jobs                      Return the jobs that this machine knows, the latest first.
LambdaExecutor            A `concurrent.futures.Executor` whose calls run on AWS Lambda.
load_ipython_extension    Register the magics and the completion of their options; loading twice changes nothing.
map                       Run `function` over `items` on AWS Lambda and return their values in order.
MapOptions                How one job is run; None means the setting's or the engine's own choice.
MapResult                 The values of a job in the order of its items, complete or not.
register_joblib           Register joblib's backend "lambda": `with joblib.parallel_config(backend="lambda"): ...`.
s3                        Return the objects at one or more addresses, or their parts, to map over.
Settings                  Everything that decides where a function runs and what it may use.
tune                      Measure a function on a few items at several sizes, and return the time and cost at each.
unload_ipython_extension  Remove the magics, their session defaults and the completion.

A result is a sequence of the values, and has
--------------------------------------------
as_completed  Yield the future of each task as it ends, until the job is over.
cancel        Send nothing more and return at once; results of what is in flight are still kept when they arrive.
cancelled     Whether the job was stopped.
cost          USD at list price so far, requests included.
debug         Run one task here, not on Lambda, with the same item, so that `%debug` opens at the line that fails.
done          Whether the job is over: finished, cancelled or broken.
error         What ended the job as a whole, such as a refused invocation or an iterator that raised.
errors        The errors of the tasks that failed, by index.
exception     Wait for the end and return what `result` would raise; None if every task succeeded.
finish        Wait until the job is over, stop it on an interrupt, and raise errors as its option `errors` says.
futures       One `concurrent.futures.Future` per task.
item          The item of a task.
job_id        Names the job for `lithops_magic.attach`.
logs          What tasks printed; long output is cut in the middle, which it says.
options       How the job is run.
plot          Draw the job.
raise_errors  Raise what ended the job, or the first task's error with a summary of all of them; else do nothing.
reduced       What the job's `reduce` function made of all values; waits for it.
result        Wait for the end and return all values, as `concurrent.futures.Future.result` does.
retry         Rerun the tasks that failed or did not finish; their new values take their places in this result.
running       Whether the job is not over.
show          Show what the first tasks returned or, if they return nothing, have drawn or displayed, side by side.
snapshot      The job now, in numbers.
stats         One record per task that was taken from the items so far.
succeeded     The values of the tasks that succeeded so far, by index, in the order of the items.
summary       The job in a few lines: tasks, time, speed-up, cost and grouped errors.
to_frame      One row per task: item, value, error, state, duration, memory used, attempts and cost.
values        The values of all tasks, one for each item and in their order.
wait          Wait until the job is over; return whether it is.
"""

from __future__ import annotations

from importlib import import_module

# Not from `typing`, whose import would cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lithops_magic import callbacks, config, errors
    from lithops_magic.config import Settings
    from lithops_magic.data import s3
    from lithops_magic.engine import MapOptions, MapResult
    from lithops_magic.engine.api import map
    from lithops_magic.engine.attach import attach
    from lithops_magic.engine.durable.listing import JobRecord, jobs
    from lithops_magic.engine.tune.measure import tune
    from lithops_magic.executor import LambdaExecutor, register_joblib
    from lithops_magic.notebook.extension import load_ipython_extension, unload_ipython_extension

__version__ = "0.1.0"

__all__ = [
    "JobRecord",
    "LambdaExecutor",
    "MapOptions",
    "MapResult",
    "Settings",
    "attach",
    "callbacks",
    "config",
    "errors",
    "jobs",
    "load_ipython_extension",
    "map",
    "register_joblib",
    "s3",
    "tune",
    "unload_ipython_extension",
]

_MODULES = ("callbacks", "config", "errors")
_HOMES = {
    "JobRecord": "lithops_magic.engine.durable.listing",
    "LambdaExecutor": "lithops_magic.executor",
    "MapOptions": "lithops_magic.engine",
    "MapResult": "lithops_magic.engine",
    "Settings": "lithops_magic.config",
    "attach": "lithops_magic.engine.attach",
    "jobs": "lithops_magic.engine.durable.listing",
    "load_ipython_extension": "lithops_magic.notebook.extension",
    "map": "lithops_magic.engine.api",
    "register_joblib": "lithops_magic.executor",
    "s3": "lithops_magic.data",
    "tune": "lithops_magic.engine.tune.measure",
    "unload_ipython_extension": "lithops_magic.notebook.extension",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use, so that importing the package costs next to nothing."""
    if name in _MODULES:
        return import_module(f"lithops_magic.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lithops_magic' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
