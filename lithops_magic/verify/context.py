"""The context of the checks: the connection, the resources they create, and what has been spent."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from lithops_magic.aws import observe, prices
from lithops_magic.aws.definition import creation_request
from lithops_magic.aws.deploy.create import create
from lithops_magic.aws.deploy.role import role_arn
from lithops_magic.aws.deploy.wait import wait_until_active
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.invoke.report import parse_report
from lithops_magic.aws.session import Cloud, Notify
from lithops_magic.aws.storage.bucket import RESULTS
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.config import Settings
from lithops_magic.engine import api
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import AwsError, LithopsMagicError
from lithops_magic.verify import probe
from lithops_magic.verify.finding import Skip

PATIENCE = 120.0
"""Seconds that a check's job may take: a function in a VPC may need a minute before it can be invoked."""
_THREADS = ("lithops-magic-job", "lithops-magic-deploy")
"""Start of the names of threads in which jobs run or deploy."""
_SETTLING = 15.0
"""Seconds that stopped jobs may take to end: invocations in flight are waited for."""
_DELIVERY = 2.0
"""Seconds from the end of an invocation until its log is in CloudWatch."""
_MARK = "LITHOPS_MAGIC_VERIFY"


class CheckContext:
    """The account being verified.

    Parameters
    ----------
    settings
        The user's settings.
    """

    def __init__(self, settings: Settings, notify: Notify) -> None:
        mark = secrets.token_hex(4)
        # A variable of our own makes these functions distinct from the user's, which are not used, changed or deleted.
        self.settings = settings.replace(env_vars={**settings.env_vars, _MARK: mark})
        self.cloud = Cloud.connect(self.settings, notify)
        self.functions: list[str] = []
        """Functions created by the checks, in order."""
        self.started: list[MapResult[Any]] = []
        """Jobs started by the checks, in order."""
        self.works = False
        """Whether any job has worked: if not, every other one would only run into its timeout."""
        self._notify = notify
        self._layers: list[str] = []
        self._keys: set[str] = set()
        self._bucket_made = False
        self._calls = 0
        self._invoked = 0.0
        observe.add(self._see)

    @property
    def requests(self) -> int:
        """HTTP requests so far, as far as known."""
        snapshots = [result.snapshot() for result in self.started]
        return self._calls + sum(s.invocations + s.throttled + s.retried for s in snapshots)

    @property
    def spent(self) -> float:
        """USD of Lambda so far, at list price."""
        return self._invoked + sum(result.cost for result in self.started)

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket."""
        return ObjectStore(self.cloud, self.settings)

    @cached_property
    def raw(self) -> Any:
        """A Lambda client without retries."""
        from botocore.config import Config

        # A retry would hide the very response that a check looks at.
        return self.cloud.client("lambda", Config(retries={"total_max_attempts": 1}, read_timeout=60))

    @cached_property
    def probe(self) -> str:
        """The name of the probe function, which is deployed on first use."""
        settings = self.settings.replace(memory=probe.MEMORY, timeout=probe.TIMEOUT, runtime=None, layers=())
        request = creation_request(settings, role_arn(self.cloud, settings), probe.package())
        request["Handler"] = probe.HANDLER
        create(self.cloud, request, self._notify)
        wait_until_active(self.cloud, request["FunctionName"], self._notify)
        return request["FunctionName"]

    def invoke(self, event: object, *, body: bytes | None = None, **options: Any) -> Any:
        """Invoke the probe and add up its cost; return boto3's response with the log as text in ``log``."""
        given = {"FunctionName": self.probe, "LogType": "Tail", **options}
        response = self.raw.invoke(Payload=json.dumps(event).encode() if body is None else body, **given)
        log = base64.b64decode(response.get("LogResult", "")).decode("utf-8", "replace")
        region = self.cloud.region
        if report := parse_report(log):
            cost = prices.compute_cost(report.billed_ms, probe.MEMORY, self.settings.architecture, 512, region)
            self._invoked += cost
        self._invoked += prices.price_of(region).request
        return {**response, "log": log}

    def start(self, function: Callable[..., Any], items: Iterable[Any], **options: Any) -> MapResult[Any]:
        """Start a job with ``errors="keep"``.

        Raises
        ------
        Skip
            The first job did not work.
        """
        # The first job is the one whose success the others depend on.
        if self.started:
            self.need_jobs()
        given: dict[str, Any] = {"errors": "keep", "workers": 4, **options}
        result = api.start(function, items, options=MapOptions(**given), settings=self.settings)
        self.started.append(result)
        return result

    def need_jobs(self) -> None:
        """Skip the check unless a job has worked.

        Raises
        ------
        Skip
            The first job did not.
        """
        if not self.works:
            raise Skip("the first job did not work")

    def map(self, function: Callable[..., Any], items: Iterable[Any], **options: Any) -> MapResult[Any]:
        """Run a job to completion, or raise what prevented it from running."""
        return self.finish(self.start(function, items, **options))

    def finish(self, result: MapResult[Any]) -> MapResult[Any]:
        """Wait for a job to end.

        Raises
        ------
        LithopsMagicError
            It could not run, or did not end in time.
        """
        if not result.wait(PATIENCE):
            result.cancel()
            raise LithopsMagicError(f"The job did not end within {PATIENCE:.0f} s.")
        if result.error is not None:
            raise result.error
        return result

    def function(self) -> str:
        """Return the function that jobs use by default.

        Raises
        ------
        Skip
            There is no such function.
        """
        if not self.functions:
            raise Skip("nothing was deployed")
        return self.functions[0]

    def clean(self) -> list[str]:
        """Delete everything that was created; return what is left."""
        for result in self.started:
            result.cancel()
        # A job that is still deploying would recreate what is deleted.
        wait_for(lambda: not any(thread.name.startswith(_THREADS) for thread in threading.enumerate()), _SETTLING)
        left: list[str] = []
        for what, remove in self._removals():
            try:
                with aws_errors():
                    remove()
            except AwsError as error:
                if error.code not in ("ResourceNotFoundException", "NoSuchBucket", "NoSuchKey"):
                    left.append(f"{what}: {error}")
        observe.remove(self._see)
        return left

    def _removals(self) -> Iterator[tuple[str, Callable[[], object]]]:
        client, logs, s3 = self.cloud.client("lambda"), self.cloud.client("logs"), self.cloud.client("s3")
        # Functions first: until they are gone, they could write more objects.
        for name in self.functions:
            yield f"function {name}", partial(client.delete_function, FunctionName=name)
        for name in self._layers:
            yield f"layer {name}", partial(self._remove_layer, name)
        for start in [*sorted(self._keys), *(f"{RESULTS}{result.job_id}/" for result in self.started)]:
            yield f"objects {start}", partial(self.store.delete_prefix, start)
        if self._bucket_made:
            yield f"bucket {self.store.bucket}", partial(s3.delete_bucket, Bucket=self.store.bucket)

        # An invocation that has just ended still writes its log, which would recreate the log group.
        time.sleep(_DELIVERY)
        for name in self.functions:
            yield f"log group of {name}", partial(logs.delete_log_group, logGroupName=f"/aws/lambda/{name}")

    def _remove_layer(self, name: str) -> None:
        client = self.cloud.client("lambda")
        for page in client.get_paginator("list_layer_versions").paginate(LayerName=name):
            for version in page["LayerVersions"]:
                client.delete_layer_version(LayerName=name, VersionNumber=version["Version"])

    def _see(self, operation: str, parameters: Mapping[str, Any]) -> None:
        """Record what is created, so that it can be deleted."""
        self._calls += 1
        match operation:
            case "lambda.CreateFunction":
                self.functions.append(parameters["FunctionName"])
            case "lambda.PublishLayerVersion":
                self._layers.append(parameters["LayerName"])
            case "s3.PutObject" | "s3.CreateMultipartUpload":
                self._keys.add(parameters["Key"])
            case "s3.CreateBucket":
                self._bucket_made = True


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    """Wait until a condition holds, for so many seconds at most."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
