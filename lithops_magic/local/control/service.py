"""The local Lambda service: the entry point for every request of the Lambda API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.model import OperationModel

from lithops_magic.local.control import constraints, validation
from lithops_magic.local.control.aliases import Aliases
from lithops_magic.local.control.archives import Archives
from lithops_magic.local.control.concurrency import Concurrency
from lithops_magic.local.control.context import Context, Links, Result, unsupported
from lithops_magic.local.control.event_invoke import EventInvokeConfigs
from lithops_magic.local.control.functions import Functions
from lithops_magic.local.control.invoke import Invoker
from lithops_magic.local.control.layer_policies import LayerPolicies
from lithops_magic.local.control.layers import Layers
from lithops_magic.local.control.not_configured import NotConfigured
from lithops_magic.local.control.platform import Platform
from lithops_magic.local.control.policies import Policies
from lithops_magic.local.control.protocol import Protocol
from lithops_magic.local.control.recursion import Recursion
from lithops_magic.local.control.registry import Registry
from lithops_magic.local.control.tags import Tags
from lithops_magic.local.control.versions import Versions
from lithops_magic.local.model import Request, Response, ServiceError
from lithops_magic.local.names import Account
from lithops_magic.local.resources import explain
from lithops_magic.local.sandbox.runtime import Runtime

OPERATION_GROUPS = (
    NotConfigured,
    Functions,
    Versions,
    Aliases,
    Tags,
    Layers,
    LayerPolicies,
    Concurrency,
    EventInvokeConfigs,
    Policies,
    Recursion,
)

_log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[Result]]


class LambdaService:
    """Answers requests as AWS Lambda does.

    Parameters
    ----------
    state
        Folder of code, EFS folders and everything persistent; a service restarted on it resumes from there.
    region, account
        The only ones it serves.
    platform
        The account's other services.
    runtime
        Runs the functions.
    base_url
        Where this service is reached; download links begin with it.
    concurrency
        Concurrent executions the account may have.
    event_retry_delays
        Seconds before each retry of a failed asynchronous invocation.
    settle
        Seconds for which a function is pending or its update in progress.
    """

    def __init__(
        self,
        *,
        state: Path,
        region: str,
        account: str,
        platform: Platform,
        runtime: Runtime,
        base_url: str,
        concurrency: int,
        event_retry_delays: tuple[float, ...],
        settle: float,
    ) -> None:
        home = Account(region, account)
        self._protocol = Protocol()
        self._archives = Archives(state)
        self.registry = Registry(state, home, self._archives, settle)
        # Nothing runs yet that could still import from what no function refers to.
        self._archives.collect(self.registry.used_archives(), at_once=True)
        self._links = Links(base_url)
        context = Context(
            home, self.registry, self._archives, platform, runtime, self._protocol.service, self._links, concurrency
        )
        self._handlers = _handlers(context, self._protocol)
        self._invoker = Invoker(self.registry, runtime, concurrency=concurrency, retry_delays=event_retry_delays)

    async def handle(self, request: Request) -> Response:
        """Answer one request; every failure becomes AWS's error response."""
        try:
            return await self._answer(request)
        except ServiceError as error:
            return self._protocol.error(error)
        except OSError as failure:
            _log.exception("%s %s failed", request.method, request.path)
            return self._protocol.error(ServiceError("ServiceException", explain(failure), status=500))
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            message = "The local Lambda service failed; its log says why."
            return self._protocol.error(ServiceError("ServiceException", message, status=500))

    async def download(self, token: str) -> Response:
        """Return the zip behind a function's or layer's Location."""
        digest = self._links.digest(token)
        path = self._archives.zip(digest) if digest else None
        if path is None or not path.exists():
            return Response(404, b"This link is not valid; ask Lambda for a new one.\n")
        return Response(200, await asyncio.to_thread(path.read_bytes), {"Content-Type": "application/zip"})

    async def close(self) -> None:
        """Save everything for the next start; waiting events are discarded."""
        await self._invoker.close()
        self.registry.save()

    async def _answer(self, request: Request) -> Response:
        operation, params = self._protocol.parse(request)
        _validate(operation, params)
        # Before the handlers: an invocation changes nothing that would have to be saved.
        if operation.name == "Invoke":
            return await self._invoker.invoke(request, params)
        if operation.name == "InvokeAsync":
            event = {"InvocationType": "Event", "FunctionName": params["FunctionName"], "Payload": params["InvokeArgs"]}
            return await self._invoker.invoke(request, event)
        handler = self._handlers.get(operation.name)
        if handler is None:
            raise unsupported(f"lambda:{operation.name}")
        result = await handler(params)
        if request.method != "GET":
            self.registry.save()
            self._archives.collect(self.registry.used_archives())
        return self._protocol.reply(operation, result)


def _handlers(context: Context, protocol: Protocol) -> dict[str, Handler]:
    """Return the method for each operation, found by boto3's name of the operation."""
    groups = [make(context) for make in OPERATION_GROUPS]
    methods = {name: getattr(group, name) for group in groups for name in vars(type(group))}
    names = protocol.service.operation_names
    return {name: methods[xform_name(name)] for name in names if xform_name(name) in methods}


def _validate(operation: OperationModel, params: dict[str, Any]) -> None:
    if operation.input_shape is not None:
        about_functions = operation.name in ("CreateFunction", "UpdateFunctionConfiguration")
        limits = validation.FUNCTION_LIMITS if about_functions else validation.LIMITS
        if operation.name.startswith("ListLayer"):
            limits = validation.LIST_LIMITS
        constraints.check(params, operation.input_shape, limits)
