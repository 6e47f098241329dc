from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic.engine import MapResult
from lithops_magic.errors import RemoteError
from localaws import LocalAws
from recording import record_no_job
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")


def test_the_expression_form_binds_the_values_and_displays_only_a_summary(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("offset = 100\ndef double(v): return 2 * v + offset")
    out, _ = run("%%lambda_map a, b in zip(range(20), range(20)) -o sums --chunksize 5\nc = a + b\ndouble(c)")
    assert list(loaded.user_ns["sums"]) == [4 * n + 100 for n in range(20)]
    assert "c" not in loaded.user_ns
    assert re.fullmatch(r"20 tasks · .* · ≈ \$[\d.]+ on AWS, free here", out.splitlines()[-1])


def test_without_a_name_the_result_is_the_output(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(10)\nx ** 2")
    assert "values  0, 1, 4 … 49, 64, 81" in out
    assert isinstance(loaded.user_ns["_"], MapResult)
    assert loaded.user_ns["_lambda"] is loaded.user_ns["_"]


@pytest.mark.parametrize(
    "cell",
    [
        "%%lambda_map x in range(3)\nx;",
        "%%lambda_map x in range(3) --quiet -o q\nx",
        "%lambda_map abs range(3) --quiet;",
        "%config LambdaMagics.progress = False\nq = get_ipython().run_cell_magic('lambda_map', 'x in range(3)', 'x')",
    ],
)
def test_ways_to_be_quiet(run: Callable[..., tuple[str, str]], cell: str) -> None:
    out, _ = run(cell)
    assert "Cell In" not in out
    assert "values" not in out
    if "--quiet" in cell or "progress" in cell:
        assert out == ""


def test_the_environment_switches_progress_off(
    run: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_PROGRESS", "0")
    assert run("%%lambda_map x in range(3) -o q\nx") == ("", "")


def test_the_function_form_maps_and_keeps_the_function(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%%lambda_map ['a', 'bcd'] --out lengths --quiet\nextra = 1\ndef measure(word):\n    return len(word) + extra")
    assert list(loaded.user_ns["lengths"]) == [2, 4]
    assert loaded.user_ns["measure"]("xy") == 3


def test_an_async_function_is_awaited(loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]) -> None:
    run("%%lambda_map range(3) -o r\nasync def f(n):\n    import asyncio\n    await asyncio.sleep(0)\n    return n + 1")
    assert list(loaded.user_ns["r"]) == [1, 2, 3]


def test_the_line_form_maps_a_function_that_exists(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%lambda_map str.upper ['a', '{b}', '$c'] -o upper")
    assert list(loaded.user_ns["upper"]) == ["A", "{B}", "$C"]
    run("found = %lambda_map lambda n: n + 1 range(3)")
    assert list(loaded.user_ns["found"]) == [1, 2, 3]


def test_a_line_continued_with_a_backslash(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("%%lambda_map x in [n for n in \\\n    range(3)] \\\n  -o r\nx + 1")
    assert list(loaded.user_ns["r"]) == [1, 2, 3]
    out, _ = run("%%lambda_map x in [0] \\\n  -o r\n1 / x", ok=False)
    assert "line 3: `1 / x`" in out


def test_errors_are_grouped_point_at_the_cell_and_keep_the_other_values(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(12) -o r\ny = x % 4\n1 / y", ok=False)
    cell = loaded.execution_count - 1
    assert "3 of 12 tasks failed with ZeroDivisionError" in out
    assert f"Cell In[{cell}], line 3: `1 / y`" in out
    assert "lithops_magic/" not in out
    result = loaded.user_ns["r"]
    assert (len(list(result.succeeded().values())), sorted(result.errors)) == (9, [0, 4, 8])
    with pytest.raises(ZeroDivisionError):
        result[0]


def test_kept_errors_stop_nothing_and_are_told_in_one_line(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(12) -o r --errors keep\n1 / (x % 4)")
    assert "✗ 3 failed" in out
    assert out.count("ZeroDivisionError") == 1
    assert isinstance(loaded.user_ns["r"].errors[4], RemoteError)


def test_a_background_job_returns_at_once_and_prints_nothing(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(3) --background -o r\nimport time\ntime.sleep(0.2)\nx")
    assert out == ""
    assert loaded.user_ns["r"].wait(60)
    assert list(loaded.user_ns["r"]) == [0, 1, 2]


def test_session_defaults_hold_and_an_option_wins(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    body = "import os\nint(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'])"
    run("%config LambdaMagics.memory = 640")
    run(f"%%lambda_map x in [0] -o r\n{body}")
    assert loaded.user_ns["r"][0] == 640
    run(f"%%lambda_map x in [0] -o r --memory 768\n{body}")
    assert loaded.user_ns["r"][0] == 768


def test_a_cell_without_a_value_is_told_once(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_map x in range(3) -o r\ny = x")
    assert out.count("add a line `y`") == 1
    assert list(loaded.user_ns["r"]) == [None] * 3


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%lambda_map x in itmes\nx", "`itmes` is not defined; did you mean `items`?"),
        ("%%lambda_map x in items\nfit(itms, x)", "line 2: `fit` is defined neither in the notebook nor in the cell"),
        (
            "%%lambda_map x in items\ny = itms",
            "line 2: `itms` is defined neither in the notebook nor in the cell; did you mean `items`?",
        ),
        ("%lambda_map datta items", "`datta` is not defined\n"),
        ("%%lambda_map x in 5\nx", "`5` cannot be mapped over: it is an int, not a sequence of items"),
        ("%%lambda_map x in items --quite\nx", "unknown option --quite; did you mean --quiet?"),
        ("%%lambda_map x in (yield)\nx", "`(yield)` cannot be used as the items: 'yield' outside function"),
        ("%lambda_map 3 items", "`3` cannot be used as a function: it is an int, not a function"),
        ("%%lambda_map x in items\n!ls", "line 2: `!ls` is notebook syntax; a cell that runs on Lambda must be plain"),
    ],
)
def test_wrong_use_is_one_line(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]], cell: str, message: str
) -> None:
    run("items = [1]")
    out, _ = run(cell, ok=False)
    assert out.startswith(f"UsageError: {message}")
    assert out.count("\n") == 1


def test_the_users_own_errors_while_the_line_is_evaluated_are_shown_in_full(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    run("def items():\n    return missing_name")
    out, _ = run("%%lambda_map x in items()\nx", ok=False)
    assert "Cell In[1], line 2, in items()" in out
    assert "lithops_magic/" not in out


def test_an_object_that_cannot_travel_is_one_line_before_anything_is_asked_of_aws(
    loaded: TerminalInteractiveShell,
    run: Callable[..., tuple[str, str]],
    local_aws: LocalAws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record_no_job(monkeypatch)
    run("import threading\nlock = threading.Lock()")
    before = local_aws.requests()
    out, _ = run("%%lambda_map x in [1]\nlock.locked()", ok=False)
    assert local_aws.requests() == before
    assert out.startswith("SerializationError: ")
    assert "'lock'" in out
    assert out.count("\n") == 1


def test_status_and_clean(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("%%lambda_map x in [1] -o r\nx")
    out, _ = run("%lambda_status")
    assert "local AWS at http://127.0.0.1" in out
    assert "account 123456789012" in out
    name = re.search(r"lithops-magic-\w+", out).group()
    job = loaded.user_ns["r"].job_id
    row = rf"%lambda_attach {job[:8]} +\d\d:\d\d \([\w ]+\) +finished +1 ✓ +≈ \$\S+ +"
    assert re.search(rf"{row}Cell In\[1\] · x", out)
    run("%%lambda_map x in range(2) -o slow --background --workers 1 --chunksize 1\nimport time\ntime.sleep(12)\nx")
    assert eventually(lambda: bool(re.search(r"running +[01] ✓ of 2 ", run("%lambda_status")[0])))
    loaded.user_ns["slow"].cancel()
    out, _ = run("%lambda_clean --dry-run")
    assert re.match(rf"Would delete \d+ functions?( and \d+ layers?)? \(.*{name}.*\) on local AWS at ", out)
    monkeypatch.setattr(loaded, "ask_yes_no", lambda question, _: questions.append(question))
    questions: list[str] = []
    assert run("%lambda_clean")[0] == "Nothing was deleted; --yes deletes without asking.\n"
    assert name in questions[0]
    assert name in run("%lambda_status")[0]
    out, _ = run("%lambda_clean --yes")
    assert out.startswith("Deleted ")
    assert name in out
    assert out.count("\n") == 1
    out, _ = run("%lambda_status")
    assert "No functions deployed." in out
    out, _ = run("%lambda_clean")
    assert out.startswith("Nothing to delete on local AWS at ")


def test_what_a_cell_draws_is_shown_also_by_a_notebook_that_never_drew(
    loaded: TerminalInteractiveShell, run: Callable[..., tuple[str, str]]
) -> None:
    out, _ = run("%%lambda_call\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert "<Figure size 640x480" in out
    figure = loaded.user_ns["_"]
    draw = loaded.display_formatter.formatters["image/png"].lookup_by_type(type(figure))
    assert base64.b64decode(draw(figure)).startswith(b"\x89PNG")
    out, _ = run("%%lambda_call\ndisplay('one', 2)")
    assert "'one'\n2\n" in out


def test_a_misspelt_key_of_the_configuration_is_said_below_the_first_cell(
    run: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lithops.yaml"
    path.write_text("aws_lambda:\n  runtime_timout: 60\n")
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(path))
    out, err = run("%%lambda_map x in range(3) -o found\nx")
    said = " ".join(out.split())
    assert "aws_lambda.runtime_timout is not known; did you mean 'runtime_timeout'?" in said
    assert err == ""
    out, _ = run("%%lambda_map x in range(3) -o found\nx")
    assert "runtime_timout" not in out
