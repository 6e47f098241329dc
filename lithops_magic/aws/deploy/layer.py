"""Package layers: found by content hash, published once, deleted together with the functions."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lithops_magic.aws.definition import LAYER_HASH, runtime_name, start_of_names
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.aws.storage.bucket import JOB_PREFIX, ensure_bucket
from lithops_magic.config import Settings
from lithops_magic.errors import DeployError

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

DESCRIPTION = "Packages of lithops-magic"

DIRECT_LIMIT = 50_000_000
"""Maximum bytes of a zip in a request, below AWS's 50 MB; larger ones go through S3."""


class BuiltLayer(Protocol):
    """A layer's zip on this machine."""

    @property
    def digest(self) -> str:
        """SHA-256 of the zip in hexadecimal."""

    @property
    def path(self) -> Path:
        """Where the zip is."""

    @property
    def size(self) -> int:
        """Size of the zip in bytes."""


def publish_layers(
    cloud: Cloud, settings: Settings, layers: Sequence[BuiltLayer], notify: Notify = silent
) -> tuple[str, ...]:
    """Return the ARNs of these layers; publishes those not in the account yet.

    Raises
    ------
    DeployError
        AWS refuses a layer.
    """
    known = find_layers(cloud, settings, layers)
    return tuple(arn or _publish(cloud, settings, one, notify) for one, arn in zip(layers, known, strict=True))


def find_layers(cloud: Cloud, settings: Settings, layers: Sequence[BuiltLayer]) -> list[str | None]:
    """Return the ARN of each layer, None if it is not in the account yet; publishes nothing.

    Raises
    ------
    DeployError
        The call is not permitted.
    """
    if not layers:
        return []
    with aws_errors(DeployError), ThreadPoolExecutor(len(layers)) as pool:
        client = cloud.client("lambda")
        return list(pool.map(lambda layer: _find(client, settings, layer), layers))


def delete_layers(cloud: Cloud, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Delete this namespace's layers and return their names; functions that use them keep working.

    With `dry_run`, delete nothing; only return the names.

    Raises
    ------
    AwsError
        A call is not permitted.
    """
    client = cloud.client("lambda")
    with aws_errors():
        names = list(_ours(client, settings))
        for name in [] if dry_run else names:
            for version in _versions(client, name):
                client.delete_layer_version(LayerName=name, VersionNumber=version["Version"])
    return sorted(names)


def _publish(cloud: Cloud, settings: Settings, layer: BuiltLayer, notify: Notify) -> str:
    with aws_errors(DeployError):
        client, name = cloud.client("lambda"), _name(settings, layer)
        notify(f"Uploading the layer ({layer.size / 2**20:,.1f} MB)")
        answer = client.publish_layer_version(
            LayerName=name,
            Description=DESCRIPTION,
            Content=_content(cloud, settings, layer, notify),
            CompatibleRuntimes=[runtime_name()],  # type: ignore[list-item]
            CompatibleArchitectures=[settings.architecture],  # type: ignore[list-item]
        )
        # Anyone who can write to the bucket could have replaced the zip on its way through S3.
        if answer["Content"].get("CodeSha256") != _checksum(layer):
            client.delete_layer_version(LayerName=name, VersionNumber=answer["Version"])
            raise DeployError(
                f"The layer {name} that AWS Lambda published is not the zip that this machine built: it was deleted, "
                "and nothing ran. Find out who can write to the job bucket, then run it again."
            )
    return answer["LayerVersionArn"]


def _name(settings: Settings, layer: BuiltLayer) -> str:
    return f"{start_of_names(settings)}{layer.digest[:LAYER_HASH]}"


def _find(client: LambdaClient, settings: Settings, layer: BuiltLayer) -> str | None:
    """Return the ARN of the version whose contents are what this machine built; None if there is none."""
    name = _name(settings, layer)
    # Every version, not just the latest: anyone who may publish layers could have added one with other contents.
    for version in _versions(client, name):
        published = client.get_layer_version(LayerName=name, VersionNumber=version["Version"])
        if published["Content"].get("CodeSha256") == _checksum(layer):
            return published["LayerVersionArn"]
    return None


def _content(cloud: Cloud, settings: Settings, layer: BuiltLayer, notify: Notify) -> Any:
    if layer.size <= DIRECT_LIMIT:
        return {"ZipFile": layer.path.read_bytes()}
    bucket = ensure_bucket(cloud, settings, notify)
    key = f"{JOB_PREFIX}layers/{layer.digest}.zip"
    put_layer(cloud, bucket, key, layer)
    return {"S3Bucket": bucket, "S3Key": key}


def put_layer(cloud: Cloud, bucket: str, key: str, layer: BuiltLayer) -> None:
    """Store a layer's zip in S3, which verifies the upload.

    Raises
    ------
    DeployError
        The zip cannot be stored.
    """
    owned: Any = {"Bucket": bucket, "ExpectedBucketOwner": cloud.account_id}
    with aws_errors(DeployError), layer.path.open("rb") as body:
        cloud.client("s3").put_object(**owned, Key=key, Body=body, ChecksumSHA256=_checksum(layer))


def _checksum(layer: BuiltLayer) -> str:
    return base64.b64encode(bytes.fromhex(layer.digest)).decode()


def _ours(client: LambdaClient, settings: Settings) -> Iterator[str]:
    name = re.compile(re.escape(start_of_names(settings)) + f"[0-9a-f]{{{LAYER_HASH}}}")
    for page in client.get_paginator("list_layers").paginate():
        for layer in page["Layers"]:
            latest = layer["LatestMatchingVersion"]
            if name.fullmatch(layer["LayerName"]) and latest.get("Description") == DESCRIPTION:
                yield layer["LayerName"]


def _versions(client: LambdaClient, name: str) -> Iterator[Any]:
    for page in client.get_paginator("list_layer_versions").paginate(LayerName=name):
        yield from page["LayerVersions"]
