"""Each kind of failure has its class and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lithops_magic.engine.dispatch import failures
from lithops_magic.errors import DiskFull, ImportFailed, RemoteError, RemoteTraceback, TaskCrashed, TaskOutOfMemory


@pytest.mark.parametrize(
    ("kind", "message", "expected", "words"),
    [
        ("ModuleNotFoundError", "No module named 'x'", ImportFailed, ["not installed where the notebook runs either"]),
        ("ModuleNotFoundError", "No module named 'x': use --packages", ImportFailed, []),
        (
            "ImportError",
            "libGL.so.1: cannot open shared object file: No such file or directory",
            ImportFailed,
            ["layer"],
        ),
        ("OSError", "[Errno 28] No space left on device: '/tmp/x'", DiskFull, ["--tmp"]),
        ("MemoryError", "", RemoteError, ["512 MB", "--memory"]),
        ("ValueError", "[Errno 2]", RemoteError, []),
    ],
)
def test_exceptions(kind: str, message: str, expected: type, words: list[str]) -> None:
    found, remedy = failures.of_exception(RemoteTraceback(kind, message), 512)
    assert found is expected
    assert all(word in remedy for word in words)
    assert bool(remedy) == bool(words)


@pytest.mark.parametrize(
    ("code", "used", "expected", "words"),
    [
        (-9, 510, TaskOutOfMemory, "510 of the function's 512 MB"),
        (-9, 100, TaskCrashed, "signal 9 (Killed). Crashing compiled code"),
        (-9, None, TaskCrashed, "signal 9"),
        (-11, 510, TaskCrashed, "signal 11 (Segmentation fault)"),
        (-250, 1, TaskCrashed, "signal 250 (unknown)"),
        (3, 1, TaskCrashed, "status 3. Crashing compiled code"),
    ],
)
def test_processes_that_died(code: int, used: int | None, expected: type, words: str) -> None:
    found, text = failures.of_process(code, 512, used)
    assert found is expected
    assert words in text


def test_a_file_that_is_here_is_found_in_the_error_or_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.csv").touch()
    (tmp_path / "x.h5").touch()
    (tmp_path / "folder").mkdir()
    for original, kind, message, said in (
        (FileNotFoundError(2, "no", "a b.csv"), "FileNotFoundError", "no", "the file a b.csv is on this machine"),
        (FileNotFoundError(2, "no", b"x"), "FileNotFoundError", "no", ""),
        (FileNotFoundError(2, "no", "folder"), "FileNotFoundError", "no", "the folder folder is on this machine"),
        (None, "RasterioIOError", "a: 'a b.csv': No such file or directory", "the file a b.csv"),
        (None, "OSError", "unable to open file: name = 'x.h5', errno = 2", "the file x.h5"),
        (None, "ComputeError", "No such file or directory (os error 2): x.h5", "the file x.h5"),
        (None, "ValueError", "x.h5 is odd", ""),
        (None, "FileNotFoundError", "gone.h5", ""),
    ):
        _, remedy = failures.of_exception(RemoteTraceback(kind, message), 512, original)
        assert said in remedy
        assert bool(said) == bool(remedy)
