"""Every setting of pip and uv: followed, or refused by its name, and part of what a layer is known by."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from lithops_magic.errors import PackageError
from lithops_magic.packages import Target, pip_settings, uv_settings
from lithops_magic.packages.hashes import Hashes
from lithops_magic.packages.indexes import configuration, settings
from lithops_magic.packages.uv import Uv
from lithops_magic.packages.uv_command import IndexUnreachable
from packages import installed_help as help
from packages.test_packages_index import source

UV = Uv(Target.of("x86_64"))


def put_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    unpacked = folder.parent / f"unpacked-{name}-{version}"
    help.wheel(unpacked, name, {f"{name}.py": f"VERSION = {version!r}\n"}, version=version, requires=requires)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path in filter(Path.is_file, unpacked.rglob("*")):
            archive.write(path, path.relative_to(unpacked))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configured") / "links"
    folder.mkdir()
    for version in ("1.0", "2.0", "3.0a1"):
        put_wheel(folder, "zig", version)
    put_wheel(folder, "zag", "1.0", "zig>=1")
    (folder / "zog-1.0.tar.gz").write_bytes(source("zog", "py3-none-any"))
    return folder


@pytest.fixture(autouse=True)
def links(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all wheels that there are, and no configuration but that."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    for name in ("home/pip", "home/uv", "work"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("UV_CACHE_DIR", str(wheels.parent / "cache"))
    monkeypatch.setattr(pip_settings, "_pip_global_files", list)
    (tmp_path / "limit.txt").write_text("zig < 2  # that was enough\n")
    (tmp_path / "other.txt").write_text("zig == 1.0\n")
    return wheels


def write(setting: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Configure: a variable, a line of pip.conf, or one of uv.toml or pyproject.toml."""
    kind, _, name = setting.rpartition(":")
    value = value.format(tmp_path)
    if not kind:
        monkeypatch.setenv(name, value)
    elif kind in ("global", "install"):
        file = tmp_path / "home/pip/pip.conf"
        before = file.read_text().removeprefix(f"[{kind}]\n") if file.exists() else ""
        file.write_text(f"[{kind}]\n{name} = {value}\n{before}")
    else:
        path, table = {
            "uv": ("home/uv/uv.toml", ""),
            "project": ("work/uv.toml", ""),
            "pyproject": ("work/pyproject.toml", "[tool.uv]\n"),
        }[kind]
        (tmp_path / path).write_text(f"{table}{name} = {value}\n")


FOLLOWED = {
    # what is configured beside the folder of wheels, and which version of zig that gives
    "nothing": ({}, "2.0"),
    "UV_CONSTRAINT": ({"UV_CONSTRAINT": "{0}/limit.txt"}, "1.0"),
    "PIP_CONSTRAINT": ({"PIP_CONSTRAINT": "{0}/limit.txt"}, "1.0"),
    "constraints of both": ({"install:constraint": "{0}/limit.txt", "UV_CONSTRAINT": "{0}/other.txt"}, "1.0"),
    "UV_OVERRIDE": ({"UV_OVERRIDE": "{0}/other.txt"}, "1.0"),
    "UV_PRERELEASE": ({"UV_PRERELEASE": "allow"}, "3.0a1"),
    "uv's answer beside pip's": ({"UV_PRERELEASE": "disallow", "PIP_PRE": "1"}, "2.0"),
    "PIP_PRE": ({"PIP_PRE": "true"}, "3.0a1"),
    "an empty variable": ({"install:pre": "yes", "PIP_PRE": ""}, "3.0a1"),
    "UV_RESOLUTION": ({"UV_RESOLUTION": "lowest"}, "1.0"),
    "uv.toml": ({"uv:constraint-dependencies": '["zig<2"]'}, "1.0"),
    "a project's uv.toml": ({"project:prerelease": '"allow"'}, "3.0a1"),
    "pyproject.toml": ({"pyproject:override-dependencies": '["zig==1.0"]'}, "1.0"),
    "a file switched off": ({"uv:prerelease": '"allow"', "UV_NO_CONFIG": "1"}, "2.0"),
    "an output file": ({"uv:[pip]\noutput-file": '"{0}/home/out.txt"'}, "2.0"),
    "all platforms": ({"pyproject:[tool.uv.pip]\nuniversal": "true"}, "2.0"),
    "all extras for uv pip": ({"project:[pip]\nall-extras": "true"}, "2.0"),
    "no dependencies for uv pip": ({"project:[pip]\nno-deps": "true"}, "2.0"),
    "what concerns other things": ({"UV_SYSTEM_PYTHON": "1", "UV_LOCKED": "1", "PIP_REQUIRE_VIRTUALENV": "1"}, "2.0"),
}
WHERE = {"PIP_FIND_LINKS": "PIP_NO_INDEX", "global:find-links": "global:no-index", "UV_FIND_LINKS": "UV_NO_INDEX"}


@pytest.mark.parametrize(("more", "version"), FOLLOWED.values(), ids=list(FOLLOWED))
def test_a_setting_is_followed_and_makes_other_layers(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], version: str
) -> None:
    where, no_index = list(WHERE.items())[sum(map(ord, "".join(more))) % len(WHERE)]
    write(where, str(links), monkeypatch, tmp_path)
    write(no_index, "1", monkeypatch, tmp_path)
    before = settings()
    for setting, value in more.items():
        write(setting, value, monkeypatch, tmp_path)
    found = UV.resolve(["zag"], as_configured=True, overrides=["ipykernel ; sys_platform == 'none'"])
    assert found.pins == ("zag==1.0", f"zig=={version}")
    assert (settings() != before) is bool(more)
    assert not list(tmp_path.rglob("out.txt"))
    if "all-extras" in str(more):
        UV.install(found.pins, Hashes(), tmp_path / "there", lambda _: None)
        assert (tmp_path / "there").is_dir()
    if "limit.txt" in str(more):
        states = settings()
        (tmp_path / "limit.txt").write_text("zig < 2\n")
        assert settings() != states


REFUSED = [
    ("PIP_NO_BINARY", ":all:", "pip is configured with no-binary = :all:"),
    ("install:no-binary", "zag", "pip is configured with no-binary = zag"),
    ("UV_NO_BINARY", "1", "uv is configured with UV_NO_BINARY = 1"),
    ("UV_NO_BINARY_PACKAGE", "zig", "uv is configured with UV_NO_BINARY_PACKAGE = zig"),
    ("uv:no-binary", "true", "uv is configured with no-binary"),
    ("project:no-binary-package", '["zig"]', "uv is configured with no-binary"),
    ("uv:[pip]\nno-binary", '["zig"]', "uv is configured with no-binary under [pip] in "),
    ("uv:[pip]\nno-emit-package", '["zig"]', "uv is configured with no-emit-package under [pip] in "),
    ("pyproject:[tool.uv.pip]\nextra", '["all"]', "uv is configured with extra under [pip] in "),
    ("global:no-deps", "true", "pip is configured with no-deps = true"),
    ("PIP_REQUIREMENT", "more.txt", "pip is configured with requirement = more.txt"),
    ("PIP_CERT", "/nowhere/ca.pem", "cert = /nowhere/ca.pem, which does not exist"),
    ("global:client-cert", "~/my own.pem", "client-cert = ~/my own.pem, which does not exist"),
    ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE = /nowhere.pem, which does not exist"),
    ("install:find-links", "/nowhere", "find-links = /nowhere, which does not exist"),
    ("PIP_FIND_LINKS", "https://example.org/x file:///nowhere", "find-links = file:///nowhere, which does not exist"),
    ("UV_FIND_LINKS", "{0},/nowhere", "UV_FIND_LINKS = /nowhere, which does not exist"),
    ("PIP_CONSTRAINT", "/nowhere.txt", "constraint = /nowhere.txt, which does not exist"),
    ("UV_OVERRIDE", "/nowhere.txt", "UV_OVERRIDE = /nowhere.txt, which does not exist"),
]


@pytest.mark.parametrize(("setting", "value", "said"), REFUSED, ids=[f"{name}={value}" for name, value, _ in REFUSED])
def test_what_cannot_be_followed_is_refused_by_its_name(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, said: str
) -> None:
    write("UV_FIND_LINKS", str(links), monkeypatch, tmp_path)
    write("UV_NO_INDEX", "1", monkeypatch, tmp_path)
    write(setting, value, monkeypatch, tmp_path)
    with pytest.raises(PackageError) as caught:
        UV.resolve(["zag"])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["UV_NO_INDEX", "PIP_NO_INDEX", "UV_OFFLINE"])
def test_where_no_index_may_be_asked_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    write(setting, "1", monkeypatch, tmp_path)
    tool = setting.partition("_")[0].lower()
    with pytest.raises((PackageError, IndexUnreachable), match=f"{tool} is configured with .*lithops-magic-no-such"):
        UV.resolve(["lithops-magic-no-such-name"])


INDEXES = {
    "UV_INDEX": "https://i.example",
    "UV_INDEX_URL": "https://i.example",
    "UV_DEFAULT_INDEX": "https://i.example",
    "UV_EXTRA_INDEX_URL": "https://i.example",
    "uv:index-url": '"https://i.example"',
    "project:extra-index-url": '["https://i.example"]',
    "pyproject:index": '[{{url = "https://i.example"}}]',
}
OTHERS = {"uv:link-mode": '"copy"', "project:prerelease": '"allow"', "pyproject:dev-dependencies": "[]"}


@pytest.mark.parametrize(("setting", "value"), [*INDEXES.items(), *OTHERS.items()])
def test_pip_s_index_counts_unless_uv_is_told_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    write("global:index-url", "https://company.example/simple", monkeypatch, tmp_path)
    write("PIP_INDEX_URL", "", monkeypatch, tmp_path)  # which pip takes for nothing said
    write(setting, value, monkeypatch, tmp_path)
    counts = configuration() == {"UV_DEFAULT_INDEX": "https://company.example/simple"}
    assert counts is (setting in OTHERS)
    assert uv_settings.names_indexes() is (setting in INDEXES)


def test_what_pip_says_otherwise_is_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"uploaded-prior-to": "2024-05-01", "retries": "1", "cert": "~/ca.pem"}.items():
        write(f"global:{name}", value, monkeypatch, tmp_path)
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "7")
    limits = {"UV_EXCLUDE_NEWER": "2024-05-01", "UV_HTTP_RETRIES": "1", "UV_HTTP_TIMEOUT": "7"}
    assert configuration() == {**limits, "UV_TORCH_BACKEND": "cpu", "SSL_CERT_FILE": str(tmp_path / "home/ca.pem")}
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2023-01-01")
    assert "UV_EXCLUDE_NEWER" not in configuration()


FORBIDDEN = [("PIP_ONLY_BINARY", ":all:"), ("install:only-binary", "other,Zog"), ("UV_NO_BUILD", "1")]
FORBIDDEN += [("UV_NO_BUILD_PACKAGE", "zog")]
ALLOWED = [("PIP_ONLY_BINARY", "zag"), ("PIP_ONLY_BINARY", ":all:,:none:"), ("UV_NO_BUILD", "false")]


@pytest.mark.parametrize(("setting", "value"), [*FORBIDDEN, *ALLOWED])
def test_source_is_not_built_where_that_is_forbidden(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    write("UV_FIND_LINKS", str(links), monkeypatch, tmp_path)
    write("UV_NO_INDEX", "1", monkeypatch, tmp_path)
    write(setting, value, monkeypatch, tmp_path)
    if (setting, value) in ALLOWED:
        assert UV.resolve(["zog"]).built == {"zog"}
    else:
        with pytest.raises(PackageError, match=r"no wheel of zog .* only source, and (pip|uv) is configured with"):
            UV.resolve(["zog"])
