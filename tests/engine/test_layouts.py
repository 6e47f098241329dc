"""The most natural layouts: the mapped function beside `import lithops_magic`, in a script, a module or a test file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("local_aws")

WORK = """
import lithops_magic
import lithops_magic.errors as errors
from lithops_magic import MapResult
from lithops_magic.config import Settings

SETTINGS = Settings(local=True, memory=256)

class Stop(errors.LithopsMagicError):
    pass

def square(x: int) -> int | MapResult:
    return x * x

def nested(x):
    return list(lithops_magic.map(square, [x]))
"""

USE = """
result = lithops_magic.map({work}square, range(4), settings={work}SETTINGS)
assert list(result) == [0, 1, 4, 9]
failed = lithops_magic.map({work}nested, [1], settings={work}SETTINGS, errors="keep")
assert "a sandbox has no lithops_magic: a task cannot start a job" in str(failed.errors[0]), failed.errors
"""


def run(folder: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_module(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "main.py").write_text("import lithops_magic, work\n" + USE.format(work="work."))
    run(tmp_path, "main.py")


def test_a_script(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(WORK + USE.format(work="").partition("failed = ")[0])
    run(tmp_path, "main.py")


def test_a_test_file(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in USE.format(work="").strip().splitlines())
    (tmp_path / "test_work.py").write_text(f"{WORK}\ndef test_it():\n{body}")
    run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_work.py")
