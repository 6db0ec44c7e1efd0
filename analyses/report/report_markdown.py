"""A report as Markdown: headings, paragraphs, tables and code; figures by their sentence."""

from __future__ import annotations

import re
from pathlib import Path

from analyses.report.document import Report, Section
from analyses.report.tables import ReportTable, table_columns, table_rows
from toolkit.runs.atomic import write_atomically

_MARKUP = re.compile(r"([\\`*_<>\[\]#|~])")


def markdown(report: Report) -> str:
    """The report as text; whatever looks like markup in a label appears as it was written."""
    lines = [f"# {plain(report.title)}", ""]
    lines += [f"*{plain(report.subtitle)}*", ""] if report.subtitle else []
    for section in report.blocks:
        lines += _section(section)
    return "\n".join([*lines, "---", "", plain(report.footer)]) + "\n"


def write_markdown(report: Report, path: str | Path) -> Path:
    """Write a report as Markdown, whole or not at all; returns the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, markdown(report).encode("utf-8"))
    return target


def _section(section: Section) -> list[str]:
    lines = [f"{'#' * (section.level + 1)} {plain(section.title)}", ""]
    for text in (*section.text, *section.apa):
        lines += [plain(text), ""]
    if section.figure is not None:
        lines += [f"**{plain(section.figure.title)}.** {plain(section.figure.alt)}", ""]
    if section.table is not None:
        lines += [*_table(section.table), ""]
    if section.how_to_read:
        lines += [f"*How to read this.* {plain(section.how_to_read)}", ""]
    if section.code:
        lines += ["```python", section.code.rstrip(), "```", ""]
    return [*lines, plain(section.note), ""] if section.note else lines


def _table(table: ReportTable) -> list[str]:
    columns = table_columns(table)
    lines = [f"*{plain(table.title)}*", "", _line([plain(column.label) for column in columns])]
    lines.append(_line([":--" if column.words else "--:" for column in columns]))
    lines += [_line([plain(cell) for cell in row]) for row in table_rows(table)]
    return [*lines, *(["", f"*Note.* {plain(table.note)}"] if table.note else [])]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """A text without markup of its own, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
