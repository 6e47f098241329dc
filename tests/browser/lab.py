"""A real JupyterLab and a real Chromium for tests and screenshots, both private to one temporary folder."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM_FLAGS = (
    "--no-sandbox",  # Chromium refuses its sandbox to root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_OPEN = "path => window.jupyterapp.commands.execute('docmanager:open', {path}).then(() => null)"
# Without asking whether to save, and with every kernel.
_CLOSE = """() => {
    window.jupyterapp.shell.currentWidget?.dispose();
    return window.jupyterapp.serviceManager.sessions.shutdownAll();
}"""
# Without grammars that take a second to compile and that jsonschema does without.
_SERVE = "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; sys.exit(main())"
SOME_MINUTES = 180_000
"""Milliseconds that any step may take on a busy machine."""
expect.set_options(timeout=SOME_MINUTES)

_KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
_IDLE = f"{_KERNEL}?.status === 'idle'"
_CONNECTED = f"{_KERNEL}?.connectionStatus === 'connected'"


def chromium_path() -> str | None:
    """Where a system Chromium or Chrome is, if there is one."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@dataclass(frozen=True)
class Lab:
    """A running server of JupyterLab and Notebook 7."""

    folder: Path
    url: str
    token: str

    def address(self, file: Path, view: str = "doc/tree") -> str:
        """Where a notebook is; `view` is "notebooks" in Notebook 7."""
        return f"{self.url}{view}/{file.relative_to(self.folder)}?reset&token={self.token}"

    def show(self, page: Page, file: Path) -> None:
        """Open a notebook in a page's JupyterLab, which is loaded if it is not there: that takes seconds."""
        if page.url.startswith(self.url):
            page.evaluate(_OPEN, str(file.relative_to(self.folder)))
        else:
            page.goto(self.address(file))


@contextmanager
def jupyterlab(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Lab]:
    """Serve `folder`."""
    private = folder / ".jupyter"
    token = secrets.token_hex(16)
    _write_settings(private / "settings")
    _write_page_config(private / "config" / "labconfig" / "page_config.json")
    variables = {
        **(environment or os.environ),
        **{f"JUPYTER_{kind}_DIR": str(private / kind.lower()) for kind in ("CONFIG", "RUNTIME", "DATA")},
        "JUPYTERLAB_SETTINGS_DIR": str(private / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"),
    }
    command = [sys.executable, "-c", _SERVE, "--allow-root", "--no-browser", f"--ServerApp.root_dir={folder}"]
    # For steps that are not about menus, such as setting the theme and reading the kernel's state.
    command += [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}"]
    log_file = private / "log.txt"
    with log_file.open("w") as log:
        server = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            yield Lab(folder, _address(private / "runtime", server, log_file), token)
        finally:
            server.terminate()
            server.wait(timeout=SOME_MINUTES / 1000)


def _write_settings(folder: Path) -> None:
    settings = {
        "apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
        "notebook-extension/tracker": {"windowingMode": "none"},  # keeps cells out of view in the page
    }
    for plugin, values in settings.items():
        file = folder / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))


def _write_page_config(file: Path) -> None:
    file.parent.mkdir(parents=True)
    # JupyterLab would otherwise run Node at each start to see whether a build is due.
    file.write_text(json.dumps({"buildAvailable": False, "buildCheck": False}))


def _address(runtime: Path, server: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + SOME_MINUTES / 1000
    while time.monotonic() < end:
        for info in runtime.glob("jpserver-*.json"):
            with suppress(ValueError):  # it is being written
                return str(json.loads(info.read_text())["url"])
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=list(CHROMIUM_FLAGS),
            ignore_default_args=["--hide-scrollbars"],  # people see them
        )
        try:
            yield browser
        finally:
            browser.close()


def close_notebooks(page: Page) -> None:
    """Close the notebook and shut down all kernels, but keep the page."""
    page.evaluate(_CLOSE)


class Notebook:
    """A notebook open in the browser; cells are addressed by their ids in the file."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self._ids = [cell["id"] for cell in json.loads(file.read_text())["cells"]]
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until a kernel is connected and idle."""
        # By default, it is evaluated at each animation frame, which is expensive without a graphics card.
        self.page.wait_for_function(_IDLE, timeout=SOME_MINUTES, polling=100)

    def wait_until_connected(self) -> None:
        """Wait until a kernel that may be busy can be reached again."""
        self.page.wait_for_function(_CONNECTED, timeout=SOME_MINUTES, polling=100)

    def cell(self, cell_id: str) -> Locator:
        return self.page.locator(".jp-Notebook-cell").nth(self._ids.index(cell_id))

    def outputs(self, cell_id: str) -> Locator:
        return self.cell(cell_id).locator(".jp-OutputArea")

    def run(self, cell_id: str) -> None:
        """Click into a cell and press Control+Enter."""
        self.cell(cell_id).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def run_all(self) -> None:
        """Choose Run > Run All Cells."""
        self.page.click('.lm-MenuBar-item:has-text("Run")')
        self.page.click('.lm-Menu-item[data-command="runmenu:run-all"]')

    def stop(self) -> None:
        """Press the stop button."""
        self.page.get_by_role("button", name="Interrupt the kernel").click()

    def has_run(self, cell_id: str) -> bool:
        prompt = self.cell(cell_id).locator(".jp-InputPrompt").inner_text()
        return prompt.strip("[]: ").isdigit()

    def use_theme(self, name: str) -> None:
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        light = "false" if "Dark" in name else "true"
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", light)


def write_notebook(file: Path, sources: dict[str, str]) -> Path:
    """Write a notebook of code cells by their ids."""
    cells = [
        {"cell_type": "code", "id": name, "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for name, source in sources.items()
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    file.write_text(
        json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )
    return file


def quickstart(folder: Path, changes: Mapping[str, str] | None = None) -> Path:
    """A copy of the quickstart without its stored outputs, and with other words in place of some of its own."""
    notebook = json.loads((Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        cell.update(outputs=[], execution_count=None, source="".join(cell["source"]))
    for old, new in (changes or {}).items():
        (cell,) = (cell for cell in code if old in cell["source"])
        cell["source"] = cell["source"].replace(old, new)
    copy = folder / "quickstart.ipynb"
    copy.write_text(json.dumps(notebook))
    return copy
