"""Layers: publish, list, read and delete their versions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from lithops_magic.local.control.context import Context, Result, Source, page
from lithops_magic.local.control.registry import Layer, LayerVersion, timestamp
from lithops_magic.local.names import invalid, resource_not_found

_DETAILS = ("Description", "LicenseInfo", "CompatibleRuntimes", "CompatibleArchitectures")


class Layers:
    """Operations on layers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._account = context.account
        self._layers = context.registry.layers

    async def publish_layer_version(self, params: dict[str, Any]) -> Result:
        name, _ = self._account.split_layer(params["LayerName"])
        data = await Source.of(params["Content"]).read(self._context.platform)
        content = await asyncio.to_thread(self._context.archives.add, data)
        layer = self._layers.setdefault(name, Layer(name))
        layer.published += 1
        details = {"Description": "", **{key: params[key] for key in _DETAILS if key in params}}
        version = LayerVersion(layer.published, content, details, timestamp())
        layer.versions[version.number] = version
        return self._describe(layer, version)

    async def get_layer_version(self, params: dict[str, Any]) -> Result:
        name, number = self._address(params)
        return self._describe(*self._find(name, number))

    async def get_layer_version_by_arn(self, params: dict[str, Any]) -> Result:
        name, number = self._account.split_layer(params["Arn"])
        return self._describe(*self._find(name, number or 0))

    async def delete_layer_version(self, params: dict[str, Any]) -> Result:
        name, number = self._address(params)
        layer = self._layers.get(name)
        # A layer without versions is neither listed nor found, but its version numbers are never reused.
        if layer is not None:
            layer.versions.pop(number, None)
        return {}

    async def list_layers(self, params: dict[str, Any]) -> Result:
        latest = {}
        for layer in self._layers.values():
            for version in _compatible(layer.versions.values(), params):
                latest[layer.name] = self._entry(layer, version)
        names, marker = page(latest, params, str)
        items = [
            {"LayerName": name, "LayerArn": self._account.layer_arn(name), "LatestMatchingVersion": latest[name]}
            for name in names
        ]
        return {"Layers": items, "NextMarker": marker}

    async def list_layer_versions(self, params: dict[str, Any]) -> Result:
        name, _ = self._account.split_layer(params["LayerName"])
        layer = self._layers.get(name, Layer(name))
        matching = _compatible(layer.versions.values(), params)
        versions, marker = page(matching, params, lambda version: str(version.number).zfill(10), newest_first=True)
        return {"LayerVersions": [self._entry(layer, version) for version in versions], "NextMarker": marker}

    def _address(self, params: dict[str, Any]) -> tuple[str, int]:
        number: int = params["VersionNumber"]
        if number < 1:
            raise invalid("Layer Version Cannot be less than 1")
        return self._account.split_layer(params["LayerName"])[0], number

    def _find(self, name: str, number: int) -> tuple[Layer, LayerVersion]:
        layer = self._layers.get(name)
        if layer is None or number not in layer.versions:
            raise resource_not_found("The resource you requested does not exist.")
        return layer, layer.versions[number]

    def _entry(self, layer: Layer, version: LayerVersion) -> Result:
        return {
            "LayerVersionArn": self._account.layer_arn(layer.name, version.number),
            "Version": version.number,
            "CreatedDate": version.created,
            **version.details,
        }

    def _describe(self, layer: Layer, version: LayerVersion) -> Result:
        content = version.content
        location = self._context.links.url(content)
        return {
            "LayerArn": self._account.layer_arn(layer.name),
            "Content": {"Location": location, "CodeSha256": content.sha256, "CodeSize": content.size},
            **self._entry(layer, version),
        }


def _compatible(versions: Iterable[LayerVersion], params: dict[str, Any]) -> list[LayerVersion]:
    runtime, architecture = params.get("CompatibleRuntime"), params.get("CompatibleArchitecture")
    return [
        version
        for version in versions
        if (runtime is None or runtime in version.details.get("CompatibleRuntimes", ()))
        and (architecture is None or architecture in version.details.get("CompatibleArchitectures", ()))
    ]
