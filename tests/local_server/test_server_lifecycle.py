"""The server is found again, replaced when broken, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import boto3
import psutil
import pytest

from lithops_magic.local import discovery
from localaws import FOREIGN, local_command, stop_servers
from ports import reserved_port
from waiting import has_ended

PATIENCE = 120
"""Seconds after which a test that waits for something has failed."""


@dataclass(frozen=True)
class Running:
    """A server that tests share, and what its start printed."""

    folder: Path
    output: str
    found: dict[str, Any]

    def discovery(self, **changed: Any) -> str:
        """Content of its discovery file, or of one that differs from it."""
        return json.dumps({**json.loads(discovery_file(self.folder).read_text()), **changed})


posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and signals")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for servers of this test alone; none survives it."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    yield private
    stop_servers(private)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for all that only look at one; its starter may open few files, and has settings of its own for AWS."""
    folder = tmp_path_factory.mktemp("running")
    own = {"AWS_PROFILE": "nobody-has-this-profile", "HTTP_PROXY": "http://127.0.0.1:9"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment = {**inherited, **own, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local", "ensure"]
    with few_open_files(), subprocess.Popen(command, env=environment, stdout=PIPE, stderr=PIPE, text=True) as starter:
        output, errors = starter.communicate(timeout=PATIENCE)  # returns at the end of both pipes
    assert errors == ""
    yield Running(folder, output, json.loads(output))
    stop_servers(folder)


@contextlib.contextmanager
def few_open_files() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    process = psutil.Process()
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (256, before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, before)


def ensure(folder: Path, *arguments: str) -> dict[str, Any]:
    done = local_command(folder, "ensure", "--workers", "2", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def discovery_file(folder: Path) -> Path:
    (path,) = folder.glob("server-*.json")
    return path


def answers(found: dict[str, Any]) -> bool:
    """Whether that server accepts its own credentials."""
    session = boto3.Session(found["access_key_id"], found["secret_access_key"], region_name=found["region"])
    client = session.client("lambda", endpoint_url=found["endpoint_url"])
    limit = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    client.close()
    return bool(limit > 0)


def test_ensure_prints_one_line_of_json_and_finds_the_same_server_again(running: Running) -> None:
    assert running.output.count("\n") == 1
    names = "endpoint_url region access_key_id secret_access_key account_id pid workers version"
    assert set(running.found) == set(names.split())
    assert answers(running.found)
    assert json.loads(local_command(running.folder, "ensure").stdout) == running.found


@posix_only
def test_what_the_server_writes_is_private(running: Running) -> None:
    for path in running.folder.iterdir():
        assert path.stat().st_uid == os.getuid()
        assert path.is_dir() or path.suffix == ".lock" or path.stat().st_mode & 0o077 == 0, path
    assert running.folder.stat().st_mode & 0o077 == 0


def test_the_server_survives_its_starter_and_holds_none_of_its_pipes(running: Running) -> None:
    assert answers(running.found)
    if sys.platform != "win32":
        assert os.getsid(running.found["pid"]) == running.found["pid"]


@posix_only
def test_a_killed_server_is_replaced(folder: Path) -> None:
    first = ensure(folder)
    psutil.Process(first["pid"]).kill()
    wait_until(lambda: has_ended(first["pid"]))
    second = ensure(folder)
    assert second["pid"] != first["pid"]
    assert second["secret_access_key"] != first["secret_access_key"]
    assert answers(second)
    assert len(list(folder.glob("state-*.lock"))) == 1


@posix_only
def test_a_server_that_hangs_is_replaced(folder: Path) -> None:
    first = ensure(folder)
    os.kill(first["pid"], signal.SIGSTOP)
    second = ensure(folder)
    assert second["pid"] != first["pid"]
    assert has_ended(first["pid"])


def test_a_garbled_discovery_file_is_replaced(folder: Path) -> None:
    path = discovery.path_of(folder, discovery.version())
    path.touch(mode=0o600)
    path.write_text('{"pid": 1}')
    assert answers(ensure(folder))


SOUND = discovery.Discovery("http://127.0.0.1:9", "us-east-1", "AKIA", "secret", "123456789012", 2**22, 1.0, 2, "v")


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint_url": 7},
        {"endpoint_url": "http://127.0.0.1:x"},
        {"endpoint_url": "http://127.0.0.1:70000"},
        {"secret_access_key": None},
        {"pid": "1"},
        {"pid": -1},
        {"pid": True},
        {"started": "now"},
        {"workers": [2]},
        {"version": {}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_discovery_file_of_wrong_types_is_none(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "server-v.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(SOUND)))
    assert discovery.read(path) == SOUND
    path.write_text(json.dumps({**asdict(SOUND), **wrong}))
    assert discovery.read(path) is None


@pytest.mark.parametrize("text", ["", '{"pid": 1}', "\x00" * 9, "[" * 9999, "null"], ids=range(5))
def test_a_garbled_discovery_file_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server-v.json"
    path.touch(mode=0o600)
    path.write_text(text)
    assert discovery.read(path) is None


@pytest.mark.parametrize("port", [65_536, -1])
def test_a_port_that_cannot_be_is_one_line(folder: Path, port: int) -> None:
    done = local_command(folder, "serve", "--port", str(port))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"Port {port} cannot be used (ports are 0 to 65535)" in done.stderr


@posix_only
def test_a_discovery_file_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path, running: Running) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.touch(mode=0o600)
    elsewhere.write_text(running.discovery())
    discovery.path_of(folder, running.found["version"]).symlink_to(elsewhere)
    assert ensure(folder)["pid"] != running.found["pid"]
    assert elsewhere.read_text() == running.discovery()


def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(folder: Path, running: Running) -> None:
    path = discovery.path_of(folder, running.found["version"])
    with (
        reserved_port() as port,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=PIPE) as innocent,
    ):
        dead = f"http://127.0.0.1:{port}"
        path.touch(mode=0o600)
        path.write_text(running.discovery(endpoint_url=dead, pid=innocent.pid))
        assert answers(ensure(folder))
        assert innocent.poll() is None


def test_another_server_on_the_old_port_is_not_believed(folder: Path, running: Running) -> None:
    path = discovery.path_of(folder, running.found["version"])
    path.touch(mode=0o600)
    path.write_text(running.discovery(secret_access_key="of another server", started=0))
    assert ensure(folder)["endpoint_url"] != running.found["endpoint_url"]
    assert answers(running.found)


def test_processes_that_ensure_at_the_same_moment_get_one_server(folder: Path) -> None:
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    command = [sys.executable, "-m", "lithops_magic.local", "ensure"]
    starters = [subprocess.Popen(command, env=environment, stdout=PIPE) for _ in range(4)]
    outputs = {starter.communicate(timeout=PATIENCE)[0] for starter in starters}
    assert len(outputs) == 1
    assert answers(json.loads(outputs.pop()))


def test_servers_of_two_versions_are_not_shared(folder: Path, tmp_path: Path) -> None:
    import lithops_magic

    ours = ensure(folder)
    shutil.copytree(Path(lithops_magic.__file__).parent, tmp_path / "changed" / "lithops_magic")
    with (tmp_path / "changed" / "lithops_magic" / "local" / "model.py").open("a") as file:
        file.write("\n# another version\n")
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder), "PYTHONPATH": str(tmp_path / "changed")}
    command = [sys.executable, "-m", "lithops_magic.local", "ensure"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    theirs = json.loads(done.stdout)
    assert theirs["version"] != ours["version"]
    assert theirs["endpoint_url"] != ours["endpoint_url"]
    assert ensure(folder) == ours
    stopped = local_command(folder, "stop").stdout
    assert ours["endpoint_url"] in stopped
    assert theirs["endpoint_url"] in stopped


def test_an_idle_server_ends_by_itself(folder: Path) -> None:
    found = ensure(folder, "--idle", "0.02")
    wait_until(lambda: has_ended(found["pid"]))
    assert {path.name for path in folder.iterdir() if path.suffix != ".log"} <= {"start.lock"}


@posix_only
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_tidily(folder: Path, ending: signal.Signals) -> None:
    found = ensure(folder)
    assert answers(found)
    children = psutil.Process(found["pid"]).children(recursive=True)
    os.kill(found["pid"], ending)
    wait_until(lambda: has_ended(found["pid"]))
    wait_until(lambda: all(has_ended(child.pid) for child in children))
    assert {path.name for path in folder.iterdir() if path.suffix != ".log"} <= {"start.lock"}
    log = next(folder.glob("*.log")).read_text()
    assert "Traceback" not in log


def test_stop_and_status_say_what_runs(folder: Path) -> None:
    assert local_command(folder, "status").stdout == "No local AWS is running.\n"
    assert local_command(folder, "stop").stdout == "No local AWS is running.\n"
    found = ensure(folder)
    status = local_command(folder, "status").stdout
    assert found["endpoint_url"] in status
    assert found["secret_access_key"] not in status
    assert local_command(folder, "stop").stdout == f"Stopped {found['endpoint_url']}\n"
    assert has_ended(found["pid"])


@posix_only
def test_a_folder_that_others_can_enter_is_refused_in_one_line(folder: Path) -> None:
    folder.chmod(0o755)
    done = local_command(folder, "ensure")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert str(folder) in done.stderr
    folder.chmod(0o700)


@posix_only
def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert local_command(tmp_path / "link", "ensure").returncode == 1


def test_serve_says_in_one_line_that_a_port_is_taken_and_ensure_does_not_care(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = local_command(folder, "serve", "--port", port)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert f"Port {port}" in done.stderr
        assert answers(ensure(folder, "--port", port))


def test_serve_takes_the_wanted_port_prints_how_to_use_it_and_is_found(folder: Path) -> None:
    command = [sys.executable, "-m", "lithops_magic.local", "serve", "--workers", "3", "--port"]
    environment = {**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)}
    with (
        reserved_port() as port,
        subprocess.Popen([*command, str(port)], env=environment, stdout=PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        lines = iter(server.stdout.readline, "")
        exports = {}
        for line in lines:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exports[name] = value
            if "Ctrl-C" in line:
                break
        found = ensure(folder)
        assert found["endpoint_url"] == f"http://127.0.0.1:{port}" == exports["AWS_ENDPOINT_URL"]
        assert found["secret_access_key"] == exports["AWS_SECRET_ACCESS_KEY"]
        assert found["workers"] == 3
        second = local_command(folder, "serve")
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert found["endpoint_url"] in second.stderr
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
        assert server.stdout.read() == ""


def test_a_missing_extra_is_one_line(folder: Path) -> None:
    code = "import sys; sys.modules['moto'] = None; from lithops_magic.local.__main__ import main; sys.exit(main({}))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(["ensure"])],
        env={**os.environ, "LITHOPS_MAGIC_LOCAL_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, 'The local AWS needs: pip install "lithops-magic[local]"\n')


def test_the_starters_aws_settings_do_not_reach_the_server(running: Running) -> None:
    assert answers(running.found)
    assert "Traceback" not in next(running.folder.glob("*.log")).read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_low_soft_limit_of_open_files_is_raised(running: Running) -> None:
    before = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)
    assert psutil.Process(running.found["pid"]).rlimit(psutil.RLIMIT_NOFILE)[0] == min(8192, before[1] % 2**63)
    assert answers(running.found)
