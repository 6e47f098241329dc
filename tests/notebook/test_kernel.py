from __future__ import annotations

import time

import nbformat
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


def test_a_headless_run_keeps_the_last_frame_in_html_and_text():
    notebook, error = execute(
        "%%lambda_map x in range(8) -o squares\nimport time\ntime.sleep(0.3)\nx ** 2", "print(sum(squares))", "squares"
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


def test_a_failed_task_stops_the_run_with_an_error_at_the_line_of_the_cell():
    notebook, error = execute("%%lambda_map x in range(8) -o r\ny = x - 3\n1 / y", "print('never')")
    assert error is not None
    assert outputs(notebook, 2) == []
    (shown,) = [output for output in outputs(notebook, 1) if output.output_type == "error"]
    assert "ZeroDivisionError" in "\n".join(shown.traceback)
    assert "Cell In[2], line 3: `1 / y`" in "\n".join(shown.traceback)
    assert "lithops_magic/" not in "\n".join(shown.traceback)


def test_a_background_job_fills_its_own_output_after_its_cell_ended():
    notebook, error = execute(
        "%%lambda_map x in range(4) --background -o r\nimport time\ntime.sleep(0.7)\nx",
        "assert r.wait(60)\nimport time\ntime.sleep(0.5)",
        "list(r)",
    )
    assert error is None
    (progress,) = outputs(notebook, 1)
    assert progress.data["text/plain"].startswith("4 tasks · ")
    assert outputs(notebook, 2) == []
    assert outputs(notebook, 3)[0].data["text/plain"] == "[0, 1, 2, 3]"


class Kernel:
    """A kernel and what its cells said."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def send(self, code: str) -> str:
        return self.client.execute(code)

    def reply(self, request: str) -> dict[str, object]:
        while True:
            message = self.client.get_shell_msg(timeout=60)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]

    def evaluate(self, expression: str) -> str:
        request = self.client.execute("", user_expressions={"value": expression}, silent=True)
        return self.reply(request)["user_expressions"]["value"]["data"]["text/plain"]

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self.manager.context.destroy()


@pytest.fixture
def kernel():
    kernel = Kernel()
    kernel.reply(kernel.send("%load_ext lithops_magic"))
    yield kernel
    kernel.close()


def test_an_interrupt_returns_at_once_says_what_still_runs_and_keeps_the_results(kernel):
    cell = (
        "%%lambda_map x in range(100) -o r --chunksize 1 --workers 4\nimport time\ntime.sleep(0.05 if x < 4 else 8)\nx"
    )
    request = kernel.send(cell)
    reached = time.monotonic() + 60
    while time.monotonic() < reached and not _finished(kernel, request):
        time.sleep(0.1)
    pressed = time.monotonic()
    kernel.manager.interrupt_kernel()
    answer = kernel.reply(request)
    # Far less than the 8 s that the running tasks still need, even on a busy machine.
    assert time.monotonic() - pressed < 5
    assert answer["ename"] == "Stopped"
    assert "of 100 finished" in answer["evalue"]
    assert "still running on the local AWS (they finish); results so far in `r`" in answer["evalue"]
    assert answer["traceback"] == [answer["evalue"]]
    assert kernel.evaluate("0 < len(r.values()) < 100") == "True"
    assert kernel.evaluate("r.snapshot().state") == "'cancelled'"


def _finished(kernel: Kernel, request: str) -> bool:
    """Whether the progress of `request` has shown a finished task."""
    while kernel.client.iopub_channel.msg_ready():
        message = kernel.client.get_iopub_msg(timeout=1)
        text = message["content"].get("data", {}).get("text/plain", "")
        if "/100 finished" in text and "] 0/" not in text:
            return True
    return False
