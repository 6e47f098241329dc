"""What earlier processes know of the account: a new one invokes at once, and looks only where that does not work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws.deploy.function import DeployedFunction
from lithops_magic.engine.backend import remembered
from lithops_magic.engine.backend.remembered import Remembered
from localaws import LocalAws

PROGRAM = """
import sys
import lithops_magic
from lithops_magic.aws import observe

seen = []
observe.add(lambda operation, _: seen.append(operation))
settings = lithops_magic.Settings(local=True, namespace="remembered", memory=381)
result = lithops_magic.map(
    lambda x: x + 1, range(9), settings=settings, detach="detach" in sys.argv, chunksize=1, workers=8
)
assert result.wait(120) and result.values() == [*range(1, 10)], result
print(*seen)
"""


def operations(*how: str) -> list[str]:
    """Run a job in a process of its own; return what it asked AWS for."""
    command = [sys.executable, "-c", PROGRAM, *how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def function(local_aws: LocalAws) -> str:
    return next(
        each["FunctionName"]
        for each in local_aws.functions()
        if "remembered" in each["FunctionName"] and each["MemorySize"] == 381
    )


def test_a_new_process_only_invokes_and_deploys_again_what_is_gone(local_aws: LocalAws) -> None:
    first = operations()
    assert "lambda.GetFunction" in first
    assert "lambda.CreateFunction" in first
    assert set(operations()) <= {"lambda.Invoke"}
    for how in ([], ["detach"]):
        local_aws.client("lambda").delete_function(FunctionName=function(local_aws))
        again = operations(*how)
        assert "lambda.CreateFunction" in again
        assert "lambda.GetAccountSettings" in again


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path))
    return tmp_path / "functions"


FOUND = Remembered(DeployedFunction("name", "arn:aws:lambda:r:123456789012:function:name", 128, 3, False), 1000)


def test_what_was_remembered_is_recalled(folder: Path) -> None:
    assert remembered.recall("a") is None
    remembered.remember("a", FOUND)
    assert remembered.recall("a") == FOUND
    assert remembered.recall("b") is None


def test_what_is_too_old_is_forgotten(folder: Path) -> None:
    remembered.remember("a", FOUND)
    told = json.loads((folder / "a").read_text())
    for at in (time.time() - remembered.FRESH - 1, time.time() + 60, "x", None):
        (folder / "a").write_text(json.dumps({**told, "at": at}))
        assert remembered.recall("a") is None
    os.utime(folder / "a", (0, 0))
    remembered.remember("b", FOUND)
    assert [path.name for path in folder.iterdir()] == ["b"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"at": 1e999}', '{"at": 1, "function": {"x": 1}}', "\0"])
def test_what_is_damaged_is_as_if_it_were_not_there(folder: Path, content: str) -> None:
    remembered.remember("a", FOUND)
    (folder / "a").write_text(content)
    assert remembered.recall("a") is None


def test_what_others_could_have_written_is_not_believed(folder: Path) -> None:
    remembered.remember("a", FOUND)
    folder.chmod(0o777)
    assert remembered.recall("a") is None
    folder.chmod(0o700)
    assert remembered.recall("a") == FOUND
    (folder / "a").chmod(0o666)
    assert remembered.recall("a") is None


def test_a_folder_that_cannot_be_written_is_no_problem(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.touch()
    remembered.remember("a", FOUND)
    assert remembered.recall("a") is None


def test_no_secret_is_written_down(local_aws: LocalAws, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lithops_magic

    settings = lithops_magic.Settings(local=True, namespace="remembered", env_vars={"TOKEN": "a-secret-value"})
    assert lithops_magic.map(abs, [-1], settings=settings).values() == [1]
    text: Any = "".join(path.read_text() for path in folder.iterdir())
    assert text
    assert "a-secret-value" not in text
    assert local_aws.secret_access_key not in text
