from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.terminal.interactiveshell import TerminalInteractiveShell

import lithops_magic
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions
from lithops_magic.notebook.magics import config as config_magic
from lithops_magic.notebook.magics import export as export_magic
from lithops_magic.notebook.magics import help as helps
from lithops_magic.notebook.parse import options


def magics(shell: TerminalInteractiveShell) -> Any:
    return shell.magics_manager.registry["LambdaMagics"]


def state(shell: TerminalInteractiveShell) -> Any:
    manager = shell.magics_manager
    return (
        {kind: sorted(names) for kind, names in manager.magics.items()},
        sorted(manager.registry),
        len(shell.configurables),
        len(shell.Completer.custom_matchers),
        sorted(shell.user_ns),
    )


def test_exports_are_sorted_and_exist() -> None:
    assert lithops_magic.__all__ == sorted(lithops_magic.__all__)
    assert all(getattr(lithops_magic, name) is not None for name in lithops_magic.__all__)
    assert set(lithops_magic.__all__) <= set(dir(lithops_magic))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lithops_magic.nothing  # noqa: B018


def test_the_import_loads_neither_boto3_nor_ipython() -> None:
    code = "import sys, lithops_magic; print(sorted({'boto3', 'botocore', 'IPython', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"


def test_loading_the_extension_does_not_import_boto3() -> None:
    code = (
        "import sys, lithops_magic; from IPython.core.interactiveshell import InteractiveShell as S;"
        "lithops_magic.load_ipython_extension(S()); print('boto3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"


def test_loading_twice_changes_nothing_and_unloading_undoes_everything(shell: TerminalInteractiveShell) -> None:
    before = state(shell)
    lithops_magic.load_ipython_extension(shell)
    once = state(shell)
    lithops_magic.load_ipython_extension(shell)
    assert state(shell) == once != before
    lithops_magic.unload_ipython_extension(shell)
    assert state(shell) == before
    lithops_magic.unload_ipython_extension(shell)
    assert state(shell) == before


def test_reload_works_and_forgets_session_defaults(loaded: TerminalInteractiveShell) -> None:
    loaded.run_line_magic("config", "LambdaMagics.memory = 1024")
    assert magics(loaded).memory == 1024
    loaded.run_line_magic("reload_ext", "lithops_magic")
    assert magics(loaded).memory is None
    assert loaded.find_cell_magic("lambda_map") is not None


def test_defaults_of_the_profile_survive_a_reload(shell: TerminalInteractiveShell) -> None:
    shell.config.LambdaMagics.memory = 512
    shell.run_line_magic("load_ext", "lithops_magic")
    shell.run_line_magic("config", "LambdaMagics.memory = 1024")
    shell.run_line_magic("reload_ext", "lithops_magic")
    assert magics(shell).memory == 512


def test_config_lists_and_checks_the_defaults(
    loaded: TerminalInteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded.run_line_magic("config", "LambdaMagics")
    shown = capsys.readouterr().out
    assert "from 128 to 10,240 MB" in shown
    for name, value in (
        ("memory", "5"),
        ("tmp", "100"),
        ("max_cost", "0.0"),
        ("retry_memory", "1.0"),
        ("errors", "'drop'"),
    ):
        loaded.run_cell(f"%config LambdaMagics.{name} = {value}")
        assert getattr(magics(loaded), name) in (None, "raise")
    loaded.run_cell("%config LambdaMagics.env = {'1A': 'x'}")
    assert magics(loaded).env == {}
    loaded.run_cell("%config LambdaMagics.retry_memory = 1.5")
    loaded.run_cell("%config LambdaMagics.env = {'A': 'x=y'}")
    assert (magics(loaded).retry_memory, magics(loaded).env) == (1.5, {"A": "x=y"})


@pytest.mark.parametrize("ask", ["%lambda_map --help", "%%lambda_map?", "%lambda_map?"])
def test_help_is_the_same_everywhere(
    loaded: TerminalInteractiveShell, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    monkeypatch.setattr("lithops_magic.notebook.magics.map.page", pages.append)
    loaded.set_hook("show_in_pager", lambda self, data, **_: pages.append(data["text/plain"]), priority=0)
    loaded.run_cell(ask)
    assert len(pages) == 1
    for part in ("%%lambda_map TARGET in ITEMS", "-o, --out NAME", "--errors raise|keep", "x ** 2"):
        assert part in pages[0]


@pytest.mark.parametrize(
    "name", ["%lambda_status", "%lambda_clean", "%lambda_logs", "%lambda_attach", "%lambda_lithops", "%%lambda_call"]
)
def test_each_magic_explains_itself(
    loaded: TerminalInteractiveShell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    monkeypatch.setattr("lithops_magic.notebook.magics.map.page", pages.append)
    monkeypatch.setattr("lithops_magic.notebook.magics.jobs.page", pages.append)
    monkeypatch.setattr("lithops_magic.notebook.magics.lithops.page", pages.append)
    loaded.set_hook("show_in_pager", lambda self, data, **_: pages.append(data["text/plain"]), priority=0)
    loaded.run_cell(f"{name} --help\n0" if name.startswith("%%") else f"{name} --help")
    loaded.run_cell(f"{name}?")
    assert len(pages) == 2
    assert f"\n    {name} " in pages[0]
    assert pages[0].splitlines()[0] in pages[1]
    assert "--help" in pages[1]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%lambda_status --memory 512", "unknown option --memory"),
        ("%lambda_status now", "`%lambda_status` takes only options, not `now`; see `%lambda_status --help`"),
        ("%lambda_clean --locla", "unknown option --locla; did you mean --local?"),
        ("%%lambda_call x in items\nx", "`%%lambda_call` takes only options, not `x in items`"),
        ("%%lambda_call --chunksize 3\n1", "unknown option --chunksize"),
        ("%lambda_logs", "nothing has run yet; see `%lambda_logs --help`"),
        ("%lambda_logs lithops_magic", "`lithops_magic` is not a result of %%lambda_map; it is a module"),
        ("%lambda_logs reslut", "`reslut` is not defined; did you mean `result`?"),
        ("%lambda_logs result --gerp x", "unknown option --gerp; did you mean --grep?"),
    ],
)
def test_wrong_lines_are_told_in_one_line(
    loaded: TerminalInteractiveShell, capsys: pytest.CaptureFixture[str], cell: str, message: str
) -> None:
    loaded.user_ns.update(lithops_magic=lithops_magic, result=1)
    assert not loaded.run_cell(cell).success
    out = capsys.readouterr().out
    assert out.startswith(f"UsageError: {message}")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%%lambda_map x in items --me", {"--memory"}),
        ("%%lambda_map x in items -", {"-o", "--out", "--quiet"}),
        ("%lambda_map f items --errors ", {"raise", "keep"}),
        ("%%lambda_map x in items -o squ", {"squares"}),
        ("%%lambda_map x in squ", {"squares"}),
        ("%%lambda_map x in squares \\\n    --errors ke", {"keep"}),
        ("%%lambda_map x in enumerate(squ", {"squares"}),
        ("%lambda_map hal", {"halve"}),
        ("%lambda_map halve squ", {"squares"}),
        ("%%lambda_map x in squares --reduce ", {"halve"}),
        ("%%lambda_call --retr", {"--retry-errors", "--retry-memory", "--retries"}),
        ("%%lambda_call -o squ", {"squares"}),
        ("%lambda_logs squ", {"squares"}),
        ("%lambda_logs --g", {"--grep"}),
        ("%lambda_status --", {"--local", "--profile"}),
        ("%lambda_config --s", {"--show", "--set"}),
        ("%lambda_config --set me", {"memory="}),
        ("%lambda_config --set run", {"runtime=", "runtime_memory="}),
        ("%lambda_config --set memory=1", {"memory=128", "memory=1769"}),
        ("%lambda_config --set runtime_timeout=", {"runtime_timeout=60"}),
        ("%lambda_config --set architecture=a", {"architecture=arm64"}),
        ("%lambda_config --set region=eu-", {"region=eu-west-1"}),
        ("%%lambda_map x in squares --workers 1", {"10", "100"}),
        ("%%lambda_map x in squares --max-cost ", {"1"}),
    ],
)
def test_options_choices_and_names_are_completed(
    loaded: TerminalInteractiveShell, line: str, offered: list[str]
) -> None:
    loaded.user_ns.update(squares=1, halve=lambda x: x / 2)
    with provisionalcompleter():
        found = {completion.text for completion in loaded.Completer.completions(line, len(line))}
    assert offered <= found
    assert "memoryview" not in found
    if line.endswith("--reduce "):
        assert "squares" not in found


@pytest.mark.parametrize(
    "line",
    [
        *(
            f"%%lambda_map x in squares {flag} "
            for flag in ("--chunksize", "--env", "--memory", "--retries", "--max-cost")
        ),
        *(f"%%lambda_call {flag} r" for flag in ("--packages", "--profile", "-o", "--retry-memory")),
        *("%lambda_logs --grep re", "%lambda_config --set re", "%lambda_config re", "%lambda_status re"),
        *("%lambda_attach re", "%lambda_clean re", "%%lambda_map x in re"),
    ],
)
def test_files_are_never_offered_where_they_are_not_meant(
    loaded: TerminalInteractiveShell, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("readme_of_mine.md", "results.csv", "report", "data.bin"):
        (tmp_path / name).touch()
    with provisionalcompleter():
        found = {completion.text for completion in loaded.Completer.completions(line, len(line))}
    assert not {name for name in found if Path(name).exists()}


def test_every_help_fits_into_80_columns_and_shows_the_defaults_that_are_used() -> None:
    texts = [getattr(helps, name) for name in dir(helps) if name.endswith("_HELP")]
    texts += [config_magic.help_text(), export_magic.HELP]
    assert len(texts) >= 9
    assert max(len(line) for text in texts for line in text.splitlines()) <= 80
    assert all("Examples:" in text for text in texts)
    defaults = {option.field: option.default for option in options.MAP if option.default}
    assert int(defaults["memory"]) == Settings().memory
    assert int(defaults["timeout"]) == Settings().timeout
    assert int(defaults["tmp"]) == Settings().ephemeral_storage
    assert int(defaults["retries"]) == MapOptions().retries
    assert defaults["errors"] == MapOptions().errors


def test_other_lines_are_left_alone(loaded: TerminalInteractiveShell) -> None:
    with provisionalcompleter():
        found = {completion.text for completion in loaded.Completer.completions("a --me", 6)}
    assert "--memory" not in found
