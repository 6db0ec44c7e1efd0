"""Parameters that vary by a grouping factor, read from their names: level of the outcome or not, of which class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.figures.labels import parameter_label

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

_INDEXED = re.compile(r"^([^\[]+)(?:\[(.*)\])?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Varying:
    """One parameter that varies.

    Attributes:
        name: as the run names it. label: in words, without the class. outcome: the class (or target) it is about, empty
            where there is one only. is_level: whether it is added to the outcome itself, as an intercept is.
    """

    name: str
    label: str
    outcome: str
    is_level: bool


def varying(run: SavedRun, names: Sequence[str]) -> tuple[Varying, ...]:
    """What the parameters of a run are about."""
    config = run.manifest.get("config") or {}
    last = f"layers.{len(config.get('hidden') or ())}"
    # parameters of hidden units may be numbered as classes are
    on_outcome = {"output.bias", "slopes", f"{last}.bias", f"{last}.weight"}
    outcomes = run.classes or (run.targets if len(run.targets) > 1 else ())
    return tuple(_read(name, on_outcome, outcomes) for name in names)


def _read(name: str, on_outcome: set[str], outcomes: Sequence[str]) -> Varying:
    found = _INDEXED.match(name)
    stem, inside = (name, "") if found is None else (found[1], found[2] or "")
    outcome, rest = _outcome_in(inside, outcomes) if stem in on_outcome else ("", inside)
    shown = name if not outcome else f"{stem}[{rest}]" if rest else stem
    is_level = stem in on_outcome and stem.endswith(".bias") and not rest
    return Varying(name=name, label="average level" if is_level else parameter_label(shown), outcome=outcome,
                   is_level=is_level)  # fmt: skip


def _outcome_in(inside: str, outcomes: Sequence[str]) -> tuple[str, str]:
    """The class named inside brackets, first or last, and what is left; names of classes may hold commas."""
    for name in sorted(outcomes, key=len, reverse=True):
        if inside == name:
            return name, ""
        if inside.startswith(f"{name},"):
            return name, inside[len(name) + 1 :].strip()
        if inside.endswith(f",{name}"):
            return name, inside[: -len(name) - 1].strip()
    return "", inside
