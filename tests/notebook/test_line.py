"""What the line of a magic may look like, in a real shell: comments, semicolons, help, variables, a caller's names."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.mark.parametrize(
    "line",
    [
        "%%lambda_map x in range(3) -o r --quiet  # the value of the last line",
        "%%lambda_map x in range(3) -o r --quiet;",
        "%%lambda_map x in range(3) -o r --quiet;   # both",
        "%%lambda_map -o r x in range(3) --quiet # it's \"quoted",
        "%%lambda_map for x in range(3): -o r --quiet",
        "%%lambda_map x in range(3): --quiet -or",
        "%%lambda_map x in (0,  # first\\\n  1, 2) -o r --quiet # last",
        "%%lambda_map x in [*range(2), 2] -o r --quiet",
        "%%lambda_map x in [y for y in range(3) if y != '#'] --quiet -o r #end",
    ],
)
def test_comments_semicolons_and_loops_are_understood(loaded: Any, run: Any, line: str) -> None:
    out, err = run(f"{line}\nx + 1")
    assert (out, err) == ("", "")
    assert list(loaded.user_ns["r"]) == [1, 2, 3]


@pytest.mark.parametrize(
    "line",
    [
        "%lambda_map abs [-1, -2] --quiet;  # nothing is shown",
        "%lambda_map abs [-1, -2] --quiet -o r # bound",
        "%lambda_status ; # short",
        "%lambda_logs  # of the latest",
        "%lambda_config --show  # as text",
        "%lambda_clean # away with them",
        "%%lambda_call --quiet -o r  # once\n1 + 1",
    ],
)
def test_every_magic_takes_a_comment(run: Any, line: str) -> None:
    run("%lambda_map abs [1] --quiet;")
    out, _ = run(line)
    assert "Error" not in out


@pytest.mark.parametrize("name", ["%%lambda_map", "%%lambda_call"])
def test_help_needs_no_body(loaded: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pages: list[str] = []
    monkeypatch.setattr("lithops_magic.notebook.magics.map.page", pages.append)
    assert loaded.run_cell(f"{name} --help").success
    assert f"\n    {name} " in pages[0]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%lambda_map x in range(3)", "the cell is empty"),
        ("%%lambda_map x in range(3)\n\n  \n", "the cell is empty"),
        ("%%lambda_call\n# to do", "the cell has only comments"),
    ],
)
def test_a_cell_without_code_is_told(run: Any, cell: str, message: str) -> None:
    out, _ = run(cell, ok=False)
    assert out == f"UsageError: {message}: write what to compute below the first line\n"


def test_on_a_terminal_the_body_may_still_come(loaded: Any) -> None:
    assert loaded.check_complete("%%lambda_map x in range(3)")[0] == "incomplete"


@pytest.mark.parametrize("call", ["%lambda_map {}", "get_ipython().run_line_magic('lambda_map', {!r})"])
def test_a_function_s_own_names_are_seen(loaded: Any, run: Any, call: str) -> None:
    line = "twice [seed + v for v in numbers] -o r --quiet --chunksize {size}"
    run(
        "def work(numbers, seed):\n"
        "    size = 2\n"
        "    def twice(v): return 2 * v + seed\n"
        f"    {call.format(line)}\n"
        "work(range(3), 10)"
    )
    assert list(loaded.user_ns["r"]) == [30, 32, 34]
    assert "twice" not in loaded.user_ns


def test_items_are_awaited(loaded: Any, run: Any) -> None:
    run(
        "import asyncio\n"
        "async def fetch(n):\n    await asyncio.sleep(0)\n    return list(range(n))\n"
        "class Source:\n    def __init__(self): self.left = 3\n    def __aiter__(self): return self\n"
        "    async def __anext__(self):\n        if not self.left: raise StopAsyncIteration\n"
        "        self.left -= 1\n        return self.left"
    )
    run("%%lambda_map x in await fetch(3) -o r --quiet  # comment\nx * 2")
    assert list(loaded.user_ns["r"]) == [0, 2, 4]
    run("%%lambda_map x in [v async for v in Source()] -o r --quiet\nx")
    assert list(loaded.user_ns["r"]) == [2, 1, 0]
    assert ".awaited" not in loaded.user_ns
    out, _ = run("%lambda_map abs await fetch(3)", ok=False)
    assert out.startswith("UsageError: `await fetch(3)` cannot be awaited here")
    out, _ = run("%%lambda_map x in await fetch('x')\nx", ok=False)
    assert "TypeError" in out


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--env A={mem} --memory {mem}", ("512", 512)),
        ("--env A=$mem --memory=$mem", ("512", 512)),
        ('--env "A={mem * 2} MB"', ("1024 MB", 1769)),
        ("--env A={{mem}}", ("{mem}", 1769)),
        ("--env A=$$mem", ("$mem", 1769)),
        ("--env 'A={\"mem\": 1}'", ('{"mem": 1}', 1769)),
        ("--env A=b --memory 1GB --timeout 5m", ("b", 1024)),
    ],
)
def test_values_of_options_may_name_variables(loaded: Any, run: Any, options: str, found: tuple[str, int]) -> None:
    loaded.user_ns["mem"] = 512
    body = "import os\nos.environ['A'], int(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'])"
    run(f"%%lambda_call -o a --quiet {options}\n{body}")
    assert loaded.user_ns["a"] == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--env A={memm}", "the notebook has no `memm`; write `{{memm}}` to keep it as it is"),
        ("--env A=$HOME/bin", "the notebook has no `HOME`; write `$$HOME` to keep it as it is"),
        ("--memory {1/0}", "it raises ZeroDivisionError: division by zero"),
        ("--memory 2TB", "--memory must be a whole number from 128 to 10,240 MB, not `2TB`"),
        ("--memory 0.3MB", "--memory must be a whole number from 128 to 10,240 MB, not `0.3MB`"),
        ("--timeout 20m", "--timeout must be a whole number from 1 to 900 seconds, not `20m`"),
    ],
)
def test_what_cannot_be_expanded_is_told(run: Any, options: str, message: str) -> None:
    out, _ = run(f"%%lambda_map x in range(3) {options}\nx", ok=False)
    assert out.startswith("UsageError: ")
    assert message in out
    assert out.count("\n") == 1


def test_a_difference_is_no_option(loaded: Any, run: Any) -> None:
    loaded.user_ns.update(o={1, 2, 3}, offset={2})
    run("%%lambda_map x in o -offset\nx")
    assert list(loaded.user_ns["_lambda"]) == [1, 3]


def test_return_is_explained(run: Any) -> None:
    out, _ = run("%%lambda_map x in range(3)\nreturn x", ok=False)
    assert "the value of the cell's last line is what a task returns" in out


def test_values_and_files_are_completed(loaded: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "analysis.ipynb").touch()
    (tmp_path / "reports").mkdir()
    (tmp_path / "data.csv").touch()
    loaded.user_ns.update(summary=lambda values: 1, subtotal=5)

    def completed(line: str) -> set[str]:
        with provisionalcompleter():
            return {completion.text for completion in loaded.Completer.completions(line, len(line))}

    assert {"sum", "summary"} <= completed("%%lambda_map x in y --reduce su")
    assert "subtotal" not in completed("%%lambda_map x in y --reduce su")
    assert {"1024", "1769"} <= completed("%%lambda_map x in y --memory ")
    assert {"analysis.ipynb", "reports/"} <= completed("%lambda_export ")
    assert "data.csv" not in completed("%lambda_export a")
    assert "reports/" in completed("%lambda_export rep")
