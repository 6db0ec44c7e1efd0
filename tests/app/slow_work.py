"""Work that goes on until it is let go; in a module of its own, so that test and page hold the same one."""

from __future__ import annotations

import threading
import time

from analyses import progress

GATE = threading.Event()
CALLS: list[str] = []


def slow(name: str) -> str:
    """Wait for the gate."""
    CALLS.append(name)
    while not GATE.is_set():
        progress.report(len(CALLS), 4)
        time.sleep(0.01)
    return f"result of {name}"
