"""One figure of a report: drawn for the page, with its sentence for readers who cannot see it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analyses.figures.print_style import figure_bytes, inline_svg
from analyses.report.document import ReportFigure

WIDTH_MM = 150.0
PIXELS_PER_INCH = 300  # of the pictures in a Word document


def report_figure(module: Any, frame: pd.DataFrame, title: str, *, width_mm: float = WIDTH_MM) -> ReportFigure:
    """Draw ``frame`` with a module of ``analyses.figures``, ``width_mm`` wide, under a title."""
    drawing = module.print_figure(frame, width_mm=width_mm)
    return ReportFigure(
        svg=inline_svg(drawing),
        alt=module.alt_text(frame),
        title=title,
        png=lambda: figure_bytes(drawing, "png", dpi=PIXELS_PER_INCH),
    )
