"""Tags of functions."""

from __future__ import annotations

from typing import Any

from lithops_magic.local.control.context import Context, Result
from lithops_magic.local.control.registry import Function, new_revision
from lithops_magic.local.control.validation import check_tags
from lithops_magic.local.names import invalid, resource_not_found

_OTHERS = {"event-source-mapping": "Event source mapping", "capacity-provider": "Capacity provider"}
"""AWS's names of taggable resources that do not exist here."""


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
        function.tags, function.latest.revision = tags, new_revision()
        return {}

    async def untag_resource(self, params: dict[str, Any]) -> Result:
        function = self._function(params["Resource"])
        function.tags = {key: value for key, value in function.tags.items() if key not in params["TagKeys"]}
        function.latest.revision = new_revision()
        return {}

    async def list_tags(self, params: dict[str, Any]) -> Result:
        return {"Tags": self._function(params["Resource"]).tags}

    def _function(self, arn: str) -> Function:
        if ":function:" not in arn:
            kind = next((text for name, text in _OTHERS.items() if f":{name}:" in arn), "")
            text = f"{kind} not found" if kind else "The resource you requested does not exist"
            raise resource_not_found(f"{text}: {arn}")
        if self._account.split_function(arn)[1]:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        return self._registry.function(arn)
