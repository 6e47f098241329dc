from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.usefixtures("local_aws")


def execute(*cells: str) -> tuple[nbformat.NotebookNode, CellExecutionError | None]:
    """Run cells after `%load_ext` in a kernel of their own; return them with their outputs and what stopped it."""
    sources = ("%load_ext lithops_magic", *cells)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    try:
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    except CellExecutionError as error:
        return notebook, error
    return notebook, None


def outputs(notebook: nbformat.NotebookNode, cell: int) -> list[nbformat.NotebookNode]:
    return notebook.cells[cell].outputs


def test_a_headless_run_keeps_the_last_frames_in_html_and_text() -> None:
    notebook, error = execute(
        "%%lambda_map x in range(8) -o squares\nimport time\ntime.sleep(0.3)\nx ** 2",
        "print(sum(squares))",
        "squares",
        "%%lambda_map x in range(4) --background -o r\nimport time\ntime.sleep(0.7)\nx",
        "import threading\n[one.join(60) for one in threading.enumerate() if one.name == 'lambda-progress']\n"
        "assert r.done()",
        "list(r)",
    )
    assert error is None
    (progress,) = outputs(notebook, 1)
    assert progress.output_type == "display_data"
    assert progress.data["text/plain"].startswith("8 tasks · ")
    assert "<div>8 tasks · " in progress.data["text/html"]
    assert outputs(notebook, 2)[0].text == "140\n"
    (result,) = outputs(notebook, 3)
    assert (
        "values  0, 1, 4, 9, 16, 25, 36, 49" in result.data["text/plain"] or "0, 1, 4 … 25" in result.data["text/plain"]
    )
    assert "<table>" in result.data["text/html"]
    # A background job fills its own output after its cell ended.
    (progress,) = outputs(notebook, 4)
    assert progress.data["text/plain"].startswith("4 tasks · ")
    assert outputs(notebook, 5) == []
    assert outputs(notebook, 6)[0].data["text/plain"] == "[0, 1, 2, 3]"


def test_a_failed_task_stops_the_run_with_an_error_at_the_line_of_the_cell() -> None:
    notebook, error = execute("%%lambda_map x in range(8) -o r\ny = x - 3\n1 / y", "print('never')")
    assert error is not None
    assert outputs(notebook, 2) == []
    (shown,) = [output for output in outputs(notebook, 1) if output.output_type == "error"]
    assert "ZeroDivisionError" in "\n".join(shown.traceback)
    assert "Cell In[2], line 3: `1 / y`" in "\n".join(shown.traceback)
    assert "lithops_magic/" not in "\n".join(shown.traceback)


def with_papermill(source: Path, out: Path) -> str:
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(source, out, progress_bar=False, kernel_name="python3")
    return str(caught.value)


def with_nbclient(source: Path, out: Path) -> str:
    notebook = nbformat.read(source, as_version=4)
    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    nbformat.write(notebook, out)
    return str(caught.value)


FAILED_TASK = ("%%lambda_map x in range(8) -o r\n1 / (x - 3)", "ZeroDivisionError")
WRONG_USE = ("%%lambda_map x in range(8) --memroy 512\nx", "unknown option --memroy; did you mean --memory?")


@pytest.mark.parametrize(
    ("execute_with", "failing", "said"),
    [
        (with_papermill, *FAILED_TASK),
        (with_papermill, *WRONG_USE),
        (with_nbclient, *WRONG_USE),
    ],
)
def test_a_headless_run_stops_where_a_magic_fails(tmp_path: Path, execute_with: Any, failing: Any, said: str) -> None:
    proof = tmp_path / "went on"
    cells = ["%load_ext lithops_magic", failing, f"open({str(proof)!r}, 'w').close()"]
    source, out = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), source)
    assert said in execute_with(source, out)
    assert not proof.exists()
    if out.exists():
        cell = next(cell for cell in nbformat.read(out, as_version=4).cells if cell.source == failing)
        (error,) = [output for output in cell.outputs if output.output_type == "error"]
        assert said in "\n".join(error.traceback)


class Kernel:
    """A kernel and what its cells said."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def send(self, code: str) -> str:
        # After an error, a kernel otherwise also aborts what arrives in the next moment.
        return self.client.execute(code, stop_on_error=False)

    def reply(self, request: str) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=120)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def run(self, code: str) -> dict[str, Any]:
        return self.reply(self.send(code))

    def evaluate(self, expression: str) -> str:
        request = self.client.execute("", user_expressions={"value": expression}, silent=True)
        return self.reply(request)["user_expressions"]["value"]["data"]["text/plain"]

    def shown(self, request: str) -> Iterator[tuple[str, str]]:
        """The type and the text of each message of a cell, until it is idle."""
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if content.get("execution_state") == "idle":
                return
            yield message["msg_type"], content.get("data", {}).get("text/plain", "")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.destroy()


@pytest.fixture(scope="module")
def kernel(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One kernel for what works with any, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**variables, "HOME": str(tmp_path_factory.mktemp("home"))}.items():
            patch.setenv(name, value)
        kernel = Kernel()
    kernel.run("%load_ext lithops_magic")
    yield kernel
    kernel.close()


SLOW = "%%lambda_map x in range(100) -o r --chunksize 1 --workers 4\nimport time\ntime.sleep(0.05 if x < 4 else 4)\nx"


# Pressed from within, where it is sure to strike us: between two cells it strikes the kernel, which may not survive it.
PRESSED_AGAIN = """
import signal
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.notebook.display.progress import Progress

def pressed(method, presses):
    def strike(*arguments):
        if presses:
            signal.raise_signal(presses.pop())
        return method(*arguments)
    return strike

{0} = pressed({0}, [signal.SIGINT])
"""


@pytest.mark.parametrize("pressed_again_in", [None, "MapResult.cancel", "Progress.finish"])
def test_an_interrupt_returns_at_once_says_what_still_runs_and_keeps_the_results(
    kernel: Any, pressed_again_in: Any
) -> None:
    if pressed_again_in:
        assert kernel.run(PRESSED_AGAIN.format(pressed_again_in))["status"] == "ok"
    request = kernel.send(SLOW)
    for _, text in kernel.shown(request):
        if "/100 · " in text and "] 0/" not in text:
            break
    kernel.manager.interrupt_kernel()
    answer = kernel.reply(request)
    assert answer["ename"] == "Stopped"
    running, _, kept = answer["evalue"].partition("esults so far in `r`: ")
    assert kept == ".succeeded(); .retry() runs the rest"
    assert re.fullmatch(r"R|What is still running \(\d+ tasks?\) finishes on the local AWS; r", running)
    assert answer["traceback"] == [answer["evalue"]]
    assert kernel.evaluate("0 < len(list(r.succeeded().values())) < 100") == "True"
    assert kernel.evaluate("r.snapshot().state") == "'cancelled'"
    assert kernel.run("%%lambda_call -o after\n6 * 7")["status"] == "ok"
    assert kernel.evaluate("after") == "42"


def test_an_interrupt_before_the_first_task_is_sent_is_one_line_too(kernel: Any) -> None:
    kernel.run(
        "class Slow:\n    def __reduce__(self):\n        import time\n        print('pickling', flush=True)\n"
        "        time.sleep(60)\nslow = Slow()"
    )
    request = kernel.send("%%lambda_map x in range(3)\nslow, x")
    assert any(kind == "stream" for kind, _ in kernel.shown(request))
    kernel.manager.interrupt_kernel()
    answer = kernel.reply(request)
    assert answer["traceback"] == ["Stopped before anything was sent"]


def test_the_bar_is_redrawn_ten_times_a_second_at_most_and_ends_with_the_last_frame(kernel: Any) -> None:
    request = kernel.send("%%lambda_map x in range(200) -o r --workers 4\nimport time\ntime.sleep(0.02)\nx")
    frames = [text for kind, text in kernel.shown(request) if kind in ("display_data", "update_display_data")]
    elapsed = float(kernel.evaluate("r.snapshot().elapsed"))
    assert 1 < len(frames) <= 10 * elapsed + 2
    assert frames[-1].startswith("200 tasks · ")


def test_what_travels_is_told_with_its_size_before_anything_is_sent(kernel: Any) -> None:
    # Random, for what another test has sent before would not be sent again; large, so that sending it takes a while.
    kernel.run("import os\ndata = os.urandom(30_000_000)\ndef helper(): return len(data)")
    request = kernel.send("%%lambda_map x in range(2) -o r\nhelper() + x")
    first = next(text for kind, text in kernel.shown(request) if kind == "display_data")
    assert "] 0/2" not in first
    assert "Note: 'data' (through helper()) is sent with the function: 30.0 MB." in first
    assert kernel.reply(request)["status"] == "ok"
    assert kernel.evaluate("list(r)") == "[30000000, 30000001]"


def test_jupyterlab_is_offered_the_same_completions(kernel: Any) -> None:
    # Without Jedi, which parses Python's library first, for seconds: other tests complete with it.
    kernel.run("squares = [1]\n%config Completer.use_jedi = False")
    for line, offered in (
        ("%%lambda_map x in squares --me", "--memory"),
        ("%%lambda_map x in squ", "squares"),
        ("%lambda_map abs squares --errors ", "keep"),
    ):
        cell = f"{line}\nx ** 2" if line.startswith("%%") else line
        reply = kernel.reply(kernel.client.complete(cell, len(line)))
        assert offered in reply["matches"]
        assert reply["cursor_end"] == len(line)
        assert offered.startswith(line[reply["cursor_start"] :])
