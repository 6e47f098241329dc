"""What a person does with a result in a notebook: real kernels, the local AWS."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

pytestmark = pytest.mark.usefixtures("local_aws")

FAILING = """\
%%lambda_map x in [4, 0, 2] -o r --errors keep
print("given", x)
share = 1 - x / 4
if x in bad:
    raise ValueError(f"no {x}")
12 / x"""


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    """The outputs of a notebook in which two tasks of three fail and are looked into."""
    sources = [
        "%load_ext lithops_magic\nbad = {2}",
        FAILING,
        "r.debug(2)",
        "import sys, traceback\nframe = list(traceback.walk_tb(sys.last_traceback))[-1][0]\n"
        "frame.f_code.co_name, frame.f_locals['x'], frame.f_locals['share']",
        "r['a']",
        "r.mean()",
        "r.logs(2)",
        "r.plot('timeline')",
        "bad.clear()\nr.retry(errors='raise')",
        "list(r.succeeded().values()), list(r.errors)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return [cell.outputs for cell in notebook.cells]


def text(outputs: list[nbformat.NotebookNode]) -> str:
    return outputs[-1].data["text/plain"]


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def error(outputs: list[nbformat.NotebookNode]) -> str:
    (found,) = [output for output in outputs if output.output_type == "error"]
    return plain("\n".join(found.traceback))


def test_debug_fails_in_the_line_of_the_cell_and_leaves_its_frame_to_look_at(cells: Any) -> None:
    assert cells[2][0].text.splitlines() == ["Task 2 runs here now, not on Lambda: 2", "given 2"]
    shown = error(cells[2])
    assert "no 2" in shown
    assert "Cell In[2], line 5" in shown
    assert "lithops_magic/" not in shown
    assert text(cells[3]) == "('<module>', 2, 0.5)"


def test_misuse_is_one_line_without_our_frames(cells: Any) -> None:
    assert error(cells[4]).startswith("MisuseError: a result is indexed by a task's number or a slice, not by a str")
    assert "\n" not in error(cells[4])
    assert error(cells[5]).startswith(
        "NoSuchAttribute: a MapResult has no attribute 'mean'; its values are list(result)"
    )
    assert "\n" not in error(cells[5])


def test_logs_are_shown_as_they_were_printed(cells: Any) -> None:
    assert text(cells[6]) == "given 2"


def test_a_plot_is_a_picture_with_its_description(cells: Any) -> None:
    (shown,) = cells[7]
    assert shown.metadata["image/png"]["alt"] == shown.data["text/plain"]
    assert "Timeline of 3 tasks on" in shown.data["text/plain"]
    assert 'alt="Cell In[2]. Timeline of 3 tasks on' in shown.data["text/html"]


def test_a_retry_draws_its_progress_fills_the_result_and_raises_what_still_fails(cells: Any) -> None:
    progress = cells[8][0]
    assert progress.output_type == "display_data"
    assert progress.data["text/plain"].startswith("3 tasks · ✗ 1 failed · ")
    assert "1 of 3 tasks failed with ZeroDivisionError at Cell In[2], line 6: `12 / x`" in error(cells[8])
    assert text(cells[9]) == "([3.0, 6.0], [1])"


def test_the_real_debugger_opens_in_the_cell() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    said: list[str] = []

    def hear(message: dict) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    commands = iter(["p x, share", "q"])
    try:
        for code in ("%load_ext lithops_magic\nbad = {2}", FAILING, "r.debug(2)"):
            client.execute_interactive(code, timeout=120, output_hook=hear)
        client.execute_interactive(
            "%debug", timeout=120, output_hook=hear, stdin_hook=lambda _: client.input(next(commands))
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy()
    heard = plain("".join(said))
    assert "(2, 0.5)" in heard
    assert '----> 5     raise ValueError(f"no {x}")' in heard
