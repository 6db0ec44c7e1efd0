"""A report as one self-contained web page: no script, nothing loaded from elsewhere, everything escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyses.figures.print_style import with_ids
from analyses.report.symbols import heading_runs, sentence_runs
from analyses.report.tables import ReportTable, heading_rows, table_cells
from toolkit.runs.atomic import write_atomically

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFigure:
    """A drawing with its words.

    Attributes:
        svg: the ``<svg>`` element made by ``figures.print_style.inline_svg``; the only text that is not escaped.
        alt: a sentence with the main numbers, for readers who cannot see the figure.
        title: what the figure shows, above it. note: below it.
        png: the same drawing as pixels (300 dpi or more) for a Word document, or a function that draws it when asked;
            a Word document shows the sentence alone where it is missing.
    """

    svg: str
    alt: str
    title: str
    note: str = ""
    png: bytes | Callable[[], bytes] | None = None

    def pixels(self) -> bytes | None:
        """The drawing as a PNG file's content, drawn now if need be."""
        return self.png() if callable(self.png) else self.png


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """One heading and what stands under it; everything but the title may be missing.

    Attributes:
        text: plain paragraphs. figure: one drawing. apa: sentences for a paper. table: one table.
        how_to_read: what the figure or table means, in plain words. code: shown as typed. note: small print.
        level: 1 for a chapter (listed in the contents), 2 for a part of one.
    """

    title: str
    text: Sequence[str] = ()
    apa: Sequence[str] = ()
    figure: ReportFigure | None = None
    table: ReportTable | None = None
    how_to_read: str = ""
    code: str = ""
    note: str = ""
    level: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A title, a subtitle, and the sections in order."""

    title: str
    subtitle: str = ""
    blocks: Sequence[Section] = ()
    footer: str = "For research, not for diagnosis."


def render(report: Report) -> str:
    """The whole page as text: figures and tables numbered in order, with a table of contents.

    Labels that look like markup (``<script>``) appear as they were written; the page loads and runs nothing.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"symbols": sentence_runs, "heading_symbols": heading_runs}
    blocks = _numbered(report.blocks)
    contents = [
        {"anchor": block["anchor"], "title": block["section"].title} for block in blocks if block["section"].level == 1
    ]
    css = _safe((HERE / "page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html").render(report=report, blocks=blocks, contents=contents, css=css)


def _numbered(sections: Sequence[Section]) -> list[dict[str, Any]]:
    blocks, figures, tables = [], 0, 0
    for index, section in enumerate(sections, start=1):
        figures += section.figure is not None
        tables += section.table is not None
        blocks.append(
            {
                "section": section,
                "anchor": f"section-{index}",
                "figure_number": figures,
                "table_number": tables,
                "svg": _safe(with_ids(section.figure.svg, f"figure-{figures}")) if section.figure else "",
                "headings": heading_rows(section.table) if section.table else [],
                "rows": table_cells(section.table) if section.table else [],
            }
        )
    return blocks


def _safe(text: str) -> Any:
    """Marks our own drawings and style sheet as not to be escaped; never for anything a user wrote."""
    from markupsafe import Markup

    return Markup(text)


def write_report(report: Report, path: str | Path) -> Path:
    """Write the page whole or not at all; an earlier page stays until the new one is complete.

    Returns:
        The path written.
    """
    target = Path(path)
    page = render(report)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page.encode("utf-8"))
    return target
