"""Where there is no browser: IPython on a real terminal, and `jupyter execute`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.usefixtures("local_aws")

SLOW = "%%lambda_map x in range(200) -o r --chunksize 1 --workers 2\nimport time\ntime.sleep(0.2)\nx\n\n"

# `jupyter execute` without grammars that take a second to compile and that jsonschema does without.
EXECUTE = "import sys; sys.modules['rfc3987_syntax'] = None; from nbclient.cli import main; main()"


@pytest.fixture
def ipython(tmp_path: Path) -> Iterator[Any]:
    """IPython as a person starts it, on a pseudo-terminal."""
    pexpect = pytest.importorskip("pexpect", reason="there are no pseudo-terminals on Windows")
    command = ["-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor"]
    child = pexpect.spawn(
        sys.executable, command, cwd=str(tmp_path), encoding="utf-8", timeout=90, dimensions=(40, 120)
    )
    child.expect(r"In \[1\]: ")
    yield child
    child.close(force=True)


def test_a_bar_moves_on_a_terminal_and_the_interrupt_key_stops_the_job(ipython: Any) -> None:
    ipython.sendline("%load_ext lithops_magic")
    ipython.expect(r"In \[2\]: ")
    ipython.sendline(SLOW)
    places = []
    while len(places) < 2:
        ipython.expect(r"\r\x1b\[K\[█*░*\] (\d+)/200 · ")
        if (place := int(ipython.match[1])) not in (0, *places):
            places.append(place)
    assert places == sorted(places)
    ipython.sendintr()
    ipython.expect(r"Stopped: \d+ of 200 tasks finished[^\n]* · job [0-9a-f]{8}\r?\n[^\n]*esults so far in `r`")
    assert "Traceback" not in ipython.before
    ipython.expect(r"In \[3\]: ")
    ipython.sendline("len(list(r.succeeded().values())) >= 2, r")
    ipython.expect(r"Out\[3\]:\s+\(True,\s.*: 200 tasks · stopped · ")


def test_jupyter_execute_runs_a_notebook_and_stops_at_a_failed_task(tmp_path: Path) -> None:
    proof = tmp_path / "went on"
    cells = ["%load_ext lithops_magic", "%%lambda_map x in [2, 0] -o r\n6 // x", f"open({str(proof)!r}, 'w').close()"]
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), bad)
    cells[1:] = [cells[1].replace("0", "3"), "print(list(r))"]
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), good)
    command = [sys.executable, "-c", EXECUTE, "--inplace", str(good), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "Cell In[2], line 2: `6 // x`" in done.stderr
    assert not proof.exists()
    assert nbformat.read(good, as_version=4).cells[2].outputs[0].text == "[3, 2]\n"
