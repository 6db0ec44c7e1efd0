"""Draw a figure of the catalogue into files: the drawing, its data, its description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.figures.presets import preset, sheet
from analyses.figures.print_files import check_dpi
from analyses.figures.print_fonts import font as print_font
from analyses.figures.print_style import FORMATS
from analyses.grouping_factors import noun_of
from analyses.report import catalogue
from analyses.report.guard import csv_bytes
from analyses.wording import plural
from toolkit.cli.answers import Answer
from toolkit.errors import ConfigError
from toolkit.runs.atomic import enough_room, write_atomically
from toolkit.runs.folder import SavedRun, load_run

if TYPE_CHECKING:
    import pandas as pd

    from analyses.report.catalogue import Built, Entry

MARK = "identifiable"
_KEEP = "This file is about one person. Keep it where personal data belong."


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Size, formats (comma-separated), resolution, folder and font."""

    preset: str = "165mm"
    formats: str = "pdf,png"
    dpi: int = 600
    out: Path = Path("figures")
    font: str | None = None


def list_figures() -> Answer:
    """All figures: name, title, what a run must have, options."""
    rows = [
        {
            "name": item.name,
            "title": item.title,
            "needs": item.needs,
            "options": [_typed(name) for name in item.options],
            "settings": list(item.settings),
            MARK: item.identifiable,
        }
        for item in catalogue.FIGURES
    ]
    width = max(len(item.name) for item in catalogue.FIGURES)
    lines = [f"{item.name:<{width}}  {item.title} (needs {item.needs})" for item in catalogue.FIGURES]
    return Answer(text="\n".join(lines), data={"figures": rows})


def draw(
    name: str | None,
    path: Path | None,
    others: Sequence[Path] = (),
    *,
    paper: Paper,
    asked: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    identifiable: bool = False,
) -> Answer:
    """Build a figure from a run and write its files.

    Args:
        name: of the figure.
        path: run folder.
        others: further ones, for figures that compare runs.
        paper: size, formats, resolution, folder, font.
        asked: options of `FigureOptions` that were given, by name.
        settings: ``NAME=VALUE`` texts.
        identifiable: single persons may be drawn, and pseudonyms kept in the table.

    Raises:
        ConfigError: E302 unknown figure, size, format or option, or one that does not apply.
        DataError: the run lacks what the figure needs. RunFolderError: E304, E305 the folder cannot be written.
    """
    if name is None or path is None:
        raise ConfigError(
            "name a figure and a run folder", code="E302", column="figure", remedy="nme figure --list shows the figures"
        )
    chosen = catalogue.entry(name)
    size, formats = preset(paper.preset), _formats(paper.formats)
    check_dpi(paper.dpi)
    given = dict(asked or {})
    _check_asked(chosen, given, identifiable=identifiable)
    run = load_run(path)
    further = tuple(load_run(other) for other in others)
    options = catalogue.FigureOptions(**given, others=further, settings=_settings(settings))
    made = catalogue.figure(name, run, options)
    what = f"{name}-{safe_name(options.term)}" if options.term else name
    stem = f"{MARK}-{what}-{run.path.name}" if chosen.identifiable else f"{what}-{run.path.name}"
    if options.term:
        chosen = replace(chosen, title=f"{chosen.title} (effects of {plural(noun_of(options.term))})")
    with print_font(paper.font):
        drawn = sheet(made.print_figure, size)
        contents = {f"{stem}.{kind}": drawn.content(kind, paper.dpi) for kind in formats}
    contents[f"{stem}.csv"] = csv_bytes(_table(made.frame, identifiable=identifiable))
    contents[f"{stem}.txt"] = _description(chosen, made, run).encode("utf-8")
    _write(paper.out, contents)
    return _answer(chosen, made, paper, drawn.size_mm, list(contents))


def _check_asked(chosen: Entry, asked: Mapping[str, Any], *, identifiable: bool) -> None:
    """Refuse options without effect, and single persons unless they were asked for (E302)."""
    catalogue.check_names(chosen, asked)
    if (chosen.identifiable or "person" in asked) and not identifiable:
        raise ConfigError(
            "this figure shows one single person",
            code="E302",
            column=MARK,
            remedy="add --identifiable if that is meant, and keep the file where personal data belong",
        )


def _formats(text: str) -> list[str]:
    words = [part.strip().lower().lstrip(".") for part in text.split(",")]
    names = list(dict.fromkeys("tiff" if word == "tif" else word for word in words))
    if not set(names) <= set(FORMATS):
        raise ConfigError("this format is not known", code="E302", column="format", remedy=f"use {', '.join(FORMATS)}")
    return names


def _settings(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts by name."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError("a setting is written NAME=VALUE", code="E302", column="set")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _table(frame: pd.DataFrame, *, identifiable: bool) -> pd.DataFrame:
    """The data drawn; without pseudonyms unless they were asked for."""
    return frame if identifiable else frame.drop(columns=["person"], errors="ignore")


def _description(chosen: Entry, made: Built, run: SavedRun) -> str:
    """Title, alternative text, note, and where it comes from."""
    parts = [chosen.title, made.alt, made.note, f"Run: {run.path.name}. {run.status}"]
    if chosen.identifiable:
        parts.append(_KEEP)
    return "\n\n".join(part for part in parts if part) + "\n"


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    with enough_room("the figure", "choose another folder with --out, or ask for the right to write there"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_atomically(folder / name, content)


def _answer(chosen: Entry, made: Built, paper: Paper, size: tuple[float, float], files: list[str]) -> Answer:
    width, height = (round(length, 1) for length in size)
    where = [str(paper.out / name) for name in files]
    lines = [f"{chosen.title}, {width:g} × {height:g} mm", made.alt, made.note, *(f"Wrote {path}" for path in where)]
    if chosen.identifiable:
        lines.append(_KEEP)
    data = {
        "figure": chosen.name, "title": chosen.title, "alt": made.alt, "note": made.note, "files": where,
        "preset": paper.preset, "size_mm": [width, height], "dpi": paper.dpi, MARK: chosen.identifiable,
    }  # fmt: skip
    return Answer(text="\n".join(line for line in lines if line), data=data)


def safe_name(column: str) -> str:
    """A column's name as part of a file name."""
    return re.sub(r"[^\w-]+", "_", column)[:40]


def _typed(option: str) -> str:
    """An option as it is typed."""
    return "further runs" if option == "others" else f"--{option.replace('_', '-')}"
