"""The whole way through a real browser: four pages, one test, one file, and not one request to another computer.

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
from urllib.parse import urlparse

import pytest

from app import launcher

pytestmark = pytest.mark.browser
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


def picture(page: sync_api.Page, name: str) -> None:
    folder = os.environ.get("NME_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.mouse.move(640, 10)
        page.screenshot(path=Path(folder) / f"{name}.png")


def go(page: sync_api.Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    settle(page)


def test_a_page_opened_by_its_address_is_complete(address: str, browser: sync_api.Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/persons")
    page.get_by_text("In what do persons differ?").wait_for()
    assert page.get_by_test_id("stSidebarNav").is_visible()
    page.close()


def test_the_journey_stays_on_this_computer(address: str, browser: sync_api.Browser, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    hosts: set[str | None] = set()
    problems: list[str] = []
    page.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
    page.on("websocket", lambda opened: hosts.add(urlparse(opened.url).hostname))
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(address)
    page.get_by_text("Nothing leaves this computer.").first.wait_for()
    settle(page)
    picture(page, "start")

    go(page, "Persons")
    page.locator(".js-plotly-plot").nth(1).wait_for()
    picture(page, "persons")
    page.get_by_role("button", name="Save left figure").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    assert Path(download.value.path()).read_text(encoding="utf-8").lstrip().startswith("<?xml")

    go(page, "One person")
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, "one_person")

    go(page, "Group test")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Each transition on its own").wait_for(timeout=60_000)
    page.locator(".js-plotly-plot").nth(1).wait_for()
    settle(page)
    picture(page, "group_test")

    assert hosts <= {HERE, None}
    assert problems == []
    page.close()
