"""`--cache`, `%config LambdaMagics.cache` and `%lambda_cache` in a notebook."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def mark(run: Callable[..., tuple[str, str]]) -> int:
    """What makes a test's cells its own."""
    number = random.getrandbits(60)
    run(f"mark = {number}")
    return number


def test_a_cell_that_runs_again_computes_what_is_new(
    run: Callable[..., tuple[str, str]], loaded: TerminalInteractiveShell, mark: str
) -> None:
    run("def scale(x): return x * factor\nfactor = 2")
    cell = "%%lambda_map x in range({}) -o r --cache\nscale(x) + mark * 0"
    out, _ = run(cell.format(812))
    assert "from cache" not in out
    out, _ = run("# moved\n\n" + "unrelated = 1")
    out, _ = run(cell.format(1000).replace("\nscale", "\n\n# the same, said elsewhere\nscale"))
    assert "1,000 tasks · 812 from cache · 188 computed" in out
    assert "saved ≈ $0.0" in out
    assert list(loaded.user_ns["r"]) == [2 * x for x in range(1000)]
    run("factor = 3")
    out, _ = run(cell.format(5))
    assert "from cache" not in out
    assert list(loaded.user_ns["r"]) == [0, 3, 6, 9, 12]
    # A helper that reads through another one, and a class.
    run("class Box:\n    size = 1\ndef inner(x): return x + Box.size\ndef outer(x): return inner(x)")
    use = "%%lambda_map x in range(3) -o r --cache 12h\nouter(x) + mark * 0"
    run(use)
    assert "3 from cache" in run(use)[0]
    run("Box.size = 5")
    assert "from cache" not in run(use)[0]
    assert list(loaded.user_ns["r"]) == [5, 6, 7]


def test_the_sessions_default_and_its_exception(
    run: Callable[..., tuple[str, str]], mark: str, caplog: pytest.LogCaptureFixture
) -> None:
    run("%config LambdaMagics.cache = '7d'")
    cell = "%%lambda_map x in range(4) -o r{}\nx + mark * 0"
    run(cell.format(""))
    assert "4 from cache" in run(cell.format(""))[0]
    assert "from cache" not in run(cell.format(" --cache off"))[0]
    assert "4 from cache" in run(cell.format(" --cache=1d"))[0]
    run("%config LambdaMagics.cache = 'soon'")
    assert "cache must be True, False or a time" in caplog.text
    run("%config LambdaMagics.cache = True")
    run("%%lambda_call -o answer\nmark + 1")
    assert "1 from cache · 0 computed" in run("%%lambda_call -o answer\nmark + 1")[0]
    run("%config LambdaMagics.cache = False")
    assert "from cache" not in run(cell.format(""))[0]


def test_a_dry_run_says_what_is_there(run: Callable[..., tuple[str, str]], mark: str) -> None:
    cell = "%%lambda_map x in list(range({})) -o r --cache{}\nx + mark * 0"
    assert "0 values are there" in run(cell.format(9, " --dry-run"))[0]
    run(cell.format(8, ""))
    assert "8 values are there, which saves ≈ $0.0" in run(cell.format(9, " --dry-run"))[0]
    assert "there" not in run(cell.format(9, " off --dry-run"))[0]
    # An iterator is not touched.
    run("it = iter([1, 2])")
    run("%%lambda_map x in it --cache --dry-run\nx + mark * 0")
    assert run("print(list(it))")[0] == "[1, 2]\n"


@pytest.mark.parametrize("line", ["--cache soon", "--cache=soon", "--cache=", "--cache -3d", "--cache 2y"])
def test_what_is_no_time(run: Callable[..., tuple[str, str]], line: str) -> None:
    out, _ = run(f"%%lambda_map x in range(3) {line}\nx", ok=False)
    assert "Traceback" not in out


def test_an_option_behind_it_is_no_time(
    run: Callable[..., tuple[str, str]], loaded: TerminalInteractiveShell, mark: str
) -> None:
    run("days30 = range(3)\ndef f(x): return x + mark * 0")
    run("%lambda_map f days30 --cache -o r")
    assert "3 from cache" in run("%lambda_map --cache f days30 -o r")[0]
    assert "3 from cache" in run("%lambda_map f days30 -o r --cache  # all of it")[0]
    assert list(loaded.user_ns["r"]) == [0, 1, 2]


def test_the_cache_is_listed_and_cleared(run: Callable[..., tuple[str, str]], mark: str) -> None:
    run(f"%%lambda_map x in range(20) --cache --quiet -o r\n(x, mark, 'listed {mark}')")
    out, _ = run("%lambda_cache")
    (row,) = [line for line in out.splitlines() if f"listed {mark}" in line]
    assert row.split()[-5] in ("B", "KB")
    assert " 20 " in row
    name = row.split()[0]
    assert run(f"%lambda_cache {name}")[0].count("\n") == 3
    # Nobody is there to be asked.
    assert run(f"%lambda_cache {name} --clear")[0].endswith("Nothing was deleted; --yes deletes without asking.\n")
    out, _ = run(f"%lambda_cache 'listed {mark}' --clear --yes")
    assert out.startswith("Deleted 20 values of 1 cell (")
    assert "Nothing" in run(f"%lambda_cache {name} --clear --yes")[0]
    assert f"listed {mark}" not in run("%lambda_cache")[0]
    assert "from cache" not in run(f"%%lambda_map x in range(20) --cache -o r\n(x, mark, 'listed {mark}')")[0]
    assert "--yes is for --clear" in run("%lambda_cache --yes", ok=False)[0]
    assert "did you mean --clear" in run("%lambda_cache --claer", ok=False)[0]
    assert "--clear" in run("%lambda_cache --help")[0]
