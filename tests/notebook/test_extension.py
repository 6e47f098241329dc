from __future__ import annotations

import subprocess
import sys

import pytest
from IPython.core.completer import provisionalcompleter

import lithops_magic


def magics(shell):
    return shell.magics_manager.registry["LambdaMagics"]


def state(shell):
    manager = shell.magics_manager
    return (
        {kind: sorted(names) for kind, names in manager.magics.items()},
        sorted(manager.registry),
        len(shell.configurables),
        len(shell.Completer.custom_matchers),
        sorted(shell.user_ns),
    )


def test_exports_are_sorted_and_exist():
    assert lithops_magic.__all__ == sorted(lithops_magic.__all__)
    assert all(getattr(lithops_magic, name) is not None for name in lithops_magic.__all__)
    assert set(lithops_magic.__all__) <= set(dir(lithops_magic))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lithops_magic.nothing  # noqa: B018


def test_the_import_loads_neither_boto3_nor_ipython():
    code = "import sys, lithops_magic; print(sorted({'boto3', 'botocore', 'IPython', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_loading_the_extension_does_not_import_boto3():
    code = (
        "import sys, lithops_magic; from IPython.core.interactiveshell import InteractiveShell as S;"
        "lithops_magic.load_ipython_extension(S()); print('boto3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_loading_twice_changes_nothing_and_unloading_undoes_everything(shell):
    before = state(shell)
    lithops_magic.load_ipython_extension(shell)
    once = state(shell)
    lithops_magic.load_ipython_extension(shell)
    assert state(shell) == once != before
    lithops_magic.unload_ipython_extension(shell)
    assert state(shell) == before
    lithops_magic.unload_ipython_extension(shell)
    assert state(shell) == before


def test_reload_works_and_forgets_session_defaults(loaded):
    loaded.run_line_magic("config", "LambdaMagics.memory = 1024")
    assert magics(loaded).memory == 1024
    loaded.run_line_magic("reload_ext", "lithops_magic")
    assert magics(loaded).memory is None
    assert loaded.find_cell_magic("lambda_map") is not None


def test_defaults_of_the_profile_survive_a_reload(shell):
    shell.config.LambdaMagics.memory = 512
    shell.run_line_magic("load_ext", "lithops_magic")
    shell.run_line_magic("config", "LambdaMagics.memory = 1024")
    shell.run_line_magic("reload_ext", "lithops_magic")
    assert magics(shell).memory == 512


def test_config_lists_and_checks_the_defaults(loaded, capsys):
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
def test_help_is_the_same_everywhere(loaded, ask, monkeypatch):
    pages = []
    monkeypatch.setattr("lithops_magic.notebook.magics.map.page", pages.append)
    loaded.set_hook("show_in_pager", lambda self, data, **_: pages.append(data["text/plain"]), priority=0)
    loaded.run_cell(ask)
    assert len(pages) == 1
    for part in ("%%lambda_map TARGET in ITEMS", "-o NAME, --out NAME", "--errors raise|keep", "x ** 2"):
        assert part in pages[0]


@pytest.mark.parametrize("name", ["%lambda_status", "%lambda_clean", "%lambda_logs", "%lambda_attach", "%%lambda_call"])
def test_each_magic_explains_itself(loaded, name, monkeypatch):
    pages = []
    monkeypatch.setattr("lithops_magic.notebook.magics.map.page", pages.append)
    monkeypatch.setattr("lithops_magic.notebook.magics.jobs.page", pages.append)
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
def test_wrong_lines_are_told_in_one_line(loaded, capsys, cell, message):
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
    ],
)
def test_options_choices_and_names_are_completed(loaded, line, offered):
    loaded.user_ns.update(squares=1, halve=lambda x: x / 2)
    with provisionalcompleter():
        found = {completion.text for completion in loaded.Completer.completions(line, len(line))}
    assert offered <= found
    assert "memoryview" not in found
    if line.endswith("--reduce "):
        assert "squares" not in found


def test_other_lines_are_left_alone(loaded):
    with provisionalcompleter():
        found = {completion.text for completion in loaded.Completer.completions("a --me", 6)}
    assert "--memory" not in found
