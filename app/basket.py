"""What the user pins for the report: results of this session, in order, with notes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app.state import OpenRun

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.kept import Recipe

_BASKET = "basket of this session"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pinned:
    """One result as a page shows it and as the report takes it.

    Attributes:
        name: short, start of file names and element keys; never a pseudonym.
        title: heading in the report.
        text: plain sentences with their uncertainty. apa: sentences for a paper.
        figure: a module of ``analyses.figures`` (``screen``, ``print_figure``, ``alt_text``) and the frame it draws.
        alt: the figure in words, where it is not ``module.alt_text(frame)``.
        table: frame to show, with `headings` (column to heading). saved: the guarded frame for files and the report.
        reading: names in ``sentences.HOW_TO_READ``. reading_text: how to read it, where there is no such name.
        note: what was suppressed, and other small print.
        recipe: what it was made with; the report adds the code. identifiable: about a single person.
    """

    name: str
    title: str
    text: Sequence[str] = ()
    apa: Sequence[str] = ()
    figure: tuple[Any, pd.DataFrame] | None = None
    alt: str = ""
    table: pd.DataFrame | None = None
    headings: Mapping[str, str] = field(default_factory=dict)
    saved: pd.DataFrame | None = None
    reading: Sequence[str] = ()
    reading_text: str = ""
    note: str = ""
    recipe: Recipe | None = None
    identifiable: bool = False

    @property
    def in_words(self) -> str:
        """The figure in words."""
        if self.alt or self.figure is None:
            return self.alt
        module, frame = self.figure
        return str(module.alt_text(frame))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """A pinned result in the basket.

    Attributes:
        key: what tells it from others. pinned: the result. run: the run folder; None for a study alone.
        note: what the user wrote about it.
    """

    key: str
    pinned: Pinned
    run: Path | None
    note: str = ""


def items() -> list[Item]:
    """What is in the basket, in the user's order."""
    return list(st.session_state.get(_BASKET, []))


def key_of(opened: OpenRun | None, pinned: Pinned) -> str:
    """The same for the same result of the same run, and no other: its name, title and sentences."""
    said = "\n".join([str(opened.path) if opened else "", pinned.name, pinned.title, *pinned.text, *pinned.apa])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def holds(key: str) -> bool:
    """Whether the basket has it."""
    return any(item.key == key for item in items())


def put_in(opened: OpenRun | None, pinned: Pinned) -> None:
    """Add a result at the end."""
    key = key_of(opened, pinned)
    if not holds(key):
        _set([*items(), Item(key=key, pinned=pinned, run=opened.path if opened else None)])


def take_out(key: str) -> None:
    """Remove a result."""
    _set([item for item in items() if item.key != key])


def move(key: str, steps: int) -> None:
    """Move a result up (negative) or down."""
    found = items()
    place = next((index for index, item in enumerate(found) if item.key == key), None)
    if place is None:
        return
    found.insert(min(max(place + steps, 0), len(found)), found.pop(place))
    _set(found)


def annotate(key: str, note: str) -> None:
    """Set the user's note."""
    _set([replace(item, note=note) if item.key == key else item for item in items()])


def _set(found: list[Item]) -> None:
    st.session_state[_BASKET] = found
