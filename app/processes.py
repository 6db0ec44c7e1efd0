"""Commands of this toolkit run as processes of their own: fits, with a bar and a Cancel button.

A fit takes every core it gets and minutes of time; as a process it leaves the pages responsive, and it can be stopped
the way the command line stops it, with its last checkpoint intact. Processes belong to the session that started them
and are stopped when its window is closed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import streamlit as st

from app import views

REFRESH = 1.0
_PROCESSES = "processes of this session"


class _Window:
    """Lives as long as the session."""


@dataclass(slots=True, eq=False)
class Process:
    """One command that runs or has run.

    Attributes:
        label: for the bar. process: the running command. said: file with what it said on standard error.
        started: when, on a clock that only goes forward. cancelled: by the user.
    """

    label: str
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    started: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def cancel(self) -> None:
        """Ask it to stop; it keeps its last checkpoint."""
        self.cancelled = True
        self.process.terminate()

    def last_line(self) -> str:
        """The last thing it said: commands end with one plain sentence when something is wrong."""
        self.said.seek(0)
        lines = self.said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def start(key: Hashable, arguments: Sequence[str], label: str) -> None:
    """Run ``nme`` with these arguments, unless it runs already under this key."""
    known = _known()
    if key in known and known[key].running:
        return
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
    command = [sys.executable, "-m", "toolkit.cli", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
    known[key] = Process(label, process, said)
    weakref.finalize(st.session_state[_PROCESSES][0], _stop, process)


def watch(key: Hashable, share: Callable[[], float | None]) -> bool:
    """Draw what a process is doing; whether it has just ended well (said once, then it is forgotten).

    Args:
        key: as given to `start`; nothing is drawn where nothing was started.
        share: how much of it is done, 0 to 1; None where that cannot be told.
    """
    current = _known().get(key)
    if current is None:
        return False
    if current.running:
        _bar(key, share)
        return False
    del _known()[key]
    last = current.last_line()
    current.said.close()
    if current.cancelled:
        st.info(f"{current.label}: cancelled.")
        return False
    if current.process.returncode == 0:
        return True
    st.error(views.plain(f"{current.label} did not finish. {last}"))
    return False


def is_running(key: Hashable) -> bool:
    """Whether such a process runs."""
    current = _known().get(key)
    return current is not None and current.running


@st.fragment(run_every=REFRESH)
def _bar(key: Hashable, share: Callable[[], float | None]) -> None:
    current = _known().get(key)
    if current is None or not current.running or current.cancelled:
        st.rerun()
    bar, stop = st.columns([5, 1], vertical_alignment="center")
    seconds = time.monotonic() - current.started
    text, done = f"{current.label} … {seconds:.0f} seconds so far", share()
    if done is None:
        bar.info(text, icon=":material/hourglass_top:")
    else:
        bar.progress(min(max(done, 0.0), 1.0), text=text)
    if stop.button("Cancel", key=f"stop {key}", icon=":material/close:", width="stretch"):
        current.cancel()
        current.process.wait(timeout=20)
        st.rerun()


def _known() -> dict[Any, Process]:
    if _PROCESSES not in st.session_state:
        st.session_state[_PROCESSES] = (_Window(), {})
    return st.session_state[_PROCESSES][1]


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
