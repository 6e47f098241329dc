"""What differs in a task: no configuration and no engine, but its function and that function's credentials."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from lithops_magic.aws.storage.names import PREFIX, bucket_name

_VALUES = "lithops_magic.worker.values"
BUCKET = "LITHOPS_MAGIC_BUCKET"
"""Environment variable of functions with a configured bucket."""


def is_task() -> bool:
    """Whether this process runs tasks: there, the worker has another package name."""
    worker = sys.modules.get(_VALUES)
    # By the worker's name and not by Lambda's variables, which a notebook that runs in a container may have, too.
    return worker is not None and worker.__package__ != _VALUES.rpartition(".")[0]


def worker(module: str) -> Any:
    """Return a module of the worker."""
    return import_module(f"{sys.modules[_VALUES].__package__}.{module}")


def client(service: str, **config: Any) -> Any:
    """Return a client with the function's own credentials."""
    # By name: with an import statement, every sandbox would preload boto3 before its first task.
    boto3, settings = import_module("boto3"), import_module("botocore.config").Config(**config)
    return boto3.session.Session().client(service, config=settings)


@cache
def bucket() -> str:
    """Return the bucket that tasks may write to."""
    if BUCKET in os.environ:
        return os.environ[BUCKET]
    account = client("sts").get_caller_identity()["Account"]
    # The name consists of the prefix, the namespace if any, and a hash.
    namespace = os.environ["AWS_LAMBDA_FUNCTION_NAME"].removeprefix(f"{PREFIX}-").rpartition("-")[0]
    return bucket_name(account, os.environ["AWS_REGION"], namespace or None)


def executor(max_workers: int | None = None, **options: Any) -> Any:
    """Return the executor for calls: `LambdaExecutor`, or within a task, one that invokes the task's own function."""
    if is_task():
        from lithops_magic.lithops.nested import NestedExecutor

        return NestedExecutor(max_workers, **options)
    from lithops_magic.executor import LambdaExecutor

    return LambdaExecutor(max_workers, **options)


def configuration(config: Mapping[str, Any] | None, overwrite: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the configuration of an executor within a task, which is that of the task's function."""
    data = {**(config or {}), "lithops": {**((config or {}).get("lithops") or {}), "backend": "aws_lambda"}}
    data["aws_lambda"] = {**(data.get("aws_lambda") or {}), **overwrite}
    warn_if_memory_ignored(data["aws_lambda"].get("runtime_memory"))
    return data, SimpleNamespace(memory=_memory(), timeout=0, runtime=None, local=False)


def warn_if_memory_ignored(runtime_memory: int | None) -> None:
    """Warn in the task's log that a different memory size is ignored: calls run in the task's own function."""
    if runtime_memory is not None and int(runtime_memory) != _memory():
        warnings.warn(
            f"runtime_memory={runtime_memory} is ignored within a task: its calls run in its own function, which has "
            f"{_memory()} MB. Give the outer call what they need.",
            stacklevel=2,
        )


def _memory() -> int:
    return int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0))
