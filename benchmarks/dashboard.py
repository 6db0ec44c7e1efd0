"""How long the dashboard takes in a real browser: first page, every page change, 100,000 rows of sequences.

    python -m benchmarks.dashboard

Starts the dashboard as users do, drives Chromium, and writes benchmarks/results/dashboard.json with the machine's
load. The runs are made up (the tests' example, larger): 200 persons, and 2,000 persons with 16 transitions each and
some 130,000 rows. A page counts as there when its heading stands, no script runs any more and its charts are drawn.
The browser is open before the dashboard is started, as users have one, but has never seen the dashboard. Page changes
begin after a few seconds on the first page; what somebody sees who clicks at once is given by itself.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app import launcher
from app.main import NAMES

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "dashboard.json"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HERE = "127.0.0.1"
STARTS, HURRIES, ROUNDS, ROWS = 7, 3, 2, 100_000
READING = 4.0  # seconds somebody looks at the first page
HURRIED = ("Data", "Model")  # pages opened at once, before anything could be loaded beforehand
LIMITS = {"first page": 2.0, "200 persons": 1.0, "2,000 persons": 3.0}
DONE = """() => {
  const app = document.querySelector('[data-testid="stApp"]');
  const idle = app && app.getAttribute('data-test-script-state') === 'notRunning';
  const charts = [...document.querySelectorAll('[data-testid="stPlotlyChart"]')];
  return idle && charts.every(chart => chart.querySelector('.main-svg'));
}"""


def main() -> None:
    """Measure everything, print it, keep it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        runs = {"200 persons": _run(home / "small", 200), "2,000 persons": _run(home / "large", 2_000)}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        found: dict[str, Any] = {"first page": _first_pages(browser, runs["200 persons"])}
        found["at once"] = _hurried(browser, runs["200 persons"])
        for name, path in runs.items():
            found[name] = _pages(browser, path)
        found["100,000 rows"] = _rows(browser, runs["200 persons"], _study(home / "rows"))
        browser.close()
    busy = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    kept = {
        "seconds": found,
        "limits": LIMITS,
        "machine busy": busy,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    _print(found)
    print(f"load average {busy['load']:.1f} on {busy['cores']} cores")


def _run(folder: Path, persons: int) -> Path:
    """A made-up run of a personal chain model."""
    sys.path.insert(0, str(ROOT / "tests" / "app"))
    from example_run import write_example  # pyright: ignore[reportMissingImports]

    write_example(folder / f"nme-crf-{persons}", persons=persons)
    return folder


def _study(folder: Path) -> Path:
    """A simulated study of 100,000 rows."""
    import numpy as np

    from toolkit.data.demo.dyads import dyads, write_dyads

    folder.mkdir()
    file = write_dyads(folder, rng=np.random.default_rng(1))
    frame, _ = dyads(persons=1_280, families=640, segments=ROWS, rng=np.random.default_rng(1))
    frame.to_parquet(folder / "data.parquet", index=False)
    return file


@contextmanager
def _server(places: list[Path]) -> Iterator[tuple[str, float]]:
    """The dashboard, and when it was started."""
    port = launcher.free_port(8790)
    started = time.perf_counter()
    process = subprocess.Popen(launcher.command(port), env=launcher.environment(places), stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((HERE, port)) == 0:
                    break
            time.sleep(0.01)
        else:
            raise RuntimeError("the dashboard ended before it answered")
        yield f"http://{HERE}:{port}", started
    finally:
        process.terminate()
        process.wait(timeout=10)


def _first_pages(browser: Any, runs: Path) -> dict[str, float]:
    """From starting the command to the first page, and until the server answers."""
    seconds, answers = [], []
    for _ in range(STARTS):
        # users have a browser open; what it keeps of an earlier visit is not there
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto("about:blank")
        with _server([runs]) as (address, started):
            answers.append(time.perf_counter() - started)
            page.goto(address)
            page.get_by_role("heading", name="Start", exact=True).wait_for()
            page.wait_for_function(DONE)
            seconds.append(time.perf_counter() - started)
            page.context.close()
    return {"median": statistics.median(seconds), "worst": max(seconds), "server answers": statistics.median(answers)}


def _pages(browser: Any, runs: Path) -> dict[str, dict[str, float]]:
    """Every page change, the first time and again."""
    with _server([runs]) as (address, _):
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto(address)
        page.get_by_role("heading", name="Start", exact=True).wait_for()
        page.wait_for_function(DONE)
        page.wait_for_timeout(READING * 1_000)
        rounds = [{title: _change(page, title) for _, title, _ in (*NAMES[1:], NAMES[0])} for _ in range(ROUNDS)]
        page.context.close()
    return {title: {"first": rounds[0][title], "again": min(one[title] for one in rounds[1:])} for title in rounds[0]}


def _hurried(browser: Any, runs: Path) -> dict[str, float]:
    """The first page changes of somebody who does not look at the first page; medians."""
    seconds: dict[str, list[float]] = {title: [] for title in HURRIED}
    for _ in range(HURRIES):
        with _server([runs]) as (address, _started):
            page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
            page.goto(address)
            page.get_by_role("heading", name="Start", exact=True).wait_for()
            page.wait_for_function(DONE)
            for title in HURRIED:
                seconds[title].append(_change(page, title))
            page.context.close()
    return {title: statistics.median(times) for title, times in seconds.items()}


def _change(page: Any, title: str) -> float:
    link = page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True)
    started = time.perf_counter()
    link.click()
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.wait_for_function(DONE, timeout=120_000)
    return time.perf_counter() - started


def _rows(browser: Any, runs: Path, study: Path) -> dict[str, float]:
    """The Data page of a study of 100,000 rows without a run: at first, and again."""
    with _server([runs]) as (address, _):
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto(address)
        page.get_by_label("Folder on this computer").fill(str(study.parent))
        page.get_by_role("button", name="Open folder").click()
        page.get_by_text("no run of it yet").wait_for()
        page.wait_for_function(DONE)
        first = _change(page, "Data")
        _change(page, "About")
        again = _change(page, "Data")
        page.context.close()
    return {"first": first, "again": again}


def _print(found: dict[str, Any]) -> None:
    first = found["first page"]
    print(f"first page: {first['median']:.2f} s (worst {first['worst']:.2f}), limit {LIMITS['first page']:.0f} s")
    for name in ("200 persons", "2,000 persons"):
        print(f"\n{name}, limit {LIMITS[name]:.0f} s")
        for title, seconds in found[name].items():
            print(f"  {title:12s} {seconds['first']:.2f} s first, {seconds['again']:.2f} s again")
    at_once = ", ".join(f"{title} {seconds:.2f} s" for title, seconds in found["at once"].items())
    print(f"\nfirst page changes, clicked as soon as the first page stands: {at_once}")
    rows = found["100,000 rows"]
    print(f"\nData page of 100,000 rows: {rows['first']:.2f} s first, {rows['again']:.2f} s again")


if __name__ == "__main__":
    main()
