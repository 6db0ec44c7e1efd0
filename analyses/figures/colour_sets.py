"""Sets of colours, marker shapes and hatchings for groups and states, and which of them is in use.

Every set is tested: fills differ by 10 or more (CIEDE2000) for readers with normal sight, deuteranopia, protanopia and
tritanopia, and outlines reach 3:1 on white. Shapes, dashes and hatchings are the same in all sets.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from toolkit.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How one group or one state is drawn, on screen (plotly names) and in print (matplotlib names).

    ``hatch`` is one character that both know; areas carry it so that they can be told apart without colour.
    """

    fill: str
    edge: str
    symbol: str
    marker: str
    dash: str = "solid"
    hatch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourSet:
    """Colours of groups and states.

    Attributes:
        title: for a list of choices. groups: in their order. states: of the usual affective states. spare: of others.
    """

    title: str
    groups: tuple[Style, ...]
    states: Mapping[str, Style]
    spare: tuple[Style, ...]


def _groups(*colours: tuple[str, str]) -> tuple[Style, ...]:
    """Styles of groups from fills and outlines; shapes and dashes are fixed."""
    shapes = (("circle", "o", "solid"), ("diamond", "D", "dash"), ("square", "s", "dot"),
              ("triangle-up", "^", "dashdot"), ("triangle-down", "v", "longdash"))  # fmt: skip
    return tuple(
        Style(fill=fill, edge=edge, symbol=symbol, marker=marker, dash=dash)
        for (fill, edge), (symbol, marker, dash) in zip(colours, shapes, strict=True)
    )


def _states(*colours: tuple[str, str]) -> dict[str, Style]:
    """Styles of the four affective states."""
    shapes = {"positive": ("circle", "o", ""), "aggressive": ("triangle-up", "^", "/"),
              "dysphoric": ("square", "s", "."), "other": ("x", "X", "x")}  # fmt: skip
    return {
        name: Style(fill=fill, edge=edge, symbol=symbol, marker=marker, hatch=hatch)
        for (fill, edge), (name, (symbol, marker, hatch)) in zip(colours, shapes.items(), strict=True)
    }


def _spare(*colours: tuple[str, str]) -> tuple[Style, ...]:
    """Styles of four further states."""
    shapes = (("diamond", "D", "-"), ("triangle-down", "v", "+"), ("star", "*", "\\"), ("cross", "P", "|"))
    return tuple(
        Style(fill=fill, edge=edge, symbol=symbol, marker=marker, hatch=hatch)
        for (fill, edge), (symbol, marker, hatch) in zip(colours, shapes, strict=True)
    )


OKABE_ITO = ColourSet(
    title="Okabe and Ito",
    groups=_groups(
        ("#0072B2", "#0072B2"), ("#D55E00", "#D55E00"), ("#009E73", "#00795A"), ("#CC79A7", "#9A4B77"),
        ("#E69F00", "#8A5F00"),
    ),
    states=_states(("#009E73", "#00795A"), ("#E69F00", "#8A5F00"), ("#CC79A7", "#9A4B77"), ("#5F6B7A", "#5F6B7A")),
    spare=_spare(("#56B4E9", "#1F7AB0"), ("#0072B2", "#0072B2"), ("#D55E00", "#D55E00"), ("#1F2933", "#1F2933")),
)  # fmt: skip
TOL = ColourSet(
    title="Tol, muted",
    groups=_groups(
        ("#332288", "#332288"), ("#DDCC77", "#7A6A1F"), ("#117733", "#117733"), ("#88CCEE", "#2B7FA8"),
        ("#882255", "#882255"),
    ),
    states=_states(("#117733", "#117733"), ("#DDCC77", "#7A6A1F"), ("#882255", "#882255"), ("#88CCEE", "#2B7FA8")),
    spare=_spare(("#332288", "#332288"), ("#CC6677", "#A8475A"), ("#DDDDDD", "#707070"), ("#000000", "#000000")),
)  # fmt: skip
GREYS = ColourSet(
    title="Greys, for black and white print",
    groups=_groups(
        ("#2B2B2B", "#2B2B2B"), ("#ABABAB", "#707070"), ("#707070", "#595959"), ("#E6E6E6", "#707070"),
        ("#8C8C8C", "#666666"),
    ),
    states=_states(("#E6E6E6", "#707070"), ("#707070", "#595959"), ("#ABABAB", "#707070"), ("#2B2B2B", "#2B2B2B")),
    spare=_spare(("#C9C9C9", "#707070"), ("#8C8C8C", "#666666"), ("#4F4F4F", "#4F4F4F"), ("#000000", "#000000")),
)  # fmt: skip
COLOUR_SETS: Mapping[str, ColourSet] = {"okabe-ito": OKABE_ITO, "tol": TOL, "greys": GREYS}
DEFAULT_SET = "okabe-ito"
_CHOSEN: ContextVar[str] = ContextVar("colour set", default=DEFAULT_SET)


def chosen_set() -> ColourSet:
    """The set in use."""
    return COLOUR_SETS[_CHOSEN.get()]


def chosen_name() -> str:
    """Its name."""
    return _CHOSEN.get()


def choose_set(name: str) -> None:
    """Use a set from here on, in this thread.

    Raises:
        ConfigError: E302 for a name that is not one of `COLOUR_SETS`.
    """
    if name not in COLOUR_SETS:
        known = ", ".join(COLOUR_SETS)
        raise ConfigError(f"there is no such set of colours; known are {known}", code="E302", column="palette")
    _CHOSEN.set(name)


@contextmanager
def using_set(name: str) -> Generator[None]:
    """Use a set inside the block only; errors as `choose_set`."""
    before = chosen_name()
    choose_set(name)
    try:
        yield
    finally:
        choose_set(before)
