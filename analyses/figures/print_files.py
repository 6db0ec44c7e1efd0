"""A drawn figure as a file: SVG, PDF and EPS with text as text, PNG and TIFF at a resolution. No browser is needed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analyses.figures.print_fonts import missing_letters_said
from analyses.figures.print_style import FORMATS, print_settings
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COARSEST, FINEST = 300, 1000


def written(figure: Figure, file_format: str, dpi: int, *, enlarged: float = 1.0) -> bytes:
    """The content of a file, see `print_style.figure_bytes`."""
    if file_format not in FORMATS:
        raise ValueError(f"figures are written as {', '.join(FORMATS)}, not {file_format!r}")
    check_dpi(dpi)
    with print_settings(), missing_letters_said():
        if file_format in ("png", "tiff"):
            return _pixels(figure, file_format, dpi, enlarged)
        return {"svg": _svg, "pdf": _pdf, "eps": _eps}[file_format](figure, enlarged)


def check_dpi(dpi: int) -> None:
    """Refuse what journals refuse (E302)."""
    if not COARSEST <= dpi <= FINEST:
        raise ConfigError(
            "this resolution is out of range", code="E302", column="dpi", remedy=f"use {COARSEST} to {FINEST} dpi"
        )


def _pixels(figure: Figure, file_format: str, dpi: int, enlarged: float) -> bytes:
    """Without transparency, which printers handle differently; the resolution is kept in the file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    before = figure.dpi
    figure.dpi = dpi * enlarged
    try:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        size = canvas.get_width_height()
        image = Image.frombuffer("RGBA", size, bytes(canvas.buffer_rgba()), "raw", "RGBA", 0, 1).convert("RGB")
    finally:
        figure.dpi = before
    buffer = io.BytesIO()
    if file_format == "tiff":
        image.save(buffer, format="tiff", dpi=(dpi, dpi), compression="tiff_lzw")
    else:
        image.save(buffer, format="png", dpi=(dpi, dpi))
    return buffer.getvalue()


def _svg(figure: Figure, enlarged: float) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    if enlarged == 1.0:
        return buffer.getvalue()
    start, end = buffer.getvalue().split(b">", 3)[:3], buffer.getvalue().split(b">", 3)[3]
    head = re.sub(
        rb'\b(width|height)="([\d.]+)pt"',
        lambda found: b'%s="%.4fpt"' % (found[1], float(found[2]) * enlarged),
        b">".join(start),
    )
    return head + b">" + end


def _pdf(figure: Figure, enlarged: float) -> bytes:
    """One page with TrueType fonts in it (Type 42), no date."""
    from matplotlib.backends.backend_mixed import MixedModeRenderer
    from matplotlib.backends.backend_pdf import FigureCanvasPdf, Op, PdfFile, RendererPdf

    class Enlarging(FigureCanvasPdf):
        """matplotlib's canvas, with the whole page scaled."""

        def print_pdf(self, filename: io.BytesIO, **_: object) -> None:
            dpi, figure.dpi = figure.dpi, 72
            width, height = figure.get_size_inches()
            file = PdfFile(filename, metadata={"CreationDate": None})
            try:
                file.newPage(width * enlarged, height * enlarged)
                file.output(enlarged, 0, 0, enlarged, 0, 0, Op.concat_matrix)
                inner = RendererPdf(file, dpi, height, width)
                renderer = MixedModeRenderer(figure, width, height, dpi, inner)
                figure.draw(renderer)  # pyright: ignore[reportArgumentType]
                renderer.finalize()
                file.finalize()
            finally:
                file.close()
                figure.dpi = dpi

    buffer = io.BytesIO()
    if enlarged == 1.0:
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    else:
        Enlarging(figure).print_pdf(buffer)
    return buffer.getvalue()


def _eps(figure: Figure, enlarged: float) -> bytes:
    """Encapsulated PostScript with its fonts in it; the format knows no transparency, and the figures use none."""
    buffer = io.BytesIO()
    with _font_boxes_from_header():
        figure.savefig(buffer, format="eps")
    content = re.sub(rb"%%CreationDate: [^\n]*\n", b"", buffer.getvalue(), count=1)
    if enlarged == 1.0:
        return content
    width, height = (72 * enlarged * float(length) for length in figure.get_size_inches())
    content = re.sub(
        rb"%%BoundingBox: [^\n]*", b"%%%%BoundingBox: 0 0 %d %d" % (-(-width // 1), -(-height // 1)), content
    )
    content = re.sub(rb"%%HiResBoundingBox: [^\n]*", b"%%%%HiResBoundingBox: 0 0 %f %f" % (width, height), content)
    start = b"%%EndProlog\n"
    return content.replace(start, start + b"%f %f scale\n" % (enlarged, enlarged), 1)


@contextmanager
def _font_boxes_from_header() -> Iterator[None]:
    """Let matplotlib read a font's bounding box where the font states it; it would draw all of its 6,000 letters."""
    from matplotlib.backends import backend_ps

    measured = getattr(backend_ps, "_bounds", None)
    if measured is None:  # another version of matplotlib, which may do so itself
        yield
        return
    # settings of matplotlib are held by one thread at a time, see print_settings
    backend_ps._bounds = lambda font: tuple(getattr(font["head"], end) for end in ("xMin", "yMin", "xMax", "yMax"))
    try:
        yield
    finally:
        backend_ps._bounds = measured
