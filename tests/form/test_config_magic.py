"""`%lambda_config` in a real shell: the form, the text, setting without the form, and what a run then uses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.notebook.form.form import ConfigForm
from lithops_magic.notebook.magics.config import OPTIONS, help_text
from shells import terminal

Run = Callable[..., tuple[str, str]]

ROLE = "arn:aws:iam::123456789012:role/lambda"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Any]:
    with terminal(tmp_path / "ipython") as shell:
        shell.run_line_magic("load_ext", "lithops_magic")
        yield shell


@pytest.fixture
def run(shell: Any, capsys: Any) -> Run:
    """Run a cell; return what it displayed and its error output."""

    def run(cell: str, *, ok: bool = True) -> tuple[str, str]:
        done = shell.run_cell(cell, store_history=True)
        shown = capsys.readouterr()
        assert done.success is ok, shown
        return shown.out, shown.err

    return run


def test_without_options_it_is_the_form(run: Run, shell: Any, file: Path) -> None:
    out, _ = run("%lambda_config")
    assert isinstance(shell.user_ns["_"], ConfigForm)
    assert "Configuration of lithops-magic" in out
    assert f"saved to {file}" in out


def test_show(run: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(
        f"aws_lambda:\n  execution_role: {ROLE}\n  runtime_memory: 999999\n  env_vars: {{A_TOKEN: sesame}}\n"
    )
    out, _ = run("%lambda_config --show")
    assert ROLE in out
    assert "⚠ memory: 999999 MB is out of range." in out
    assert "A_TOKEN" in out
    assert "sesame" not in out
    other = tmp_path / "a b.yaml"
    other.write_text("aws_lambda:\n  runtime_memory: 333\n")
    out, _ = run(f'%lambda_config --show --file "{other}"')
    assert "333" in out
    out, _ = run("%lambda_config --show --local")
    assert "This session runs on the local AWS" in out
    assert "the local AWS on this machine" in out


def test_set_saves_and_shows_what_it_changed(run: Run, file: Path) -> None:
    file.write_text(f"# mine\naws_lambda:\n  execution_role: {ROLE}\n  runtime_memory: 512  # MB\n")
    out, _ = run(
        "%lambda_config --set runtime_memory=2048 --set timeout=300 --set vpc.subnets=subnet-1,subnet-2"
        " --set security_groups=sg-1 --set env_vars.ONE_A='x # y' --set user_tags.team=z"
    )
    assert "+  runtime_memory: 2048  # MB" in out
    assert f"Saved to {file}." in out
    text = file.read_text()
    assert text.startswith("# mine\naws_lambda:\n")
    assert "runtime_timeout: 300" in text
    assert "x # y" in text
    out, _ = run("%lambda_config --set memory=2048")
    assert out == f"{file} says this already.\n"
    run("%lambda_config --set timeout= --set env_vars.ONE_A=")
    assert "runtime_timeout: 180" in file.read_text()
    assert "ONE_A" not in file.read_text()


def test_set_makes_a_new_file_readable_by_its_owner_only(run: Run, tmp_path: Path, shell: Any) -> None:
    path = tmp_path / "new.yaml"
    run(f"%lambda_config --file {path} --local --set memory=700")
    assert path.stat().st_mode & 0o777 == 0o600
    settings = shell.magics_manager.registry["LambdaMagics"].session.load()
    assert (settings.memory, settings.local) == (700, True)
    run(f"%lambda_config --file {path} --set local=false --set execution_role={ROLE} --set region=eu-west-1")
    settings = shell.magics_manager.registry["LambdaMagics"].session.load()
    assert (settings.local, settings.execution_role, settings.memory) == (False, ROLE, 700)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--shwo", "unknown option --shwo; did you mean --show?"),
        ("memory=5", "%lambda_config takes only options; see `%lambda_config --help`"),
        ("--show=1", "--show is a switch and takes no value"),
        ("--set", "--set needs a value: NAME=VALUE"),
        ("--set memory", "--set needs NAME=VALUE, not `memory`"),
        ("--set memroy=5", "there is no setting memroy; did you mean memory?"),
        ("--set memory=5", "nothing was saved: memory: 5 MB is out of range. AWS Lambda takes 128 to 10240 MB."),
        ("--set secret_access_key=abc", "secret_access_key is not set from a notebook: use AWS_PROFILE, "),
        (
            f"--set execution_role={ROLE}",
            "say where the execution role is: on AWS (add --set local=false) or on the local AWS (add --local)",
        ),
        ("--file 'a", "a quotation mark is not closed"),
    ],
)
def test_wrong_use_is_one_line_and_saves_nothing(run: Run, file: Path, line: str, message: str) -> None:
    out, _ = run(f"%lambda_config {line}", ok=False)
    assert out.startswith(f"UsageError: {message}")
    assert out.count("\n") == 1
    assert not file.exists()


def test_a_broken_file_is_one_line(run: Run, file: Path) -> None:
    file.write_text("aws_lambda: [")
    out, err = run("%lambda_config", ok=False)
    assert f"ConfigError: {file}:1:" in out + err
    assert (out + err).count("\n") == 1


def test_help_is_the_same_everywhere_and_names_every_option(run: Run, shell: Any, monkeypatch: Any) -> None:
    pages: list[str] = []
    monkeypatch.setattr("lithops_magic.notebook.magics.config.page", pages.append)
    shell.set_hook("show_in_pager", lambda self, data, **_: pages.append(data["text/plain"]), priority=0)
    run("%lambda_config --help")
    run("%lambda_config?")
    assert pages[0] == help_text()
    assert help_text().splitlines()[5] in pages[1]
    assert all(option.usage in help_text() for option in OPTIONS)


@pytest.mark.usefixtures("local_aws")
def test_a_map_uses_what_the_session_uses(run: Run, shell: Any, file: Path) -> None:
    body = "import os\nint(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'])"
    run("form = %lambda_config")
    form = shell.user_ns["form"]
    form.controls["memory"].text = "640"
    form.bar.use.click()
    run(f"%%lambda_map x in [0] -o r --quiet\n{body}")
    assert shell.user_ns["r"][0] == 640
    run(f"%%lambda_map x in [0] -o r --quiet --memory 768\n{body}")
    assert shell.user_ns["r"][0] == 768
    out, _ = run("%lambda_status")
    assert "configured by this session only (%lambda_config)" in out
    assert not file.exists()
    form.bar.review.click()
    form.bar.save.click()
    assert shell.magics_manager.registry["LambdaMagics"].session.settings is None
    run(f"%%lambda_map x in [0] -o r --quiet\n{body}")
    assert shell.user_ns["r"][0] == 640


def test_nothing_of_the_form_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, lithops_magic; from IPython.core.interactiveshell import InteractiveShell as S;"
        "lithops_magic.load_ipython_extension(S());"
        "print(sorted(name for name in sys.modules if name in ('ipywidgets', 'boto3', 'yaml') or '.form' in name"
        " and name.startswith('lithops')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"
