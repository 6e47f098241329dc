"""Features that no local function has (URLs and code signing): AWS's answers for functions without them."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.context import Context, Result
from lithops_magic.local.names import resource_not_found


class NotConfigured:
    """Read-only operations on those features."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def get_function_url_config(self, params: dict[str, Any]) -> Result:
        self._account.split_function(params["FunctionName"], params.get("Qualifier"))
        raise resource_not_found("The resource you requested does not exist.")

    async def get_function_code_signing_config(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        return {"CodeSigningConfigArn": "", "FunctionName": function.name}
