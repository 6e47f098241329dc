"""A notebook as a page: formulas, code below the magics, both themes; and the command that writes it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from lithops_magic.cli.main import main
from lithops_magic.notebook.export.formulas import latex, mathml
from lithops_magic.notebook.export.page import to_html
from lithops_magic.notebook.export.secrets import assigned_secrets

CODE = """\
%config LambdaMagics.memory = 512
API_KEY = "k-123456789"
client = connect(user="me", api_token="tok-9931-zz", retries=3)
settings = {"password": "open sesame", "host": "example.org"}
session.secret: str = "f-string-less"
key_of_dict = "not a secret"
"""


def book() -> nbformat.NotebookNode:
    shown = v4.new_output("stream", name="stdout", text="using k-123456789 and tok-9931-zz\n")
    integral = v4.new_output("display_data", data={"text/latex": r"$\displaystyle \int_0^1 x\,dx$", "text/plain": "I"})
    cells = [
        v4.new_markdown_cell("# Areas, $x^2$ for \\$5\n\n$$\\frac{a}{b}$$"),
        v4.new_code_cell(CODE, outputs=[shown]),
        v4.new_code_cell("%%lambda_map x in range(3) -o r\nimport math\nmath.sqrt(x)  # root", outputs=[integral]),
    ]
    return v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def test_formulas_are_set_and_prices_are_not() -> None:
    pytest.importorskip("latex2mathml")
    page = to_html(book(), "areas")
    assert page.count("<math ") == 3
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in page
    assert "$5" in page
    assert "$x^2$" not in page


def test_what_is_no_formula_stays_as_it_is_and_is_no_html() -> None:
    assert latex("costs $5 <b>") == "costs $5 &lt;b&gt;"
    assert mathml("", display=False) == "" or "<math" in mathml("", display=False)
    assert "<script>" not in latex(r"$x<script>alert(1)</script>$")
    assert '"><img' not in mathml('x"><img src=y>', display=False)


def test_cells_of_the_magics_are_highlighted_and_the_dark_theme_is_there() -> None:
    page = to_html(book(), "areas")
    assert re.search(r'<span class="kn">import</span>\s*(<span class="w"> </span>)?<span class="nn">math</span>', page)
    assert re.search(r'<span class="c1"># root</span>', page)
    assert re.search(
        r'<style [^>]*media="screen and \(prefers-color-scheme: dark\)"[^>]*>[^<]*--jp-layout-color0', page
    )


def test_what_code_assigns_to_secret_names_is_known() -> None:
    assert assigned_secrets([CODE, "not python ("]) == {"k-123456789", "tok-9931-zz", "open sesame", "f-string-less"}


@pytest.mark.parametrize("kind", ["html", "py", "ipynb"])
def test_the_command_writes_no_secret_that_the_code_tells(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nbformat.write(book(), tmp_path / "a.ipynb")
    assert main(["export", str(tmp_path / "a.ipynb"), str(tmp_path / f"out.{kind}")]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Wrote {tmp_path / f'out.{kind}'} from a.ipynb")
    assert "Secrets removed: " in told
    text = (tmp_path / f"out.{kind}").read_text()
    for secret in ("k-123456789", "tok-9931-zz", "open sesame", "f-string-less"):
        assert secret not in text
    assert "not a secret" in text


@pytest.mark.parametrize(
    ("notebook", "file", "told"),
    [
        ("none.ipynb", "out.html", "there is no notebook"),
        ("a.ipynb", "out.pdf", "FILE must end in .ipynb, .py or .html"),
        ("a.ipynb", "a.ipynb", "is the notebook itself"),
        ("a.ipynb", "no/out.html", "there is no folder"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], notebook: str, file: str, told: str
) -> None:
    nbformat.write(book(), tmp_path / "a.ipynb")
    assert main(["export", str(tmp_path / notebook), str(tmp_path / file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lithops-magic: ")
    assert told in error
    assert error.count("\n") == 1
