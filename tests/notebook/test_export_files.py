"""`%lambda_export` in a session: which notebook it finds, what it takes out, what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

ENVIRONMENT_SECRET = "sesame/open+please"
PROFILE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_SECRET = "a-key-that-only-boto3-holds"
SETTINGS_SECRET = "token-of-the-function"
KEY_ID = "ASIAIOSFODNN7EXAMPLE"
SIGNATURE = "0123456789abcdef" * 4
UNKNOWN_SECRET = "neverSeenHere0123456789"


@pytest.fixture
def run(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[[str], tuple[str, str]]:
    """Run a cell in a session whose working folder is `tmp_path`; return what it said and what it complained of."""
    monkeypatch.chdir(tmp_path)
    shell.run_line_magic("load_ext", "lithops_magic")
    # IPython keeps outputs on its class: those of another test's session may be there.
    getattr(shell.history_manager, "outputs", {}).clear()

    def run(cell: str) -> tuple[str, str]:
        shell.run_cell(cell, store_history=True)
        said = capsys.readouterr()
        return said.out, said.err

    return run


def save(file: Path, *cells: NotebookNode, **metadata: Any) -> Path:
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), file)
    return file


def executed(source: str, count: int, *outputs: NotebookNode) -> NotebookNode:
    return new_code_cell(source, execution_count=count, outputs=list(outputs))


def shown(**data: Any) -> NotebookNode:
    return new_output("display_data", data={kind.replace("_", "/"): value for kind, value in data.items()})


def test_no_secret_that_the_session_knows_leaves_it(
    run: Callable[[str], tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path.home() / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        f"[other]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {PROFILE_SECRET}\n"
    )
    (tmp_path / ".lithops_config").write_text(
        f"aws_lambda:\n  env_vars:\n    - name: API_TOKEN\n      value: {SETTINGS_SECRET}\n"
    )
    monkeypatch.setenv("DB_PASSWORD", ENVIRONMENT_SECRET)
    session = boto3.Session("an-id-of-a-key", SESSION_SECRET, region_name="eu-west-1")
    assert session.get_credentials() is not None
    told = f"{ENVIRONMENT_SECRET} {PROFILE_SECRET} {SESSION_SECRET} {SETTINGS_SECRET} {KEY_ID}"
    address = f"https://b.s3.amazonaws.com/k?X-Amz-Signature={SIGNATURE}&q=sesame%2Fopen%2Bplease"
    save(
        tmp_path / "notes.ipynb",
        new_markdown_cell(
            f"Mail `{ENVIRONMENT_SECRET}` to Ada", attachments={"a.txt": {"text/plain": SETTINGS_SECRET}}
        ),
        new_raw_cell(KEY_ID),
        executed(f"aws_secret_access_key = '{UNKNOWN_SECRET}'\nword = 'password'", 1, new_output("stream", text=told)),
        executed("get()", 2, shown(text_html=f"<a href='{address}'>x</a>", application_json={"deep": [told]})),
        executed("fail()", 3, new_output("error", ename="E", evalue=told, traceback=[told])),
    )
    for name in ("out.ipynb", "out.html", "out.py"):
        said, _ = run(f"%lambda_export {name} notes.ipynb")
        assert "Secrets removed:" in said
        text = (tmp_path / name).read_text()
        for secret in (*told.split(), SIGNATURE, "sesame%2Fopen%2Bplease", UNKNOWN_SECRET):
            assert secret not in text
            assert secret not in said
        assert "word = " in text or "password" in text
    compile((tmp_path / "out.py").read_text(), "out.py", "exec")
    nbformat.validate(nbformat.read(tmp_path / "out.ipynb", as_version=4))


def test_an_exported_notebook_is_static_and_does_not_export_itself(
    run: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    widget = {"text/plain": "Form()", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    form = new_output("execute_result", data={**widget, "text/html": "<p>form</p>"}, execution_count=1)
    live = new_output("display_data", data={"application/javascript": "alert(1)"})
    picture = new_output("display_data", data={"image/png": "aGk="}, metadata={"image/png": {"width": 3}})
    cell = executed("form", 1, form, live, picture)
    cell.metadata.update(tags=["kept"], execution={"iopub.status.busy": "2026"}, collapsed=True)
    save(tmp_path / "a.ipynb", cell, executed("%lambda_export b.ipynb", 2), widgets={"state": {}}, title="T")
    run("%lambda_export b.ipynb a.ipynb")
    book = nbformat.read(tmp_path / "b.ipynb", as_version=4)
    (cell,) = book.cells
    assert cell.metadata == {"tags": ["kept"]}
    assert [sorted(output.data) for output in cell.outputs] == [["text/html", "text/plain"], ["image/png"]]
    assert cell.outputs[1].metadata == {"image/png": {"width": 3}}
    assert book.metadata == {"title": "T", "exported_by": "lithops-magic"}


@pytest.mark.parametrize("teller", ["JPY_SESSION_NAME", "__vsc_ipynb_file__"])
def test_the_notebook_is_found_and_what_is_unsaved_is_said(
    run: Callable[[str], tuple[str, str]], shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teller: str
) -> None:
    file = tmp_path / "mine.ipynb"
    if teller.isupper():
        monkeypatch.setenv(teller, str(file))
    else:
        shell.user_ns[teller] = str(file)
    first = executed("6 * 7", 1)
    save(file, first)
    run("6 * 7")
    said, _ = run("%lambda_export a.py")
    assert said == "Wrote a.py from mine.ipynb (0 KB)\n"
    run("7 * 7")
    said, _ = run("%lambda_export a.py")
    assert "Note: mine.ipynb was last saved before In [3] ran: save it and export again to have everything" in said
    assert "7 * 7" not in (tmp_path / "a.py").read_text()
    save(file, first, executed("7 * 7", 3))
    said, _ = run("%lambda_export a.py")
    assert "Note" not in said


def test_without_a_file_the_session_is_exported(
    run: Callable[[str], tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint, _ = run("%lambda_export a.ipynb")
    assert complaint == (
        "UsageError: nothing was run yet in this session; name a notebook: `%lambda_export FILE NOTEBOOK`\n"
    )
    # A kernel started from another notebook inherits the variable.
    monkeypatch.setenv("JPY_SESSION_NAME", str(save(tmp_path / "another.ipynb", executed("something else", 1))))
    for cell in ("print('hello')", "40 + 2", "1 / 0"):
        run(cell)
    said, _ = run("%lambda_export a.ipynb")
    assert "Wrote a.ipynb from this session" in said
    assert "without text cells and pictures" in said
    cells = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells
    assert [cell.source for cell in cells] == ["print('hello')", "40 + 2", "1 / 0"]
    if sys.modules["IPython"].version_info >= (9,):
        assert cells[0].outputs[0].text == "hello\n"
        assert cells[1].outputs[0].data == {"text/plain": "42"}
        assert cells[2].outputs[0].ename == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "write `%lambda_export FILE.ipynb`, FILE.py or FILE.html; see `%lambda_export --help`"),
        ("a.py b.ipynb c", "write `%lambda_export FILE.ipynb`, FILE.py or FILE.html; see `%lambda_export --help`"),
        (
            "--html a.html",
            "unknown option --html; write `%lambda_export FILE.ipynb`, FILE.py or FILE.html; "
            "see `%lambda_export --help`",
        ),
        ("'a.py", "a quotation mark is not closed"),
        ("a.pdf nb.ipynb", "FILE must end in .ipynb, .py or .html, not `a.pdf`"),
        ("a.py nowhere.ipynb", "there is no notebook nowhere.ipynb"),
        ("a.py broken.ipynb", "broken.ipynb is not a notebook: Notebook does not appear to be JSON: '{'"),
        ("a.py folder", "folder cannot be read: Is a directory"),
        ("none/a.py nb.ipynb", "there is no folder none"),
        ("nb.ipynb nb.ipynb", "nb.ipynb is the notebook itself; choose another name"),
        (
            "own.py nb.ipynb",
            "own.py exists and was not written by %lambda_export; choose another name or delete it",
        ),
        ("a.py shell.ipynb", "cell 1: the value of `!ls` exists only in a notebook; write it in plain Python"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    run: Callable[[str], tuple[str, str]], tmp_path: Path, line: str, problem: str
) -> None:
    save(tmp_path / "nb.ipynb", executed("1", 1))
    save(tmp_path / "shell.ipynb", new_code_cell("files = !ls"))
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "own.py").write_text("precious = True\n")
    (tmp_path / "folder").mkdir()
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.suffix in (".ipynb", ".py")}
    said, complaint = run(f"%lambda_export {line}")
    assert (said, complaint) == (f"UsageError: {problem}\n", "")
    assert {file: file.read_bytes() for file in tmp_path.iterdir() if file.suffix in (".ipynb", ".py")} == before


def test_what_was_exported_before_is_replaced(run: Callable[[str], tuple[str, str]], tmp_path: Path) -> None:
    for text in ("first", "second"):
        save(tmp_path / "nb.ipynb", executed(f"{text} = 1", 1))
        for name in ("a.ipynb", "a.py", "a.html"):
            _, complaint = run(f"%lambda_export {name} nb.ipynb")
            assert complaint == ""
            assert text in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "a.ipynb").read_text())["cells"][0]["source"] in ("second = 1", ["second = 1"])


def test_without_nbconvert_one_line_says_what_to_install(
    run: Callable[[str], tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "nb.ipynb", executed("1", 1))
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    monkeypatch.delitem(sys.modules, "lithops_magic.notebook.export.page", raising=False)
    complaint, _ = run("%lambda_export a.html nb.ipynb")
    assert complaint == "UsageError: a page needs nbconvert: pip install nbconvert\n"


def test_help_is_shown_and_the_magic_is_unloaded(
    run: Callable[[str], tuple[str, str]], shell: Any, monkeypatch: Any
) -> None:
    pages: list[str] = []
    monkeypatch.setattr("lithops_magic.notebook.magics.export.page", pages.append)
    run("%lambda_export --help")
    assert pages[0].startswith("Write the notebook to a file")
    shell.run_line_magic("unload_ext", "lithops_magic")
    assert shell.find_line_magic("lambda_export") is None
