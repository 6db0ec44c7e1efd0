"""At most eight kinds of areas can be told apart: frequent states keep their own, the rest are drawn as one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analyses.figures.palette import GRID, INK, Style, state_styles

MOST_STATES = 8
REST = Style(fill=GRID, edge=INK, symbol="circle-open", marker="o", hatch="")


def folded(states: pd.Series, order: Sequence[str], most: int = MOST_STATES) -> tuple[pd.Series, list[str]]:
    """States with the rare ones under one name, and the names in drawing order.

    With more than ``most`` states the most frequent ``most - 1`` are kept, in the order given.
    """
    known = [state for state in order if (states == state).any()]
    if len(known) <= most:
        return states, known
    frequent = set(states.value_counts().index[: most - 1])
    kept = [state for state in known if state in frequent]
    rest = f"all other states ({len(known) - len(kept)})"
    return states.where(states.isin(kept) | states.isna(), rest), [*kept, rest]


def area_styles(names: Sequence[str]) -> dict[str, Style]:
    """One style per name of `folded`; the rest is light grey."""
    styles = state_styles([name for name in names if not name.startswith("all other states (")])
    return {name: styles.get(name, REST) for name in names}


def print_hatch(style: Style) -> str:
    """Matplotlib's hatching, dense enough for a bar of a few millimetres."""
    return style.hatch * (3 if style.hatch in (".", "/", "\\") else 2)
