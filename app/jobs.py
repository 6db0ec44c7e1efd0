"""Long analyses beside the page: a progress bar above one second, a Cancel button, results kept and found again.

A page says what it wants and gets the result, or nothing yet::

    result = jobs.job(("hsic", opened.path, settings), lambda: hsic_test(...), label="Shuffling labels",
                      keep=jobs.Keep(opened, name, recipe))
    if result is None:
        return          # the bar, or the word that it was cancelled, is drawn already

``key`` says what is computed (anything hashable; put the run's path and all settings into it): the same key gives the
same result without computing again for as long as the session lasts. ``work`` runs in a thread: it takes no arguments,
calls nothing of Streamlit (no ``st.cache_data``), and its loops call `analyses.progress.report`. A page that is drawn
again while the work goes on draws the bar again and starts nothing. An error of the work is raised in the page. A new
job of the same ``label`` cancels the one of that label that still runs.

With ``keep`` the result is written into the run folder when it is there, and a result kept earlier with the same recipe
is found and not computed again (`app.keeping`). Jobs belong to the session: another browser window has its own, and
they stop when their window is closed. ``jobs.forget(key)`` clears one, ``jobs.has(key)`` asks.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from analyses import progress
from app import keeping
from app.keeping import Keep

__all__ = ["Keep", "forget", "has", "job"]

T = TypeVar("T")
PATIENCE = 0.9  # seconds a page waits before it draws a bar
REFRESH = 0.5
MOST_KEPT = 24
_JOBS = "jobs of this session"


class _Window:
    """Lives as long as the session; a thread whose window is gone stops."""


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """The jobs of one session."""

    window: _Window
    jobs: dict[Hashable, Job]


class Job:
    """One piece of work in a thread of its own."""

    def __init__(self, work: Callable[[], Any], label: str, window: _Window) -> None:
        self.label = label
        self.done = 0.0
        self.result: Any = None
        self.error: Exception | None = None
        self.cancelled = False
        self.found = False
        self._window = weakref.ref(window)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True, name="analysis")

    def start(self) -> Job:
        """Begin."""
        self._thread.start()
        return self

    def wait(self, seconds: float) -> None:
        """Until it is finished, at most so long."""
        self._thread.join(seconds)

    def cancel(self) -> None:
        """Stop at the next report; the page says so at once."""
        self.cancelled = True

    @property
    def running(self) -> bool:
        """Whether the thread still works on it."""
        return self._thread.is_alive()

    def _listen(self, done: float) -> None:
        if self.cancelled or self._window() is None:
            raise progress.Cancelled
        self.done = min(max(self.done, done), 1.0)

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            with progress.listening(self._listen):
                self.result = work()
        except progress.Cancelled:
            self.cancelled = True
        except Exception as problem:  # raised again where the page is drawn
            self.error = problem


def job(key: Hashable, work: Callable[[], T], *, label: str, keep: Keep | None = None) -> T | None:
    """The result of ``work``, or None while it is not there; see the head of this file.

    Args:
        key: what is computed; equal keys are the same job.
        work: computes it; calls nothing of Streamlit.
        label: what is being done, for the bar ("Shuffling labels").
        keep: where the result is kept in the run folder; None for nowhere.

    Raises:
        Exception: whatever ``work`` raised.
    """
    session = _session()
    if key not in session.jobs:
        earlier = keeping.found(keep) if keep is not None else None
        if earlier is not None:
            return earlier
        _start(session, key, work, label, keep)
    current = session.jobs[key]
    if current.cancelled:
        _say_cancelled(key, current)
        return None
    if current.running:
        _waiting(key, label)
        return None
    if current.error is not None:
        del session.jobs[key]
        raise current.error
    return current.result


def has(key: Hashable) -> bool:
    """Whether this session has started such a job, finished or not."""
    return key in _session().jobs


def forget(key: Hashable) -> None:
    """Clear a job, and stop it if it runs."""
    gone = _session().jobs.pop(key, None)
    if gone is not None:
        gone.cancel()


def _session() -> _Session:
    if _JOBS not in st.session_state:
        st.session_state[_JOBS] = _Session(_Window(), {})
    return st.session_state[_JOBS]


def _start(session: _Session, key: Hashable, work: Callable[[], Any], label: str, keep: Keep | None) -> None:
    for other in session.jobs.values():
        if other.label == label and other.running:
            other.cancel()
    finished = [name for name, other in session.jobs.items() if not other.running]
    for name in finished[: max(0, len(session.jobs) - MOST_KEPT)]:
        del session.jobs[name]
    whole = work if keep is None else keeping.kept_after(work, keep)
    session.jobs[key] = Job(whole, label, session.window).start()
    session.jobs[key].wait(PATIENCE)


def _say_cancelled(key: Hashable, current: Job) -> None:
    st.info(f"{current.label}: cancelled. Nothing was changed and nothing was kept.")
    if st.button("Start again", key=f"again {_name(key)}", icon=":material/replay:"):
        forget(key)
        st.rerun()


@st.fragment(run_every=REFRESH)
def _waiting(key: Hashable, label: str) -> None:
    current = _session().jobs.get(key)
    if current is None or not current.running or current.cancelled:
        st.rerun()
    bar, stop = st.columns([5, 1], vertical_alignment="center")
    bar.progress(current.done, text=f"{label} … {current.done:.0%}")
    if stop.button("Cancel", key=f"cancel {_name(key)}", icon=":material/close:", width="stretch"):
        current.cancel()
        st.rerun()


def _name(key: Hashable) -> str:
    """Short and stable within the session; never shown."""
    return f"{hash(key) & 0xFFFFFFFF:08x}"
