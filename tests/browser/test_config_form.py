"""The configuration form in a real JupyterLab in a real Chromium, filled by keyboard alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from lab import Notebook, chromium, chromium_path, jupyterlab

SCREENSHOT = os.environ.get("LITHOPS_MAGIC_SCREENSHOT")
"""Where to put a picture for human eyes; read here because tests do not see the person's environment."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(420),
    pytest.mark.skipif(
        chromium_path() is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
    ),
]

FOCUSED = """() => {
    const at = document.activeElement;
    return at.labels?.length ? at.labels[0].textContent : at.tagName === 'BUTTON' ? at.textContent : '';
}"""


def _notebook(folder: Path) -> Path:
    cell = {
        "cell_type": "code",
        "id": "form",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": "%load_ext lithops_magic\n%lambda_config --file settings.yaml",
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    file = folder / "configure.ipynb"
    file.write_text(
        json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )
    return file


def _tab_to(page: Page, label: str, *, backwards: bool = False) -> None:
    for _ in range(120):
        if page.evaluate(FOCUSED) == label:
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError(f"the keyboard does not reach {label}")


def _type_over(page: Page, text: str) -> None:
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def test_the_form_is_filled_mended_and_saved_by_keyboard(tmp_path: Path, local_aws: Any) -> None:
    saved = tmp_path / "settings.yaml"
    saved.write_text("# ours\naws_lambda:\n  runtime_memory: 1024  # enough\n")
    with jupyterlab(tmp_path) as address, chromium(chromium_path() or "") as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        try:
            notebook = Notebook(page, address, _notebook(tmp_path))
            page.keyboard.press("Control+Enter")
            output = notebook.cell("form").locator(".jp-OutputArea-output")
            expect(output.get_by_role("button", name="Save")).to_be_enabled(timeout=60_000)

            _tab_to(page, "Memory")
            _type_over(page, "64")
            problem = output.get_by_text("⚠ 64 MB is out of range. AWS Lambda takes 128 to 10240 MB.")
            expect(problem).to_be_visible()
            expect(output.get_by_text("Save is disabled. Mend first: Memory.")).to_be_visible()
            expect(output.get_by_role("button", name="Save")).to_be_disabled()
            _type_over(page, "2048")
            expect(problem).to_have_count(0)

            _tab_to(page, "Architecture")
            for key in ("Space", "ArrowDown", "Enter"):
                page.keyboard.press(key)
            _tab_to(page, "Environment")
            page.keyboard.type("API_TOKEN=sesame")
            page.keyboard.press("Enter")
            page.keyboard.type("OMP_NUM_THREADS=1")
            _tab_to(page, "Timeout", backwards=True)
            _type_over(page, "300")
            expect(output.get_by_role("button", name="Save")).to_be_enabled()
            _tab_to(page, "Save")
            page.keyboard.press("Enter")
            expect(output.get_by_text("+  runtime_timeout: 300")).to_be_visible()
            assert "sesame" not in output.inner_text()
            _tab_to(page, "Write")
            page.keyboard.press("Enter")
            expect(output.get_by_text("✓ Saved to")).to_be_visible()
            assert "sesame" not in output.get_by_label("Environment").input_value()
        finally:
            if SCREENSHOT:
                page.screenshot(path=SCREENSHOT)
    text = saved.read_text()
    assert text.startswith("# ours\naws_lambda:\n  runtime_memory: 2048  # enough\n")
    assert yaml.safe_load(text)["aws_lambda"] == {
        "runtime_memory": 2048,
        "runtime_timeout": 300,
        "architecture": "arm64",
        "env_vars": [{"name": "API_TOKEN", "value": "sesame"}, {"name": "OMP_NUM_THREADS", "value": "1"}],
    }
