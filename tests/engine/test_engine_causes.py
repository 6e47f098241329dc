"""Each kind of failure has its class and says what to do."""

from __future__ import annotations

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
        (-9, 100, TaskCrashed, "signal 9 (Killed): compiled code"),
        (-9, None, TaskCrashed, "signal 9"),
        (-11, 510, TaskCrashed, "signal 11 (Segmentation fault)"),
        (-250, 1, TaskCrashed, "signal 250 (unknown)"),
        (3, 1, TaskCrashed, "status 3: compiled code"),
    ],
)
def test_processes_that_died(code: int, used: int | None, expected: type, words: str) -> None:
    found, text = failures.of_process(code, 512, used)
    assert found is expected
    assert words in text
