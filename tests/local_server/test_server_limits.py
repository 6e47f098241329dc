"""Few open files, a full disk, a deleted working folder: it works with less, or one line says what is missing."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import lithops_magic
from lithops_magic.errors import PackageError
from lithops_magic.local.discovery import LocalError
from lithops_magic.local.front.journal import Journal
from lithops_magic.local.resources import Capacity, explain, plan_capacity
from localaws import LocalAws, local_command, stop_servers

resource = pytest.importorskip("resource", reason="POSIX limits")

NAP = """
import lithops_magic, time

def nap(x):
    time.sleep(0.02)
    return x

result = lithops_magic.map(nap, range(90), chunksize=1, workers=300)
print(sum(result.values()), result.snapshot().notes)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for servers of this test alone; none survives it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    yield private
    stop_servers(private)


def run_limited(folder: Path, limit: int, most: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that the operating system allows only so much."""
    # Coverage would write its own files, and say that it cannot.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, *command],
        preexec_fn=lambda: resource.setrlimit(limit, (most, most)),
        env={**environment, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


LOCAL = ("-m", "lithops_magic.local")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Only Linux limits another process")


@pytest.mark.parametrize(
    ("files", "command", "told"),
    [
        (64, ("serve", "--workers", "16"), "--workers 16 and --concurrency 16, the local AWS needs 168 open files"),
        (40, ("ensure",), "needs 48 open files, but the limit is 40: raise the hard limit (ulimit -Hn)."),
    ],
)
def test_too_few_open_files_for_what_is_wished_is_one_line(
    folder: Path, files: int, command: tuple[str, ...], told: str
) -> None:
    done = run_limited(folder, resource.RLIMIT_NOFILE, files, *LOCAL, *command)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert told in done.stderr


def test_server_and_client_get_along_with_few_open_files(folder: Path) -> None:
    started = run_limited(folder, resource.RLIMIT_NOFILE, 64, *LOCAL, "ensure")
    assert 2 <= json.loads(started.stdout)["workers"] <= 3
    done = run_limited(folder, resource.RLIMIT_NOFILE, 64, "-c", NAP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4005 (")
    assert "open-file limit is too low for 300 concurrent invocations" in done.stdout


def test_without_a_wish_there_are_as_many_sandboxes_as_open_files_allow() -> None:
    assert plan_capacity(50, None, None) == Capacity(1, 1, 19)
    assert plan_capacity(10_000, 7, None) == Capacity(7, 7, 9927)
    assert plan_capacity(10_000, 7, 900) == Capacity(7, 900, 9927)
    with pytest.raises(LocalError, match="needs 8,240"):
        plan_capacity(8192, 1025, None)
    with pytest.raises(LocalError, match=r"the limit is 64: raise the hard limit \(ulimit -Hn\) or use --workers 3\.$"):
        plan_capacity(64, 300, None)
    with pytest.raises(LocalError, match=r"\(ulimit -Hn\) or a lower --concurrency\.$"):
        plan_capacity(60, 2, 90)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--idle", "nan"), "nan is not a duration"),
        (("--settle", "-1"), "-1 is not a duration"),
        (("--event-retry-delays", "1", "inf"), "inf is not a duration"),
        (("--workers", "0"), "0 is too few: use 1 or more"),
        (("--state", os.devnull), f"Cannot persist state in {os.devnull} (File exists): choose another folder."),
    ],
)
def test_numbers_and_folders_that_cannot_be_are_one_line(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    done = local_command(folder, "serve", "--quiet", *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["ensure", "serve"])
def test_a_disk_that_is_full_at_the_start_is_one_line(folder: Path, command: str) -> None:
    # A limit of a file's size fails as a full disk does.
    done = run_limited(folder, resource.RLIMIT_FSIZE, 100, *LOCAL, command)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "The local AWS cannot write its files: File too large" in done.stderr
    assert "Free some space, or set LITHOPS_MAGIC_LOCAL_DIR to another folder." in done.stderr


def test_what_the_system_refuses_is_explained() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/x/y")
    assert explain(full).startswith(
        "The local AWS cannot write its files: No space left on device (/x/y). Free some space"
    )
    assert "ran out of open files: Too many open files. Raise" in explain(OSError(errno.EMFILE, "Too many open files"))
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory", "/venv/lib/python3.11/site-packages/moto")
    assert explain(gone).endswith('Install it: pip install "lithops-magic[local]"')
    assert explain(OSError("odd")).startswith("The local AWS cannot use its files: odd. ")


@contextlib.contextmanager
def full_disk(pid: int, size: int) -> Iterator[None]:
    """Let a process write files up to that size only."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@linux_only
def test_a_disk_that_fills_up_is_named_in_the_answer(local_aws: LocalAws) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("f.py", os.urandom(200_000).hex())
    client = local_aws.client("lambda", retries={"total_max_attempts": 1})
    layer = {"LayerName": "larger-than-the-disk", "Content": {"ZipFile": code.getvalue()}}
    with full_disk(local_aws.pid, 1000), pytest.raises(ClientError, match=r"cannot write its files: .*Free some space"):
        client.publish_layer_version(**layer)
    version = client.publish_layer_version(**layer)["Version"]
    client.delete_layer_version(LayerName=layer["LayerName"], VersionNumber=version)


@linux_only
def test_a_disk_that_fills_up_spoils_nothing_that_was_kept(tmp_path: Path) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        replayed.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b""]

    def put(body: bytes) -> None:
        scope = {"REQUEST_METHOD": "PUT", "HTTP_AUTHORIZATION": "a/b/c/s3/d", "QUERY_STRING": "", "asgi.scope": {}}
        journal({**scope, "wsgi.input": io.BytesIO(body)}, lambda *_: None)

    replayed: list[bytes] = []
    journal = Journal(tmp_path / "journal", app, lambda _: None)
    put(b"before")
    with (
        full_disk(os.getpid(), (tmp_path / "journal").stat().st_size + 10),
        pytest.raises(OSError, match=r"No space|too large"),
    ):
        put(b"amid")
    put(b"after")
    replayed.clear()
    Journal(tmp_path / "journal", app, lambda _: None).replay(lambda: None)
    assert replayed == [b"before", b"after"]


GONE = """
import os, sys
folder = sys.argv[1]
os.mkdir(folder)
os.chdir(folder)
import lithops_magic
from lithops_magic.errors import LithopsMagicError
os.rmdir(folder)

def half(x):
    import six
    return x / 2

print(sum(lithops_magic.map(half, range(5), packages="six", files=[sys.argv[2]]).values()))
for options in ({"packages": "requirements.txt"}, {"packages": "./x-1-py3-none-any.whl"}):
    try:
        lithops_magic.map(half, range(5), **options)
    except LithopsMagicError as error:
        print(error)
from lithops_magic.cli import main
print(main.main(["packages", "work.ipynb"]), main.main(["run", "work.ipynb"]))
"""


def test_jobs_run_from_a_working_folder_that_was_deleted(local_aws: LocalAws, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    command = [sys.executable, "-c", GONE, str(tmp_path / "gone"), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == [
        "5.0",
        "packages: requirements.txt cannot be read: No such file or directory.",
        "packages: there is no file ./x-1-py3-none-any.whl.",
        "1 1",
    ]
    assert done.stderr.count("\n") == done.stderr.count("work.ipynb") == 2


def test_a_relative_folder_below_a_deleted_one_is_one_line(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); "
        "from lithops_magic.local.__main__ import main; sys.exit(main(['ensure']))"
    )
    (tmp_path / "gone").mkdir()
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": "below"}
    command = [sys.executable, "-c", code, str(tmp_path / "gone")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "The local AWS cannot create below (No such file or directory)" in done.stderr


def test_a_folder_of_the_clients_that_cannot_be_written_is_one_line_where_it_matters(
    local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(_: int) -> bool:
        import six

        return bool(six.PY3)

    (tmp_path / "file").touch()
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path / "file"))
    assert list(lithops_magic.map(abs, range(5)).values()) == list(range(5))
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(PackageError, match=r"cannot be written: Not a directory \(.*LITHOPS_MAGIC_CACHE_DIR") as caught:
        lithops_magic.map(use, range(2), packages="six==1.16.0")
    assert "\n" not in str(caught.value)
