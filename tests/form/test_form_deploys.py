"""What the form saves is what AWS has: everything is made by boto3, picked in the form, deployed and read by boto3."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import lithops_magic
from form_help import load, words
from lithops_magic.aws.deploy.function import deploy
from lithops_magic.aws.deploy.role import trust
from lithops_magic.aws.session import Cloud
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.notebook.form.form import ConfigForm
from lithops_magic.notebook.session import Session

numbers = itertools.count(1)

TRUST = json.dumps(trust("123456789012"))


@dataclass
class Made:
    """What boto3 made for one test."""

    roles: tuple[str, str]
    vpc: str
    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    access_points: tuple[str, str]


@pytest.fixture
def made(local_aws: Any) -> Made:
    iam, ec2, efs = (local_aws.client(service) for service in ("iam", "ec2", "efs"))
    number = next(numbers)
    first, second = (
        iam.create_role(RoleName=f"form-{number}-{name}", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        for name in "ab"
    )
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{place}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for place, zone in enumerate("abc")
    )
    groups = tuple(
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in ("web", "work")
    )
    system = efs.create_file_system(CreationToken=f"form{number}")["FileSystemId"]
    for subnet in subnets:
        efs.create_mount_target(FileSystemId=system, SubnetId=subnet)
    points = [
        efs.create_access_point(ClientToken=f"form{number}{name}", FileSystemId=system)["AccessPointArn"]
        for name in "ab"
    ]
    return Made((first, second), vpc, subnets, groups, (points[0], points[1]))


@pytest.fixture
def form(open_form: Callable[..., ConfigForm], made: Made) -> ConfigForm:
    """The form, loaded and with everything picked that was made."""
    form = open_form("lithops:\n  backend: aws_lambda\naws_lambda:\n  local: true  # for now\n")
    load(form)
    assert made.roles[0].rpartition("/")[2] in form.role.widget.options
    form.role.text = made.roles[0]
    form.network.vpc.value = made.vpc
    boxes = form.network.subnets.boxes
    assert [boxes[subnet].description[:10] for subnet in made.subnets] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    for subnet, box in boxes.items():
        box.value = subnet in made.subnets[:2]
    for group, box in form.network.groups.boxes.items():
        box.value = group == made.groups[0]
    form.efs.add.click()
    (mount,) = form.efs.mounts
    assert [name for name in mount.point.widget.options if made.access_points[0].rpartition("/")[2] in name]
    mount.point.text = made.access_points[0]
    mount.path.value = "/mnt/data"
    fill(form, memory="512", timeout="30", ephemeral_storage="1024", env_vars="ONE_A=1", user_tags="team=x")
    return form


def fill(form: ConfigForm, **texts: str) -> None:
    for name, text in texts.items():
        form.controls[name].text = text


def save(form: ConfigForm) -> None:
    assert not form.bar.review.disabled, words(form.bar.state)
    form.bar.review.click()
    form.bar.save.click()
    assert words(form.bar.status).startswith("✓ Saved"), words(form.bar.status)


@pytest.fixture
def deployed(local_aws: Any, session: Session) -> Callable[[], dict[str, Any]]:
    """Deploy what a run would use, and return what boto3 says of that function."""
    cloud = Cloud.connect(session.load())

    def deploy_it() -> dict[str, Any]:
        name = deploy(cloud, session.load(), worker_package()).name
        found: dict[str, Any] = local_aws.client("lambda").get_function(FunctionName=name)
        return {**found["Configuration"], "Tags": found["Tags"]}

    return deploy_it


def test_a_job_runs_on_a_function_with_exactly_what_was_picked(
    form: ConfigForm, made: Made, session: Session, deployed: Callable[[], dict[str, Any]]
) -> None:
    save(form)

    def look(item: int) -> tuple[int, bool, str]:
        import os
        from pathlib import Path

        return item, Path("/mnt/data").is_dir(), os.environ["ONE_A"]

    assert list(lithops_magic.map(look, [7], settings=session.load())) == [(7, True, "1")]
    function = deployed()
    assert function["Role"] == made.roles[0]
    assert sorted(function["VpcConfig"]["SubnetIds"]) == sorted(made.subnets[:2])
    assert function["VpcConfig"]["SecurityGroupIds"] == list(made.groups[:1])
    assert function["VpcConfig"]["VpcId"] == made.vpc
    assert function["FileSystemConfigs"] == [{"Arn": made.access_points[0], "LocalMountPath": "/mnt/data"}]
    assert function["EphemeralStorage"] == {"Size": 1024}
    assert function["Architectures"] == ["x86_64"]
    assert function["Environment"] == {"Variables": {"ONE_A": "1"}}
    assert (function["MemorySize"], function["Timeout"]) == (512, 30)
    tags = {name: value for name, value in function["Tags"].items() if not name.startswith("lithops-magic")}
    assert tags == {"team": "x"}


def test_each_changed_setting_gives_a_new_function_and_an_unchanged_one_the_same(
    form: ConfigForm, made: Made, local_aws: Any, deployed: Callable[[], dict[str, Any]]
) -> None:
    layer = local_aws.client("lambda").publish_layer_version(
        LayerName=f"form{next(numbers)}", Content={"ZipFile": worker_package()}
    )["LayerVersionArn"]
    point, path = made.access_points[1], "/mnt/data"
    steps: list[tuple[str, str, Callable[[dict[str, Any]], Any], Any]] = [
        ("execution_role", made.roles[1], lambda f: f["Role"], made.roles[1]),
        ("memory", "640", lambda f: f["MemorySize"], 640),
        ("timeout", "31", lambda f: f["Timeout"], 31),
        ("ephemeral_storage", "2048", lambda f: f["EphemeralStorage"]["Size"], 2048),
        ("architecture", "arm64", lambda f: f["Architectures"], ["arm64"]),
        ("subnets", made.subnets[2], lambda f: f["VpcConfig"]["SubnetIds"], [made.subnets[2]]),
        ("security_groups", made.groups[1], lambda f: f["VpcConfig"]["SecurityGroupIds"], [made.groups[1]]),
        ("efs", f"{point}={path}", lambda f: f["FileSystemConfigs"], [{"Arn": point, "LocalMountPath": path}]),
        ("efs", f"{point}=/mnt/b", lambda f: f["FileSystemConfigs"][0]["LocalMountPath"], "/mnt/b"),
        ("env_vars", "ONE_A=2", lambda f: f["Environment"]["Variables"], {"ONE_A": "2"}),
        ("user_tags", "team=y", lambda f: f["Tags"]["team"], "y"),
        ("layers", layer, lambda f: [one["Arn"] for one in f["Layers"]], [layer]),
        ("namespace", "ours", lambda f: f["FunctionName"].split("-")[2], "ours"),
    ]
    save(form)
    names = [deployed()["FunctionName"]]
    for field, text, read, expected in steps:
        fill(form, **{field: text})
        save(form)
        function = deployed()
        assert read(function) == expected, field
        assert function["FunctionName"] not in names, field
        names.append(function["FunctionName"])
        assert deployed()["FunctionName"] == names[-1]
    fill(form, efs="", subnets="", security_groups="", layers="")
    fill(form, runtime=f"{'1' * 12}.dkr.ecr.{local_aws.region}.amazonaws.com/tools:1")
    save(form)
    function = deployed()
    assert function["PackageType"] == "Image"
    assert "VpcConfig" not in function
    assert "FileSystemConfigs" not in function


def test_number_of_workers_is_no_property_of_the_function(
    form: ConfigForm, session: Session, deployed: Callable[[], dict[str, Any]]
) -> None:
    save(form)
    before = deployed()["FunctionName"]
    fill(form, max_workers="3")
    save(form)
    assert session.load().max_workers == 3
    assert deployed()["FunctionName"] == before


def test_opening_the_form_again_finds_the_vpc_of_what_is_configured(
    form: ConfigForm, made: Made, open_form: Callable[..., ConfigForm]
) -> None:
    save(form)
    again = open_form()
    load(again)
    assert again.network.vpc.value == made.vpc
    assert again.network.subnets.text == ", ".join(made.subnets[:2])
    assert again.network.groups.boxes[made.groups[0]].value
    assert words(again.bar.state).startswith("No changes.")


def test_loading_changes_nothing_even_where_the_order_is_another(
    open_form: Callable[..., ConfigForm], made: Made
) -> None:
    subnets, groups = ", ".join(reversed(made.subnets)), ", ".join(reversed(made.groups))
    form = open_form(f"aws_lambda:\n  local: true\n  vpc:\n    subnets: [{subnets}]\n    security_groups: [{groups}]\n")
    load(form)
    assert len(form.network.subnets.boxes) == 3
    assert words(form.bar.state).startswith("No changes.")
    form.network.subnets.boxes[made.subnets[1]].value = False
    assert form.reading.settings.subnets == (made.subnets[2], made.subnets[0])
