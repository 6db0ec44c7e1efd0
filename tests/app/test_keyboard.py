"""Every page with the keyboard alone: everything that can be clicked is reached by Tab, seen to be, and works."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app import launcher
from app.main import NAMES

pytestmark = [pytest.mark.browser, pytest.mark.slow]
if TYPE_CHECKING:
    from playwright import sync_api
else:
    sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
TITLES = [title for _, title, _ in NAMES]
# changes of colour take a moment; what is compared is how it looks in the end
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
# a bar means that the page will be drawn again, and the focus lost, when its work is done
DONE = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const charts = [...document.querySelectorAll('[data-testid="stPlotlyChart"]')];
  const done = app?.getAttribute("data-test-script-state") === "notRunning"
    && !document.querySelector('[data-testid="stProgress"]') && charts.every(chart => chart.querySelector(".main-svg"));
  if (!done) window.kbDoneSince = null;
  return done && performance.now() - (window.kbDoneSince ??= performance.now()) > 400;
}"""
# what closes gives the focus back a moment later, and once more after that: quicker than a person can press Tab
BACK = """id => {
  if (document.activeElement?.dataset.kb !== id) { window.kbBackSince = null; return false; }
  return performance.now() - (window.kbBackSince ??= performance.now()) > 250;
}"""
# numbers every element; tells what has the focus, and whether what had it before looks different without it
HERE = """() => {
  const look = part => { const style = getComputedStyle(part); return [style.outlineStyle, style.outlineWidth,
    style.boxShadow, style.borderTopColor, style.backgroundColor, style.color, style.opacity].join(" "); };
  const around = part => { const parts = [part, ...part.children];
    for (let above = part.parentElement, step = 0; above && step < 4; above = above.parentElement, step++)
      parts.push(above);
    return JSON.stringify(parts.map(look)); };
  const now = document.activeElement, last = window.kbLast;
  const before = last?.part.isConnected && last.part !== now ? [last.part.dataset.kb, around(last.part) !== last.look]
    : null;
  if (!now || now === document.body) { window.kbLast = null; return [before, null]; }
  now.dataset.kb ??= String(window.kb = (window.kb ?? 0) + 1);
  window.kbLast = { part: now, look: around(now) };
  return [before, { id: now.dataset.kb, tag: now.tagName, role: now.getAttribute("role") ?? "",
    name: (now.ariaLabel || now.innerText || now.title || "").trim(),
    where: now.closest("[data-testid]")?.dataset.testid ?? "" }];
}"""
# what a mouse could use; a list's arrow and a choice's cross do what keys do in the field beside them
CONTROLS = """() => [...document.querySelectorAll(
    "[data-testid=stMain] :is(button, a[href], input, select, textarea, summary, [role=slider])")]
  .filter(part => !part.disabled && part.getClientRects().length && !part.closest("[aria-hidden=true], [inert]"))
  .filter(part => getComputedStyle(part).visibility !== "hidden" && part.type !== "file")
  .filter(part => !(part.tabIndex < 0
    && part.closest("[data-testid=stSelectbox], [data-testid=stMultiSelect], [data-testid=stNumberInput]")))
  .filter(part => !["radio"].includes(part.getAttribute("role") ?? part.type))
  .map(part => { part.dataset.kb ??= String(window.kb = (window.kb ?? 0) + 1);
    return [part.dataset.kb, part.tagName + " " + (part.ariaLabel || part.innerText || part.title)]; })"""


@pytest.fixture(scope="module")
def page(runs_folder: Path) -> Iterator[sync_api.Page]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium on this computer")
    port = launcher.free_port(8820)
    server = subprocess.Popen(
        launcher.command(port), env=launcher.environment([runs_folder]), stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        with sync_api.sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            found = opened.new_page(viewport={"width": 1280, "height": 800}, accept_downloads=True)
            found.goto(f"http://127.0.0.1:{port}")
            found.get_by_role("heading", name="Start", exact=True).wait_for()
            found.add_style_tag(content=STILL)
            settle(found)
            yield found
            opened.close()
    finally:
        server.terminate()
        server.wait(timeout=10)


def settle(page: sync_api.Page) -> None:
    page.wait_for_timeout(350)
    page.evaluate("window.kbDoneSince = null")
    page.wait_for_function(DONE, timeout=60_000)


def tab(page: sync_api.Page) -> tuple[list[Any] | None, dict[str, str] | None]:
    page.keyboard.press("Tab")
    return page.evaluate(HERE)


def tab_to(page: sync_api.Page, name: str, where: str = "", role: str = "") -> dict[str, str]:
    """Press Tab until something of this name has the focus."""
    for _ in range(200):
        _, stop = tab(page)
        if stop and name in stop["name"] and where in stop["where"] and role in stop["role"]:
            return stop
    raise AssertionError(f"{name} cannot be reached by Tab")


def open_page(page: sync_api.Page, title: str) -> None:
    tab_to(page, title, "stSidebarNavLink")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=title, exact=True).wait_for()
    settle(page)


def into_the_page(page: sync_api.Page) -> None:
    """Past the sidebar, by the link for it."""
    tab_to(page, "Skip to main content")
    page.keyboard.press("Enter")
    assert page.evaluate(HERE)[1]["where"] == "stMain"


def open_list(page: sync_api.Page) -> None:
    """Open the list of the field that has the focus; a field that scrolls into view closes what opened on the way."""
    for _ in range(3):
        page.keyboard.press("ArrowDown")
        with contextlib.suppress(sync_api.TimeoutError):
            page.get_by_role("option").first.wait_for(timeout=5_000)
            return
    raise AssertionError("the list cannot be opened by key")


def operate(page: sync_api.Page, stop: dict[str, str]) -> None:
    """Try what a control does where that changes nothing: open and close it."""
    press = page.keyboard.press
    if stop["role"] == "combobox" and "MultiSelect" in stop["where"]:
        # where everything is chosen nothing is left to open
        press("ArrowDown")
        press("Escape")
    elif stop["role"] == "combobox":
        open_list(page)
        press("Escape")
    elif stop["tag"] == "SUMMARY":
        was = page.evaluate("document.activeElement.closest('details').open")
        press("Enter")
        page.wait_for_function(f"document.activeElement.closest('details').open !== {str(was).lower()}")
        press("Enter")
    elif stop["where"] == "stPopoverButton":
        press("Enter")
        body = page.get_by_test_id("stPopoverBody")
        body.wait_for()
        page.wait_for_function("document.activeElement.closest('[data-testid=stPopoverBody]') !== null")
        press("Escape")
        body.wait_for(state="detached")
        page.evaluate("window.kbBackSince = null")
        page.wait_for_function(BACK, arg=stop["id"])
    elif stop["name"].startswith("Help for"):
        page.get_by_test_id("stTooltipContent").or_(page.get_by_role("tooltip")).first.wait_for()


def walk(page: sync_api.Page) -> None:
    """Once through the page by Tab; every control reached, seen, and opened where it opens."""
    into_the_page(page)
    stops: dict[str, dict[str, str]] = {}
    seen: dict[str, bool] = {}
    for _ in range(150):
        before, stop = tab(page)
        if before:
            seen[before[0]] = seen.get(before[0], False) or before[1]
        if stop and stop["where"] == "stSkipToContent":
            break
        if stop and stop["id"] not in stops:
            stops[stop["id"]] = stop
            operate(page, stop)
            page.evaluate(HERE)
    missed = [name for number, name in page.evaluate(CONTROLS) if number not in stops]
    assert not missed, "not reached by Tab"
    # a table draws its own mark of focus, inside
    drawn = {number: stop for number, stop in stops.items() if stop["tag"] != "CANVAS" and stop["role"] != "gridcell"}
    assert not [stop for number, stop in drawn.items() if not seen.get(number, True)], "focus cannot be seen"


def views_of(page: sync_api.Page) -> int:
    groups = page.get_by_test_id("stMain").get_by_test_id("stButtonGroup")
    return groups.first.get_by_role("radio").count() if groups.count() else 1


@pytest.mark.parametrize("title", TITLES)
def test_everything_on_a_page_is_reached_by_tab(page: sync_api.Page, title: str) -> None:
    open_page(page, title)
    count = views_of(page)
    for place in range(count):
        if place:
            into_the_page(page)
            tab_to(page, "", "stButtonGroup", "radio")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Space")
            settle(page)
            chosen = page.get_by_test_id("stMain").get_by_test_id("stButtonGroup").first.get_by_role("radio").nth(place)
            assert chosen.get_attribute("aria-checked") == "true"
        walk(page)


def test_the_sidebar_by_keyboard(page: sync_api.Page) -> None:
    open_page(page, "Persons")
    for name in ("Group by", "Resampling unit", "Intervals", "Colours", "Run", "Study"):
        operate(page, tab_to(page, name, "stSelectbox", "combobox"))
    tab_to(page, "Identifiable view", "stCheckbox")
    for state in ("true", "false"):
        page.keyboard.press("Space")
        settle(page)
        assert str(page.evaluate("document.activeElement.checked")).lower() == state


def test_what_a_click_in_a_figure_does_keys_do_beside_it(page: sync_api.Page) -> None:
    text = page.get_by_test_id("stMain")
    open_page(page, "Transitions")
    headings = text.get_by_role("heading", level=3)
    before = headings.all_inner_texts()
    into_the_page(page)
    tab_to(page, "From", "stSelectbox", "combobox")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    settle(page)
    assert headings.all_inner_texts() != before
    open_page(page, "Persons")
    for key in ("ArrowRight", "ArrowLeft"):
        into_the_page(page)
        tab_to(page, "", "stButtonGroup", "radio")
        page.keyboard.press(key)
        page.keyboard.press("Space")
        settle(page)
    into_the_page(page)
    table_by_keys(page)


def table_by_keys(page: sync_api.Page) -> None:
    """Ticks a row of the table of persons, and leaves the table again."""
    stop: dict[str, str] | None = None
    while not (stop and stop["tag"] == "CANVAS"):
        _, stop = tab(page)
    for key in ("ArrowDown", "ArrowDown", "Shift+Space"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
    settle(page)
    assert page.locator("[data-testid=stDataFrame] tr[aria-selected=true]").count() == 1
    for _ in range(2):
        _, stop = tab(page)
    assert stop is None or stop["role"] != "gridcell"


def test_files_are_saved_by_keyboard(page: sync_api.Page) -> None:
    open_page(page, "Persons")
    into_the_page(page)
    tab_to(page, "Save", "stPopoverButton")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.closest('[data-testid=stPopoverBody]') !== null")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".svg")
    page.keyboard.press("Escape")
