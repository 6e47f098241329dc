"""Notebooks in a real JupyterLab and Notebook 7 in a real Chromium, as a person uses them."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from lab import SOME_MINUTES, Lab, Notebook, quickstart, write_notebook
from waiting import eventually

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
# A picture of the user's own making is shown by Jupyter without a text: a PNG has no place for it.
OUTPUTS = ".jp-OutputArea-output:not(.jp-RenderedImage)"
COLORS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
FOCUSED = """() => {
    const at = document.activeElement;
    return at.labels?.length ? at.labels[0].textContent : at.tagName === 'BUTTON' ? at.textContent : '';
}"""


SLOW = {
    "load": "%load_ext lithops_magic",
    "slow": "%%lambda_map x in range(400) -o slow --workers 2 --chunksize 1\nimport time\ntime.sleep(1)\nx",
    "shown": "slow",
    "typed": "%%lambda_map x in items",
}


# A quarter of the points: the bar of as many tiles moves as long, and leaves the processor to other tests.
SMALL = {
    "WIDTH, HEIGHT = 1600, 900": "WIDTH, HEIGHT = 800, 450",
    "TILE_WIDTH, TILE_HEIGHT = 100, 50": "TILE_WIDTH, TILE_HEIGHT = 50, 25",
    'piece = array("f")': 'import time\ntime.sleep(0.03)\npiece = array("f")',
}


def watch_bar(notebook: Notebook, cell: str, states: int = 3) -> None:
    """Wait until a cell's bar has been seen at so many places, each further than the one before."""
    seen: list[float] = []
    bar = notebook.outputs(cell).locator("progress").first
    expect(bar).to_be_visible()
    while len(seen) < states:
        at = bar.evaluate("bar => bar.position")
        assert at < 1, f"the bar has been seen at {seen} only"
        if at > 0 and at not in seen[-1:]:
            seen.append(at)
        notebook.page.wait_for_timeout(50)
    assert seen == sorted(seen)


def check_accessibility(page: Page, rules: dict[str, Any] | None = None) -> None:
    """Let axe-core look for what keeps people out of the outputs of a page."""
    found = Axe().run(page, OUTPUTS, {"resultTypes": ["violations"], **(rules or {})}).response["violations"]
    serious = [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


def check_themes(notebook: Notebook) -> None:
    """Look at its outputs in both themes; in the second one, only the colors are others."""
    notebook.use_theme(DARK)
    check_accessibility(notebook.page)
    notebook.use_theme(LIGHT)
    check_accessibility(notebook.page, COLORS)


# Elements of the form that scroll sideways, or that stand out of it.
SIDEWAYS = """() => {
    const form = document.querySelector('.lithops-magic-form'), right = form.getBoundingClientRect().right + 1;
    const may = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
    const scrolls = e => e.scrollWidth > e.clientWidth + 1 && may(e);
    const around = [...document.querySelectorAll('.jp-OutputArea-output')].filter(scrolls);
    const within = [...form.querySelectorAll('*:not(option)')].filter(e => e.getClientRects().length)
        .filter(e => (scrolls(e) && e.tagName !== 'TEXTAREA') || e.getBoundingClientRect().right > right);
    return [...around, ...within].map(e => e.outerHTML.slice(0, 200));
}"""


def check_layout(notebook: Notebook, form: Locator) -> None:
    """Look at the form in three widths, from a phone's on, with visible scrollbars; at its arrow in both themes."""
    notebook.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    for width in (500, 900, 1400):
        notebook.page.set_viewport_size({"width": width, "height": 1500})
        notebook.page.wait_for_function(f"({SIDEWAYS})().length === 0", timeout=60_000, polling=100)
        box = form.get_by_label("Memory").bounding_box()
        assert box is not None
        assert box["width"] >= 150
    for theme in (DARK, LIGHT):
        notebook.use_theme(theme)
        arrow = form.get_by_label("Architecture").evaluate("select => getComputedStyle(select).backgroundImage")
        assert "%23888" in arrow


def tab_to(page: Page, label: str, *, backwards: bool = False) -> None:
    for _ in range(120):
        if page.evaluate(FOCUSED).lstrip("▸▾ ") == label:
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError(f"the keyboard does not reach {label}")


def type_over(page: Page, text: str) -> None:
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def test_quickstart_runs_with_a_moving_bar_a_picture_and_a_readable_error(lab: Lab, page: Page) -> None:
    file = quickstart(lab.folder, SMALL)
    lab.show(page, file)
    notebook = Notebook(page, file)
    notebook.run_all()
    watch_bar(notebook, "render")
    error = notebook.outputs("fails")
    expect(error).to_contain_text("could not convert string to float: 'n/a'")
    expect(error).to_contain_text(re.compile(r"Cell In\[\d+\], line 2"))
    expect(error).to_contain_text("fahrenheit = float(reading)")
    expect(notebook.outputs("check")).to_contain_text("All of them right: True")
    expect(notebook.outputs("errors")).to_contain_text("59 of 60 values kept")
    picture = notebook.outputs("picture").locator("img")
    assert picture.evaluate("img => img.naturalWidth") > 500
    expect(notebook.outputs("status")).to_contain_text("Functions")
    check_themes(notebook)


def test_a_page_that_is_reloaded_in_the_middle_of_a_job_can_stop_it_and_sees_the_truth(lab: Lab, page: Page) -> None:
    file = write_notebook(lab.folder / "slow.ipynb", SLOW)
    lab.show(page, file)
    notebook = Notebook(page, file)
    notebook.run("load")
    notebook.run("slow")
    watch_bar(notebook, "slow")
    page.keyboard.press("Control+S")
    # The running bar makes the page differ from the file again at once.
    assert eventually(lambda: "<progress" in file.read_text())
    page.reload()
    saved = notebook.outputs("slow")
    expect(saved.locator("progress")).to_be_visible()
    expect(saved).to_contain_text("/400 · ")
    # What is saved is seen before there is a kernel to stop.
    notebook.wait_until_connected()
    notebook.stop()
    notebook.run("shown")
    truth = notebook.outputs("shown")
    expect(truth).to_contain_text(re.compile(r"Cell In\[2\]: 400 tasks · stopped · \d+ done"))
    truth.locator("summary").click()
    expect(truth.locator("th[scope=col]").first).to_be_visible()
    check_themes(notebook)

    notebook.run("slow")
    watch_bar(notebook, "slow", states=1)
    check_accessibility(page)
    notebook.stop()
    told = re.compile(r"Stopped: \d+ of 400 tasks finished[\s\S]*esults so far in `slow`")
    expect(notebook.outputs("slow")).to_contain_text(told)
    assert "Traceback" not in notebook.outputs("slow").inner_text()
    assert notebook.has_run("slow")

    notebook.cell("typed").locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" --re")
    page.keyboard.press("Tab")
    offered = page.locator(".jp-Completer-item")
    expect(offered.filter(has_text=re.compile(r"--retries(param)?$"))).to_be_visible()
    expect(offered.filter(has_text=re.compile(r"--reduce(param)?$"))).to_be_visible()
    offered.filter(has_text=re.compile(r"--retries(param)?$")).click()
    expect(notebook.cell("typed").locator(".cm-content")).to_contain_text("x in items --retries")


def test_a_saved_notebook_tells_everything_without_a_kernel_and_without_trust(lab: Lab, new_page: Page) -> None:
    stored = json.loads((NOTEBOOKS / "05_errors_and_recovery.ipynb").read_text())
    stored["metadata"]["kernelspec"] = {"name": "gone", "display_name": "Gone", "language": "python"}
    file = lab.folder / "stored.ipynb"
    file.write_text(json.dumps(stored))
    page = new_page
    page.goto(lab.address(file))
    page.get_by_role("button", name="No Kernel", exact=True).click(timeout=SOME_MINUTES)
    assert not page.evaluate("window.jupyterapp.shell.currentWidget.content.model.trusted === true")
    outputs = page.locator(".jp-Notebook .jp-OutputArea")
    expect(outputs.filter(has_text="80 tasks · ✗ 4 failed")).to_be_visible()
    expect(outputs.filter(has_text="the map has a hole").first).to_be_visible()
    expect(outputs.filter(has_text="results so far in `stopped`").first).to_be_visible()
    assert page.locator(".jp-Notebook img").count() >= 3


def test_notebook_7_runs_the_same(lab: Lab, new_page: Page) -> None:
    sources = {**SLOW, "slow": SLOW["slow"].replace("range(400)", "range(12)")}
    file = write_notebook(lab.folder / "seven.ipynb", sources)
    new_page.goto(lab.address(file, "notebooks"))
    notebook = Notebook(new_page, file)
    for cell in ("load", "slow", "shown"):
        notebook.run(cell)
    watch_bar(notebook, "slow", states=1)
    expect(notebook.outputs("shown")).to_contain_text("Cell In[2]: 12 tasks · all done")
    expect(notebook.outputs("slow")).to_contain_text("12 tasks · ")


@pytest.mark.parametrize("name", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_an_exported_page_opens_without_a_network(tmp_path: Path, offline_page: Page, name: str) -> None:
    import nbformat

    from lithops_magic.notebook.export.page import to_html

    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    file = tmp_path / f"{name}.html"
    file.write_text(to_html(book, name), "utf-8")
    page = offline_page
    asked: list[str] = []
    complaints: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert complaints == []
    expect(page.locator("h1").first).to_be_visible()
    assert page.locator(".jp-CodeCell").count() == sum(cell.cell_type == "code" for cell in book.cells)
    # The timeline under a bar is folded: it is only loaded once somebody opens it.
    shown = "[...document.images].filter(image => !image.closest('details:not([open])'))"
    assert page.evaluate(f"{shown}.every(image => image.complete && image.naturalWidth > 500)")
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 100)"
    page.wait_for_function(loaded, polling=100)
    page.emulate_media(color_scheme="light")
    check_accessibility(page)
    page.emulate_media(color_scheme="dark")
    check_accessibility(page, COLORS)


def test_the_form_is_filled_mended_and_saved_by_keyboard(lab: Lab, page: Page) -> None:
    saved = lab.folder / "settings.yaml"
    saved.write_text("# ours\naws_lambda:\n  runtime_memory: 1024  # enough\n")
    file = write_notebook(
        lab.folder / "configure.ipynb", {"form": "%load_ext lithops_magic\n%lambda_config --file settings.yaml"}
    )
    lab.show(page, file)
    notebook = Notebook(page, file)
    page.keyboard.press("Control+Enter")
    output = notebook.cell("form").locator(".jp-OutputArea-output")
    review = output.get_by_role("button", name="Review changes")
    expect(review).to_be_enabled()
    expect(output.get_by_text("✓ Loaded from local AWS")).to_be_visible()
    expect(output.get_by_label("Environment")).not_to_be_visible()

    tab_to(page, "Memory")
    type_over(page, "64")
    problem = output.get_by_text("⚠ 64 MB is out of range. AWS Lambda takes 128 to 10240 MB.")
    expect(problem).to_be_visible()
    expect(output.get_by_text("Fix before saving: Memory.")).to_be_visible()
    expect(review).to_be_disabled()
    # What is emptied is the default, and stays empty when one leaves the field.
    type_over(page, "")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    expect(problem).to_have_count(0)
    expect(output.get_by_label("Memory")).to_have_value("")
    tab_to(page, "Memory", backwards=True)
    type_over(page, "2048")
    expect(problem).to_have_count(0)

    tab_to(page, "Architecture")
    for key in ("Space", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    tab_to(page, "Show more settings")
    page.keyboard.press("Enter")
    tab_to(page, "Environment")
    page.keyboard.type("API_TOKEN=sesame")
    page.keyboard.press("Enter")
    page.keyboard.type("OMP_NUM_THREADS=1")
    tab_to(page, "Timeout", backwards=True)
    type_over(page, "300")
    tab_to(page, "Check")
    checked = output.get_by_text(re.compile(r"\d+ checks: "))
    for _ in range(3):
        page.keyboard.press("Enter")
        # What was typed last may reach a busy kernel after the button; rightly it removes the results then.
        with contextlib.suppress(AssertionError):
            expect(checked).to_be_visible(timeout=60_000)
            break
    expect(checked).to_be_visible()
    assert page.evaluate(FOCUSED) == "Check"
    check_layout(notebook, output)
    expect(review).to_be_enabled()
    tab_to(page, "Review changes", backwards=True)
    page.keyboard.press("Enter")
    expect(output.get_by_text("+  runtime_timeout: 300")).to_be_visible()
    assert "sesame" not in output.inner_text()
    tab_to(page, f"Save to {saved}")
    page.keyboard.press("Enter")
    expect(output.get_by_text("✓ Saved to")).to_be_visible()
    assert "sesame" not in output.get_by_label("Environment").input_value()
    check_themes(notebook)
    text = saved.read_text()
    assert text.startswith("# ours\naws_lambda:\n  runtime_memory: 2048  # enough\n")
    assert yaml.safe_load(text)["aws_lambda"] == {
        "runtime_memory": 2048,
        "runtime_timeout": 300,
        "architecture": "arm64",
        "env_vars": [{"name": "API_TOKEN", "value": "sesame"}, {"name": "OMP_NUM_THREADS", "value": "1"}],
    }


SCREENS = {
    "load": "%load_ext lithops_magic",
    "map": "%%lambda_map x in range(40) -o some --errors keep --cache\nprint('at', x)\n8 // (x - 7)",
    "view": "some",
    "again": "%%lambda_map x in range(60) -o more --errors keep --cache\nprint('at', x)\n8 // (x - 7)",
    "figures": (
        "%%lambda_map x in range(3) -o drawn\nimport matplotlib.pyplot as plt\nplt.plot([1, x, 3])\nplt.show()"
    ),
    "gallery": "drawn.show()",
    "tune": "%%lambda_map x in range(40) --tune\nsum(range(10_000))",
    "cache": "%lambda_cache",
    "status": "%lambda_status",
    "logs": "%lambda_logs some",
}
# Of outputs that are seen: those that scroll sideways. On a phone, a table may.
SCROLLING = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .flatMap(output => [output, ...output.querySelectorAll('*')])
    .filter(e => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1)
    .filter(e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
    .filter(e => innerWidth > 600 || !e.querySelector('table'))
    .map(e => e.outerHTML.slice(0, 200))"""


def test_every_screen_fits_and_can_be_read_in_both_themes(lab: Lab, page: Page) -> None:
    file = write_notebook(lab.folder / "screens.ipynb", SCREENS)
    lab.show(page, file)
    notebook = Notebook(page, file)
    notebook.run_all()
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    words = {
        "map": r"40 tasks · ✗ 1 failed · .* on AWS, free here",
        "view": "ZeroDivisionError",
        "again": r"60 tasks · \d+ from cache · \d+ computed",
        "tune": "measured on 5 of 40 items",
        "cache": r"values of \d+ cells?",
        "status": "%lambda_attach",
        "logs": "lines printed by",
    }
    for cell, text in words.items():
        expect(notebook.outputs(cell).get_by_text(re.compile(text)).first).to_be_visible()
    expect(notebook.outputs("gallery").locator("img")).to_have_count(3)
    check_themes(notebook)
    for width in (500, 900, 1400):
        page.set_viewport_size({"width": width, "height": 1500})
        page.wait_for_function(f"({SCROLLING})().length === 0", timeout=60_000, polling=100)
