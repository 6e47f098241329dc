"""What the service keeps on disk: unzipped packages, and everything it remembers."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from lithops_magic.local.control.archives import Archive, Archives
from lithops_magic.local.control.registry import Alias, EventInvoke, Function, Layer, LayerVersion, Registry, Version
from lithops_magic.local.model import RunnableVersion, ServiceError
from lithops_magic.local.names import LATEST, Account

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no exec bits and restricts symbolic links")


def pack(members: list[tuple[str, str, int]]) -> bytes:
    """A zip of (name, content, mode)."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return sink.getvalue()


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    return Archives(tmp_path, unused_lifetime=0.0)


@POSIX
def test_exec_bits_and_links_survive(archives: Archives) -> None:
    members = [
        ("bin/run", "#!/bin/sh\n", stat.S_IFREG | 0o755),
        ("data.txt", "text", stat.S_IFREG | 0o600),
        ("current", "bin", stat.S_IFLNK | 0o777),
    ]
    folder = archives.folder(archives.add(pack(members)).digest)
    assert os.access(folder / "bin" / "run", os.X_OK)
    assert stat.S_IMODE((folder / "data.txt").stat().st_mode) == 0o644
    assert (folder / "current").readlink() == Path("bin")
    assert (folder / "current" / "run").read_text() == "#!/bin/sh\n"


@POSIX
@pytest.mark.parametrize(
    "links",
    [
        [("out", "/etc/passwd")],
        [("out", "../../secret")],
        [("deep/up", ".."), ("out", "deep/up/../x")],
        [("loop", "loop")],
        [("taken", "elsewhere"), ("taken/inside", "x")],
    ],
)
def test_links_stay_inside(archives: Archives, tmp_path: Path, links: list[tuple[str, str]]) -> None:
    members = [(name, target, stat.S_IFLNK | 0o777) for name, target in links]
    with pytest.raises(ServiceError, match="Could not unzip uploaded file"):
        archives.add(pack(members))
    assert list((tmp_path / "unzipped").iterdir()) == []


def test_equal_content_is_kept_once(archives: Archives, tmp_path: Path) -> None:
    data = pack([("app.py", "x = 1", 0)])
    assert archives.add(data) == archives.add(data)
    assert len(list((tmp_path / "unzipped").iterdir())) == len(list((tmp_path / "zips").iterdir())) == 1


def test_unused_archives_go(archives: Archives, tmp_path: Path) -> None:
    kept, dropped = (archives.add(pack([("app.py", text, 0)])) for text in ("kept", "dropped"))
    archives.collect({kept.digest})
    assert [folder.name for folder in (tmp_path / "unzipped").iterdir()] == [kept.digest]
    assert not archives.zip(dropped.digest).exists()


def test_archives_in_doubt_stay_for_a_while(tmp_path: Path) -> None:
    archives = Archives(tmp_path)
    archive = archives.add(pack([("app.py", "running", 0)]))
    archives.collect(set())
    archives.collect(set())
    assert archives.folder(archive.digest).exists()
    archives.collect(set(), at_once=True)
    assert not archives.folder(archive.digest).exists()


CONFIGURATION: dict[str, Any] = {
    "Runtime": "python3.12",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Handler": "app.handler",
    "MemorySize": 256,
    "Timeout": 9,
    "EphemeralStorage": {"Size": 512},
    "Environment": {"Variables": {"B": "2", "A": "1"}},
    "LoggingConfig": {"LogGroup": "/aws/lambda/f"},
    "FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:x:1:access-point/fsap-12", "LocalMountPath": "/mnt/d"}],
}


def filled(state: Path) -> Registry:
    archives = Archives(state)
    registry = Registry(state, Account("us-east-1", "123456789012"), archives)
    code, layer = (archives.add(pack([("file", text, 0)])) for text in ("code", "layer"))
    version = Version(LATEST, CONFIGURATION, code, [layer], "revision", "now", "change")
    events = {LATEST: EventInvoke(0, 60, {}, 1.5)}
    registry.functions["f"] = Function("f", {LATEST: version}, tags={"a": "1"}, event_invoke=events, reserved=3)
    registry.layers["tools"] = Layer("tools", {1: LayerVersion(1, layer, {"Description": ""}, "now")}, published=1)
    return registry


def test_a_runnable_version_has_all_a_sandbox_needs(tmp_path: Path) -> None:
    found = filled(tmp_path).resolve("f")
    assert isinstance(found, RunnableVersion)
    assert (found.name, found.version, found.arn) == ("f", LATEST, "arn:aws:lambda:us-east-1:123456789012:function:f")
    assert (found.runtime, found.handler, found.memory, found.timeout) == ("python3.12", "app.handler", 256, 9)
    assert (found.code / "file").read_text() == "code"
    assert [(layer / "file").read_text() for layer in found.layers] == ["layer"]
    assert found.environment == (("A", "1"), ("B", "2"))
    assert [(mount.target, mount.source) for mount in found.mounts] == [("/mnt/d", tmp_path / "efs" / "fsap-12")]
    assert found.mounts[0].source.is_dir()
    assert (found.log_group, found.revision) == ("/aws/lambda/f", "now change")


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    before = filled(tmp_path)
    before.save()
    after = Registry(tmp_path, before.account, Archives(tmp_path))
    assert after.functions == before.functions
    assert after.layers == before.layers
    assert after.resolve("f") == before.resolve("f")
    assert (after.reserved_concurrency("f"), after.event_invoke("f")) == (3, (0, 60))


@POSIX
def test_the_memory_file_is_private(tmp_path: Path) -> None:
    filled(tmp_path).save()
    assert stat.S_IMODE((tmp_path / "lambda.json").stat().st_mode) == 0o600


def test_an_alias_shares_invocations(tmp_path: Path) -> None:
    registry = filled(tmp_path)
    function = registry.functions["f"]
    function.versions |= {number: replace(function.latest, number=number) for number in ("1", "2")}
    function.aliases["all"] = Alias("all", "1", "", {"2": 1.0}, "r")
    function.aliases["none"] = Alias("none", "1", "", {"2": 0.0}, "r")
    assert (registry.resolve("f", "all").version, registry.resolve("f:none").version) == ("2", "1")
    with pytest.raises(ServiceError, match=r"Function not found: .*:function:f:gone"):
        registry.resolve("f", "gone")


def session(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


def connect(folder: Path, state: Path, service: str) -> Any:
    found = json.loads(session(folder, "ensure", "--workers=2", "--settle=0", f"--state={state}"))
    client: Any = boto3.Session(found["access_key_id"], found["secret_access_key"], region_name=found["region"]).client
    return client(service, endpoint_url=found["endpoint_url"])


def test_a_server_started_again_has_its_functions_and_layers(tmp_path: Path, trust: str) -> None:
    folder, state, package = tmp_path / "own", tmp_path / "state", pack([("app.py", "x = 1", 0)])
    try:
        role = connect(folder, state, "iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        lam = connect(folder, state, "lambda")
        layer = lam.publish_layer_version(LayerName="tools", Content={"ZipFile": package})["LayerVersionArn"]
        definition = {"FunctionName": "kept", "Role": role, "Runtime": "python3.12", "Handler": "app.h"}
        lam.create_function(**definition, Code={"ZipFile": package}, Layers=[layer], Tags={"a": "1"}, Publish=True)
        before = lam.get_function(FunctionName="kept", Qualifier="1")
        session(folder, "stop")
        lam = connect(folder, state, "lambda")
        after = lam.get_function(FunctionName="kept", Qualifier="1")
        assert (after["Configuration"], after["Tags"]) == (before["Configuration"], {"a": "1"})
        with urllib.request.urlopen(after["Code"]["Location"], timeout=60) as answer:
            assert answer.read() == package
        assert lam.publish_layer_version(LayerName="tools", Content={"ZipFile": package})["Version"] == 2
    finally:
        session(folder, "stop")


def test_code_sha256_is_base64() -> None:
    assert Archive("00" * 32, 1, 1).sha256 == "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
