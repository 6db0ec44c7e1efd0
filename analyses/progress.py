"""How far a long analysis is, told to whoever listens, who may also stop it.

An analysis calls `report` in its loop of permutations or resamples. Without a listener that costs a look at a variable.
With one, set by `listening`, the listener gets the share that is done, and may raise `Cancelled` to stop the analysis.
Analyses made of several analyses say with `part` which share of the whole each of them is.
"""

# pyright: strict
from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


class Cancelled(Exception):
    """The listener does not want the result any more."""


@dataclass(frozen=True, slots=True)
class _Listening:
    """A listener, and the part of the whole (0 to 1) that is being worked on."""

    listener: Callable[[float], None]
    low: float = 0.0
    high: float = 1.0


_CURRENT: ContextVar[_Listening | None] = ContextVar("progress", default=None)


def report(done: int, total: int) -> None:
    """Say that ``done`` of ``total`` steps are done.

    Raises:
        Cancelled: when the listener wants no more.
    """
    current = _CURRENT.get()
    if current is not None:
        current.listener(current.low + (current.high - current.low) * (done / total if total else 1.0))


@contextmanager
def part(place: int, parts: int) -> Generator[None]:
    """What is reported inside counts as part ``place`` (from 0) of ``parts`` equal ones."""
    current = _CURRENT.get()
    if current is None:
        yield
        return
    width = (current.high - current.low) / parts
    inner = replace(current, low=current.low + place * width, high=current.low + (place + 1) * width)
    token = _CURRENT.set(inner)
    try:
        yield
        inner.listener(inner.high)
    finally:
        _CURRENT.reset(token)


@contextmanager
def listening(listener: Callable[[float], None]) -> Generator[None]:
    """Tell ``listener`` the share done (0 to 1) of every analysis inside; it may raise `Cancelled`."""
    token = _CURRENT.set(_Listening(listener))
    try:
        yield
    finally:
        _CURRENT.reset(token)
