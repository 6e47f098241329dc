"""Create, read, update, delete and list functions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from lithops_magic.local.control.archives import Archive
from lithops_magic.local.control.configuration import (
    change_of,
    configure,
    defaults,
    describe,
    list_entry,
    refuse_unsupported,
)
from lithops_magic.local.control.context import Context, Result, Source, check_revision, page
from lithops_magic.local.control.pending_states import IN_PROGRESS, PENDING, in_progress
from lithops_magic.local.control.registry import Function, Version, new_revision, timestamp
from lithops_magic.local.control.validation import (
    check_layer_arns,
    check_new_name,
    check_package,
    check_tags,
    check_unzipped,
)
from lithops_magic.local.control.versions import publish
from lithops_magic.local.names import LATEST, conflict, invalid, not_found


class Functions:
    """Operations on whole functions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry

    async def create_function(self, params: dict[str, Any]) -> Result:
        refuse_unsupported(params)
        check_new_name(params["FunctionName"])
        name, _ = self._context.account.split_function(params["FunctionName"])
        check_layer_arns(params.get("Layers", []), self._context.account)
        self._check_free(name)
        check_package(params)
        check_tags(params.get("Tags", {}))
        configuration, layers = await configure(self._context, defaults(name), params)
        image = params["Code"].get("ImageUri", "")
        code = Archive.of_image(image) if image else await self._store(Source.of(params["Code"]))
        check_unzipped(code, layers or [])
        # Another request may have taken the name while this one waited.
        self._check_free(name)
        function = Function(
            name, {LATEST: _version(configuration, code, layers or [], image)}, tags=params.get("Tags", {})
        )
        self._registry.functions[name] = function
        published = publish(function) if params.get("Publish") else None
        reply = self._begin(function, function.latest, None, PENDING)
        return self._begin(function, published, None, PENDING) if published else reply

    async def get_function(self, params: dict[str, Any]) -> Result:
        function, version, qualifier = self._registry.version(params["FunctionName"], params.get("Qualifier"))
        reserved = None if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}
        return {
            "Configuration": describe(self._context, function, version, qualifier),
            "Code": self._location(version),
            "Tags": function.tags or None,
            "Concurrency": reserved,
        }

    async def get_function_configuration(self, params: dict[str, Any]) -> Result:
        function, version, qualifier = self._registry.version(params["FunctionName"], params.get("Qualifier"))
        return describe(self._context, function, version, qualifier)

    async def update_function_code(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        before = function.latest
        self._registry.pending_states.check_changeable(function.name)
        check_revision(params, before.revision)
        refuse_unsupported(params)
        image = params.get("ImageUri", "")
        if bool(image) != bool(before.image):
            asked, kind = ("don't provide", "Zip") if image else ("provide", "Image")
            raise invalid(f"Please {asked} ImageUri when updating a function with packageType {kind}.")
        code = Archive.of_image(image) if image else await self._store(Source.of(params))
        check_unzipped(code, before.layers)
        architectures = params.get("Architectures", before.configuration["Architectures"])
        after = _version({**before.configuration, "Architectures": architectures}, code, before.layers, image)
        if params.get("DryRun"):
            return describe(self._context, function, replace(after, revision=before.revision))
        await self._replace(function, before, after)
        reply = self._begin(function, after, None, IN_PROGRESS)
        if params.get("Publish"):
            version = publish(function)
            return self._begin(function, version, version.number, PENDING)
        return reply

    async def update_function_configuration(self, params: dict[str, Any]) -> Result:
        function = self._registry.function(params["FunctionName"])
        before = function.latest
        self._registry.pending_states.check_changeable(function.name)
        check_revision(params, before.revision)
        configuration, layers = await configure(self._context, before.configuration, params)
        after = _version(configuration, before.code, before.layers if layers is None else layers, before.image)
        check_unzipped(after.code, after.layers)
        await self._replace(function, before, after)
        return self._begin(function, after, None, IN_PROGRESS)

    async def delete_function(self, params: dict[str, Any]) -> Result:
        name, qualifier = self._context.account.split_function(params["FunctionName"], params.get("Qualifier"))
        function = self._registry.functions.get(name)
        if qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        if qualifier and not qualifier.isdigit() and not qualifier.startswith("$"):
            raise invalid("Deletion of aliases is not currently supported.")
        if function is None:
            raise not_found(self._context.account.function_arn(name))
        if qualifier:
            _delete_version(function, qualifier)
        else:
            del self._registry.functions[name]
            self._registry.pending_states.forget(name)
        await self._context.sandboxes.retire(name)
        return {"StatusCode": 204}

    async def list_functions(self, params: dict[str, Any]) -> Result:
        everything = params.get("FunctionVersion") == "ALL"
        entries = [
            list_entry(self._context, function, version, qualified=everything)
            for function in self._registry.functions.values()
            for version in function.versions.values()
            if everything or version.number == LATEST
        ]
        items, marker = page(entries, params, lambda entry: str(entry["FunctionArn"]))
        return {"Functions": items, "NextMarker": marker}

    async def _store(self, source: Source) -> Archive:
        data = await source.read(self._context.platform)
        return await asyncio.to_thread(self._context.archives.add, data)

    async def _replace(self, function: Function, before: Version, after: Version) -> None:
        """Make `after` the function's `$LATEST`, unless another update came first."""
        if self._registry.functions.get(function.name) is not function or function.latest is not before:
            raise in_progress(self._context.account.function_arn(function.name))
        function.versions[LATEST] = after
        await self._context.sandboxes.retire(function.name)

    def _begin(self, function: Function, version: Version, qualifier: str | None, status: Result) -> Result:
        """Return the reply while AWS is still at work; its revision is superseded once the work is done."""
        unsettled = {"RevisionId": new_revision(), **status}
        self._registry.pending_states.begin(function.name, version.number, unsettled)
        described = describe(self._context, function, version, qualifier)
        # AWS omits it while a function is pending: there has been no update.
        if "State" in status:
            described.pop("LastUpdateStatus", None)
        return {**described, **unsettled}

    def _location(self, version: Version) -> Result:
        if version.image:
            return {"RepositoryType": "ECR", "ImageUri": version.image, "ResolvedImageUri": version.image}
        return {"RepositoryType": "S3", "Location": self._context.links.url(version.code)}

    def _check_free(self, name: str) -> None:
        if name in self._registry.functions:
            raise conflict(f"Function already exist: {name}")


def _version(configuration: Result, code: Archive, layers: list[Archive], image: str) -> Version:
    change = change_of(configuration, code)
    return Version(LATEST, configuration, code, layers, new_revision(), timestamp(), change, image)


def _delete_version(function: Function, number: str) -> None:
    aliases = sorted(alias.name for alias in function.aliases.values() if number in (alias.version, *alias.weights))
    if aliases:
        raise conflict(f"Cannot delete version {number}: it is referenced by the aliases {', '.join(aliases)}.")
    function.versions.pop(number, None)
    function.event_invoke.pop(number, None)
    function.policies.pop(number, None)
