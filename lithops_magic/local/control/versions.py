"""Published versions of functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lithops_magic.local.control.configuration import describe, list_entry
from lithops_magic.local.control.context import Context, Result, check_revision, page, unsupported
from lithops_magic.local.control.registry import Function, Version, new_revision
from lithops_magic.local.names import LATEST, invalid


class Versions:
    """Operations on published versions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry

    async def publish_version(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        latest = function.latest
        self._registry.pending_states.check_changeable(function.name)
        check_revision(params, latest.revision)
        if params.get("PublishTo"):
            raise unsupported("PublishTo")
        wanted = params.get("CodeSha256") or latest.code.sha256
        if wanted != latest.code.sha256:
            raise invalid(
                f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({latest.code.sha256}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        version = publish(function, params.get("Description"))
        return describe(self._context, function, version, version.number)

    async def list_versions_by_function(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        versions, marker = page(function.versions.values(), params, _order)
        entries = [list_entry(self._context, function, version, qualified=True) for version in versions]
        return {"Versions": entries, "NextMarker": marker}


def publish(function: Function, description: str | None = None) -> Version:
    """Freeze `$LATEST` as the next version, or return the last version if nothing has changed since."""
    latest, last = function.latest, function.versions.get(str(function.published))
    if last is not None and last.change == latest.change:
        return last
    function.published += 1
    number = str(function.published)
    configuration = {**latest.configuration}
    if description:
        configuration["Description"] = description
    if configuration["SnapStart"]["ApplyOn"] == "PublishedVersions":
        configuration["SnapStart"] = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    function.versions[number] = replace(latest, number=number, configuration=configuration, revision=new_revision())
    latest.revision = new_revision()
    return function.versions[number]


def _order(version: Version) -> str:
    # Compared as text, where 10 would come before 9.
    return "" if version.number == LATEST else version.number.zfill(10)
