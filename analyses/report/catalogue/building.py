"""From a figure module and its tidy frame to what the catalogue hands out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.report.catalogue.entry import Built

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def built(module: Any, frame: pd.DataFrame, *, note: str = "", **words: Any) -> Built:
    """A figure of a module of ``analyses.figures``.

    Args:
        module: has ``screen(frame)``, ``print_figure(frame, width_mm=)`` and ``alt_text(frame)``.
        frame: the module's tidy frame.
        note: what belongs below the figure.
        words: passed on to both drawings, such as ``outcome``.
    """

    def drawn(width_mm: float) -> Figure:
        return module.print_figure(frame, width_mm=width_mm, **words)

    return Built(
        frame=frame,
        screen=partial(module.screen, frame, **words),
        print_figure=drawn,
        alt=module.alt_text(frame),
        note=note,
    )
