"""In a real browser: a click on a cell says who drives that step, the group test runs, and its files can be opened."""

from __future__ import annotations

import io
import re
import shutil
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_run import STATES, write_example

from app import launcher

pytestmark = [pytest.mark.browser, pytest.mark.slow]
sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sync_api.Page]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium on this computer")
    home = tmp_path_factory.mktemp("clicked")
    write_example(home / "nme-crf")
    port = launcher.free_port(8760)
    server = subprocess.Popen(launcher.command(port), env=launcher.environment([home]), stdout=subprocess.DEVNULL)
    try:
        answered(port)
        with sync_api.sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            found = opened.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
            found.goto(f"http://{HERE}:{port}")
            yield found
            opened.close()
    finally:
        server.terminate()
        server.wait(timeout=10)


def answered(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.1)


def go(page: sync_api.Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def test_a_click_on_a_cell_says_who_drives_that_step(page: sync_api.Page) -> None:
    go(page, "Transitions")
    cells = page.locator(".st-key-cells .js-plotly-plot .scatterlayer .trace").first.locator("path.point")
    cells.first.wait_for()
    for row, column in ((1, 2), (3, 0)):
        box = cells.nth(4 * row + column).bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 8)
        page.get_by_role("heading", name=re.compile(f"Who drives {STATES[row]}.*{STATES[column]}")).wait_for()


def test_the_group_test_runs_and_its_files_open(page: sync_api.Page) -> None:
    go(page, "Group test")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Each transition on its own").wait_for(timeout=60_000)
    page.get_by_text("How large is the difference?").wait_for(timeout=60_000)
    page.get_by_role("button", name="Table").first.click()
    with page.expect_download() as word:
        page.get_by_role("button", name="DOCX").first.click()
    with zipfile.ZipFile(io.BytesIO(Path(word.value.path()).read_bytes())) as parts:
        assert "word/document.xml" in parts.namelist()
    with page.expect_download() as latex:
        page.get_by_role("button", name="TEX").first.click()
    assert "\\begin{table}" in Path(latex.value.path()).read_text(encoding="utf-8")
    page.keyboard.press("Escape")
