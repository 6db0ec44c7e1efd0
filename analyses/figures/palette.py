"""Fixed colours, marker shapes and sizes: the same group and the same state look the same in every figure.

Colours are Okabe and Ito's (2008), which colour-blind readers can tell apart; every style also has its own marker
shape, so that no figure depends on colour alone. Outlines keep at least 3:1 contrast on white.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from analyses.figures.colour_sets import Style as Style
from analyses.figures.colour_sets import chosen_set

INK = "#1F2933"
MUTED = "#5F6B7A"
GRID = "#E3E7EC"
PAPER = "#FFFFFF"
BLACK = "#000000"
HATCH = "#8A94A0"

BLUE = "#0072B2"
VERMILION = "#D55E00"
SKY = "#56B4E9"

# blue - white - orange, darker than Okabe-Ito at the ends so that white numbers can be read on them
DIFFERENCE_STOPS = ((0.0, "#0B5C94"), (0.25, "#7FB4D9"), (0.5, "#FFFFFF"), (0.75, "#F0B27A"), (1.0, "#B34A00"))
COUNT_STOPS = ((0.0, "#FFFFFF"), (1.0, "#B8C2CC"))
# cividis at eleven equally spaced points: a cell's text colour can then be chosen without a plotting library
PROBABILITY_STOPS = (
    (0.0, "#00224E"),
    (0.1, "#083370"),
    (0.2, "#35456C"),
    (0.3, "#4F576C"),
    (0.4, "#666970"),
    (0.5, "#7D7C78"),
    (0.6, "#948E77"),
    (0.7, "#AEA371"),
    (0.8, "#C8B866"),
    (0.9, "#E5CF52"),
    (1.0, "#FEE838"),
)
NO_GROUP = Style(fill="#6B7683", edge="#4A5560", symbol="circle-open", marker="o")


def group_styles(labels: Iterable[str]) -> dict[str, Style]:
    """One style per group, given in the order of the groups; an empty label stands for persons without a group."""
    groups = chosen_set().groups
    known = [label for label in dict.fromkeys(labels) if label]
    styles = {label: groups[index % len(groups)] for index, label in enumerate(known)}
    styles[""] = NO_GROUP
    return styles


def state_styles(states: Iterable[str]) -> dict[str, Style]:
    """One style per state: the usual affective states keep theirs, others take the spare ones in order.

    From the fifth other state on, styles of absent affective states are taken; beyond eight, styles repeat.
    """
    usual, spare = chosen_set().states, chosen_set().spare
    known = list(dict.fromkeys(states))
    free = itertools.cycle([*spare, *(style for name, style in usual.items() if name not in known)])
    return {state: usual.get(state) or next(free) for state in known}


def colour_at(stops: tuple[tuple[float, str], ...], position: float) -> str:
    """Colour of a scale at ``position`` in [0, 1], by linear interpolation in sRGB."""
    position = min(max(position, 0.0), 1.0)
    for (left, first), (right, second) in itertools.pairwise(stops):
        if position <= right:
            share = (position - left) / (right - left)
            mixed = (round(a + share * (b - a)) for a, b in zip(_channels(first), _channels(second), strict=True))
            return "#" + "".join(f"{channel:02X}" for channel in mixed)
    return stops[-1][1]


def relative_luminance(colour: str) -> float:
    """Relative luminance of ``#RRGGBB`` as WCAG 2.2 defines it, 0 for black and 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, (L1 + .05) / (L2 + .05), from 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((relative_luminance(first), relative_luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_on(background: str) -> str:
    """White or black, whichever is easier to read on ``background``; one of them always reaches 4.5:1."""
    return PAPER if contrast(PAPER, background) > contrast(BLACK, background) else BLACK


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
