"""How long each dashboard page takes to run again, on the runs of a folder (``nme demo --no-app`` makes one).

    python -m benchmarks.dashboard_pages nme-demo/runs

Prints the median of several runs of each page's script, without the browser's drawing.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

from streamlit.testing.v1 import AppTest

from app.launcher import MAIN, RUNS_VARIABLE

REPEATS = 7
PAGES = ("start", "persons", "one_person", "group_test")


def main(folder: str) -> None:
    """Time every page."""
    os.environ[RUNS_VARIABLE] = folder
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    for page in PAGES:
        at.switch_page(f"../pages/{page}.py").run()
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            at.run()
            seconds.append(time.perf_counter() - start)
        print(f"{page:12s} {statistics.median(seconds):.2f} s (from {min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "nme-demo/runs")
