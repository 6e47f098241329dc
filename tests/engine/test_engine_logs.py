"""Everything that a task writes to standard output and error, and every log record: once, at its task, in order."""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lithops_magic.aws.growing_logs import LogLine
from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.engine.backend import live_logs
from lithops_magic.engine.result import misuse
from lithops_magic.engine.result.logs import tell
from lithops_magic.errors import MisuseError

pytestmark = pytest.mark.usefixtures("local_aws")


def run(function: Callable[[int], Any], count: int = 3, processes: int = 1, **options: Any) -> MapResult:
    settings = Settings(local=True, memory=448, worker_processes=processes)
    result = api.map(function, range(count), settings=settings, chunksize=count, **options)
    assert not result.errors, result.errors
    return result


def writes_in_every_way(x: int) -> None:
    print("print", x, end=" ")
    print("error", x, file=sys.stderr)
    sys.stdout.buffer.write(b"buffer ")
    sys.stderr.write("written ")
    os.write(1, b"descriptor\n")
    os.write(2, b"other descriptor\n")
    subprocess.run(["sh", "-c", "echo child; echo its error >&2"], check=True)
    os.system("echo system")
    libc = ctypes.CDLL(None)
    libc.puts(b"compiled")
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    sys.__stdout__.write("original\n")  # type: ignore[union-attr]
    print("e\u0301 \ud800 \U0001f600")
    libc.printf(b"without a newline")


EXPECTED = (
    "print {0} error {0}\nbuffer written descriptor\nother descriptor\nchild\nits error\nsystem\ncompiled\nthread\n"
    "original\ne\u0301 \\ud800 \U0001f600\nwithout a newline"
)


@pytest.mark.parametrize("processes", [1, 2])
def test_every_way_to_write_is_in_the_log_of_its_task_once_and_in_order(processes: int) -> None:
    def task(x: int) -> None:  # not of this module
        writes(x)

    writes = types_copy(writes_in_every_way)
    result = run(task, 4, processes)
    assert [result.logs(i) for i in range(4)] == [EXPECTED.format(i) for i in range(4)]


def types_copy(function: Any) -> Any:
    """The same function, but the notebook's own, so that it travels by itself."""
    copy = type(function)(function.__code__, {**function.__globals__, "__name__": "__main__"})
    copy.__module__ = "__main__"
    return copy


def test_log_records_are_there_once_however_they_are_logged() -> None:
    def task(x: int) -> None:
        logging.warning("root %d", x)
        logging.getLogger("mine").error("named")
        logging.info("not asked for")
        if x == 1:
            logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", force=True)
        if x >= 1:
            logging.info("asked for")
        if x == 2:
            own = logging.getLogger("own")
            own.addHandler(logging.StreamHandler())
            own.propagate = False
            own.warning("by its handler")

    result = run(task)
    assert [result.logs(i) for i in range(3)] == [
        "WARNING:root:root 0\nERROR:mine:named\n",
        "WARNING:root:root 1\nERROR:mine:named\nroot asked for\n",
        "root root 2\nmine named\nroot not asked for\nroot asked for\nby its handler\n",
    ]


def test_a_configuration_before_any_record_counts_and_a_logger_that_says_nothing_of_it_warns() -> None:
    def configured(x: int) -> None:
        logging.basicConfig(level=logging.INFO)
        logging.info("info")

    def plain(x: int) -> None:
        logging.getLogger("a.b").warning("warned")
        logging.getLogger("a.b").info("nothing")

    assert run(configured, 1).logs(0) == "INFO:root:info\n"
    assert run(plain, 1).logs(0) == "WARNING:a.b:warned\n"


def test_what_a_task_wrote_before_its_process_died_is_in_its_log() -> None:
    def task(x: int) -> int:
        print("task", x)
        if x == 1:
            os._exit(3)
        return x

    settings = Settings(local=True, memory=448, worker_processes=2)
    result = api.map(task, range(3), settings=settings, chunksize=3, errors="keep", retries=0)
    assert list(result.errors) == [1]
    assert [result.logs(i) for i in range(3)] == ["task 0\n", "task 1\n", "task 2\n"]


def test_a_megabyte_of_output_keeps_its_ends_and_does_not_block() -> None:
    def task(x: int) -> None:
        subprocess.run(["sh", "-c", "seq 1 150000"], check=True)
        print("last")

    log = run(task, 1).logs(0)
    assert log.startswith("1\n2\n3\n")
    assert log.endswith("149999\n150000\nlast\n")
    assert len(log) < 70_000


def talking(gate: socket.socket) -> Callable[[int], int]:
    """A task that prints, and ends when the gate closes its connection."""
    address = gate.getsockname()

    def task(x: int) -> int:
        print("begun", x)
        os.write(2, b"by descriptor\n")
        with socket.create_connection(address) as connection:
            connection.recv(1)
        print("ended", x)
        return x

    return task


def test_what_tasks_print_is_seen_while_they_run_and_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(local=True, memory=447)
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        result = api.map(talking(gate), [5, 6], settings=settings, chunksize=1, workers=2, background=True)
        other = api.map(print, ["of another job"] * 3, settings=settings, background=True)
        held = [gate.accept()[0] for _ in range(2)]
        lines = iter(misuse.followed(result._job))
        seen = [next(lines) for _ in range(4)]
        assert not result.done()
        for connection in held:
            connection.close()
        seen += lines
    assert result.result(60) == [5, 6]
    expected = [(f"{n}", line) for n in (0, 1) for line in (f"begun {n + 5}", "by descriptor", f"ended {n + 5}")]
    assert sorted(seen) == sorted(expected)
    assert len(other.result(60)) == 3
    result.logs(1, grep="e.d", follow=True)
    assert capsys.readouterr().out == "[1] ended 6\n"
    with pytest.raises(MisuseError, match="is not a regular expression"):
        result.logs(grep="(", follow=True)


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (["MARK 3", "a", "END RequestId: x", "of another"], [("3", "a")]),
        (["before", "MARK 3-7", "a", "", "START RequestId: y", "b", "MARK 8", "c"], [("3-7", "a"), ("8", "c")]),
        (["MARK2 1", "a", "REPORT RequestId: x"], []),
    ],
)
def test_a_line_is_of_the_tasks_that_its_sandbox_has_begun(texts: list[str], lines: list[tuple[str, str]]) -> None:
    running: dict[str, str] = {}
    found = [each for text in texts for each in live_logs._of_job(LogLine("s", text), "MARK ", running)]
    assert [each for each in found if each[1]] == lines


def test_what_was_not_seen_in_time_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(lambda x: print("same", x % 2) or print("same 0"), 3)
    monkeypatch.setattr(type(result._job), "over", property(lambda _: False))
    monkeypatch.setattr(live_logs, "_live", lambda *_: iter([("0", "same 0"), ("2", "same 0")]))
    told = list(live_logs.follow(result._job, Settings()))
    assert told[:2] == [("0", "same 0"), ("2", "same 0")]
    assert sorted(line for _, line in told) == ["same 0"] * 5 + ["same 1"]


def test_following_ends_by_an_interrupt_and_not_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Iterator[tuple[str, str]]:
        yield "0-9", "one"
        raise KeyboardInterrupt

    tell(interrupted(), 4, None)
    assert capsys.readouterr().out == "[0–9] one\nNo longer following; the job continues.\n"
