"""One JupyterLab, which is Notebook 7 too, and one Chromium for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from lab import Lab, chromium, chromium_path, jupyterlab
from localaws import FOREIGN, LocalAws

SCREENSHOTS = os.environ.get("LITHOPS_MAGIC_SCREENSHOTS")
"""Folder for pictures for human eyes; read here because tests do not see the person's environment."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(420))


@pytest.fixture(scope="module")
def lab(variables: dict[str, str], local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The server; its kernels find this session's local AWS."""
    folder = tmp_path_factory.mktemp("lab")
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with jupyterlab(folder, {**own, **variables, "HOME": str(folder), "USERPROFILE": str(folder)}) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It is closed before other files' tests: as long as it is open, an event loop counts as running in this thread."""
    executable = chromium_path()
    if executable is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with chromium(executable) as running:
        yield running


@pytest.fixture(scope="module")
def profile(browser: Browser) -> BrowserContext:
    """What a person's browser keeps from one page to the next: JupyterLab's megabytes of compiled scripts."""
    return browser.new_context(viewport={"width": 1200, "height": 1500}, reduced_motion="reduce")


@pytest.fixture
def page(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own for each test, photographed at the end if a person asked for it."""
    page = profile.new_page()
    yield page
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{request.node.name}.png")
    profile.set_offline(False)
    page.close()
