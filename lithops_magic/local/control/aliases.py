"""Aliases: names that point at versions, and may share invocations between two."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.context import Context, Result, check_revision, page
from lithops_magic.local.control.registry import Alias, Function, new_revision
from lithops_magic.local.control.validation import check_weights
from lithops_magic.local.names import conflict, not_found, resource_not_found


class Aliases:
    """Operations on aliases."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def create_alias(self, params: dict[str, Any]) -> Result:
        name, version = params["Name"], params["FunctionVersion"]
        function = self._registry.function(params["FunctionName"], named=version)
        weights = self._check_target(function, version, params.get("RoutingConfig", {}))
        if name in function.aliases:
            raise conflict(f"Alias already exists: {self._account.function_arn(function.name, name)}")
        alias = Alias(name, version, params.get("Description", ""), weights, new_revision())
        function.aliases[name] = alias
        return self._describe(function, alias)

    async def get_alias(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        return self._describe(function, self._find(function, params["Name"], "Cannot find alias arn"))

    async def update_alias(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        alias = self._find(function, params["Name"], "Alias not found")
        check_revision(params, alias.revision)
        version = params.get("FunctionVersion", alias.version)
        routing = params.get("RoutingConfig", {"AdditionalVersionWeights": alias.weights})
        alias.weights = self._check_target(function, version, routing)
        alias.version = version
        alias.description = params.get("Description", alias.description)
        alias.revision = new_revision()
        return self._describe(function, alias)

    async def delete_alias(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        function.aliases.pop(params["Name"], None)
        function.event_invoke.pop(params["Name"], None)
        function.policies.pop(params["Name"], None)
        return {}

    async def list_aliases(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        wanted = params.get("FunctionVersion")
        matching = [alias for alias in function.aliases.values() if wanted in (None, alias.version, *alias.weights)]
        aliases, marker = page(matching, params, lambda alias: alias.name)
        return {"Aliases": [self._describe(function, alias) for alias in aliases], "NextMarker": marker}

    def _check_target(self, function: Function, version: str, routing: dict[str, Any]) -> dict[str, float]:
        weights: dict[str, float] = routing.get("AdditionalVersionWeights", {})
        check_weights(weights, version)
        for number in (version, *weights):
            if number not in function.versions:
                raise not_found(self._account.function_arn(function.name, number))
        return weights

    def _find(self, function: Function, name: str, problem: str) -> Alias:
        if name not in function.aliases:
            raise resource_not_found(f"{problem}: {self._account.function_arn(function.name, name)}")
        return function.aliases[name]

    def _describe(self, function: Function, alias: Alias) -> Result:
        return {
            "AliasArn": self._account.function_arn(function.name, alias.name),
            "Name": alias.name,
            "FunctionVersion": alias.version,
            "Description": alias.description,
            "RoutingConfig": {"AdditionalVersionWeights": alias.weights} if alias.weights else None,
            "RevisionId": alias.revision,
        }
