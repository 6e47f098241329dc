"""The quickstart in a real JupyterLab in a real Chromium, as a person runs it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lab import Notebook, chromium, chromium_path, jupyterlab, quickstart

SCREENSHOT = os.environ.get("LITHOPS_MAGIC_SCREENSHOT")
"""Where to put a picture for human eyes; read here because tests do not see the person's environment."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        chromium_path() is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
    ),
]


def _run_and_watch(notebook: Notebook) -> list[float]:
    """Run everything and return the values the Julia set's bar went through."""
    seen: list[float] = []
    bar = notebook.cell("render").locator("progress")
    notebook.run_all()
    deadline = time.monotonic() + 240
    while not notebook.has_run("status"):
        assert time.monotonic() < deadline, "the notebook did not finish"
        if bar.count():
            value = bar.first.evaluate("bar => bar.position")
            seen += [value] if value not in seen[-1:] else []
        time.sleep(0.05)
    return seen


def test_quickstart_runs_with_a_moving_bar_a_picture_and_a_readable_error(tmp_path: Path, local_aws: Any) -> None:
    file = quickstart(tmp_path)
    with jupyterlab(tmp_path) as address, chromium(chromium_path() or "") as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 2600})
        try:
            notebook = Notebook(page, address, file)
            positions = _run_and_watch(notebook)
            picture = notebook.cell("picture").locator(".jp-RenderedImage img")
            error = notebook.cell("fails").locator(".jp-OutputArea").inner_text()
            kept = notebook.cell("errors").locator(".jp-OutputArea").inner_text()
            checked = notebook.cell("check").locator(".jp-OutputArea").inner_text()
        finally:
            if SCREENSHOT:
                page.screenshot(path=SCREENSHOT)
        moving = [position for position in positions if 0 < position < 1]
        assert len(moving) >= 2, f"the bar did not move: {positions}"
        assert moving == sorted(moving)
        assert picture.evaluate("img => img.naturalWidth") > 500
        assert "All of them right: True" in checked
        assert "Cell In[" in error
        assert "fahrenheit = float(reading)" in error
        assert "could not convert string to float: 'n/a'" in error
        assert "59 of 60 values kept" in kept
