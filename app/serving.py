"""The server process: Streamlit, with what the pages stand on loaded while the browser loads the page.

``python -m app.serving run SCRIPT FLAGS`` is ``streamlit run SCRIPT FLAGS``. Loading pandas, plotly and scipy takes as
long as a browser needs for its own part; done side by side, the first page is there sooner, and so is every page after.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time

FIRST = ("pandas", "pyarrow.parquet", "app.main")
# what pages import when they are opened for the first time; never torch, which few pages need
LATER = ("plotly.graph_objects", "scipy.stats", "analyses.hsic", "analyses.transitions", "analyses.report.word")
SERVER = "streamlit.web.server.server"
PATIENCE = 5.0
FIRST_PAGE = 1.0  # seconds in which the first page is drawn


def main() -> None:
    """Start loading in a thread of its own, and serve."""
    threading.Thread(target=warm, daemon=True, name="loading").start()
    from streamlit.web.cli import main as serve

    sys.argv[0] = "streamlit"
    serve(prog_name="streamlit")


def warm() -> None:
    """Wait until the server stands, then load what the first page needs, then the rest."""
    deadline = time.monotonic() + PATIENCE
    while SERVER not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.05)
    # a module half loaded by one thread must not be asked for by the other
    time.sleep(0.3)
    _load(FIRST)
    # loading holds up the server itself, which is now sending the first page
    time.sleep(FIRST_PAGE)
    _load(LATER)


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            # said by the page that needs it
            continue


if __name__ == "__main__":
    main()
