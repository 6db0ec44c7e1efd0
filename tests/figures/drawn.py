"""What is on a sheet of paper: every text and line that is really drawn, at its final size."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from analyses.figures.print_style import print_settings

SMALLEST_TEXT, THINNEST_LINE = 6.0, 0.5


def faults(sheet) -> list[str]:
    """Texts that are too small or outside the paper, lines that are too thin, and transparency."""
    figure, larger = sheet.figure, sheet.enlarged
    figure.dpi = 300  # with coarser pixels letters are wider than on paper
    canvas = FigureCanvasAgg(figure)
    with print_settings():
        canvas.draw()
    renderer, found = canvas.get_renderer(), []
    for text in _texts(figure):
        if text.get_fontsize() * larger < SMALLEST_TEXT:
            found.append(f"text of {text.get_fontsize() * larger:.1f} pt: {text.get_text()[:20]!r}")
        box, page = text.get_window_extent(renderer), figure.bbox
        slack = 6  # pixels, half a millimetre
        if box.x0 < -slack or box.y0 < -slack or box.x1 > page.x1 + slack or box.y1 > page.y1 + slack:
            found.append(f"outside the paper: {text.get_text()[:30]!r}")
    for width in _widths(figure):
        if 0 < width * larger < THINNEST_LINE - 1e-9:
            found.append(f"line of {width * larger:.2f} pt")
    for artist in figure.findobj():
        alpha = artist.get_alpha()
        if artist.get_visible() and alpha is not None and np.any(np.asarray(alpha) < 1):
            found.append(f"transparent {type(artist).__name__}")
    return sorted(set(found))


def _texts(figure) -> list[Text]:
    """Visible texts; ticks outside the limits of their axis exist but are not drawn."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = {id(tick) for tick in axis._update_ticks()} if axes.axison and axis.get_visible() else set()
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if id(tick) not in drawn:
                    hidden |= {id(tick.label1), id(tick.label2)}
            if not axes.axison:
                hidden |= {id(axis.label), id(axis.get_offset_text())}
    every = figure.findobj(Text)
    return [t for t in every if t.get_visible() and t.get_text().strip() and id(t) not in hidden]


def _widths(figure) -> list[float]:
    widths = []
    for artist in figure.findobj():
        if not artist.get_visible():
            continue
        if isinstance(artist, Line2D) and len(artist.get_xdata()):
            if artist.get_linestyle() not in ("None", "none", "", " "):
                widths.append(artist.get_linewidth())
            if artist.get_marker() not in ("None", "none", None, "", " "):
                widths.append(artist.get_markeredgewidth())
        elif isinstance(artist, Patch) and artist.get_edgecolor()[3] > 0:
            widths.append(artist.get_linewidth())
        elif isinstance(artist, Collection) and len(artist.get_edgecolors()) and len(artist.get_paths() or []):
            widths += list(np.atleast_1d(artist.get_linewidths()))
    return [float(width) for width in widths]
