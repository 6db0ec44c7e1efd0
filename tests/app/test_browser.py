"""The whole way through a real browser: every page, a cell clicked, a test, files, and no request to another computer.

``NME_SCREENSHOTS=folder`` keeps pictures of the pages; ``NME_SCREENSHOT_RUNS`` takes them from other runs.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import pytest

from app import launcher
from app.main import NAMES

pytestmark = pytest.mark.browser
if TYPE_CHECKING:
    from playwright import sync_api
else:
    sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def address(runs_folder: Path) -> Iterator[str]:
    port = launcher.free_port(8700)
    places = [os.environ.get("NME_SCREENSHOT_RUNS") or runs_folder]
    server = subprocess.Popen(launcher.command(port), env=launcher.environment(places), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((HERE, port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://{HERE}:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium on this computer")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


def settle(page: sync_api.Page) -> None:
    """Wait until the page is drawn: no script runs any more, and every chart is there."""
    page.wait_for_function("!document.querySelector('[data-testid=\"stStatusWidget\"]')", timeout=60_000)
    page.wait_for_timeout(900)


def picture(page: sync_api.Page, name: str, *, dark: bool = False) -> None:
    """Keep a picture of what can be seen at 1280 x 800."""
    folder = os.environ.get("NME_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.mouse.move(640, 4)
        page.wait_for_timeout(300)
        page.screenshot(path=Path(folder) / f"{name}{'_dark' if dark else ''}.png")


def go(page: sync_api.Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    settle(page)


def saved(page: sync_api.Page, opener: str, kind: str) -> bytes:
    """What a download button of a list of files gives."""
    page.get_by_role("button", name=opener).first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).last.click()
    page.keyboard.press("Escape")
    return Path(download.value.path()).read_bytes()


def click_a_cell(page: sync_api.Page) -> None:
    """Click one square of the first matrix, and see that the list beside it follows."""
    chart = page.locator(".js-plotly-plot").first
    chart.locator(".scatterlayer .point").nth(1).click(force=True)
    settle(page)


def test_a_page_opened_by_its_address_is_complete(address: str, browser: sync_api.Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/persons")
    page.get_by_text("In what do persons differ?").wait_for()
    assert page.get_by_test_id("stSidebarNav").is_visible()
    page.close()


def on_the_start_page(page: sync_api.Page) -> None:
    page.get_by_text("Nothing leaves this computer.").first.wait_for()
    settle(page)
    for view, name in (("Runs side by side", "runs"), ("Bundled studies", "bundled"), ("Import a file", "import")):
        page.get_by_text(view, exact=True).first.click()
        settle(page)
        picture(page, f"start_{name}")
    page.get_by_text("This run", exact=True).first.click()
    settle(page)
    picture(page, "start")


def among_persons(page: sync_api.Page) -> None:
    go(page, "Persons")
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, "persons")
    assert saved(page, "Save", "SVG").lstrip().startswith(b"<?xml")
    go(page, "One person")
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, "one_person")


def between_groups(page: sync_api.Page) -> None:
    go(page, "Transitions")
    page.locator(".js-plotly-plot").first.wait_for()
    before = page.get_by_test_id("stMainBlockContainer").inner_text()
    click_a_cell(page)
    assert page.get_by_test_id("stMainBlockContainer").inner_text() != before
    picture(page, "transitions")
    go(page, "Group test")
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.locator(".js-plotly-plot").first.wait_for(timeout=90_000)
    settle(page)
    picture(page, "group_test")
    assert saved(page, "Save", "CSV").count(b"\n") > 3
    page.get_by_role("button", name="Pin to report").first.click()
    settle(page)


def into_a_document(page: sync_api.Page) -> None:
    go(page, "Report")
    page.get_by_role("button", name="Make the document").click()
    page.get_by_role("button", name="Save as Word").wait_for(timeout=60_000)
    picture(page, "report")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as Word").click()
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"


@pytest.mark.slow
def test_the_journey_stays_on_this_computer(address: str, browser: sync_api.Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    hosts: set[str | None] = set()
    problems: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
    page.on("websocket", lambda opened: hosts.add(urlparse(opened.url).hostname))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    on_the_start_page(page)
    among_persons(page)
    between_groups(page)
    for name in ("Data", "Model", "Baseline", "Robustness", "Compare", "About"):
        go(page, name)
        assert page.get_by_text("This page cannot be shown").count() == 0
        picture(page, name.lower())
    into_a_document(page)
    assert hosts <= {HERE, None}
    assert problems == []
    page.close()


@pytest.mark.slow
def test_every_page_in_the_dark(address: str, browser: sync_api.Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    page.goto(address)
    page.get_by_text("Nothing leaves this computer.").first.wait_for()
    settle(page)
    ground = "getComputedStyle(document.querySelector('[data-testid=\"stApp\"]')).backgroundColor"
    assert page.evaluate(ground) == "rgb(18, 24, 31)"
    for _, name, _ in NAMES:
        go(page, name)
        assert page.get_by_text("This page cannot be shown").count() == 0
        picture(page, name.lower().replace(" ", "_"), dark=True)
    page.close()
