"""Which font a figure is printed in: the one asked for where this computer has it, else one that is always there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from toolkit.errors import ToolkitWarning

# ships with matplotlib, hence the same on every computer: Latin, Greek, Cyrillic, signs
HOUSE_FONT = "DejaVu Sans"
_chosen: ContextVar[str | None] = ContextVar("chosen_font", default=None)


@contextmanager
def font(family: str | None) -> Iterator[None]:
    """Print in another font for a while; W226 is said when this computer does not have it, and the house font is used.

    Letters that a font lacks are taken from the house font, one by one.
    """
    known = family is None or family in _installed()
    if not known:
        warnings.warn(
            ToolkitWarning(
                f"the font asked for is not on this computer; figures are drawn in {HOUSE_FONT} instead", code="W226"
            ),
            stacklevel=3,
        )
    token = _chosen.set(family if known else None)
    try:
        yield
    finally:
        _chosen.reset(token)


def font_stack() -> list[str]:
    """Font families in the order in which letters are looked for."""
    chosen = _chosen.get()
    return [HOUSE_FONT] if chosen is None or chosen == HOUSE_FONT else [chosen, HOUSE_FONT]


@contextmanager
def missing_letters_said() -> Iterator[None]:
    """Turn matplotlib's warnings about letters without a picture into one of ours (W227); others go on as they are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = [item for item in caught if "missing from font" in str(item.message)]
    for item in caught:
        if item not in lacking:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    if lacking:
        warnings.warn(
            ToolkitWarning(
                f"{len({str(item.message) for item in lacking})} letter(s) of the labels are in none of the fonts used "
                "and are drawn as boxes; the table and the alternative text have them. Choose a font that has them",
                code="W227",
            ),
            stacklevel=3,
        )


@lru_cache(maxsize=1)
def _installed() -> frozenset[str]:
    """Families that this computer has in a kind of file that can be embedded."""
    from matplotlib import font_manager

    # Type 42 embeds TrueType outlines only
    return frozenset(entry.name for entry in font_manager.fontManager.ttflist if entry.fname.lower().endswith(".ttf"))
