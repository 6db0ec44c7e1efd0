"""Styles of lines that stand for models or designs: the groups' styles first, then the same with open markers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from analyses.figures.palette import Style, group_styles

DASHES = {"solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.4)), "dashdot": "-.", "longdash": (0, (9, 2.5))}
_DISTINCT = 5


def series_styles(names: Iterable[str]) -> dict[str, Style]:
    """One style per series in the order given; from the sixth on markers are open, from the eleventh styles repeat."""
    known = list(dict.fromkeys(names))
    base = list(group_styles([str(k) for k in range(_DISTINCT)]).values())[:_DISTINCT]
    styles = [*base, *(replace(style, symbol=f"{style.symbol}-open") for style in base)]
    return {name: styles[index % len(styles)] for index, name in enumerate(known)}


def is_open(style: Style) -> bool:
    """Whether the marker has no filling."""
    return style.symbol.endswith("-open")


def line_dash(style: Style) -> object:
    """The line style in print."""
    return DASHES[style.dash]
