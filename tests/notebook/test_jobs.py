"""`%%lambda_call`, `%lambda_logs` and the options that change what a job does."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic.engine import MapResult
from lithops_magic.notebook.magics import help as helps
from localaws import LocalAws
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")


def test_a_call_is_like_a_cell_that_ran_elsewhere(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("n = 4")
    out, _ = run("%%lambda_call\nimport os\nk = n + 1\nk, 'AWS_LAMBDA_FUNCTION_NAME' in os.environ")
    assert out.splitlines()[-1].endswith("(5, True)")
    assert loaded.user_ns["_"] == (5, True)
    assert "k" not in loaded.user_ns
    out, _ = run("%%lambda_call -o answer --memory 2048\nimport os\nint(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'])")
    assert loaded.user_ns["answer"] == 2048
    assert "Out[" not in out
    assert re.match(r"1 task · ", out.splitlines()[-1])
    assert isinstance(loaded.user_ns["_lambda"], MapResult)
    assert "5" not in run("%%lambda_call --quiet\n5;")[0]


def test_a_call_awaits_and_says_when_it_has_no_value(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%%lambda_call -o slept\nimport asyncio\nawait asyncio.sleep(0)\n'ok'")
    assert loaded.user_ns["slept"] == "ok"
    out, _ = run("%%lambda_call -o nothing\nvalue = 1")
    assert "Note: the cell's last line is not an expression, so its value is None; add a line `value`" in out
    assert loaded.user_ns["nothing"] is None


def test_a_call_that_fails_raises_and_binds_nothing(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%config LambdaMagics.errors = 'keep'\nanswer = 'before'")
    out, _ = run("%%lambda_call -o answer\nd = {}\nd['k']", ok=False)
    assert "The task failed with KeyError at Cell In[" in out
    assert "line 3: `d['k']`" in out
    assert loaded.user_ns["answer"] == "before"
    assert len(loaded.user_ns["_lambda"].errors) == 1


def test_a_call_in_the_background_binds_its_result(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    assert run("%%lambda_call --background -o handle\n6 * 7") == ("", "")
    assert loaded.user_ns["handle"].wait(60)
    assert list(loaded.user_ns["handle"]) == [42]


def test_logs_of_one_task_of_all_and_filtered(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%%lambda_map x in range(12) -o r\nif x % 2:\n    print('odd', x)\n    print('done')\nx")

    def logs(line: Any) -> Any:
        return run(f"%lambda_logs {line}")[0].partition(": ")[2].lstrip("\n")

    assert logs("r 3") == "odd 3\ndone\n"
    assert logs("-1") == "odd 11\ndone\n"
    assert logs("2") == "Task 2 printed nothing.\n"
    assert logs("-12") == "Task 0 printed nothing.\n"
    assert "[3] odd 3\n[3] done\n" in run("%lambda_logs r 3 --follow")[0]
    rows = logs("").splitlines()
    assert rows[:4] == ["12 lines printed by 6 tasks", "[1] odd 1", "[1] done", "[3] odd 3"]
    assert logs('r --grep "odd [57]"').splitlines()[1:] == ["[5] odd 5", "[7] odd 7"]
    loaded.user_ns["several"] = {"a b": loaded.user_ns["r"]}
    assert logs("several['a b'] 1 --grep do").splitlines()[1:] == ["[1] done"]
    assert run("%lambda_logs r;") == ("", "")
    run("lines = %lambda_logs r --grep done")
    assert list(loaded.user_ns["lines"]) == [(task, "done") for task in (1, 3, 5, 7, 9, 11)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r 12", "NoSuchTask: there is no task 12: the result has 2 tasks"),
        ("r --grep [", "MisuseError: logs: grep='[' is not a regular expression"),
        ("r x", "UsageError: `r x` cannot be used as a result"),
    ],
)
def test_logs_that_are_not_there_are_told_in_one_line(
    run: Callable[..., tuple[str, str]], line: str, message: str
) -> None:
    run("%lambda_map abs range(2) -o r")
    out, _ = run(f"%lambda_logs {line}", ok=False)
    assert out.startswith(message)
    assert out.count("\n") == 1


OTHER = """
import os, sys, time
import lithops_magic

def slow(n):
    import time
    time.sleep(1.5)
    return n * n

result = lithops_magic.map(slow, list(range(6)), chunksize=1, workers=2, keep_after=0.01, background=True)
print(result.job_id, flush=True)
while len(result.succeeded()) < int(sys.argv[1]) or not any(
    job.done for job in lithops_magic.jobs() if job.id == result.job_id
):
    time.sleep(0.05)
os._exit(0)
"""


def other_process(done: int) -> str:
    """Run a job in another process until so many tasks are done; return the job's id."""
    command = [sys.executable, "-c", OTHER, str(done)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def test_a_job_of_a_process_that_died_is_found_and_finished(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    job = other_process(3)
    out, _ = run("%lambda_status")
    assert re.search(rf"%lambda_attach {job[:8]} .* interrupted +[1-6] ✓ of 6 ", out)
    with provisionalcompleter():
        line = f"%lambda_attach {job[:6]}"
        assert job[:8] in {found.text for found in loaded.Completer.completions(line, len(line))}
    out, _ = run(f"%lambda_attach '{job}' -o r --resume")
    assert list(loaded.user_ns["r"]) == [0, 1, 4, 9, 16, 25]
    assert loaded.user_ns["_lambda"] is loaded.user_ns["r"]
    assert out.splitlines()[-1].startswith("6 tasks · ")
    assert "values  0, 1, 4, 9, 16, 25" in run(f"%lambda_attach {job}")[0]


NOTEBOOKS = """
import os, sys, time
from lithops_magic import jobs
from lithops_magic.config import load
from lithops_magic.engine import MapOptions, start

result = start(
    lambda n: time.sleep(1.5) or n * n, range(6), settings=load(),
    options=MapOptions(chunksize=1, workers=2, keep_after=0.01, about=f"{sys.argv[1]}: n * n"),
)
while len(result.succeeded()) < 3 or not any(job.done for job in jobs() if job.id == result.job_id):
    time.sleep(0.05)
os._exit(0)
"""


def test_an_interrupted_job_of_this_notebook_is_offered_when_the_extension_is_loaded(
    shell: TerminalInteractiveShell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "analysis.ipynb"))

    def loading() -> str:
        shell.run_line_magic("unload_ext", "lithops_magic")
        capsys.readouterr()
        shell.run_line_magic("load_ext", "lithops_magic")
        return capsys.readouterr().out

    assert loading() == ""
    subprocess.run([sys.executable, "-c", NOTEBOOKS, "other.ipynb"], timeout=120, check=True)
    assert loading() == ""
    subprocess.run([sys.executable, "-c", NOTEBOOKS, "analysis.ipynb"], timeout=120, check=True)
    assert re.fullmatch(
        r"The latest job of this notebook was interrupted \([1-6] ✓ of 6, (just now|.* ago)\): "
        r"%lambda_attach shows it, %lambda_attach --resume runs the rest\n",
        loading(),
    )
    shell.run_cell("%lambda_attach --resume -o r")
    assert list(shell.user_ns["r"]) == [0, 1, 4, 9, 16, 25]
    # What has ended is not offered; that it has is written down a moment later.
    assert eventually(lambda: loading() == "")


def test_the_results_of_a_long_job_are_said_to_be_kept(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops_magic.notebook.display.offer.LONG", 2.5)
    out, _ = run("%%lambda_map x in range(2) -o r\nimport time\ntime.sleep(3)\nx")
    job = loaded.user_ns["r"].job_id[:8]
    assert f"kept for 7 days, also after a restart: %lambda_attach {job}" in out
    # A short one, however long it takes on a busy machine.
    monkeypatch.setattr("lithops_magic.notebook.display.offer.LONG", 3600)
    out, _ = run("%%lambda_map x in range(2) -o r\nx")
    assert "kept for" not in out


def test_a_detached_job_goes_on_by_itself_and_is_found_again(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(4) --detach -o r\nimport time\ntime.sleep(1)\nx ** 2")
    # A terminal shows no progress of it, but its id.
    assert f"%lambda_attach {loaded.user_ns['r'].job_id} gets its results" in out
    assert loaded.user_ns["r"].snapshot().state != "preparing"
    job = loaded.user_ns["r"].job_id
    assert loaded.user_ns["r"].wait(120)
    assert list(loaded.user_ns["r"]) == [0, 1, 4, 9]
    loaded.user_ns["job"] = job
    for which in ("", "$job", job[:8]):
        run(f"%lambda_attach {which} -o again")
        assert loaded.user_ns["again"].job_id == job
    assert list(loaded.user_ns["again"]) == [0, 1, 4, 9]
    run("%%lambda_call --detach -o handle\n6 * 7")
    assert loaded.user_ns["handle"].wait(120)
    assert loaded.user_ns["handle"][0] == 42
    out, _ = run("%lambda_map abs range(3) --detach --reduce sum", ok=False)
    assert out.startswith("MisuseError: detach: a detached job cannot have reduce")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nosuch", "UnknownJob: "),
        ("nosuch --resmue", "UsageError: unknown option --resmue; did you mean --resume?"),
    ],
)
def test_jobs_that_cannot_be_found_are_told_in_one_line(
    run: Callable[..., tuple[str, str]], line: str, message: str
) -> None:
    out, _ = run(f"%lambda_attach {line}", ok=False)
    assert out.startswith(message)
    assert out.count("\n") == 1


def test_values_are_reduced_and_the_bar_tells(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("def total(values):\n    return sum(values), len(values)")
    out, _ = run("%%lambda_map x in range(10) -o r --reduce total\nx")
    assert loaded.user_ns["r"].reduced == (45, 10)
    assert re.search(r"10 tasks · .*reduced with total\(\) in .* · ≈ \$0\.0+\d+ on AWS", out.splitlines()[-1])
    run("%lambda_map abs range(4) -o s --reduce sum --background")
    assert loaded.user_ns["s"].reduced == 6
    run("def bad(values):\n    return values['a']")
    out, _ = run("%lambda_map abs range(4) -o s --reduce bad", ok=False)
    assert "✗ not reduced with bad()" in out
    assert "failed with TypeError at Cell In[" in out
    assert list(loaded.user_ns["s"]) == [0, 1, 2, 3]
    out, _ = run("%lambda_map abs range(4) --reduce missing", ok=False)
    assert out.startswith("UsageError: `missing` is not defined")


def test_options_of_the_function_reach_it(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]], local_aws: LocalAws
) -> None:
    run("%config LambdaMagics.tmp = 700\n%config LambdaMagics.env = {'A': '1', 'B': '2'}")
    body = "import os\nos.environ['AWS_LAMBDA_FUNCTION_NAME'], os.environ['A'] + os.environ['B']"
    for given, size, variables in (("", 700, "12"), ("--tmp 600 --env B=3 --env 'A=x y'", 600, "x y3")):
        run(f"%%lambda_call {given} -o seen\n{body}")
        name, seen = loaded.user_ns["seen"]
        function = local_aws.client("lambda").get_function_configuration(FunctionName=name)
        assert (function["EphemeralStorage"]["Size"], seen) == (size, variables)
    out, _ = run("%%lambda_map x in [1] --locals\nvalue = x + 41\nvalue / 0", ok=False)
    assert "      value = 42" in out


def test_an_error_of_the_code_is_tried_again_if_asked(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%%lambda_map x in range(3) -o r --retry-errors --retries 1 --errors keep\n1 / x")
    assert [task.attempts for task in loaded.user_ns["r"].stats] == [2, 1, 1]


def examples(text: str) -> list[str]:
    """The cells of a help's examples."""
    return textwrap.dedent(text.partition("Examples:\n\n")[2]).strip().split("\n\n")


@pytest.mark.parametrize("text", [helps.MAP_HELP, helps.CALL_HELP, helps.LOGS_HELP], ids=["map", "call", "logs"])
def test_the_examples_of_the_help_run_as_they_stand(run: Callable[..., tuple[str, str]], text: str) -> None:
    cells = examples(text)
    assert len(cells) > 1
    for cell in cells:
        run(cell)
