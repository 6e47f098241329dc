"""What is too large for layers is unpacked by each sandbox from S3; what is too large for that is said before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from lithops_magic.config import load
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import InvokeError, PackageError
from lithops_magic.packages import placement
from lithops_magic.packages.archive import zip_bytes
from lithops_magic.packages.build import Layer, Shipped
from lithops_magic.packages.placement import Room
from localaws import LocalAws
from recording import record_no_job

Run = Callable[..., MapResult]


@pytest.fixture
def no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of 250 MB need not be downloaded for this."""
    monkeypatch.setattr(placement, "UNZIPPED_LIMIT", 0)


def bucket(local_aws: LocalAws) -> str:
    names = (entry["Name"] for entry in local_aws.client("s3").list_buckets()["Buckets"])
    return next((name for name in names if name.startswith("lithops-magic-1")), "")


def archives(local_aws: LocalAws) -> dict[str, datetime]:
    """The archives in the job's bucket, and when each was stored."""
    if not (name := bucket(local_aws)):
        return {}
    found = local_aws.client("s3").list_objects_v2(Bucket=name, Prefix="lithops-magic/packages/")
    return {entry["Key"]: entry["LastModified"] for entry in found.get("Contents", ())}


def layer(megabytes: int, *packages: str) -> Layer:
    shipped = tuple(Shipped(name, "1", megabytes * 2**20 // len(packages)) for name in packages)
    return Layer("0" * 64, Path(), megabytes * 2**18, megabytes * 2**20, shipped)


@pytest.mark.usefixtures("no_layers")
def test_packages_come_from_s3_and_go_before_those_of_the_runtime(run: Run, local_aws: LocalAws) -> None:
    def use(text: str) -> tuple[object, str, str, str]:
        import boto3
        import urllib3

        return yaml.safe_load(text), yaml.__file__, urllib3.__version__, boto3.__file__

    before, published = archives(local_aws), local_aws.requests().get("lambda:PublishLayerVersion", 0)
    result = run(use, ["a: 1"], packages="urllib3==1.26.20", memory=512)
    value, file, version, boto = result[0]
    assert value == {"a": 1}
    assert file.startswith("/tmp/lithops-magic-")
    # The worker fetched them with the runtime's boto3 and urllib3.
    assert (version, boto) == ("1.26.20", "/var/runtime/boto3/__init__.py")
    after = archives(local_aws)
    assert len(after.items() - before.items()) == 1
    # Another function finds them there.
    assert run(use, ["a: 2"], packages="urllib3==1.26.20", memory=513)[0][0] == {"a": 2}
    assert archives(local_aws) == after
    assert local_aws.requests().get("lambda:PublishLayerVersion", 0) == published


@pytest.mark.usefixtures("no_layers")
def test_what_was_changed_in_s3_is_not_unpacked(run: Run, local_aws: LocalAws) -> None:
    def use(_: int) -> str:
        import tabulate

        return tabulate.__file__

    assert run(use, packages="tabulate", memory=512)[0].startswith("/tmp/")
    key = max(found := archives(local_aws), key=lambda name: found[name])
    place = {"Bucket": bucket(local_aws), "Key": key}
    local_aws.client("s3").put_object(**place, Body=b"something else")
    with pytest.raises(InvokeError, match="are not the ones stored there, so they were not used") as caught:
        run(use, packages="tabulate", memory=513)
    assert key in str(caught.value)
    local_aws.client("s3").delete_object(**place)


def test_beside_five_configured_layers_packages_are_unpacked(run: Run, local_aws: LocalAws) -> None:
    client = local_aws.client("lambda")
    data = zip_bytes([("python/from_a_layer.py", b"value = 5")])
    published = [client.publish_layer_version(LayerName=f"own{i}", Content={"ZipFile": data}) for i in range(5)]
    settings = load().replace(layers=tuple(layer["LayerVersionArn"] for layer in published))

    def use(text: str) -> tuple[object, str, str]:
        import from_a_layer

        return yaml.safe_load(text) + from_a_layer.value, yaml.__file__, from_a_layer.__file__

    value, ours, theirs = run(use, ["1"], settings=settings)[0]
    assert (value, theirs) == (6, "/opt/python/from_a_layer.py")
    assert ours.startswith("/tmp/lithops-magic-")


@pytest.mark.parametrize(
    ("sizes", "room", "layers", "archives"),
    [
        ([100, 149], Room(512), [100, 149], []),
        ([100, 150], Room(512), [100], [150]),
        ([300, 40], Room(512), [40], [300]),
        ([10, 20], Room(512, layers=0), [], [20, 10]),
        ([10, 20], Room(512, layers=1), [10], [20]),
        ([2000, 260], Room(4096), [], [2000, 260]),
    ],
)
def test_layers_while_they_fit(sizes: list[int], room: Room, layers: list[int], archives: list[int]) -> None:
    found = placement.place([layer(size, "x") for size in sizes], room)
    assert [[built.unzipped // 2**20 for built in kind] for kind in found] == [layers, archives]


@pytest.mark.parametrize(
    ("size", "room", "told"),
    [
        (600, Room(512), "may have 250 MB, its /tmp 512 MB: give it --tmp 814 (ephemeral_storage) to unpack them, or"),
        (600, Room(512, layers=0), "it can have no more layers, its /tmp 512 MB: give it --tmp 814"),
        (9000, Room(10_240), "may have 250 MB, /tmp 10,240 MB: build a container image (`lithops-magic image` writes"),
    ],
)
def test_no_room_is_said_with_the_remedy(size: int, room: Room, told: str) -> None:
    with pytest.raises(PackageError) as caught:
        placement.place([layer(size, "large", "larger")], room)
    assert str(caught.value).startswith(f"The packages take {size:,} MB (largest: large {size // 2:,} MB, larger")
    assert told in str(caught.value)


def test_nothing_is_sent_when_there_is_no_room(run: Run, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "UNZIPPED_LIMIT", 0)
    monkeypatch.setattr(placement, "LEFT", 512 * 2**20)
    record_no_job(monkeypatch)
    before = local_aws.requests()
    settings = load().replace(ephemeral_storage=512)
    with pytest.raises(PackageError, match=r"PyYAML \d MB\), a function .* may have 0 MB, its /tmp 512 MB: give it"):
        run(lambda text: yaml.safe_load(text), settings=settings, memory=514)
    assert local_aws.requests() == before
