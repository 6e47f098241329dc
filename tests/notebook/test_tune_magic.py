"""`--tune` in a cell's line and `%lambda_tune`: what is shown, and where a choice is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic.aws.session import Cloud
from lithops_magic.engine.tune import plan
from lithops_magic.engine.tune.tuning import Size
from lithops_magic.notebook.display.tune import rewritten
from localaws import LocalAws


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local_aws: object) -> None:
    """A local AWS that says that it gives CPU by memory, and two sizes."""
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(Cloud, "shares_cpu", lambda self: True)
    monkeypatch.setattr(plan, "MEMORY", (256, 512))


def test_a_cell_is_measured_and_the_choice_goes_into_its_line(
    run: Callable[..., tuple[str, str]], loaded: TerminalInteractiveShell, shared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    monkeypatch.setattr(
        type(loaded), "set_next_input", lambda self, text, replace=False: written.append((text, replace))
    )
    run("runs = 0\ndef work(x): return x * 2")
    out, _ = run("%%lambda_map x in range(50) -o r --memory 256 --tune cheapest\nwork(x)")
    assert "r" not in loaded.user_ns
    assert "measured on 5 of 50 items" in out
    assert "cheapest" in out
    assert "nothing else was run" in out
    ((text, replaced),) = written
    assert replaced
    memory = loaded.magics_manager.registry["LambdaMagics"].tuning.cheapest.memory
    assert text == f"%%lambda_map x in range(50) -o r --memory {memory}\nwork(x)"
    # And a dry run says what all of it will cost.
    out, _ = run("%%lambda_map x in range(50) -o r --memory 256 --dry-run\n# told anew\nwork(x)")
    assert "probably $" in out
    assert "with 95 % confidence (--tune has measured 5 items)" in out
    out, _ = run("%%lambda_map x in range(50) --memory 300 --dry-run\nwork(x)")
    assert "--tune has measured 256, 512 MB, and not 300 MB" in out
    run("def work(x): return x * 3")
    assert "probably" not in run("%%lambda_map x in range(50) --memory 256 --dry-run\nwork(x)")[0]
    run("%lambda_map work range(5) -o r --tune")
    assert "r" not in loaded.user_ns


def test_the_line_form_saves_into_the_file(
    run: Callable[..., tuple[str, str]],
    loaded: TerminalInteractiveShell,
    shared: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "# mine\nlithops:\n    backend: aws_lambda\naws_lambda:\n    runtime_memory: 256\n    local: true\n"
    )
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(file))
    out, _ = run("%lambda_tune --save fastest", ok=False)
    assert "nothing was measured yet" in out
    run("def work(x): return x")
    out, _ = run("%lambda_tune work range(3) --save cheapest --max-cost 0.01")
    assert "measured on 3 of 3 items" in out
    memory = loaded.magics_manager.registry["LambdaMagics"].tuning.cheapest.memory
    assert f"runtime_memory: {memory}" in file.read_text()
    assert file.read_text().startswith("# mine\n")


def test_where_nothing_is_compared_nothing_is_chosen(
    run: Callable[..., tuple[str, str]], local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    out, _ = run("%%lambda_map x in range(3) --memory 256 --tune balanced\nx", ok=False)
    assert "MB are enough" in out
    assert "no size is the balanced: the local AWS gives a sandbox all CPUs" in out


def test_an_error_points_at_the_cell_and_an_interrupt_is_one_line(
    run: Callable[..., tuple[str, str]], local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = run("%%lambda_map x in range(3) --memory 256 --tune\n1 / x", ok=False)
    assert "ZeroDivisionError" in out
    assert "measure.py" not in out

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lithops_magic.engine.api.start", interrupt)
    out, _ = run("%%lambda_map x in range(3) --memory 256 --tune\nx", ok=False)
    assert "Stopped: nothing more is measured" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%lambda_tune", "write `%lambda_tune FUNCTION ITEMS [options]`"),
        ("%lambda_tune abs range(3) --sav fastest", "unknown option --sav; did you mean --save?"),
        ("%lambda_tune abs range(3) --save dearest", "--save must be cheapest, balanced or fastest, not `dearest`"),
        ("%lambda_map abs range(3) --tune=dearest", "--tune must be cheapest, balanced or fastest, not `dearest`"),
    ],
)
def test_bad_lines_are_one_line(run: Callable[..., tuple[str, str]], line: str, told: str) -> None:
    out, _ = run(line, ok=False)
    assert told in out
    assert "Traceback" not in out


def test_the_help_says_it_all(run: Callable[..., tuple[str, str]]) -> None:
    out, _ = run("%lambda_tune --help")
    assert "--save cheapest|balanced|fastest" in out
    assert "--tune [cheapest|balanced|fastest]" in run("%%lambda_map --help\n")[0]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%%lambda_map x in y --tune cheapest -o r\nx", "%%lambda_map x in y --memory 512 -o r\nx"),
        ("%%lambda_map x in y --memory 128 --tune=fastest\nx", "%%lambda_map x in y --memory 512\nx"),
        (
            "a = 1\n%lambda_map f y --memory=128 --tune balanced # --tune",
            "a = 1\n%lambda_map f y --memory 512 # --tune",
        ),
        ("%%lambda_map x in y \\\n--tune fastest\nx", "%%lambda_map x in y \\\n --memory 512\nx"),
        ("%%lambda_map x in y\n'a --tune'", "%%lambda_map x in y\n'a --tune'"),
    ],
)
def test_only_the_line_with_the_option_is_written_anew(cell: str, expected: Any) -> None:
    assert rewritten(cell, Size(512)) == expected
