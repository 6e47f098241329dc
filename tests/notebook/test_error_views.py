"""What a person sees of an error in a notebook, in every mode of showing and debugging: a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.usefixtures("local_aws")


class Notebook:
    """A kernel that answers what a debugger asks."""

    def __init__(self, folder: Path) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder))
        self.folder = folder
        self.run("%load_ext lithops_magic\n%colors nocolor")

    def run(self, code: str, *typed: str) -> str:
        """Run a cell, type what it is to be answered, and return all text that it shows."""
        shown: list[str] = []
        answers = iter(typed)

        def output(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "error":
                shown.append("\n".join(content["traceback"]))
            elif message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] == "execute_result":
                shown.append(content["data"]["text/plain"])

        self.client.execute_interactive(
            code,
            allow_stdin=True,
            timeout=120,
            output_hook=output,
            stdin_hook=lambda _: self.client.input(next(answers, "q")),
        )
        return "\n".join(shown)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.destroy()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Notebook, Notebook]]:
    """Two kernels of one user."""
    notebooks = Notebook(tmp_path), Notebook(tmp_path)
    yield notebooks
    for notebook in notebooks:
        notebook.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        notebook = Notebook(tmp_path_factory.mktemp("book"))
    yield notebook
    notebook.close()


@pytest.fixture
def notebook(kept: Notebook) -> Iterator[Notebook]:
    yield kept
    kept.run("%xmode Context\n%pdb off")


FAILING = "%%lambda_map x in [2, 0] -o r\ny = x\n1 / y"


@pytest.mark.parametrize("mode", ["Plain", "Minimal", "Context", "Verbose"])
def test_every_mode_shows_the_same_lines(notebook: Notebook, mode: str) -> None:
    notebook.run(f"%xmode {mode}")
    lines = notebook.run(FAILING).splitlines()
    assert lines[0].startswith("1 of 2 tasks failed with ZeroDivisionError at Cell In[")
    assert lines[0].endswith("line 3: `1 / y`")
    assert lines[1] == "Task 1 (0): division by zero · r.debug(1) runs it here, for %debug"
    assert lines[2] == "Traceback in the sandbox (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert not any("lithops_magic" in line for line in lines)
    assert notebook.run("%%lambda_map x in [1] --memroy 5\nx").startswith("UsageError: unknown option --memroy")


def test_debug_opens_in_the_line_that_failed(notebook: Notebook) -> None:
    notebook.run(FAILING)
    shown = notebook.run("%debug", "q")
    assert "3 1 / y" in shown
    assert "lithops_magic" not in shown


def test_pdb_opens_in_the_line_that_failed(notebook: Notebook) -> None:
    notebook.run("%pdb on")
    shown = notebook.run(
        "def inverse(x):\n    return 6 // x\nimport lithops_magic\nlithops_magic.map(inverse, [0])", "q"
    )
    assert "2     return 6 // x" in shown
    assert f"lithops_magic{'/'}engine" not in shown


def test_a_task_that_is_debugged_here_stops_in_its_line_with_its_variables(notebook: Notebook) -> None:
    notebook.run(FAILING)
    shown = notebook.run("r.debug(1)")
    assert "Task 1 runs here now, not on Lambda: 0" in shown
    assert "----> 3 1 / y" in shown
    assert "lithops_magic/" not in shown
    assert "<lithops_magic>" not in shown
    assert "7000" in notebook.run("%debug", "p y + 7000", "q")


@pytest.mark.parametrize("mode", ["Context", "Verbose"])
def test_the_failing_line_of_a_continued_magic_is_shown(notebook: Notebook, mode: str) -> None:
    notebook.run("%%lambda_map x in [2, 0] \\\n    -o r --errors keep\ny = x\nz = [\n    6 % y]\nz")
    shown = notebook.run(f"%xmode {mode}\nr.debug(1)")
    assert "----> 5     6 % y]" in shown
    assert "Could not get source" not in shown


def test_every_error_names_how_to_run_its_task_here(notebook: Notebook) -> None:
    notebook.run("%%lambda_map x in [2, 0, 'a'] -o kept --errors keep\n6 / x")
    assert "kept.debug(1) runs it here, for %debug" in notebook.run("kept[1]")
    assert "kept.debug(2) runs it here" in notebook.run("kept.values") + notebook.run("kept[2]")
    # The name it has now, not the one it was given.
    assert "\nother.debug(1) runs it here" in notebook.run("other = kept\nkept = None") + notebook.run("other[1]")
    assert "\nmade.debug(0) runs" in notebook.run(
        "import lithops_magic\nmade = lithops_magic.map(lambda x: [][x], [3], errors='keep')"
    ) + notebook.run("made[0]")


def test_a_task_that_ended_its_process_is_not_offered_to_end_this_one(notebook: Notebook) -> None:
    shown = notebook.run("import os\n%lambda_map os._exit [7] -o gone --errors keep --retries 0") + notebook.run(
        "gone[0]"
    )
    assert "exited with status 7" in shown
    assert "debug" not in shown


def test_a_usage_error_names_its_line(notebook: Notebook) -> None:
    notebook.run("%%lambda_map x in [2] -o r\nx")
    shown = notebook.run("y = 1\n\nr[9]")
    assert shown.startswith("NoSuchTask: there is no task 9")
    assert shown.endswith(", line 3)")
    assert "\n" not in shown
    shown = notebook.run("# all of them\n%lambda_map abs 3")
    assert shown.startswith("UsageError: `3` cannot be mapped")
    assert shown.endswith(", line 2)")
    assert not notebook.run("r[9]").endswith(")")
    shown = notebook.run("def last(r):\n    return r[9]\n\nlast(r)")
    assert ", line 4, in <module>\n    last(r)\n" in shown
    assert ", line 2, in last\n    return r[9]\nNoSuchTask: there is no task 9" in shown
    assert not shown.endswith(")")


def test_a_breakpoint_in_a_task_says_where_it_works(notebook: Notebook) -> None:
    for line in ("breakpoint()", "import pdb; pdb.set_trace()"):
        shown = notebook.run(f"%%lambda_map x in [5] -o r\n{line}\ny = x\ny")
        assert "a sandbox has no debugger: .debug(i)" in shown
        assert "BdbQuit at Cell In[" in shown


def test_endless_recursion_is_folded(notebook: Notebook) -> None:
    shown = notebook.run("def f(n):\n    return g(n)\ndef g(n):\n    return f(n + 1)\n%lambda_map f [1]")
    assert "RecursionError" in shown
    assert "… the 2 lines above 4" in shown
    assert len(shown.splitlines()) < 30


def test_a_usage_error_in_the_users_function_shows_their_line(notebook: Notebook) -> None:
    shown = notebook.run("def study(n):\n    return get_ipython().run_line_magic('lambda_map', 'abs -1')\n\nstudy(3)")
    assert "line 2, in study\n    return get_ipython()" in shown
    assert "line 4, in <module>\n    study(3)\n" in shown
    assert shown.splitlines()[-1].startswith("UsageError: ")
    notebook.run("import lithops_magic\nr = lithops_magic.map(abs, [1, 2])")
    shown = notebook.run("def look():\n    return r[7]\n\nlook()")
    assert "line 2, in look\n    return r[7]\n" in shown
    assert "there is no task 7" in shown.splitlines()[-1]
    assert notebook.run("r[7]").startswith("NoSuchTask")


def test_a_call_shows_what_it_printed_also_when_it_fails(notebook: Notebook) -> None:
    assert notebook.run("%%lambda_call\nprint('hello')\n40 + 2") == "hello\n\n42"
    shown = notebook.run("%%lambda_call\nprint('on the way')\n{}['k']")
    assert shown.startswith("on the way\n")
    assert "The task failed with KeyError at Cell In[" in shown
    assert "None" not in shown
    assert shown.count("KeyError") == 2


def test_a_file_that_only_the_notebook_has_is_named_with_the_way_to_bring_it(notebook: Notebook) -> None:
    (notebook.folder / "local.csv").write_text("a,b\n1,2\n")
    (notebook.folder / "pictures").mkdir(exist_ok=True)
    (notebook.folder / "pictures/one.txt").write_text("")
    shown = notebook.run("%%lambda_map x in [1] -o r\nwith open('local.csv') as file:\n    text = file.read()\ntext")
    assert (
        "the file local.csv is on this machine and not in the sandbox: ship it with files (--files local.csv)" in shown
    )
    assert "line 2: `with open('local.csv') as file:`" in shown
    assert notebook.run("%%lambda_call --files local.csv pictures\nopen('local.csv').read()") == "'a,b\\n1,2\\n'"
    shown = notebook.run("%%lambda_map x in [1] -o r\nimport os\nos.listdir('pictures')")
    assert "the folder pictures is on this machine" in shown
    assert "is on this machine" not in notebook.run("%%lambda_map x in [1] -o r\nopen('nowhere.csv')")


def test_generated_code_is_not_taken_for_the_users(notebook: Notebook) -> None:
    cell = (
        "%%lambda_map x in [1] -o r\nimport dataclasses\n@dataclasses.dataclass\nclass P:\n    a: int\n    def {}\n{}"
    )
    shown = notebook.run(cell.format("__post_init__(self): raise ValueError('no')", "P(1)"))
    assert "line 6: `def __post_init__(self)" in shown
    shown = notebook.run("%%lambda_map x in [1] -o r\nimport os\nos.environ['nothing']")
    assert "line 3: `os.environ['nothing']`" in shown
    shown = notebook.run("%%lambda_map x in [1] -o r\ndef deep():\n    exec('1/0')\ndeep()")
    assert "line 3: `exec('1/0')`" in shown


def test_every_exception_of_a_group_has_its_line(notebook: Notebook) -> None:
    shown = notebook.run(
        "%%lambda_map x in [1] -o r\nimport asyncio\nasync def one():\n    1 / 0\nasync def two():\n    {}['k']\n"
        "async with asyncio.TaskGroup() as group:\n    group.create_task(one())\n    group.create_task(two())"
    )
    assert "1. ZeroDivisionError: division by zero at Cell In[" in shown
    assert "line 4: `1 / 0`" in shown
    assert "2. KeyError: 'k' at Cell In[" in shown
    assert "line 6: `{}['k']`" in shown


def test_an_interrupt_of_a_task_has_no_stray_colon(notebook: Notebook) -> None:
    shown = notebook.run("%%lambda_map x in [1] -o r\nraise KeyboardInterrupt")
    assert shown.splitlines()[-1] == "KeyboardInterrupt"
    assert "KeyboardInterrupt:" not in shown


def test_another_kernel_shows_the_lines_of_the_cells_that_began_a_job(two: tuple[Notebook, Notebook]) -> None:
    first, another = two
    first.run("import time\ndef inverse(y):\n    time.sleep(4)\n    return 1 / y")
    first.run("%%lambda_map x in [0] -o r --errors keep\nz = x\ninverse(z)")
    job = first.run("r.job_id").strip().strip("'")
    shown = another.run(f"import lithops_magic\nresult = lithops_magic.attach({job!r})\nresult.wait(60)\nresult[0]")
    assert "Cell In[2], line 4, in inverse\n    return 1 / y\n" in shown
    assert "Cell In[3], line 3, in <module>\n    inverse(z)\n" in shown
    assert "/tmp/" not in shown


STORED = "%%lambda_map x in [1, 0, 2] -o r --errors keep\n6 // x"


@pytest.mark.parametrize(
    "way",
    [
        "%store r\nr = None\n%store -r r\nkept = r",
        "import pickle\nkept = pickle.loads(pickle.dumps(r))",
        "import copy\nkept = copy.deepcopy({'r': [r]})['r'][0]",
        "import copy\nkept = copy.copy(r)",
    ],
)
def test_a_result_that_was_stored_or_copied_has_its_values_and_raises_its_errors(notebook: Notebook, way: str) -> None:
    notebook.run(STORED)
    notebook.run(way)
    assert notebook.run("kept.succeeded(), len(kept), kept[-1]") == "({0: 6, 2: 3}, 3, 3)"
    shown = notebook.run("kept[1]")
    assert "ZeroDivisionError: integer division or modulo by zero" in shown
    assert "Task 1 (0) at Cell In[" in shown
    assert "line 2: `6 // x`" in shown


def test_results_are_read_in_another_cell_by_name_and_by_output(notebook: Notebook) -> None:
    notebook.run(STORED)
    number = notebook.run("%%lambda_map x in [4, 0] --errors keep\n8 // x") and notebook.run("len(Out), max(Out)")
    latest = int(number.rpartition(" ")[2].rstrip(")"))
    assert f"{latest}" in number
    notebook.run(f"%%lambda_map i in [0, 2, 1] -o sums --errors keep\nr[i] + Out[{latest}][0] + _{latest}[0]")
    assert notebook.run("sums.succeeded()") == "{0: 10, 1: 7}"
    assert "ZeroDivisionError at Cell In[" in notebook.run("sums.raise_errors()")
