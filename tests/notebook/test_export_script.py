"""A notebook as a Python script: the same values, and one clear line for what cannot be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lithops_magic.notebook.export.script import to_script
from lithops_magic.notebook.parse.usage_error import UsageError

RAISES = {"tags": ["raises-exception"]}

CELLS = [
    "%load_ext lithops_magic\n%config LambdaMagics.memory = 512",
    'from __future__ import annotations\nbase, text = 10, """one\n  two"""\nfactors = {"a": 2}',
    "%%lambda_map x in range(4) -o squares --quiet\nx ** 2; x ** 2 + base",
    "print(list(squares))",
    '%%lambda_map (left, *right), key in [((1, 2, 3), "a"), ((4, 5, 6), "a")] \\\n    -o mixed\n'
    '# `base` starts with the notebook\'s value, and changes only there.\nbase = base + factors[key]\nnote = f"""{\n'
    'left}\n  kept""" + text\n(base, sum(right),\n note)',
    "print(list(mixed), base)",
    "%%lambda_map items -o doubled\nitems = None\ndef twice(x):\n    '''No\n  change.'''\n"
    "    return x * 2, twice.__doc__",
    "print(list(doubled), items)",
    "%%lambda_map x in [4, 0, 2] -o halves\nimport asyncio\nawait asyncio.sleep(0)\n8 // x",
    "print(list(halves.succeeded().values()), [type(error).__name__ for error in halves.errors.values()])",
    "for n in (1, 2):\n    %lambda_map str [n] -o words\n"
    "    print(list(words), words[0] * 2)\nif n:\n    %lambda_status",
    "%%time\n%time import asyncio\nlater = 7",
    "await asyncio.sleep(0)\nawait_kept = later",
    "def display_nothing():\n    pass\nprint(await_kept, _lambda[0])",
    "1 / 0",
    "%%lambda_map word in ['a'] -o kept --errors keep\nword + text",
    "print(list(kept))",
    "%%lambda_map word in ['a'] -o kept --env GREETING=hello --reduce len\nimport os\nword + os.environ['GREETING']",
    "print(list(kept), kept.reduced)",
    "%%lambda_call -o answer\nbase * 4 + 2",
    "print(answer)",
]
FAILING = (8, 14)


def book(*sources: str, failing: tuple[int, ...] = ()) -> NotebookNode:
    cells = [new_code_cell(source, metadata=RAISES if n in failing else {}) for n, source in enumerate(sources)]
    return new_notebook(cells=cells)


def script(*sources: str, **options: Any) -> str:
    """The script without its first line."""
    return to_script(book(*sources, **options), "some.ipynb").text.partition("\n")[2].strip()


def printed(notebook: NotebookNode) -> list[str]:
    """What the cells that only print have printed."""
    cells = [cell for cell in notebook.cells if "print(" in cell.source]
    return [output.text for cell in cells for output in cell.outputs if output.get("name") == "stdout"]


def test_a_script_gives_the_values_that_the_notebook_gave(tmp_path: Path, local_aws: Any) -> None:
    notebook = book("items = [1, 2]", *CELLS, failing=tuple(n + 1 for n in FAILING))
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    written = to_script(notebook, "some.ipynb")
    assert written.left_out == ["%lambda_status (cell 12)"]
    file = tmp_path / "some.py"
    file.write_text(written.text)
    done = subprocess.run([sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = "".join(printed(notebook)).splitlines()
    assert len(expected) == 10
    assert [line for line in done.stdout.splitlines() if line in expected] == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (
            "%%lambda_map x in items -o r --memory 512 --retries 0 --errors keep",
            "r = lithops_magic.map(r_task, items, memory=512, retries=0, errors='keep')",
        ),
        ("%%lambda_map x in items --background", "_lambda = lithops_magic.map(cell_task, items, background=True)"),
        (
            "%%lambda_map x in items -o r --local --profile work --quiet",
            "r = lithops_magic.map(r_task, items, settings=lithops_magic.config.load(local=True, profile='work'))",
        ),
    ],
)
def test_options_become_arguments(cell: str, expected: str) -> None:
    assert script(f"{cell}\nx").endswith(f"return x\n\n\n{expected}")


def test_session_defaults_hold_until_they_change() -> None:
    text = script(
        "%config LambdaMagics.memory = 512",
        "%lambda_map f a",
        "%config LambdaMagics.memory = 1024\n%lambda_map f a --memory 256 -o r\nx = %lambda_map f a",
    )
    assert [line for line in text.splitlines() if "map" in line and "import" not in line] == [
        "_lambda = lithops_magic.map(f, a, memory=512)",
        "r = lithops_magic.map(f, a, memory=256)",
        "x = _lambda = lithops_magic.map(f, a, memory=1024)",
    ]


def test_text_cells_are_comments_and_names_are_free() -> None:
    notebook = new_notebook(
        cells=[new_markdown_cell("# Title\n\nProse"), new_code_cell("r_task = 1\n%lambda_map f [r_task] -o r")]
    )
    notebook.cells.append(new_code_cell("%%lambda_map x in a -o r\nx"))
    text = to_script(notebook, "some.ipynb").text
    assert text.startswith(
        "# Written by %lambda_export from some.ipynb\nimport lithops_magic\n\n# # Title\n#\n# Prose\n"
    )
    assert "def r_task_(x):" in text


def test_what_a_script_cannot_do_is_left_out_and_named() -> None:
    written = to_script(
        book(
            "!pip install x\n%matplotlib inline\n%reload_ext lithops_magic",
            "%%bash\nls",
            "%lambda_config --set memory=1",
        ),
        "some.ipynb",
    )
    assert written.left_out == [
        "!pip install x (cell 1)",
        "%matplotlib inline (cell 1)",
        "%%bash (cell 2)",
        "%lambda_config --set memory=1 (cell 3)",
    ]
    assert written.text.splitlines()[1:] == [
        "",
        "# !pip install x",
        "# %matplotlib inline",
        "",
        "# %%bash",
        "# ls",
        "",
        "# %lambda_config --set memory=1",
    ]


def test_what_is_only_measured_is_no_job_of_the_script_and_the_cache_is_its_too() -> None:
    written = to_script(
        book(
            "%%lambda_map x in range(3) --tune\nx",
            "def f(x): return x\n%lambda_map f [1] --tune cheapest\n%lambda_tune f [1]\n%lambda_cache",
            "%config LambdaMagics.cache = True\n%lambda_map f [1] -o a\n%lambda_map f [2] -o b --cache 1d",
        ),
        "some.ipynb",
    )
    assert [left.partition(" (")[0] for left in written.left_out] == [
        "%%lambda_map x in range(3) --tune",
        "%lambda_map f [1] --tune cheapest",
        "%lambda_tune f [1]",
        "%lambda_cache",
    ]
    assert "lithops_magic.map(f, [1], cache=True)" in written.text
    assert "lithops_magic.map(f, [2], cache=86400.0)" in written.text


def test_a_cell_that_failed_as_it_was_meant_to_is_a_comment() -> None:
    error = new_output("error", ename="UsageError", evalue="", traceback=[])
    notebook = new_notebook(cells=[new_code_cell("%%lambda_map x in a --errors never\nx", outputs=[error])])
    assert to_script(notebook, "some.ipynb").left_out == ["%%lambda_map x in a --errors never (cell 1)"]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("files = !ls", "cell 1: the value of `!ls` exists only in a notebook; write it in plain Python"),
        ("n = %timeit -o 1", "cell 1: the value of `%timeit -o 1` exists only in a notebook; write it in plain Python"),
        ("def f(:", "cell 1: line 1: invalid syntax"),
        ("%%lambda_map x in a\n# nothing", "cell 1: it has only comments"),
        ("%%lambda_map a\nx", "cell 1: without `in`, the cell must end with the function to map"),
        ("%%lambda_map x in a --memry 1\nx", "cell 1: unknown option --memry; did you mean --memory?"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(cell: str, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        script(cell)
    assert str(refused.value) == problem


def test_objects_in_s3_are_imported_unless_the_name_is_the_notebooks() -> None:
    line = "%%lambda_map obj in s3('bucket/*.csv', chunk='1MB') -o sizes --reduce sum --reduce-by key\nlen(obj.read())"
    text = script(line)
    assert "from lithops_magic import s3\n" in text
    assert "map(sizes_task, s3('bucket/*.csv', chunk='1MB'), reduce=sum, reduce_by='key')" in text
    assert "from lithops_magic import s3" in script("objects = s3('bucket/')")
    kept = script("s3 = list", line.replace("--reduce sum --reduce-by key", '--to-s3 "bucket/{index}.json"'))
    assert "import s3" not in kept
    assert "to_s3='bucket/{index}.json'" in kept
