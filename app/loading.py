"""What the pages stand on, loaded while the browser loads Streamlit's scripts, and while nobody waits for a page.

Loading pandas takes as long as a browser needs for its own part; done side by side, the first page is there sooner.
What other pages need is loaded piece by piece once the first page stands, and never while a page is being made: the two
would hold each other up.
"""

from __future__ import annotations

import gc
import importlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

# in the order in which the first page asks for them
FIRST = ("pandas", "pyarrow.parquet", "PIL.Image", "app.main")
# what pages import when they are opened for the first time, in small pieces; never torch, which few pages need
LATER = (
    "app.data_missing", "app.data_states", "app.model_prediction", "app.persons_figures", "app.person_page",
    "plotly.graph_objects", "scipy.sparse", "scipy.linalg", "scipy.spatial", "scipy.optimize",
    "scipy.stats.distributions", "scipy.stats", "analyses.hsic", "analyses.transitions", "analyses.report.word",
)  # fmt: skip
SCRIPT_THREAD = "ScriptRunner.scriptThread"  # Streamlit's name for what makes a page
VISITOR = 10.0  # seconds to wait for somebody to look at the first page
QUIET = 0.3  # seconds without a page being made, in which the browser draws the last one


@asynccontextmanager
async def while_serving(_app: Any) -> AsyncIterator[None]:
    """Start loading as soon as the server stands."""
    threading.Thread(target=load, daemon=True, name="loading").start()
    yield


def load() -> None:
    """Load what the first page needs, and what the others need once it is drawn."""
    import_all(FIRST)
    deadline = time.monotonic() + VISITOR
    while not page_is_made() and time.monotonic() < deadline:
        time.sleep(0.02)
    for name in LATER:
        wait_for_quiet()
        import_all([name])
    # what is loaded stays; looking through it again and again is what makes loading slow
    gc.freeze()
    gc.enable()


def page_is_made() -> bool:
    """Whether a page is being made for somebody."""
    return any(thread.name == SCRIPT_THREAD for thread in threading.enumerate())


def wait_for_quiet() -> None:
    """Wait until no page has been made for a moment."""
    since = time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.02)
        if page_is_made():
            since = time.monotonic()


def import_all(names: Sequence[str]) -> None:
    """Import these modules; one that is missing is told by the page that needs it."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
