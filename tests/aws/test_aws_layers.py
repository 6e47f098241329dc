"""A layer is what this machine built, whatever became of it on the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws.deploy import layer as layers
from lithops_magic.aws.deploy.layer import find_layers, publish_layers
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.errors import DeployError
from localaws import LocalAws


@dataclass
class Built:
    path: Path
    digest: str
    size: int


def zipped(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, data)
    return sink.getvalue()


@pytest.fixture
def built(tmp_path: Path) -> Built:
    data = zipped("python/package.py", os.urandom(100))
    (tmp_path / "layer.zip").write_bytes(data)
    return Built(tmp_path / "layer.zip", hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def cloud(local_aws: LocalAws) -> Cloud:
    return Cloud.connect(Settings(local=True))


def swap(cloud: Cloud, local_aws: LocalAws, foreign: bytes, times: int = 1) -> None:
    """Have somebody replace the zip in the bucket before AWS reads it."""
    left = iter(range(times))

    def replace(params: dict[str, Any], **_: Any) -> None:
        if next(left, None) is None:
            return
        content = json.loads(params["body"])["Content"]
        local_aws.client("s3").put_object(Bucket=content["S3Bucket"], Key=content["S3Key"], Body=foreign)

    cloud.client("lambda").meta.events.register("before-call.lambda.PublishLayerVersion", replace)


def names(local_aws: LocalAws, built: Built) -> list[str]:
    name = f"lithops-magic-trust-{built.digest[:16]}"
    found = local_aws.client("lambda").list_layer_versions(LayerName=name)["LayerVersions"]
    return [version["LayerVersionArn"] for version in found]


def test_a_zip_that_was_swapped_in_the_bucket_is_deleted_and_never_used(
    local_aws: LocalAws, cloud: Cloud, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "DIRECT_LIMIT", 0)
    settings = Settings(local=True, namespace="trust")
    swap(cloud, local_aws, zipped("python/package.py", b"evil()"))
    with pytest.raises(DeployError, match=r"is not the zip .*: it was deleted, and nothing ran") as caught:
        publish_layers(cloud, settings, [built])
    assert "\n" not in str(caught.value)
    assert names(local_aws, built) == []
    (arn,) = publish_layers(cloud, settings, [built])
    assert names(local_aws, built) == [arn]


def test_a_layer_of_that_name_with_other_contents_is_not_taken(local_aws: LocalAws, cloud: Cloud, built: Built) -> None:
    # As if the one that published it had been killed before it could compare.
    settings = Settings(local=True, namespace="trust")
    name = f"lithops-magic-trust-{built.digest[:16]}"
    for data in (b"evil()", b"worse()"):
        content = {"ZipFile": zipped("python/package.py", data)}
        local_aws.client("lambda").publish_layer_version(LayerName=name, Content=content)
    assert find_layers(cloud, settings, [built]) == [None]
    (arn,) = publish_layers(cloud, settings, [built])
    assert arn.endswith(":3")
    assert find_layers(cloud, settings, [built]) == [arn]
    assert publish_layers(cloud, settings, [built]) == (arn,)
