"""Tags of functions."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.context import Context, Result
from lithops_magic.local.control.registry import Function
from lithops_magic.local.control.validation import check_tags
from lithops_magic.local.names import invalid, resource_not_found


class Tags:
    """Operations on tags."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def tag_resource(self, params: dict[str, Any]) -> Result:
        function = self._function(params["Resource"])
        if not params["Tags"]:
            raise invalid("An error occurred and the request cannot be processed.")
        tags = {**function.tags, **params["Tags"]}
        check_tags(tags)
        function.tags = tags
        return {}

    async def untag_resource(self, params: dict[str, Any]) -> Result:
        function = self._function(params["Resource"])
        function.tags = {key: value for key, value in function.tags.items() if key not in params["TagKeys"]}
        return {}

    async def list_tags(self, params: dict[str, Any]) -> Result:
        return {"Tags": self._function(params["Resource"]).tags}

    def _function(self, arn: str) -> Function:
        if ":function:" not in arn:
            raise resource_not_found(f"The resource you requested does not exist: {arn}")
        if self._account.split_function(arn)[1]:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        return self._registry.function(arn)
