"""What a person sees of a script that goes wrong, is interrupted, or leaves a job behind: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lithops_magic
from lithops_magic import lithops
from lithops_magic.errors import MisuseError
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")


def script(folder: Path, text: str) -> subprocess.Popen[str]:
    (folder / "study.py").write_text(f"import lithops_magic, time\n{text}\n")
    return subprocess.Popen([sys.executable, "study.py"], cwd=folder, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> tuple[str, int]:
    with process:
        try:
            _, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    return stderr, process.returncode


def test_a_failed_task_shows_the_users_lines_and_none_of_ours(tmp_path: Path) -> None:
    text = "def inverse(x):\n    return 1 / x\ndef study():\n    return lithops_magic.map(inverse, [2, 0])\nstudy()"
    stderr, code = said(script(tmp_path, text))
    assert code == 1
    assert "study.py, line 5, in study\n    return lithops_magic.map(inverse, [2, 0])\n" in stderr
    assert "1 of 2 tasks failed with ZeroDivisionError at study.py, line 3: `return 1 / x`\n" in stderr
    assert "Task 1 (0): division by zero · .debug(1)" in stderr
    assert f"lithops_magic{os.sep}" not in stderr
    assert stderr.count("direct cause") == 0


def test_a_mistake_shows_the_line_that_made_it(tmp_path: Path) -> None:
    stderr, code = said(script(tmp_path, "def study():\n    lithops_magic.map(abs, 5)\nstudy()"))
    assert code == 1
    assert "study.py, line 3, in study\n    lithops_magic.map(abs, 5)\nMisuseError: map: items must be iter" in stderr
    assert f"lithops_magic{os.sep}" not in stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("recorded", [False, True])
def test_an_interrupt_says_in_one_line_what_is_kept(tmp_path: Path, recorded: bool) -> None:
    text = (
        "from lithops_magic.engine.durable import journal\n"
        f"journal.AFTER = {0.1 if recorded else 3600}\n"
        "def slow(x):\n    time.sleep(0 if x < 2 else 30)\n    return x\n"
        "job = lithops_magic.map(slow, list(range(9)), chunksize=1, workers=1, background=True)\n"
        f"while job.snapshot().done < 2 or len(lithops_magic.jobs()) < {recorded:d}: time.sleep(0.05)\n"
        "open('begun', 'w').close()\n"
        "job.finish()"
    )
    process = script(tmp_path, text)
    assert eventually((tmp_path / "begun").exists)
    process.send_signal(signal.SIGINT)
    stderr, code = said(process)
    assert code == -signal.SIGINT
    (line,) = stderr.strip().splitlines()
    assert line.startswith("Interrupted: 2 of 9 tasks done")
    assert ("resume=True) runs the rest" in line) == recorded


def test_a_script_that_leaves_a_background_job_says_so(tmp_path: Path) -> None:
    stderr, code = said(
        script(
            tmp_path,
            "job = lithops_magic.map(time.sleep, [10] * 3, background=True, chunksize=1, workers=1)\n"
            "while not job.snapshot().running: time.sleep(0.05)",
        )
    )
    assert code == 0
    assert stderr.startswith("The script ended while a background job ran: 0 of 3 tasks done")
    assert "1 job stopped with the script; wait()" in stderr


def test_a_script_that_waits_says_nothing(tmp_path: Path) -> None:
    assert said(script(tmp_path, "assert lithops_magic.map(abs, [-1], background=True).wait()")) == ("", 0)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((5, [1]), {}, "function must be callable, not 5"),
        (("abs", [1]), {}, "function must be callable, not 'abs'"),
        (([1], abs), {}, "function must be callable, not [1]"),
        ((abs, 5), {}, "items must be iterable, not 5"),
        ((abs, [1]), {"env": {"N": 5}}, "all of them strings: look at 'N'"),
        ((abs, [1]), {"env": {"ON": True}}, "look at 'ON'"),
        ((abs, [1]), {"env": ["K"]}, "env must be names and values"),
        ((abs, [1]), {"env": ["KV"]}, "env must be names and values"),
        ((abs, [1]), {"env": "K=V"}, "env must be names and values"),
        ((abs, [1]), {"env": {"": "x"}}, "look at ''"),
        ((abs, [1]), {"env": {"A=B": "x"}}, "look at 'A=B'"),
        ((abs, [1]), {"env": {7: "x"}}, "look at 7"),
    ],
)
def test_what_cannot_be_mapped_is_refused_before_anything_is_sent(
    arguments: tuple[object, object], options: dict[str, object], said: str
) -> None:
    with pytest.raises(MisuseError) as caught:
        lithops_magic.map(*arguments, **options)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_key_of_the_configuration_is_said_by_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "lithops.yaml"
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(path))
    path.write_text("aws_lambda:\n  runtime_memry: 512\n")
    said = f"{path}:2: aws_lambda.runtime_memry is not known; did you mean 'runtime_memory'?"
    with pytest.warns(UserWarning, match="runtime_memry") as found:
        result = lithops_magic.map(abs, [-1])
    assert [str(warning.message) for warning in found] == [said]
    assert found[0].filename == __file__
    assert result.snapshot().notes == (said,)
    with pytest.warns(UserWarning, match="runtime_memry"), lithops_magic.LambdaExecutor() as executor:
        assert executor.submit(abs, -1).result() == 1
    with pytest.warns(UserWarning, match="runtime_memry"):
        lithops.FunctionExecutor()
    path.write_text("aws_lambda:\n  runtime_memory: 512\n")
    assert lithops_magic.map(abs, [-1]).snapshot().notes == ()
    assert not recwarn
