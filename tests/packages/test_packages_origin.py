"""What was installed from elsewhere is not taken from the index by its name, which there may be anybody's."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Target
from lithops_magic.packages.distributions import close
from lithops_magic.packages.resolution import Resolution
from lithops_magic.packages.resolve import resolve
from lithops_magic.packages.uv import Uv
from serving import serving

URL = "https://ada:open-sesame@packages.example/confused-1.0-cp311-cp311-macosx_11_0_arm64.whl"
TARGET = Target.of("x86_64", local=False)


def wheel(folder: Path, tag: str) -> Path:
    """What somebody has put into the index."""
    path = folder / f"confused-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("confused/__init__.py", "evil()")
        archive.writestr("confused-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: confused\nVersion: 1.0\n")
        archive.writestr("confused-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr("confused-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return wheel(folder, f"cp3{TARGET.minor}-cp3{TARGET.minor}-manylinux2014_x86_64")


def install(site: Path, origin: dict[str, object] | None) -> None:
    """Install a build for another machine, as it was on the one that the notebook came from."""
    info = site / "confused-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "confused").mkdir()
    (site / "confused" / "__init__.py").write_text("")
    (site / "confused" / "fast.cpython-311-darwin.so").write_bytes(b"\xcf\xfa\xed\xfe")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: confused\nVersion: 1.0\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp311-cp311-macosx_11_0_arm64\n")
    (info / "RECORD").write_text("confused/__init__.py,,\nconfused/fast.cpython-311-darwin.so,,\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))


def resolved(site: Path, origin: dict[str, object] | None, monkeypatch: pytest.MonkeyPatch) -> Resolution:
    install(site, origin)
    monkeypatch.syspath_prepend(site)
    closure = close([], [], [(Requirement("confused"), "used by the function")], TARGET)
    return resolve(closure, Request(), Uv(TARGET))


@pytest.mark.parametrize(
    "origin",
    [
        {"url": URL, "archive_info": {"hashes": {"sha256": "0" * 64}}},
        {"url": URL, "archive_info": {"hash": f"sha256={'0' * 64}"}},
        {"url": URL, "archive_info": {}},
        {"url": "https://git.example/a/confused", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}},
        {"url": "file:///home/ada/confused", "dir_info": {}},
    ],
)
@pytest.mark.usefixtures("theirs")
def test_what_came_from_elsewhere_is_refused(
    origin: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PackageError, match=r"confused 1\.0 was installed from .*--packages PATH\.whl") as caught:
        resolved(tmp_path / "site", origin, monkeypatch)
    assert "open-sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_what_is_the_indexs_own_file_is_taken_from_there(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(theirs.read_bytes()).hexdigest()
    page = tmp_path / "simple" / "confused" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><a href="/index/{theirs.name}#sha256={digest}">{theirs.name}</a>')
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{url}/simple")
        origin = {"url": URL, "archive_info": {"hashes": {"sha256": digest}}}
        assert resolved(tmp_path / "site", origin, monkeypatch).fetched == {"confused": "confused==1.0"}


@pytest.mark.usefixtures("theirs")
def test_what_came_from_the_index_is_taken_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved(tmp_path / "site", None, monkeypatch).fetched == {"confused": "confused==1.0"}
