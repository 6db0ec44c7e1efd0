"""p-values of the group test with whole families and with single persons changing places, beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses import wording
from analyses.figures import interval_rows
from analyses.figures.interval_rows import RowsLook
from analyses.figures.labels import listed

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from analyses.naive_block import NaiveBlock

ALPHA = 0.05
TITLE = "p of the group test"


def tidy(result: NaiveBlock, *, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per test in the schema of ``interval_rows``, a panel per unit (whole ones first), and its ``unit``.

    Args:
        result: both tests of every kind of matrix.
        names: how the kinds are called.
    """
    rows = []
    for value, naive, block in zip(result.values, result.naive, result.block, strict=True):
        for found, words in ((block, f"whole {result.unit_name}"), (naive, "single persons")):
            rows.append(
                {
                    "block": TITLE,
                    "panel": words,
                    "row": (names or {}).get(value, value),
                    "value": found.pvalue,
                    "low": found.pvalue_low,
                    "high": found.pvalue_high,
                    "wide_low": np.nan,
                    "wide_high": np.nan,
                    "clear": found.pvalue < ALPHA,
                    "text": wording.p_text(found.pvalue),
                    "unit": found.unit_name,
                }
            )
    return pd.DataFrame(rows)


def _look(frame: pd.DataFrame) -> RowsLook:
    top = float(np.nanmax(frame[["value", "high"]].to_numpy(dtype=float), initial=0.2)) if len(frame) else 1.0
    panels = list(dict.fromkeys(frame["panel"]))
    return RowsLook(
        x_titles={panel: f"p, shuffling {panel} (dotted: .05)" for panel in panels},
        lines=dict.fromkeys(panels, ALPHA),
        ends=dict.fromkeys(panels, (-0.02 * top, min(1.08 * top, 1.05))),
        narrow_words="what the number of shuffles leaves open",
        clear_words="below .05",
        open_words=".05 or more",
    )


def screen(frame: pd.DataFrame) -> go.Figure:
    """One row per test; a dotted line at .05."""
    return interval_rows.screen(frame, _look(frame))


def print_figure(frame: pd.DataFrame, *, width_mm: float = 127.0) -> Figure:
    """The same for print."""
    return interval_rows.print_figure(frame, _look(frame), width_mm=width_mm)


def alt_text(frame: pd.DataFrame) -> str:
    """One sentence with both p-values of every test."""
    said = [
        f"{row}: {listed([f'{panel} {text}' for panel, text in zip(part['panel'], part['text'], strict=True)])}"
        for row, part in frame.groupby("row", sort=False)
    ]
    return f"p-values of the group test by what is shuffled. {'; '.join(said)}."
