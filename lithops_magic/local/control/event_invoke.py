"""How asynchronous invocations are retried: event-invoke configurations by qualifier."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from lithops_magic.local.control.context import Context, Result, page
from lithops_magic.local.control.registry import EventInvoke, Function
from lithops_magic.local.names import LATEST, invalid, resource_not_found

DESTINATIONS = frozenset({"lambda", "sqs", "sns", "events", "s3"})


class EventInvokeConfigs:
    """Operations on event-invoke configurations; destinations are stored and described, but nothing is delivered."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def put_function_event_invoke_config(self, params: dict[str, Any]) -> Result:
        _check_changes(params)
        function, qualifier = self._target(params)
        settings = EventInvoke(None, None, {"OnSuccess": {}, "OnFailure": {}}, 0.0)
        return self._change(function, qualifier, settings, params)

    async def update_function_event_invoke_config(self, params: dict[str, Any]) -> Result:
        function, qualifier = self._target(params)
        if qualifier not in function.event_invoke:
            raise self._missing(function.name, qualifier)
        return self._change(function, qualifier, function.event_invoke[qualifier], params)

    async def get_function_event_invoke_config(self, params: dict[str, Any]) -> Result:
        function, qualifier = self._existing(params)
        return self._describe(function, qualifier)

    async def delete_function_event_invoke_config(self, params: dict[str, Any]) -> Result:
        function, qualifier = self._existing(params)
        del function.event_invoke[qualifier]
        return {}

    async def list_function_event_invoke_configs(self, params: dict[str, Any]) -> Result:
        function, _ = self._find(params)
        qualifiers, marker = page(function.event_invoke, params, str)
        entries = [self._describe(function, qualifier) for qualifier in qualifiers]
        return {"FunctionEventInvokeConfigs": entries, "NextMarker": marker}

    def _change(self, function: Function, qualifier: str, settings: EventInvoke, params: dict[str, Any]) -> Result:
        _check_changes(params)
        self._check_destinations(function, params.get("DestinationConfig", {}))
        function.event_invoke[qualifier] = EventInvoke(
            params.get("MaximumRetryAttempts", settings.retries),
            params.get("MaximumEventAgeInSeconds", settings.age),
            {**settings.destinations, **params.get("DestinationConfig", {})},
            time.time(),
        )
        return self._describe(function, qualifier)

    def _check_destinations(self, function: Function, config: dict[str, Any]) -> None:
        """Raise AWS's error for an invalid destination; whether one in another service exists is not checked."""
        arns = {key: config.get(key, {}).get("Destination") for key in ("OnSuccess", "OnFailure")}
        for arn in filter(None, arns.values()):
            service = arn.split(":")[2]
            if service not in DESTINATIONS:
                success, failure = (_shown(key, destination) for key, destination in arns.items())
                text = f"DestinationConfig(onSuccess={success}, onFailure={failure})"
                raise invalid(f"The provided destination config {text} is invalid.")
            if service == "lambda":
                name, _ = self._account.split_function(arn)
                if name == function.name:
                    raise invalid("You can't specify the function as a destination for itself.")
                if name not in self._registry.functions:
                    raise invalid(f"The destination ARN {arn} is invalid.")

    def _target(self, params: dict[str, Any]) -> tuple[Function, str]:
        function, qualifier = self._find(params)
        if qualifier not in function.versions and qualifier not in function.aliases:
            raise resource_not_found("The function doesn't exist.")
        return function, qualifier

    def _find(self, params: dict[str, Any]) -> tuple[Function, str]:
        name, qualifier = self._account.split_function(params["FunctionName"], params.get("Qualifier"))
        if name not in self._registry.functions:
            raise resource_not_found("The function doesn't exist.")
        return self._registry.functions[name], qualifier or LATEST

    def _existing(self, params: dict[str, Any]) -> tuple[Function, str]:
        name, qualifier = self._account.split_function(params["FunctionName"], params.get("Qualifier"))
        function = self._registry.functions.get(name)
        if function is None or (qualifier or LATEST) not in function.event_invoke:
            raise self._missing(name, qualifier or LATEST)
        return function, qualifier or LATEST

    def _missing(self, name: str, qualifier: str) -> Exception:
        arn = self._account.function_arn(name, qualifier)
        return resource_not_found(f"The function {arn} doesn't have an EventInvokeConfig")

    def _describe(self, function: Function, qualifier: str) -> Result:
        settings = function.event_invoke[qualifier]
        return {
            "FunctionArn": self._account.function_arn(function.name, qualifier),
            "LastModified": datetime.fromtimestamp(settings.modified, UTC),
            "MaximumRetryAttempts": settings.retries,
            "MaximumEventAgeInSeconds": settings.age,
            "DestinationConfig": settings.destinations,
        }


def _check_changes(params: dict[str, Any]) -> None:
    if not {"MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"}.intersection(params):
        raise invalid("You must specify at least one of error handling or destination setting.")


def _shown(key: str, destination: str | None) -> str:
    return f"{key}(destination={destination})" if destination else "null"
