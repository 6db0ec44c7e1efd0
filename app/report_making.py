"""From the basket to documents: figures drawn for print, tables, code, and the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analyses import progress
from analyses.figures.colour_sets import using_set
from analyses.report import sentences, snippets
from analyses.report.document import render
from analyses.report.figure_block import report_figure
from analyses.report.pinned_report import Chosen, pinned_report, report_zip
from analyses.report.tables import ReportTable
from analyses.report.word import docx_bytes
from toolkit.errors import ToolkitError
from toolkit.runs.folder import SavedRun, load_run

if TYPE_CHECKING:
    from app.basket import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the document should be; equal wishes give the same files."""

    audience: str
    title: str
    identifiable: bool
    palette: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The same document three times."""

    docx: bytes
    html: bytes
    packed: bytes


def made_files(items: Sequence[Item], asked: Asked) -> Files:
    """All three files; figures are drawn one after the other, and each is reported as progress.

    Raises:
        DataError: E410 as `pinned_report`. RunFolderError: for a run that is gone or damaged.
    """
    with using_set(asked.palette):
        chosen = []
        for place, item in enumerate(items):
            progress.report(place, len(items) + 2)
            chosen.append(_chosen(item))
        runs = _runs(items)
        report = pinned_report(
            chosen, runs, audience=asked.audience, title=asked.title, identifiable=asked.identifiable
        )
        progress.report(len(items), len(items) + 2)
        docx, html = docx_bytes(report), render(report).encode("utf-8")
        progress.report(len(items) + 1, len(items) + 2)
        packed = report_zip(report, chosen, {run.name: run.manifest for run in runs})
    return Files(docx=docx, html=html, packed=packed)


def _runs(items: Sequence[Item]) -> list[SavedRun]:
    paths = dict.fromkeys(item.run for item in items if item.run is not None)
    return [load_run(path) for path in paths]


def _chosen(item: Item) -> Chosen:
    pinned = item.pinned
    figure = None
    if pinned.figure is not None:
        module, frame = pinned.figure
        figure = replace(report_figure(module, frame, pinned.title), alt=pinned.in_words)
    table = None
    if pinned.saved is not None and len(pinned.saved):
        headings = {name: text for name, text in pinned.headings.items() if name in pinned.saved.columns}
        shown = pinned.saved[list(headings)] if headings else pinned.saved
        table = ReportTable(frame=shown, title=pinned.title, headings=headings)
    return Chosen(
        title=pinned.title,
        text=tuple(pinned.text),
        apa=tuple(pinned.apa),
        remark=item.note,
        figure=figure,
        table=table,
        reading=" ".join([*(sentences.HOW_TO_READ[name] for name in pinned.reading), pinned.reading_text]).strip(),
        note=pinned.note,
        code=_code(item),
        identifiable=pinned.identifiable,
    )


def _code(item: Item) -> str:
    """The code behind a result, with the run's own name in place of where it lies on this computer."""
    if item.pinned.recipe is None or item.run is None:
        return ""
    try:
        return snippets.snippet(item.pinned.recipe, Path(item.run.name))
    except ToolkitError:
        return ""
