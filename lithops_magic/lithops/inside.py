"""What differs in a task: it has no configuration and no engine, but credentials and a function, its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from lithops_magic.aws.storage.names import PREFIX, bucket_name

_VALUES = "lithops_magic.worker.values"
BUCKET = "LITHOPS_MAGIC_BUCKET"
"""Environment variable of functions for which a bucket is configured."""


def is_task() -> bool:
    """Whether this process runs tasks: there, the worker is a package of another name."""
    worker = sys.modules.get(_VALUES)
    return worker is not None and worker.__package__ != _VALUES.rpartition(".")[0]


def worker(module: str) -> Any:
    """Return a module of the worker."""
    return import_module(f"{sys.modules[_VALUES].__package__}.{module}")


def client(service: str, **config: Any) -> Any:
    """Return a client with the function's own credentials."""
    # By name: a mere import would have every sandbox import them before the first task.
    boto3, settings = import_module("boto3"), import_module("botocore.config").Config(**config)
    return boto3.session.Session().client(service, config=settings)


@cache
def bucket() -> str:
    """Return the bucket that tasks may write to."""
    if BUCKET in os.environ:
        return os.environ[BUCKET]
    account = client("sts").get_caller_identity()["Account"]
    # The name is the prefix, the namespace if there is one, and a hash.
    namespace = os.environ["AWS_LAMBDA_FUNCTION_NAME"].removeprefix(f"{PREFIX}-").rpartition("-")[0]
    return bucket_name(account, os.environ["AWS_REGION"], namespace or None)


def executor(max_workers: int | None = None, **options: Any) -> Any:
    """Return what makes calls: `LambdaExecutor`, or within a task, what has the task's own function called."""
    if is_task():
        from lithops_magic.lithops.nested import NestedExecutor

        return NestedExecutor(max_workers, **options)
    from lithops_magic.executor import LambdaExecutor

    return LambdaExecutor(max_workers, **options)


def configuration(config: Mapping[str, Any] | None, overwrite: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return what an executor within a task is told of its configuration: it has that of the task's function."""
    data = {**(config or {}), "lithops": {**((config or {}).get("lithops") or {}), "backend": "aws_lambda"}}
    data["aws_lambda"] = {**(data.get("aws_lambda") or {}), **overwrite}
    memory = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0))
    return data, SimpleNamespace(memory=memory, timeout=0, runtime=None, local=False)
