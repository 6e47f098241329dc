"""Once there is a hash, everything that is fetched has to match its own; RECORD counts as well."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uv

from lithops_magic.engine.backend.container_image import image_files
from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Room, Supply, Target, need_of, pin, supply
from lithops_magic.packages.indexes import configuration
from lithops_magic.packages.lockfiles import locked
from serving import serving

TARGET = Target.of("x86_64")
WRONG = "0" * 64
PYLOCK = """\
[[packages]]
name = "{name}"
version = "1.0"
wheels = [{{name = "w", hashes = {{sha256 = "{digest}"}}}}]
"""
POETRY = """\
[[package]]
name = "{name}"
version = "1.0"
files = [{{file = "w", hash = "sha256:{digest}"}}]
"""
PIPENV = '{{"default": {{"{name}": {{"version": "==1.0", "hashes": ["sha256:{digest}"]}}}}}}'
PLAIN = """\
{name}==1.0 ; python_version > '3' \\
    --hash=sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff \\
    --hash=sha256:{digest}  # via x
"""
OPTION = """\
# --hash=sha256:0
--require-hashes
{name} == 1.0.0 --hash sha256:{digest}
"""
LOCKS = {
    "pylock.toml": PYLOCK,
    "poetry.lock": POETRY,
    "Pipfile.lock": PIPENV,
    "requirements.txt": PLAIN,
    "more.in": OPTION,
}
PROJECT = """\
[project]
name = "committed"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import zipfile
def build_wheel(folder, *_):
    info = "committed-1.dist-info"
    files = {
        "committed.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: committed\\nVersion: 1\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"{folder}/committed-1-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return "committed-1-py3-none-any.whl"
"""


def write_wheel(
    folder: Path, name: str, text: str = "", *, version: str = "1.0", record: str = "", needs: str = ""
) -> str:
    """Put a wheel into an index; its RECORD has the hash of `record` instead, if that is given. Return its SHA-256."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + needs,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = {path: hashlib.sha256(data.encode()).digest() for path, data in files.items()}
    if record:
        lines[f"{name}.py"] = hashlib.sha256(record.encode()).digest()
    files[f"{info}/RECORD"] = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},{len(files[path])}\n"
        for path, digest in lines.items()
    )
    path = folder / f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(file, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All there is to fetch."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "layers"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


Ship = Callable[..., Supply]


@pytest.fixture
def ship(tmp_path: Path) -> Ship:
    """Write a file, and build the layers of what it and more words ask for."""

    def ship(text: str, name: str = "requirements.txt", *more: str) -> Supply:
        (tmp_path / name).write_text(text)
        return supply(need_of({}, Request.parse([str(tmp_path / name), *more])), TARGET, lambda _: None, Room())

    return ship


@pytest.mark.parametrize("name", LOCKS)
def test_hashes_are_compared_whatever_file_names_them(name: str, index: Path, ship: Ship) -> None:
    digest = write_wheel(index, "hashed")
    with pytest.raises(PackageError, match=rf"does not match {name}: Hash mismatch .*hashed==1\.0") as caught:
        ship(LOCKS[name].format(name="hashed", digest=WRONG), name)
    assert "\n" not in str(caught.value)
    assert digest in str(caught.value)
    assert [one.name for one in ship(LOCKS[name].format(name="hashed", digest=digest), name).layers[0].packages] == [
        "hashed"
    ]


def test_a_setting_of_uvs_that_turns_hashes_off_is_not_followed(
    index: Path, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index, "hashed")
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    with pytest.raises(PackageError, match="Hash mismatch"):
        ship(f"hashed==1.0 --hash=sha256:{WRONG}")


def test_the_lock_file_of_uv(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = write_wheel(index, "hashed")
    with indexes(tmp_path, "index") as (address,):
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\ndependencies = ["hashed"]\n')
        subprocess.run([uv.find_uv_bin(), "lock", "-q", "--directory", str(folder)], check=True)
        request = Request.parse(str(folder / "uv.lock"))
        assert pin(need_of({}, request), TARGET).hashes.lines(["hashed==1.0"]) == [
            f"hashed==1.0 --hash=sha256:{digest}"
        ]
        lock = folder / "uv.lock"
        lock.write_text(lock.read_text().replace(digest, WRONG))
        with pytest.raises(PackageError, match=r"does not match uv\.lock: Hash mismatch"):
            supply(need_of({}, Request.parse(str(lock))), TARGET, lambda _: None, Room())


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("hashed==1.0 --hash=sha256:{digest}\nother==1.0\n", ()),
        ("hashed==1.0 --hash=sha256:{digest}\n", ("other",)),
        ("parent==1.0 --hash=sha256:{parent}\n", ()),
        ("other==1.0 --hash=md5:" + "0" * 32, ()),
        ("--require-hashes\nother==1.0", ()),
        ("hashed==1.0 --hash=sha256:{digest}\nother==2.0 ; python_version < '3' --hash=sha256:{digest}\nother", ()),
    ],
)
def test_what_has_no_hash_beside_what_has_one_is_refused(
    text: str, more: tuple[str, ...], index: Path, ship: Ship
) -> None:
    digest = write_wheel(index, "hashed")
    write_wheel(index, "other")
    parent = write_wheel(index, "parent", needs="Requires-Dist: other\n")
    told = r"requirements\.txt has hashes, so everything that is fetched needs a SHA-256, and other==1\.0 has none\."
    with pytest.raises(PackageError, match=told):
        ship(text.format(digest=digest, parent=parent), "requirements.txt", *more)


@pytest.mark.parametrize(
    ("line", "told"), [("hashed>=1", "not an exact version: write hashed==VERSION"), ("-x", "has the option -x")]
)
def test_a_hash_of_nothing_in_particular_is_refused(line: str, told: str, index: Path, ship: Ship) -> None:
    write_wheel(index, "hashed")
    with pytest.raises(PackageError, match=told):
        ship(f"{line} --hash=sha256:{WRONG}\n")


@pytest.mark.parametrize("name", ["PIP_REQUIRE_HASHES", "UV_REQUIRE_HASHES"])
def test_a_setting_that_requires_hashes_is_followed(
    name: str, index: Path, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write_wheel(index, "hashed")
    before = ship("hashed==1.0")
    monkeypatch.setenv(name, "1")
    # What was built before it was set is no way around it.
    with pytest.raises(
        PackageError, match=r"configured with require-hashes = 1, so .* hashed==1\.0 has none.*remove that setting"
    ):
        ship("hashed==1.0")
    assert ship(f"hashed==1.0 --hash=sha256:{digest}").layers[0].digest == before.layers[0].digest


def test_the_hash_in_an_address_counts(tmp_path: Path, index: Path, ship: Ship) -> None:
    digest = write_wheel(index, "hashed")
    with indexes(tmp_path, "index") as (address,):
        wheel = f"{address.removesuffix('/simple')}/files/hashed-1.0-py3-none-any.whl"
        for text in (f"{wheel}#sha256={WRONG}", f"hashed @ {wheel}#sha256={WRONG}"):
            with pytest.raises(PackageError, match="does not match its address: Hash mismatch"):
                ship("", "requirements.txt", text)
        assert ship("--require-hashes\n", "requirements.txt", f"{wheel}#egg=hashed&sha256={digest}").layers
        with pytest.raises(PackageError, match=r"hashed @ http.* has none"):
            ship("--require-hashes\n", "requirements.txt", wheel)
        assert ship(f"{wheel} --hash=sha256:{digest}\n").layers


def test_a_commit_is_its_own_hash(tmp_path: Path, index: Path, ship: Ship) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip()
    assert (
        ship(f"--require-hashes\ncommitted @ git+{folder.as_uri()}@{commit}\n").layers[0].packages[0].name
        == "committed"
    )


def test_a_wheel_that_is_not_what_its_record_says_is_refused(index: Path, ship: Ship) -> None:
    write_wheel(index, "altered", "evil()", record="good()")
    with pytest.raises(
        PackageError, match=r"altered 1\.0 was altered or damaged: altered\.py .* `uv cache clean altered`"
    ):
        ship("altered==1.0")


def test_an_image_is_built_from_the_same_files(tmp_path: Path, index: Path) -> None:
    digest = write_wheel(index, "hashed")
    (tmp_path / "requirements.txt").write_text(f"hashed==1.0 --hash=sha256:{digest}")
    files = image_files(
        pin(need_of({"yaml": "imported"}, Request.parse(str(tmp_path / "requirements.txt"))), TARGET), TARGET
    )
    assert files["hashed.txt"].decode() == f"hashed==1.0 --hash=sha256:{digest}\n"
    assert b"hashed" not in files["requirements.txt"]
    assert b"COPY requirements.txt hashed.txt /tmp/\n" in files["Dockerfile"]
    assert files["Dockerfile"].count(b" -r /tmp/") == 2


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def indexes(root: Path, *names: str) -> Iterator[list[str]]:
    """Serve folders of wheels as indexes; yield their addresses."""
    for name in names:
        for wheel in (root / name).glob("*.whl"):
            www = root / "www" / name
            page = www / "simple" / wheel.name.partition("-")[0] / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            (www / "files").mkdir(exist_ok=True)
            (www / "files" / wheel.name).write_bytes(wheel.read_bytes())
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            page.write_text(f'<!DOCTYPE html><a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a>')
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root / "www")))) as url:
        yield [f"{url}/{name}/simple" for name in names]


@pytest.fixture
def pip() -> list[str]:
    pytest.importorskip("pip")
    return [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]


@pytest.mark.parametrize("order", ["one two", "two one", "two one main"])
def test_of_one_version_in_several_indexes_uv_takes_the_one_that_pip_takes(
    order: str, pip: list[str], tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["main", "one", "two"]
    for name in names:
        write_wheel(tmp_path / name, "tied", f"FROM = {name!r}")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with indexes(tmp_path, *names) as urls:
        of = dict(zip(names, urls, strict=True))
        monkeypatch.setenv("PIP_INDEX_URL", of["main"])
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", " ".join(of[name] for name in order.split()))
        subprocess.run([*pip, "--target", str(tmp_path / "pip"), "tied"], check=True)
        theirs = [uv.find_uv_bin(), "pip", "install", "-q", "--no-deps", "--python", sys.executable]
        environment = {**os.environ, **configuration()}
        subprocess.run([*theirs, "--target", str(tmp_path / "uv-x"), "tied"], check=True, env=environment)
    assert (tmp_path / "uv-x" / "tied.py").read_text() == (tmp_path / "pip" / "tied.py").read_text()


def test_old_lock_files_of_poetry_have_their_hashes_at_the_end() -> None:
    text = '[[package]]\nname = "a"\nversion = "1"\n[metadata.files]\na = [{file = "a.whl", hash = "sha256:1f"}]\n'
    assert locked(Path("poetry.lock"), text.encode()) == ["a==1 --hash=sha256:1f"]
