"""`%%lambda_call`, `%lambda_logs` and the options that change what a job does."""

from __future__ import annotations

import re
import textwrap

import pytest

from lithops_magic.engine import MapResult
from lithops_magic.notebook import help as helps

pytestmark = pytest.mark.usefixtures("local_aws")


def test_a_call_is_like_a_cell_that_ran_elsewhere(loaded, run):
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


def test_a_call_awaits_and_says_when_it_has_no_value(loaded, run):
    run("%%lambda_call -o slept\nimport asyncio\nawait asyncio.sleep(0)\n'ok'")
    assert loaded.user_ns["slept"] == "ok"
    out, _ = run("%%lambda_call -o nothing\nvalue = 1")
    assert "Note: the cell's last line is no expression, so its value is None; add a line `value`" in out
    assert loaded.user_ns["nothing"] is None


def test_a_call_that_fails_raises_and_binds_nothing(loaded, run):
    run("%config LambdaMagics.errors = 'keep'\nanswer = 'before'")
    out, _ = run("%%lambda_call -o answer\nd = {}\nd['k']", ok=False)
    assert "The task failed with KeyError at Cell In[" in out
    assert "line 3: `d['k']`" in out
    assert loaded.user_ns["answer"] == "before"
    assert len(loaded.user_ns["_lambda"].errors) == 1


def test_a_call_in_the_background_binds_its_result(loaded, run):
    assert run("%%lambda_call --background -o handle\n6 * 7") == ("", "")
    assert loaded.user_ns["handle"].wait(60)
    assert list(loaded.user_ns["handle"]) == [42]


def test_logs_of_one_task_of_all_and_filtered(loaded, run):
    run("%%lambda_map x in range(12) -o r\nif x % 2:\n    print('odd', x)\n    print('done')\nx")
    assert run("%lambda_logs r 3")[0] == "odd 3\ndone\n"
    assert run("%lambda_logs -1;")[0] == "odd 11\ndone\n"
    assert run("%lambda_logs 2")[0] == "Task 2 has not printed anything.\n"
    rows = run("%lambda_logs")[0].splitlines()
    assert rows[:3] == ["task  1 │ odd 1", "task  1 │ done", "task  3 │ odd 3"]
    assert len(rows) == 12
    assert run('%lambda_logs r --grep "odd [57]"')[0] == "task 5 │ odd 5\ntask 7 │ odd 7\n"
    assert run("%lambda_logs --grep even")[0] == "No task printed a line that matches `even`.\n"
    loaded.user_ns["several"] = {"a b": loaded.user_ns["r"]}
    assert run("%lambda_logs several['a b'] 1 --grep do")[0] == "done\n"
    run("%%lambda_map x in range(3) -o many\nprint('line\\n' * 100)\nx")
    rows = run("%lambda_logs many")[0].splitlines()
    assert len(rows) == 201
    assert rows[-1].startswith("… and 103 more lines: name a task")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r 12", "INDEX: there is no task 12; the job has 2 tasks, numbered from 0"),
        ("r --grep [", "--grep: `[` is no regular expression"),
        ("r x", "RESULT: `r x` cannot be used here"),
    ],
)
def test_logs_that_are_not_there_are_told_in_one_line(run, line, message):
    run("%lambda_map abs range(2) -o r")
    out, _ = run(f"%lambda_logs {line}", ok=False)
    assert out.startswith(f"UsageError: {message}")
    assert out.count("\n") == 1


def test_values_are_reduced_and_the_bar_tells(loaded, run):
    run("def total(values):\n    return sum(values), len(values)")
    out, _ = run("%%lambda_map x in range(10) -o r --reduce total\nx")
    assert loaded.user_ns["r"].reduced == (45, 10)
    assert re.search(r"10 tasks · .*reduced with total\(\) in .* · \$0\.0+\d+ in requests", out.splitlines()[-1])
    run("%lambda_map abs range(4) -o s --reduce sum --background")
    assert loaded.user_ns["s"].reduced == 6
    run("def bad(values):\n    return values['a']")
    out, _ = run("%lambda_map abs range(4) -o s --reduce bad", ok=False)
    assert "✗ not reduced with bad()" in out
    assert "failed with TypeError at Cell In[" in out
    assert list(loaded.user_ns["s"]) == [0, 1, 2, 3]
    out, _ = run("%lambda_map abs range(4) --reduce missing", ok=False)
    assert out.startswith("UsageError: --reduce: name 'missing' is not defined")


def test_options_of_the_function_reach_it(loaded, run, local_aws):
    run("%config LambdaMagics.tmp = 700\n%config LambdaMagics.env = {'A': '1', 'B': '2'}")
    body = "import os\nos.environ['AWS_LAMBDA_FUNCTION_NAME']"
    for given, size in (("", 700), ("--tmp 600", 600)):
        run(f"%%lambda_call {given} -o name\n{body}")
        function = local_aws.client("lambda").get_function_configuration(FunctionName=loaded.user_ns["name"])
        assert function["EphemeralStorage"]["Size"] == size


def test_an_error_of_the_code_is_tried_again_if_asked(loaded, run):
    run("%%lambda_map x in range(3) -o r --retry-errors --retries 1 --errors keep\n1 / x")
    assert [task.attempts for task in loaded.user_ns["r"].stats] == [2, 1, 1]


def examples(text: str) -> list[str]:
    """The cells of a help's examples."""
    return textwrap.dedent(text.partition("Examples:\n\n")[2]).strip().split("\n\n")


@pytest.mark.parametrize("text", [helps.MAP_HELP, helps.CALL_HELP, helps.LOGS_HELP], ids=["map", "call", "logs"])
def test_the_examples_of_the_help_run_as_they_stand(run, text):
    cells = examples(text)
    assert len(cells) > 1
    for cell in cells:
        run(cell)
