"""One JupyterLab, which is Notebook 7 too, and one Chromium for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from lab import SOME_MINUTES, Lab, chromium, chromium_path, close_notebooks, jupyterlab
from localaws import FOREIGN, LocalAws

SCREENSHOTS = os.environ.get("LITHOPS_MAGIC_SCREENSHOTS")
"""Folder for screenshots to look at; read here, because tests do not see the user's environment."""


VIEWPORT: ViewportSize = {"width": 1200, "height": 1500}


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
    """Chromium, closed before other files' tests: while it is open, an event loop counts as running in this thread."""
    executable = chromium_path()
    if executable is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with chromium(executable) as running:
        yield running


def patient(context: BrowserContext) -> BrowserContext:
    """Let steps such as loading a page take longer than Playwright's 30 seconds."""
    context.set_default_timeout(SOME_MINUTES)
    return context


@pytest.fixture(scope="module")
def profile(browser: Browser) -> BrowserContext:
    """A browser's cache, shared by the pages: JupyterLab has megabytes of scripts to compile."""
    return patient(browser.new_context(viewport=VIEWPORT, reduced_motion="reduce"))


@pytest.fixture(scope="module")
def lab_page(profile: BrowserContext) -> Page:
    """A page in which JupyterLab stays open: loading it takes three seconds of CPU."""
    return profile.new_page()


@pytest.fixture
def page(lab_page: Page, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page for notebooks in JupyterLab, of which none is open at the start of a test."""
    lab_page.set_viewport_size(VIEWPORT)
    yield lab_page
    photograph(lab_page, request)
    close_notebooks(lab_page)


@pytest.fixture
def new_page(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own."""
    page = profile.new_page()
    yield page
    photograph(page, request)
    page.close()


@pytest.fixture(scope="module")
def offline(browser: Browser) -> BrowserContext:
    """A browser without a network."""
    return patient(browser.new_context(viewport=VIEWPORT, reduced_motion="reduce", offline=True))


@pytest.fixture
def offline_page(offline: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own that reaches nothing but files."""
    page = offline.new_page()
    yield page
    photograph(page, request)
    page.close()


def photograph(page: Page, request: pytest.FixtureRequest) -> None:
    """Take a screenshot at the end of a test if requested."""
    if SCREENSHOTS:
        page.screenshot(path=f"{SCREENSHOTS}/{request.node.name}.png")
