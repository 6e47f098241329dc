"""A private index that uv's own configuration names: yanked versions, and what is only there as source."""

from __future__ import annotations

import base64
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import lithops_magic
from lithops_magic.aws.deploy.layer import delete_layers, publish_layers
from lithops_magic.aws.session import Cloud
from lithops_magic.config import load
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Room, Target, need_of, supply
from serving import serving

Run = Callable[..., MapResult]

USER, PASSWORD = "reader", "hunter2"

BACKEND = """\
import zipfile

def build_wheel(folder, settings=None, metadata=None):
    name, tag = {name!r}, {tag!r}
    with zipfile.ZipFile(f"{{folder}}/{{name}}-1.0-{{tag}}.whl", "w") as wheel:
        wheel.writestr(f"{{name}}.py", "__version__ = '1.0'\\n")
        wheel.writestr(f"{{name}}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: 1.0\\n")
        wheel.writestr(f"{{name}}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\\nTag: {{tag}}\\nRoot-Is-Purelib: true\\n")
        wheel.writestr(f"{{name}}-1.0.dist-info/RECORD", "")
    return f"{{name}}-1.0-{{tag}}.whl"
"""


def source(name: str, tag: str) -> bytes:
    """A source distribution whose build makes a wheel with this tag."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(name=name, tag=tag),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wheel(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.py", "__version__ = '1.0'\n")
        archive.writestr(f"{name}.bin", os.urandom(2 * 2**20))
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


FILES = {
    "/yanked_x-1.0-py3-none-any.whl": wheel("yanked_x"),
    "/source_x-1.0.tar.gz": source("source_x", "py3-none-any"),
    "/native_x-1.0.tar.gz": source("native_x", "py3-none-linux_x86_64"),
}


class Index(BaseHTTPRequestHandler):
    """Answers who knows the password."""

    def do_GET(self) -> None:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._answer(401, b"")
        elif self.path in FILES:
            self._answer(200, FILES[self.path])
        else:
            name = self.path.strip("/").rpartition("/")[2].replace("-", "_")
            found = [path for path in FILES if path.startswith(f"/{name}-")]
            yanked = ' data-yanked="it was broken"' if name == "yanked_x" else ""
            page = "".join(f'<a href="{path}"{yanked}>{path[1:]}</a>' for path in found)
            self._answer(200 if found else 404, f"<!DOCTYPE html><html><body>{page}</body></html>".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/octet-stream" if body[:2] in (b"PK", b"\x1f\x8b") else "text/html"
        )
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(autouse=True)
def private_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a private index; it, and nothing else, is in the user's uv.toml."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    with serving(server):
        file = tmp_path / "uv" / "uv.toml"
        file.parent.mkdir()
        url = f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_port}"
        file.write_text(f'[[index]]\nurl = "{url}/simple"\ndefault = true\n')
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield url


def test_a_yanked_version_is_told_and_source_is_built_here(run: Run) -> None:
    def versions(_: int) -> tuple[str, str, str]:
        import importlib

        yanked, built = importlib.import_module("yanked" + "_x"), importlib.import_module("source" + "_x")
        return yanked.__version__, built.__version__, built.__file__  # type: ignore[return-value]

    result = run(versions, packages="yanked-x==1.0 source-x")
    assert list(result.succeeded().values()) == [("1.0", "1.0", "/opt/python/source_x.py")]
    notes = result.snapshot().notes
    assert [note for note in notes if "yanked-x" in note and "it was broken" in note]
    assert PASSWORD not in repr(result)


def test_each_step_is_told_with_its_size_and_the_second_time_there_is_none(local_aws: object) -> None:
    heard: list[str] = []
    need = need_of({}, Request.parse("yanked-x==1.0"))
    first = supply(need, Target.of("x86_64"), heard.append, Room())
    assert heard == [
        "Resolving 1 package for Lambda",
        "Downloading yanked-x (2 MB)",
        "Building the layer (2 MB)",
    ]
    settings = load()
    cloud = Cloud.connect(settings)
    # Whoever shipped the same before has published the same layer.
    delete_layers(cloud, settings)
    published = publish_layers(cloud, settings, first.layers, heard.append)
    assert heard[3:] == ["Uploading the layer (2.0 MB)"]
    assert supply(need, Target.of("x86_64"), heard.append, Room()) == first
    assert publish_layers(cloud, settings, first.layers, heard.append) == published
    assert len(heard) == 4


def test_source_at_an_address_is_built_and_the_same_input_makes_the_same_zip(
    private_index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = need_of({}, Request.parse([f"source-x @ {private_index}/source_x-1.0.tar.gz", "yanked-x==1.0"]))
    digests = []
    for folder in ("one", "two"):
        monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / folder))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / folder / "uv"))
        # What is large has a layer of its own.
        layers = supply(need, Target.of("x86_64"), lambda _: None, Room()).layers
        assert sorted(entry.name for layer in layers for entry in layer.packages) == ["source_x", "yanked_x"]
        digests.append([layer.digest for layer in layers])
    assert digests[0] == digests[1]


def test_source_that_makes_a_build_for_this_machine_only_is_refused(local_aws: object) -> None:
    with pytest.raises(PackageError, match=r"There is no wheel of native.x 1\.0, only source .* --packages PATH\.whl"):
        lithops_magic.map(str, [0], packages="native-x")


def test_what_a_private_index_lacks_is_named_without_the_password(local_aws: object) -> None:
    with pytest.raises(PackageError, match="there is no package missing-x on the indexes") as caught:
        lithops_magic.map(str, [0], packages="missing-x")
    assert PASSWORD not in str(caught.value)
