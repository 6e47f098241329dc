"""`FunctionExecutor` and its kin: each call of a job is one of `LambdaExecutor`, which does all the work."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import ConfigError, MisuseError
from lithops_magic.lithops import config as configuration
from lithops_magic.lithops import inside
from lithops_magic.lithops.arguments import Binding, elements
from lithops_magic.lithops.future import JobInfo, ResponseFuture
from lithops_magic.lithops.objects import Cut, parts
from lithops_magic.lithops.storage import InternalStorage, Storage
from lithops_magic.lithops.storage.storage import TEMPORARY
from lithops_magic.lithops.storage.utils import CloudObject
from lithops_magic.lithops.utils import FuturesList, as_list
from lithops_magic.lithops.wait import ALL_COMPLETED, flat, wait

if TYPE_CHECKING:
    from lithops_magic.executor import LambdaExecutor

_SESSION = secrets.token_hex(3)
_numbers = itertools.count()
_WAIT = {"threadpool_size", "wait_dur_sec", "clean_jobs", "download_results"}
"""About polling, of which there is none."""


class FunctionExecutor:
    """Lithops' executor, on AWS Lambda or the local AWS.

    Parameters
    ----------
    mode, backend
        "serverless" with "aws_lambda", or "localhost", which is the local AWS; by default as the configuration says.
    config, config_file
        Lithops' configuration, instead of the one that is found.
    storage, monitoring
        Accepted: results come in the replies, and what is large goes through S3.
    log_level
        Accepted; nothing is logged.
    kwargs
        Keys of the section `aws_lambda`, such as ``runtime_memory=2048``.

    Raises
    ------
    ConfigError
        The configuration is wrong, or of another cloud.
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
        self._jobs = 0
        self._executors: dict[tuple[tuple[str, Any], ...], LambdaExecutor] = {}
        self._stores = False

    def __enter__(self) -> FunctionExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the cloud objects; what was submitted goes on, and the executor can be used again."""
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
        return self._mapped("A", func, [data], None, options)[0]

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
            Calls per invocation; by default adapted to how long they take.
        extra_args
            A tuple that is appended to each element's arguments, or a dictionary of keywords.
        extra_env
            Environment variables of the calls.
        timeout
            Seconds that an invocation may take.
        include_modules
            None ships no packages; otherwise those that the function is seen to use are found.
        obj_chunk_size, obj_chunk_number, obj_newline
            Of functions that have a parameter `obj`, which are mapped over addresses of objects: bytes of a part, or
            into how many parts each object is cut; what ends a record.
        """
        self.last_call = "map"
        cut = Cut(obj_chunk_size, obj_chunk_number, obj_newline)
        options = self._options(extra_env, runtime_memory, timeout, include_modules, chunksize)
        return FuturesList(self._mapped("M", map_function, map_iterdata, extra_args, options, cut), self)

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
        """Map, and call another function once with the list of all values.

        It returns at once. The reducer begins when the last value is there, whatever `spawn_reducer` says: no sandbox
        waits for the others. `obj_reduce_by_key`: there is one for each object instead, in the order of the objects.
        """
        self.last_call = "map_reduce"
        cut = Cut(obj_chunk_size, obj_chunk_number, obj_newline)
        options = self._options(extra_env, map_runtime_memory, timeout, include_modules, chunksize)
        mapped = self._mapped("M", map_function, map_iterdata, extra_args, options, cut)
        for future in mapped:
            future._produce_output = False
        if obj_reduce_by_key and any(each.origin is None for each in mapped):
            raise MisuseError("obj_reduce_by_key is for functions that have a parameter `obj`: it reduces by object")
        groups: dict[Any, list[ResponseFuture]] = {} if obj_reduce_by_key else {None: mapped}
        for each in mapped if obj_reduce_by_key else ():
            groups.setdefault(each.origin, []).append(each)
        options = self._options(extra_env, reduce_runtime_memory, timeout, include_modules)
        reduced = self._reduced(reduce_function, list(groups.values()), extra_args_reduce, options)
        return FuturesList([*mapped, *reduced], self)

    def wait(self, fs: Any = None, throw_except: bool = True, **options: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for futures, by default all of this executor; `lithops_magic.lithops.wait.wait` has the options."""
        given = {name: value for name, value in options.items() if name not in _WAIT}
        futures = as_list(self.futures if fs is None else fs)
        try:
            done, left = wait(futures, None, throw_except, **given)
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            raise
        return FuturesList(done, self), FuturesList(left, self)

    def get_result(self, fs: Any = None, throw_except: bool = True, **options: Any) -> Any:
        """Wait for futures and return their values; those of this executor that were not asked for, if none are given.

        A single value is returned as it is, unless the last call was `map`. What calls that return None return is in
        the list, where Lithops leaves it out.
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
        """The storage that tasks get as their parameter `storage`."""
        made = Storage(self.config)
        made._prefix = f"{TEMPORARY}{self.executor_id}/"
        return made

    @cached_property
    def internal_storage(self) -> InternalStorage:
        """The same, by another name of Lithops'."""
        return InternalStorage(self.storage.get_storage_config())

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
        """Delete cloud objects: those given, else all of this executor that nobody named.

        Nothing else is left to clean: what went through S3 expires there, and `%lambda_clean` deletes functions.
        """
        if cs is not None:
            self.storage.delete_cloudobjects(cs)
        elif clean_cloudobjects and self._stores:
            bucket = self.storage.bucket
            self.storage.delete_objects(bucket, self.storage.list_keys(bucket, self.storage._prefix))

    def job_summary(self, cloud_objects_n: int = 0) -> Any:
        """Return a table of the jobs, one row each: calls, memory, average time and what they cost on AWS.

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
        return sum(stream.job.snapshot().spent for each in self._executors.values() for stream in each.streams)

    def plot(self, fs: Any = None, dst: str | None = None, figsize: tuple[int, int] = (10, 6)) -> list[Any]:
        """Draw what sandboxes did when; `dst` is where the pictures are written to, which a number is appended to.

        Returns
        -------
        list of Plot
            One for each deployed function, shown by a notebook.
        """
        from lithops_magic.engine.result.map_result import MapResult

        jobs = [stream.job for each in self._executors.values() for stream in each.streams if len(stream.job.ledger)]
        paths = [None if dst is None else f"{dst}_{number}.png" for number in range(len(jobs))]
        return [MapResult(job).plot(path=path) for job, path in zip(jobs, paths, strict=True)]

    # What the methods have in common

    def _options(
        self,
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
            "packages": "none" if include_modules is None else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _executor(self, options: Mapping[str, Any]) -> LambdaExecutor:
        key = tuple(sorted((name, str(value)) for name, value in options.items()))
        if key not in self._executors:
            self._executors[key] = inside.executor(settings=self._settings, **options)
        return self._executors[key]

    def _job(self, prefix: str, function: Callable[..., Any], options: Mapping[str, Any]) -> JobInfo:
        if not callable(function):
            raise MisuseError(f"the first argument must be a function, not {type(function).__name__}")
        job_id = f"{prefix}{self._jobs:03d}"
        self._jobs += 1
        settings = self._settings
        return JobInfo(
            executor_id=self.executor_id,
            job_id=job_id,
            function_name=getattr(function, "__name__", type(function).__name__),
            runtime_memory=options.get("memory", settings.memory),
            execution_timeout=options.get("timeout", settings.timeout),
            runtime_name=settings.runtime or "default",
            backend=self.backend,
            created=time.time(),
        )

    def _reduced(
        self,
        function: Callable[..., Any],
        groups: list[list[ResponseFuture]],
        extra: Any,
        options: Mapping[str, Any],
    ) -> list[ResponseFuture]:
        """Have a function called once for each group of futures, with the list of their values."""
        job, binding = self._job("R", function, options), Binding(function, extra, self._given_storage)
        executor = self._executor(options)
        binding.bind(([],), 0)
        futures = [ResponseFuture(job, number) for number in range(len(groups))]
        for group, future in zip(groups, futures, strict=True):

            def begin(values: list[Any], number: int = int(future.call_id)) -> Any:
                args, kwargs = binding.bind((values,), number)
                return executor.submit(function, *args, **kwargs)

            future._after(group, begin)
        self.futures.extend(futures)
        return futures

    def _mapped(
        self,
        prefix: str,
        function: Callable[..., Any],
        data: Any,
        extra: Any,
        options: Mapping[str, Any],
        cut: Cut = Cut(),  # noqa: B008 - it cannot change
    ) -> list[ResponseFuture]:
        job, executor = self._job(prefix, function, options), self._executor(options)
        binding = Binding(function, extra, self._given_storage)
        if binding.takes_objects:
            return self._of_objects(job, function, list(parts(data, cut, self._settings)), binding, executor)
        cut.refuse()
        given = elements(data)
        chained = [each for each in given if isinstance(each, ResponseFuture)]
        if chained and len(chained) < len(given):
            raise MisuseError("an iterable of futures and other values cannot be mapped over: get their results first")
        futures = [ResponseFuture(job, number) for number in range(len(given))]
        if chained:
            for number, (source, future) in enumerate(zip(chained, futures, strict=True)):
                source._produce_output = False
                future._after([source], _Link(executor, function, binding, number))
        else:
            # All of them are looked at before the first is sent.
            calls = [binding.bind(element, number) for number, element in enumerate(given)]
            for future, (args, kwargs) in zip(futures, calls, strict=True):
                future._follow(executor.submit(function, *args, **kwargs))
        self.futures.extend(futures)
        return futures

    def _of_objects(
        self,
        job: JobInfo,
        function: Callable[..., Any],
        found: list[tuple[Any, Any]],
        binding: Binding,
        executor: LambdaExecutor,
    ) -> list[ResponseFuture]:
        if self.last_call == "call_async" and len(found) > 1:
            raise MisuseError(f"call_async makes one call, but there are {len(found)} objects: use map")
        calls = [binding.bind(beside, number, part) for number, (beside, part) in enumerate(found)]
        futures = [ResponseFuture(job, number) for number in range(len(calls))]
        for future, (args, kwargs), (_, part) in zip(futures, calls, found, strict=True):
            future.origin = part.bucket, part.key
            future._follow(executor.submit(function, *args, **kwargs))
        self.futures.extend(futures)
        return futures


class _Link:
    """A call that waits for the value of another one."""

    def __init__(self, executor: LambdaExecutor, function: Callable[..., Any], binding: Binding, number: int) -> None:
        self._executor, self._function, self._binding, self._number = executor, function, binding, number

    def __call__(self, values: list[Any]) -> Any:
        args, kwargs = self._binding.bind(values[0], self._number)
        return self._executor.submit(self._function, *args, **kwargs)


class ServerlessExecutor(FunctionExecutor):
    """`FunctionExecutor` with mode "serverless"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(mode="serverless", **options)


class LocalhostExecutor(FunctionExecutor):
    """`FunctionExecutor` on the local AWS of this machine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(backend="localhost", **options)


class StandaloneExecutor(FunctionExecutor):
    """Lithops' executor on virtual machines, of which there are none here: making one says so."""

    def __init__(self, **options: Any) -> None:
        super().__init__(mode="standalone", **options)


__all__ = ["ALL_COMPLETED", "FunctionExecutor", "LocalhostExecutor", "ServerlessExecutor", "StandaloneExecutor"]
