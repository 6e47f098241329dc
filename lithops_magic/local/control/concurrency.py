"""Reserved concurrency, and what the account has and uses."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.archives import UNZIPPED_LIMIT
from lithops_magic.local.control.context import Context, Result
from lithops_magic.local.control.registry import Function
from lithops_magic.local.control.validation import ZIP_LIMIT
from lithops_magic.local.names import LATEST, invalid, not_found

UNRESERVED = 100
"""Concurrent executions that must remain unreserved (Lambda's quotas page)."""

CODE_STORAGE = 300 * 1024**3
"""Bytes of code an account may keep in a region (Lambda's quotas page: 300 GB)."""


class Concurrency:
    """Operations on reserved concurrency and account settings."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry

    async def put_function_concurrency(self, params: dict[str, Any]) -> Result:
        function, wanted = self._function(params, LATEST), params["ReservedConcurrentExecutions"]
        others = self._reserved() - (function.reserved or 0)
        if wanted and self._context.concurrency - others - wanted < UNRESERVED:
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{UNRESERVED}].",
                typed=False,
            )
        function.reserved = wanted
        return {"ReservedConcurrentExecutions": wanted}

    async def get_function_concurrency(self, params: dict[str, Any]) -> Result:
        return {"ReservedConcurrentExecutions": self._function(params).reserved}

    async def delete_function_concurrency(self, params: dict[str, Any]) -> Result:
        self._function(params).reserved = None
        return {}

    async def get_account_settings(self, _params: dict[str, Any]) -> Result:
        concurrency = self._context.concurrency
        limits = {
            "TotalCodeSize": CODE_STORAGE,
            "CodeSizeUnzipped": UNZIPPED_LIMIT,
            "CodeSizeZipped": ZIP_LIMIT,
            "ConcurrentExecutions": concurrency,
            "UnreservedConcurrentExecutions": concurrency - self._reserved(),
        }
        usage = {"TotalCodeSize": self._registry.stored_bytes(), "FunctionCount": len(self._registry.functions)}
        return {"AccountLimit": limits, "AccountUsage": usage}

    def _reserved(self) -> int:
        return sum(function.reserved or 0 for function in self._registry.functions.values())

    def _function(self, params: dict[str, Any], named: str | None = None) -> Function:
        """Find the function; whether AWS's error names a version depends on the operation."""
        name, qualifier = self._context.account.split_function(params["FunctionName"])
        if qualifier:
            raise invalid(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this "
                "operation. Please specify either a function name or an unqualified function ARN."
            )
        if name not in self._registry.functions:
            raise not_found(self._context.account.function_arn(name, named))
        return self._registry.functions[name]
