"""Sizes of print figures: the columns of journals in millimetres, an APA page, a slide.

A preset may be drawn smaller and enlarged as a whole, so that its smallest text is larger: APA 7 asks for 8 to 14 pt in
figures, and a slide is read from the back of a room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.figures.print_style import MM_PER_INCH, SMALLEST_PT, figure_bytes
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One size.

    Attributes:
        name: as it is typed.
        width_mm: final width.
        use: what it is for.
        enlarged: final size over drawn size.
        height_mm: final height, where the format is fixed.
    """

    name: str
    width_mm: float
    use: str
    enlarged: float = 1.0
    height_mm: float | None = None


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(name="89mm", width_mm=89.0, use="one column (Nature, Science)"),
        Preset(name="127mm", width_mm=127.0, use="one and a half columns"),
        Preset(name="165mm", width_mm=165.0, use="full text width of A4 and letter pages"),
        Preset(name="183mm", width_mm=183.0, use="two columns (Nature)"),
        Preset(name="apa", width_mm=165.1, use="APA 7 manuscript, 6.5 in, text of 8 pt and more", enlarged=1.25),
        Preset(name="slide", width_mm=338.7, use="slide, 16:9, text of 14 pt and more", enlarged=2.2, height_mm=190.5),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """A drawn figure and how much larger than drawn it is written."""

    figure: Figure
    enlarged: float

    @property
    def size_mm(self) -> tuple[float, float]:
        """Final width and height."""
        width, height = (float(length) for length in self.figure.get_size_inches())
        return width * MM_PER_INCH * self.enlarged, height * MM_PER_INCH * self.enlarged

    def content(self, file_format: str, dpi: int = 300) -> bytes:
        """As a file's content, see `print_style.figure_bytes`."""
        return figure_bytes(self.figure, file_format, dpi, enlarged=self.enlarged)


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ConfigError: E302 for an unknown one.
    """
    if name not in PRESETS:
        raise ConfigError("there is no such size", code="E302", column="preset", remedy=f"use {', '.join(PRESETS)}")
    return PRESETS[name]


def sheet(draw: Callable[[float], Figure], size: Preset) -> Sheet:
    """Draw a figure for a preset.

    Args:
        draw: draws at a width in millimetres.
        size: a preset. Where its height is fixed, the figure is spread to that format; one that is too tall for it is
            set on a wider ground and enlarged less.

    Raises:
        ConfigError: E302 for a figure too tall for the format: its text would be too small.
    """
    figure = draw(size.width_mm / size.enlarged)
    if size.height_mm is None:
        return Sheet(figure=figure, enlarged=size.enlarged)
    width, height = (MM_PER_INCH * float(length) for length in figure.get_size_inches())
    shape = size.width_mm / size.height_mm
    tall = max(height, width / shape)
    figure.set_size_inches(tall * shape / MM_PER_INCH, tall / MM_PER_INCH)
    enlarged = size.height_mm / tall
    if SMALLEST_PT * enlarged < SMALLEST_PT:
        raise ConfigError(
            "this figure is too tall for this size; its text could not be read",
            code="E302",
            column="preset",
            remedy="use 183mm, or show fewer states or persons",
        )
    return Sheet(figure=figure, enlarged=enlarged)
