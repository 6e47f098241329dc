"""`FunctionExecutor` and its kin, with Lithops' signatures; `jobs` makes the calls."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from lithops_magic.aws.storage.names import TEMPORARY
from lithops_magic.errors import ConfigError, MisuseError
from lithops_magic.lithops import config as configuration
from lithops_magic.lithops.arguments import Binding
from lithops_magic.lithops.future import ResponseFuture
from lithops_magic.lithops.jobs import CALL, MAP, Jobs
from lithops_magic.lithops.objects import Cut
from lithops_magic.lithops.storage import InternalStorage, Storage
from lithops_magic.lithops.storage.utils import CloudObject
from lithops_magic.lithops.utils import FuturesList, as_list
from lithops_magic.lithops.wait import ALL_COMPLETED, flat, wait

_SESSION = secrets.token_hex(3)
_numbers = itertools.count()
_WAIT = {"threadpool_size", "wait_dur_sec", "clean_jobs", "download_results"}
"""Ignored options: they concern polling, which does not happen here."""


class FunctionExecutor:
    """Lithops' executor, on AWS Lambda or the local AWS.

    Parameters
    ----------
    mode, backend
        "serverless" with "aws_lambda", or "localhost", which is the local AWS; by default, as configured.
    config, config_file
        Lithops' configuration, overriding the default.
    storage, monitoring
        Ignored: results are in the replies, and large data go through S3.
    log_level
        Ignored: nothing is logged.
    kwargs
        Keys of the section `aws_lambda`, such as ``runtime_memory=2048``.

    Raises
    ------
    ConfigError
        The configuration is wrong, or for another cloud.
    """

    def __init__(
        self,
        mode: str | None = None,
        config: Mapping[str, Any] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        backend: str | None = None,
        storage: str | None = None,
        monitoring: str | None = None,
        log_level: str | bool | None = False,
        **kwargs: Any,
    ) -> None:
        if mode not in (None, "serverless", "localhost"):
            raise ConfigError(f"mode {mode!r}: only serverless (AWS Lambda) and localhost are supported")
        backend = backend or ("localhost" if mode == "localhost" else None)
        self.config, self._settings = configuration.read(config, config_file, kwargs, backend)
        self.backend: str = self.config["lithops"]["backend"]
        self.mode = "localhost" if self.backend == "localhost" else "serverless"
        self.executor_id = f"{_SESSION}-{next(_numbers)}"
        self.futures: list[ResponseFuture] = []
        self.last_call: str | None = None
        self._jobs = Jobs(self.executor_id, self.backend, self._settings, self._given_storage)
        self._stores = False

    def __enter__(self) -> FunctionExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the cloud objects; submitted calls continue, and the executor stays usable."""
        self.clean(on_exit=True)

    def call_async(
        self,
        func: Callable[..., Any],
        data: Any,
        extra_env: Mapping[str, Any] | None = None,
        runtime_memory: int | None = None,
        timeout: int | None = None,
        include_modules: list[str] | None = [],  # noqa: B006 - as in Lithops, where None means something else
        exclude_modules: list[str] | None = None,
    ) -> ResponseFuture:
        """Call a function once: a tuple is its arguments, a dictionary its keywords, anything else its one argument."""
        self.last_call = "call_async"
        options = self._options(extra_env, runtime_memory, timeout, include_modules)
        return self._begun(self._jobs.mapped(CALL, func, [data], None, options))[0]

    def map(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Any,
        chunksize: int | None = None,
        extra_args: Any = None,
        extra_env: Mapping[str, Any] | None = None,
        runtime_memory: int | None = None,
        timeout: int | None = None,
        include_modules: list[str] | None = [],  # noqa: B006
        exclude_modules: list[str] | None = None,
        obj_chunk_size: int | None = None,
        obj_chunk_number: int | None = None,
        obj_newline: str | None = "\n",
    ) -> FuturesList:
        """Call a function for each element of an iterable, or for the value of each future.

        Parameters
        ----------
        chunksize
            Calls per invocation; by default, adapted to their duration.
        extra_args
            A tuple appended to each element's arguments, or a dictionary of keywords.
        extra_env
            Environment variables of the calls.
        timeout
            Seconds an invocation may take.
        include_modules
            None ships no packages; otherwise, those the function uses are found automatically.
        obj_chunk_size, obj_chunk_number, obj_newline
            For functions with a parameter `obj`, which are mapped over addresses of objects: bytes per part, or number
            of parts per object; record separator.
        """
        self.last_call = "map"
        cut = Cut(obj_chunk_size, obj_chunk_number, obj_newline)
        options = self._options(extra_env, runtime_memory, timeout, include_modules, chunksize)
        return FuturesList(
            self._begun(self._jobs.mapped(MAP, map_function, map_iterdata, extra_args, options, cut)), self
        )

    def map_reduce(
        self,
        map_function: Callable[..., Any],
        map_iterdata: Any,
        reduce_function: Callable[..., Any],
        chunksize: int | None = None,
        extra_args: Any = None,
        extra_args_reduce: Any = None,
        extra_env: Mapping[str, Any] | None = None,
        map_runtime_memory: int | None = None,
        reduce_runtime_memory: int | None = None,
        timeout: int | None = None,
        spawn_reducer: int | None = None,
        include_modules: list[str] | None = [],  # noqa: B006
        exclude_modules: list[str] | None = None,
        obj_chunk_size: int | None = None,
        obj_chunk_number: int | None = None,
        obj_newline: str | None = "\n",
        obj_reduce_by_key: bool = False,
    ) -> FuturesList:
        """Map, and call a reducer once with the list of all values.

        It returns at once. The reducer starts when the last value arrives, whatever `spawn_reducer` says: no sandbox
        waits for others. With `obj_reduce_by_key`, there is one reducer per object, in the order of the objects.
        """
        self.last_call = "map_reduce"
        if obj_reduce_by_key and not Binding(map_function).takes_objects:
            raise MisuseError("obj_reduce_by_key is for functions that have a parameter `obj`: it reduces by object")
        cut = Cut(obj_chunk_size, obj_chunk_number, obj_newline)
        options = self._options(extra_env, reduce_runtime_memory, timeout, include_modules)
        reducer = self._jobs.reducer(reduce_function, extra_args_reduce, options)
        options = self._options(extra_env, map_runtime_memory, timeout, include_modules, chunksize)
        # The reducer was checked before anything is sent.
        mapped = self._begun(self._jobs.mapped(MAP, map_function, map_iterdata, extra_args, options, cut))
        groups: dict[Any, list[ResponseFuture]] = {} if obj_reduce_by_key else {None: mapped}
        for future in mapped:
            future._produce_output = False
            if obj_reduce_by_key:
                groups.setdefault(future.origin, []).append(future)
        return FuturesList([*mapped, *self._begun(reducer([*groups.values()]))], self)

    def wait(self, fs: Any = None, throw_except: bool = True, **options: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for futures, by default all of this executor's; options as of `lithops_magic.lithops.wait.wait`."""
        given = {name: value for name, value in options.items() if name not in _WAIT}
        futures = as_list(self.futures if fs is None else fs)
        try:
            done, left = wait(futures, None, throw_except, **given)
        except KeyboardInterrupt:
            # Lithops lets them run; here, what has not been sent never is.
            for future in futures:
                future.cancel()
            raise
        return FuturesList(done, self), FuturesList(left, self)

    def get_result(self, fs: Any = None, throw_except: bool = True, **options: Any) -> Any:
        """Wait for futures, by default this executor's not yet requested ones, and return their values.

        A single value is returned as it is, unless the last call was `map`. The list includes values that are None,
        which Lithops leaves out.
        """
        given = {name: value for name, value in options.items() if name not in _WAIT}
        futures = [each for each in self.futures if not each._read] if fs is None else as_list(fs)
        self.wait(futures, throw_except, **given)
        found = [each for each in futures if each._produce_output]
        for each in futures if fs is None else ():
            each._read = True
        values = flat(found, throw_except)
        return values[0] if len(values) == 1 and self.last_call != "map" else values

    @cached_property
    def storage(self) -> Storage:
        """The storage passed to tasks with a parameter `storage`."""
        made = Storage(self.config)
        # So that `clean` finds the cloud objects without a key of their own.
        made._prefix = f"{TEMPORARY}{self.executor_id}/"
        return made

    @cached_property
    def internal_storage(self) -> InternalStorage:
        """The same storage, with Lithops' internal interface."""
        return InternalStorage(self.storage.get_storage_config())

    # Only a storage that was given to a task can have objects to clean up; connecting to find none would take seconds.
    def _given_storage(self) -> Storage:
        self._stores = True
        return self.storage

    def clean(
        self,
        fs: Any = None,
        cs: Iterable[CloudObject] | None = None,
        clean_cloudobjects: bool = True,
        clean_fn: bool = False,
        force: bool = False,
        on_exit: bool = False,
    ) -> None:
        """Delete cloud objects: those given, or else all of this executor's without a given key.

        There is nothing else to clean: data in S3 expire, and `%lambda_clean` deletes functions.
        """
        if cs is not None:
            self.storage.delete_cloudobjects(cs)
        elif clean_cloudobjects and self._stores:
            bucket = self.storage.bucket
            self.storage.delete_objects(bucket, self.storage.list_keys(bucket, self.storage._prefix))

    def job_summary(self, cloud_objects_n: int = 0) -> Any:
        """Return a table of the jobs, one row each: calls, memory, average time and cost on AWS.

        Raises
        ------
        MissingPackage
            pandas is not installed.
        """
        from lithops_magic.engine.result.misuse import need
        from lithops_magic.lithops.summary import rows

        return need("pandas", "job_summary()", "pandas").DataFrame(rows(self.futures))

    @property
    def cost(self) -> float:
        """USD at list price so far, requests included."""
        return float(sum(stream.job.snapshot().spent for stream in self._jobs.streams))

    def plot(self, fs: Any = None, dst: str | None = None, figsize: tuple[int, int] = (10, 6)) -> list[Any]:
        """Plot the sandboxes' timelines; `dst` is the path of the pictures, to which a number is appended.

        Returns
        -------
        list of Plot
            One per deployed function, displayed by a notebook.
        """
        from lithops_magic.engine.result.map_result import MapResult

        jobs = [stream.job for stream in self._jobs.streams if len(stream.job.ledger)]
        paths = [None if dst is None else f"{dst}_{number}.png" for number in range(len(jobs))]
        return [MapResult(job).plot(path=path) for job, path in zip(jobs, paths, strict=True)]

    def _begun(self, futures: list[ResponseFuture]) -> list[ResponseFuture]:
        self.futures.extend(futures)
        return futures

    @staticmethod
    def _options(
        extra_env: Mapping[str, Any] | None,
        memory: int | None,
        timeout: int | None,
        include_modules: list[str] | None,
        chunksize: int | None = None,
    ) -> dict[str, Any]:
        given: dict[str, Any] = {
            "env": {name: str(value) for name, value in (extra_env or {}).items()} or None,
            "memory": memory,
            "timeout": timeout,
            "chunksize": chunksize,
            # As in Lithops, None ships nothing, and an empty list what is found to be needed.
            "packages": "none" if include_modules is None else None,
        }
        return {name: value for name, value in given.items() if value is not None}


class ServerlessExecutor(FunctionExecutor):
    """`FunctionExecutor` with mode "serverless"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(mode="serverless", **options)


class LocalhostExecutor(FunctionExecutor):
    """`FunctionExecutor` on the local AWS of this machine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(backend="localhost", **options)


class StandaloneExecutor(FunctionExecutor):
    """Lithops' executor on virtual machines, which is not supported: creating one raises an error."""

    def __init__(self, **options: Any) -> None:
        super().__init__(mode="standalone", **options)


__all__ = ["ALL_COMPLETED", "FunctionExecutor", "LocalhostExecutor", "ServerlessExecutor", "StandaloneExecutor"]
