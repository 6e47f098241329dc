"""Exceptions of the user's come back as themselves, whatever their constructors want, and read well in any case."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import api
from lithops_magic.engine.text import tracebacks
from lithops_magic.errors import RemoteError, RemoteFrame, RemoteTraceback, TaskError


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class ReadOnly(Exception):
    """Has properties of the names of our own fields."""

    @property
    def message(self) -> str:
        return "theirs"

    @property
    def index(self) -> str:
        raise AttributeError("theirs")


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Unassignable(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(name)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no children")


KNOWN = [
    KeywordOnly(code=1),
    ReadOnly("x"),
    Frozen(3),
    Slotted(4),
    Unassignable("x"),
    Unprintable("x"),
    KeyError("k"),
    OSError(2, "no such file", "f"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    json.JSONDecodeError("bad", "{", 1),
    subprocess.CalledProcessError(3, "ls"),
    AttributeError("a", name="n", obj=3),
    TimeoutError("late"),
]
OTHERS = [
    SyntaxError("bad", ("f", 1, 2, "x")),
    Final("x"),
    StopIteration(3),
    ExceptionGroup("two", [ValueError(1), KeyError(2)]),
    SystemExit(3),
]


@pytest.mark.parametrize("original", KNOWN + OTHERS, ids=lambda one: type(one).__name__)
def test_an_exception_is_ours_and_where_possible_its_own(original: BaseException) -> None:
    error = RemoteError.wrap(original, "bad", index=3, item="'i'")
    assert isinstance(error, RemoteError)
    assert isinstance(error, type(original)) == (original in KNOWN)
    assert error.task.original is original
    assert error.__cause__ is original
    assert (str(error), error.task.message, error.task.index) == ("Task 3 ('i'): bad", "bad", 3)
    error.task.where = "Cell In[6], line 4"
    error.add_note("frames")
    assert error._render_traceback_() == ["Task 3 ('i'): bad at Cell In[6], line 4\nframes"]
    summary = tracebacks.summarize({3: error}, 9, ".debug(3)")
    assert str(summary).startswith(f"1 of 9 tasks failed with {type(error).__name__} at Cell In[6], line 4")
    assert str(copy.copy(error)) == str(error)


def test_a_rebuilt_exception_has_what_the_original_had() -> None:
    decode = RemoteError.wrap(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "m", index=0)
    assert isinstance(decode, UnicodeDecodeError)
    assert (decode.encoding, decode.object, decode.reason) == ("utf-8", b"\xff", "bad")
    call = RemoteError.wrap(subprocess.CalledProcessError(3, "ls", stderr="no"), "m", index=0)
    assert isinstance(call, subprocess.CalledProcessError)
    assert (call.returncode, call.cmd, call.stderr) == (3, "ls", "no")
    again = pickle.loads(pickle.dumps(RemoteError.wrap(OSError(2, "no", "f"), "m", index=5)))
    assert isinstance(again, FileNotFoundError)
    assert (again.errno, again.filename, again.index) == (2, "f", 5)  # type: ignore[attr-defined]


def raise_oddly(kind: int) -> None:
    class Mine(Exception):
        def __init__(self, *, code: int) -> None:
            super().__init__(f"code {code}")

    match kind:
        case 0:
            raise Mine(code=7)
        case 1:
            subprocess.run(["false"], check=True)
        case 2:
            b"\xff".decode()
        case 3:
            json.loads("{")
        case 4:
            raise ExceptionGroup("two", [ValueError(1), KeyError(2)])
        case 5:
            compile("1 +", "formula", "eval")


@pytest.mark.usefixtures("local_aws")
def test_no_exception_can_break_the_job_and_each_reads_well() -> None:
    settings = Settings(local=True, memory=256)
    # By value, as a cell's function travels: this file is no module that could be shipped.
    task = types.FunctionType(raise_oddly.__code__, {**globals(), "__name__": "__main__"})
    result = api.map(lambda kind: task(kind), range(6), settings=settings, errors="keep")
    assert result.snapshot().state == "finished"
    texts = [str(result.errors[index]) for index in range(6)]
    for text, expected in zip(
        texts,
        ("code 7", "returned non-zero exit status 1", "can't decode byte 0xff", "Expecting property", "two", "invalid"),
        strict=True,
    ):
        assert expected in text
        assert f"{Path(__file__).name}, line " in text
    kinds = (RemoteError, subprocess.CalledProcessError, UnicodeDecodeError, json.JSONDecodeError, RemoteError)
    for index, kind in enumerate(kinds):
        with pytest.raises(kind) as caught:
            result[index]
        assert isinstance(caught.value, TaskError)


def test_frames_of_packages_that_are_not_here_are_readable_and_short() -> None:
    frames = (
        RemoteFrame("/tmp/ipykernel_9/1.py", 3, "f", "solve(a)"),
        RemoteFrame(
            "/opt/python/lib/python3.11/site-packages/only_there/linalg.py", 7, "solve", "raise Singular", True
        ),
    )
    text = tracebacks.render(RemoteTraceback("Singular", "no", frames), lambda name: "Cell In[2]")
    assert text.splitlines()[1:] == [
        "  Cell In[2], line 3, in f",
        "    solve(a)",
        "  only_there/linalg.py, line 7, in solve",
        "    raise Singular",
        "Singular: no",
    ]


def test_local_variables_stand_below_their_line() -> None:
    frame = RemoteFrame("c.py", 3, "f", "return 1 / y", locals={"x": "3", "y": "0"})
    text = tracebacks.render(RemoteTraceback("ZeroDivisionError", "division by zero", (frame,)), str)
    assert text.splitlines()[2:5] == ["    return 1 / y", "      x = 3", "      y = 0"]


@pytest.mark.usefixtures("local_aws")
@pytest.mark.parametrize("asked", [True, False])
def test_local_variables_come_only_when_they_are_asked_for(asked: bool) -> None:
    def task(x: int) -> float:
        table = [[x] * 3, "two\nlines"]
        share = len(table) - x
        return 1 / share

    settings = Settings(local=True, memory=256)
    error = api.map(task, [2], settings=settings, errors="keep", locals=asked).errors[0]
    shown = "\n".join(error._render_traceback_())
    assert ("\n      share = 0\n" in shown) == asked
    assert ("\n      x = 2\n" in shown) == asked
    assert ("\n      table = [[2, 2, 2], 'two\\nlines']\n" in shown) == asked
    assert "in task\n    return 1 / share\n" in shown


@pytest.mark.usefixtures("local_aws")
def test_lines_of_a_file_that_only_the_sandbox_has_are_shown() -> None:
    def task(_: int) -> None:
        import importlib
        import sys
        import tempfile

        folder = tempfile.mkdtemp(prefix="sandbox-")
        (Path(folder) / "only_there.py").write_text("def solve():\n    raise ArithmeticError('singular')\n")
        sys.path.append(folder)
        importlib.import_module("only_there").solve()

    error = api.map(task, [0], settings=Settings(local=True, memory=256), errors="keep").errors[0]
    assert isinstance(error, ArithmeticError)
    assert error.traceback is not None
    assert not Path(error.traceback.frames[-1].file).exists()
    assert "only_there.py, line 2, in solve\n    raise ArithmeticError('singular')\n" in error._render_traceback_()[0]
