"""The common look of the figures in print (matplotlib): millimetre sizes, sans serif of 6 pt or more, fonts embedded.

Figures are made without pyplot, so that none stays open and no global state is touched.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from analyses.figures.palette import GRID, INK, MUTED
from analyses.figures.print_fonts import font_stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM_PER_INCH = 25.4
SMALLEST_PT = 6.5
FORMATS = ("svg", "png", "pdf", "eps", "tiff")
_DRAWING = threading.RLock()
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.5,
    "lines.linewidth": 0.8,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "figure",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "axes.unicode_minus": True,
}


@contextmanager
def print_settings() -> Iterator[None]:
    """The house settings for the time of one drawing or saving."""
    import matplotlib

    # matplotlib's settings are global: two threads of the dashboard must not draw at once
    settings: dict[Any, Any] = {**_SETTINGS, "font.sans-serif": font_stack()}
    with _DRAWING, matplotlib.rc_context(settings):
        yield


def print_canvas(width_mm: float, height_mm: float) -> Figure:
    """An empty matplotlib figure of a given size, with a layout that keeps labels inside."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained", facecolor="white")


def calm(axes: Axes, *, grid: str | None = None) -> None:
    """Take the upper and right frame away, and draw a light grid along ``grid`` (``x`` or ``y``) if asked."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, width=0.5)
    if grid:
        axes.grid(axis=grid, zorder=0)  # pyright: ignore[reportArgumentType]
        axes.set_axisbelow(True)


def figure_bytes(figure: Figure, file_format: str, dpi: int = 300, *, enlarged: float = 1.0) -> bytes:
    """The figure as a file's content.

    Args:
        figure: drawn with `print_canvas`.
        file_format: ``svg`` (text stays text), ``pdf`` and ``eps`` (fonts embedded, text stays text), ``png`` or
            ``tiff`` (LZW) without transparency.
        dpi: of png and tiff, 300 to 1000.
        enlarged: final size over drawn size.

    Raises:
        ValueError: if the format is none of these. ConfigError: E302 for a resolution out of range.
    """
    from analyses.figures.print_files import written

    return written(figure, file_format, dpi, enlarged=enlarged)


def inline_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for a web page: no header, no metadata."""
    svg = figure_bytes(figure, "svg").decode("utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL).strip()


def with_ids(svg: str, prefix: str) -> str:
    """The same drawing with every id starting with ``prefix``: a clip path of one figure must not cut another's."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
