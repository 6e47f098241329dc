"""Recursive loop detection: whether a chain of invocations that is too long is stopped."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.context import Context, Result


class Recursion:
    """Operations on a function's recursive loop setting."""

    def __init__(self, context: Context) -> None:
        self._registry = context.registry

    async def put_function_recursion_config(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        function.recursive_loop = params["RecursiveLoop"]
        return {"RecursiveLoop": function.recursive_loop}

    async def get_function_recursion_config(self, params: dict[str, Any]) -> Result:
        return {"RecursiveLoop": self._registry.function(params["FunctionName"]).recursive_loop}
