"""Each kind of failure has its class and says what to do."""

from __future__ import annotations

import json
import linecache
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.aws.invoke.report import InvocationReport
from lithops_magic.engine.dispatch import failures, missing_programs
from lithops_magic.errors import (
    DiskFull,
    ImportFailed,
    InitFailed,
    RemoteError,
    RemoteFrame,
    RemoteTraceback,
    TaskCrashed,
    TaskOutOfMemory,
    TaskTimeout,
)


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


ENDED = (
    "Crashing compiled code and os._exit() do that, and Python cannot catch it. To find the line, run this item in a "
    "script"
)
MEMORY = "it used up {} of the function's 512 MB; raise it with memory (--memory)"
LOG = "The function's log in CloudWatch may say more"
INIT = "its sandbox could not start: {}. Check the function's layers and environment variables"


@pytest.mark.parametrize(
    ("payload", "used", "expected", "text"),
    [
        (
            {"errorType": "Sandbox.Timedout", "errorMessage": "x"},
            512,
            TaskTimeout,
            "it ran longer than the function's 7 s; raise it with timeout (--timeout)",
        ),
        (
            {"errorMessage": "2026 r Task timed out after 7.00 seconds"},
            1,
            TaskTimeout,
            "it ran longer than the function's 7 s; raise it with timeout (--timeout)",
        ),
        ({"errorType": "Runtime.OutOfMemory", "errorMessage": "x"}, 500, TaskOutOfMemory, MEMORY.format("500")),
        (
            {"errorType": "Runtime.OutOfMemory", "errorMessage": "x"},
            None,
            TaskOutOfMemory,
            "it used up the function's 512 MB; raise it with memory (--memory)",
        ),
        # A sandbox that ended with all its memory in use was killed for that.
        ({"errorType": "Runtime.ExitError", "errorMessage": "x"}, 512, TaskOutOfMemory, MEMORY.format("512")),
        (
            {"errorType": "Runtime.ExitError", "errorMessage": "Error: Runtime exited with error: signal: killed"},
            300,
            TaskOutOfMemory,
            MEMORY.format("300"),
        ),
        (
            {"errorType": "Runtime.ExitError", "errorMessage": "R Error: Runtime exited with error: exit status 3"},
            511,
            TaskCrashed,
            f"its process exited with status 3. {ENDED}",
        ),
        (
            {"errorType": "Runtime.ExitError", "errorMessage": "R Error: Runtime exited without providing a reason"},
            None,
            TaskCrashed,
            f"its sandbox ended: Runtime exited without providing a reason (Runtime.ExitError). {ENDED}",
        ),
        ({"errorType": "Other", "errorMessage": "x"}, 512, TaskCrashed, f"its sandbox ended: x (Other). {LOG}"),
        ({"errorMessage": "x"}, 1, TaskCrashed, f"its sandbox ended: x. {LOG}"),
        ({}, 1, TaskCrashed, f"its sandbox ended: the sandbox gave no reason. {LOG}"),
        ({"errorType": "Fault", "errorMessage": "it broke"}, 1, TaskCrashed, f"it broke. {LOG}"),
        (
            {"errorType": "Runtime.ImportModuleError", "errorMessage": "Error: no module"},
            1,
            InitFailed,
            INIT.format("no module (Runtime.ImportModuleError)"),
        ),
        # The function was not called yet.
        (
            {"errorType": "KeyError", "errorMessage": "'x'", "requestId": ""},
            1,
            InitFailed,
            INIT.format("'x' (KeyError)"),
        ),
        (
            {"errorType": "X", "errorMessage": "Error: Runtime exited with error: exit status 1", "requestId": ""},
            1,
            InitFailed,
            INIT.format("Runtime exited with error: exit status 1 (X)"),
        ),
        (b"no JSON \xff", 1, TaskCrashed, f"its sandbox ended: no JSON \ufffd. {LOG}"),
        (b"x" * 300, 1, TaskCrashed, f"its sandbox ended: {'x' * 200}. {LOG}"),
        (b"[]", 1, TaskCrashed, f"its sandbox ended: []. {LOG}"),
    ],
)
def test_sandboxes_that_ended(payload: Any, used: int | None, expected: type, text: str) -> None:
    report = None if used is None else InvocationReport(1.0, 1, 512, used)
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert failures.of_sandbox(Reply(content, "Unhandled", "", "r", report), 512, 7) == (expected, text)


def test_a_process_killed_with_nearly_all_memory_in_use_ran_out_of_it() -> None:
    assert failures.of_process(-9, 1000, 950)[0] is TaskOutOfMemory
    assert failures.of_process(-9, 1000, 949) == (
        TaskCrashed,
        f"its process was killed by signal 9 (Killed). {ENDED}",
    )
    assert failures.of_process(0, 1000, 950) == (TaskCrashed, f"its process exited with status 0. {ENDED}")


def remedy(kind: str, message: str, *files: str) -> str:
    frames = tuple(RemoteFrame(file, 1, "f", "x") for file in files)
    return failures.of_exception(RemoteTraceback(kind, message, frames), 512)[1]


def test_remedies_word_for_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(failures.missing_module, "explain", lambda module: f"about {module}")
    assert remedy("ModuleNotFoundError", "No module named 'a.b'") == " in the sandbox (about a.b)"
    assert remedy("ModuleNotFoundError", "a.b is not here") == ""
    assert remedy("ImportError", "libGL.so.1: cannot open shared object file: No such file or directory") == (
        " (Lambda has no libGL.so.1: use a build of the package that bundles it, or a layer that has it)"
    )
    assert remedy("OSError", "[Errno 28] No space left") == (
        " (the function's disk is full; enlarge /tmp with tmp (--tmp), or write elsewhere)"
    )
    assert remedy("MemoryError", "") == " (the function has 512 MB; raise it with memory (--memory))"
    assert remedy("BdbQuit", "") == (
        " (a sandbox has no debugger: .debug(i) of the result runs the task here, where breakpoint() works)"
    )
    shared = remedy("OSError", "[Errno 38] Function not implemented", "a.py", "multiprocessing/synchronize.py")
    assert shared.startswith(" (Lambda has no shared memory (/dev/shm), which multiprocessing's pools, locks")
    assert remedy("OSError", "[Errno 38] Function not implemented", "a.py") == ""
    assert remedy("ValueError", "x", "multiprocessing/synchronize.py") == ""


def test_a_variable_that_only_a_string_of_code_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "known", 1, raising=False)
    in_text = (
        " (the notebook has known, but the task names it only in a string that is built at run time: "
        "mention known in the code as well)"
    )
    for kind, message in (
        ("NameError", "name 'known' is not defined"),
        ("pandas.errors.UndefinedVariableError", "name 'known' is not defined"),
        ("CatalogException", "Table with name known does not exist"),
    ):
        assert remedy(kind, message) == in_text
    assert remedy("SQLInterfaceError", "relation 'known' was not found") == (
        " (the notebook has known, but in a task, Polars finds only local variables: "
        "use pl.SQLContext(known=known).execute(...))"
    )
    assert remedy("NameError", "name 'unknown' is not defined") == ""
    assert remedy("ValueError", "name 'known' is not defined") == ""
    assert remedy("NameError", "known") == ""


def test_a_program_that_is_here_is_shipped_with_its_distribution_or_said_to_be_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(missing_programs, "owner_of_program", lambda name: "dep-tools" if name == "deptool" else "")
    monkeypatch.setattr(missing_programs.shutil, "which", lambda name: "/bin/x" if name in ("systool", "b/c") else None)

    def explain(message: str, kind: str = "FileNotFoundError", file: str = "/lib/subprocess.py") -> str:
        frames = (RemoteFrame("n.py", 1, "f", "x"), RemoteFrame(file, 1, "run", "x", library=True))
        return missing_programs.explain(RemoteTraceback(kind, message, frames))

    def absent(path: str) -> str:
        return f"[Errno 2] No such file or directory: '{path}'"

    ships = "deptool is a program of dep-tools, which is installed here: ship it with --packages dep-tools"
    here = (
        "the program systool is on this machine and not in the sandbox: use a container image or a layer that has it, "
        "or ship a static build with files (--files) and call it by its path"
    )
    for file in ("/lib/subprocess.py", "/lib/os.py", "/lib/pty.py"):
        assert explain(absent("deptool"), file=file) == ships
    assert explain(absent("deptool"), file="/lib/io.py") == ""  # a file of that name was opened
    assert explain(absent("deptool"), kind="OSError") == ""
    assert explain(absent("/gone/bin/deptool")) == ships
    assert (explain(absent("systool")), explain(absent("b/c")), explain(absent("nowhere"))) == (here, "", "")
    status = "Command '{}' returned non-zero exit status 127."
    assert explain(status.format("deptool --help"), kind="CalledProcessError") == ships
    assert explain(status.format("['sh', '-c', 'deptool x']"), kind="CalledProcessError") == ships
    assert explain("Command 'deptool' returned non-zero exit status 1.", kind="CalledProcessError") == ""
    # A program in the environment is called by its name in the sandbox; a file of the user's is theirs.
    (tmp_path / "deptool").touch()
    own, installed = str(tmp_path / "deptool"), tmp_path / "bin" / "deptool"
    assert explain(absent(own)) == ""
    monkeypatch.setattr(missing_programs.sys, "prefix", str(tmp_path / "bin"))
    installed.parent.mkdir()
    installed.touch()
    assert explain(absent(str(installed))) == f"{ships} and call it by its name, deptool"
    assert list(missing_programs.missing(RemoteTraceback("E", status.format("deptool")))) == []


def test_a_file_that_is_here_is_shipped_by_its_name_or_called_by_the_one_it_has_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, outside = tmp_path / "here", tmp_path / "b c.csv"
    here.mkdir()
    outside.touch()
    (here / "sub").mkdir()
    (here / "sub" / "a.csv").touch()
    (here / "own.csv").touch()
    monkeypatch.chdir(here)

    def bring(path: object) -> str:
        error = FileNotFoundError(2, "no", str(path))
        return failures.of_exception(RemoteTraceback("FileNotFoundError", "no"), 512, error)[1]

    start = "is on this machine and not in the sandbox: ship it with files"
    assert bring("sub/a.csv") == f" (the file sub/a.csv {start} (--files sub/a.csv), or put it in S3)"
    assert bring("sub") == f" (the folder sub {start} (--files sub), or put it in S3)"
    assert bring(here / "sub/a.csv") == (
        f" (the file {here}/sub/a.csv {start} (--files {here}/sub/a.csv) and call it 'sub/a.csv' in the task, "
        "or put it in S3)"
    )
    assert bring(outside) == (
        f" (the file {outside} {start} (--files '{outside}') and call it 'b c.csv' in the task, or put it in S3)"
    )
    assert bring("../b c.csv") == (
        f" (the file ../b c.csv {start} (--files '../b c.csv') and call it 'b c.csv' in the task, or put it in S3)"
    )
    assert bring("gone.csv") == ""
    # A sandbox keeps the notebook's modules elsewhere; code looks for files beside them.
    assert "the file own.csv " in bring("/opt/python/own.csv")
    assert "the file own.csv " in bring("/tmp/x/modules-0123456789ab/own.csv")
    assert "the file own.csv " in remedy("OSError", "cannot find /opt/python/own.csv")
    # The exception itself is that of the last error only, whose causes have other files.
    denied = PermissionError(13, "denied", "own.csv")
    caused = RemoteTraceback("PermissionError", "denied", (), RemoteTraceback("FileNotFoundError", "gone.csv"))
    assert failures.of_exception(caused, 512, denied)[1] == ""
    found = RemoteTraceback("PermissionError", "denied", (), RemoteTraceback("FileNotFoundError", "own.csv"))
    assert "the file own.csv " in failures.of_exception(found, 512, denied)[1]
    error = FileNotFoundError(2, "no", "gone.csv", None, "own.csv")
    assert "own.csv" in failures.of_exception(RemoteTraceback("FileNotFoundError", "no"), 512, error)[1]
    # A folder is taken from an error's own file name only: words of a text are often names of folders.
    assert remedy("OSError", "cannot find sub") == ""
    assert "the file own.csv " in remedy("OSError", 'cannot find "own.csv"')
    assert "the file own.csv " in remedy("NotADirectoryError", "own.csv")
    (here / "MATRIX").touch()
    assert "the file MATRIX " in remedy("OSError", "cannot find MATRIX.")
    for ending in ",.:;)":
        assert "the file own.csv " in remedy("OSError", f"does not exist: own.csv{ending} here")


def test_a_program_s_own_words_and_the_line_of_the_user_name_a_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").touch()
    (tmp_path / "own.db").touch()
    failed = RemoteTraceback("CalledProcessError", "Command 'cat' returned non-zero exit status 1.")

    def remedy_of(stderr: Any) -> str:
        return failures.of_exception(failed, 512, subprocess.CalledProcessError(1, "cat", stderr=stderr))[1]

    assert "the file own.csv " in remedy_of(b"cat: own.csv: No such file or directory")
    assert "the file own.csv " in remedy_of("cat: own.csv: No such file or directory")
    assert "the file own.csv " in remedy_of(b"\xff own.csv: No such file or directory")
    assert (remedy_of(b"own.csv is odd"), remedy_of(None), remedy_of(5)) == ("", "", "")
    # What is neither text nor bytes is no name.
    (tmp_path / "5").touch()
    silent = RemoteTraceback("ToolError", "not found")
    assert failures.of_exception(silent, 512, subprocess.CalledProcessError(1, "cat", stderr=5))[1] == ""

    def sqlite(source: str, *, library: bool = False) -> str:
        user = RemoteFrame(str(tmp_path / "n.py"), 1, "f", source, library=library)
        inside = RemoteFrame("/lib/sqlite3.py", 1, "connect", "connect('own.csv')", library=True)
        error = RemoteTraceback("OperationalError", "unable to open database file", (user, inside))
        return failures.of_exception(error, 512)[1]

    assert "the file own.db " in sqlite("sqlite3.connect('own.db')")
    assert "the file own.db " in sqlite('sqlite3.connect("file:own.db?mode=ro", uri=True)')
    assert sqlite("sqlite3.connect(name)") == ""
    (tmp_path / "n.py").write_text("sqlite3.connect('own.db')\nsqlite3.connect('own.csv')\n")
    linecache.checkcache()
    assert "the file own.db " in sqlite("")  # a file of the user's, which this machine has
    assert sqlite("sqlite3.connect('own.db')", library=True) == ""
