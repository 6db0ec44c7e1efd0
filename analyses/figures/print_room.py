"""How much room words take in print, and legends that stay within the width of a figure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from analyses.figures.long_labels import ELLIPSIS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MM_PER_PT = 0.352778
_HANDLE_MM = 11.0
_COUNT = re.compile(r"[ \u00a0]\(n[ \u00a0]=[ \u00a0][\d,]+\)$")
_LONGEST_MEASURED = 400


def text_mm(label: object, points: float = 7.0) -> float:
    """Width of the longest line of a text in the house font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=points)
    lines = [line[:_LONGEST_MEASURED] for line in str(label).splitlines()] or [""]
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] if line else 0 for line in lines]
    return float(max(widths)) * MM_PER_PT


def cut(label: object, width_mm: float, points: float = 7.0) -> str:
    """The label, shortened to a width with an ellipsis; a number of persons at its end, ``(n = 26)``, is kept."""
    text = re.sub("[ \n\t]+", " ", str(label)).strip()
    if text_mm(text, points) <= width_mm:
        return text
    counted = _COUNT.search(text)
    start, end = (text, "") if counted is None else (text[: counted.start()], counted[0])
    low, high = 1, min(len(start), _LONGEST_MEASURED)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_mm(start[:middle] + ELLIPSIS + end, points) <= width_mm
        low, high = (middle, high) if fits else (low, middle - 1)
    return start[:low].rstrip() + ELLIPSIS + end


def cut_apart(labels: Iterable[object], width_mm: float, points: float = 7.0) -> list[str]:
    """Labels of one axis shortened to a width; those that become equal are numbered, so that none stands for two."""
    texts = [" ".join(str(label).split()) for label in labels]
    short = [cut(text, width_mm, points) for text in texts]
    return [
        f"{index}: {cut(text, width_mm - text_mm(f'{index}: ', points), points)}" if short.count(now) > 1 else now
        for index, (text, now) in enumerate(zip(texts, short, strict=True), start=1)
    ]


def wrapped(label: object, width_mm: float, points: float = 7.0, *, lines: int = 2) -> str:
    """The label over a few lines of a width; ``(n = 26)`` stays together, and the last line is cut where it must be."""
    whole = re.sub(r"\(n = ([^)]*)\)", "(n\u00a0=\u00a0\\1)", str(label))
    found = [""]
    for word in re.split("[ \n\t]+", whole):
        longer = f"{found[-1]} {word}".strip()
        if text_mm(longer, points) <= width_mm or not found[-1]:
            found[-1] = longer
        else:
            found.append(word)
    kept = [*found[: lines - 1], " ".join(found[lines - 1 :])] if len(found) > lines else found
    return "\n".join(cut(line, width_mm, points) for line in kept)


def legend_columns(labels: Iterable[str], width_mm: float) -> int:
    """How many entries of a legend stand beside each other."""
    names = list(labels)
    widest = max((text_mm(name) for name in names), default=0.0) + _HANDLE_MM
    return max(1, min(len(names), int(width_mm / widest)))


def legend_above(figure: Figure, width_mm: float) -> int:
    """One legend for all axes, above them, in as many columns as fit; returns the number of its lines."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            found.setdefault(str(label), handle)
    if not found:
        return 0
    names = [cut(label, width_mm - _HANDLE_MM) for label in found]
    columns = legend_columns(names, width_mm)
    figure.legend(
        list(found.values()), names, loc="outside upper left", ncols=columns, frameon=False, handletextpad=0.5,
        columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    return -(-len(found) // columns)
