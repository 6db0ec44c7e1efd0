"""A table as the content of a file: docx, tex, html, csv or xlsx; and as plain text for a terminal."""

from __future__ import annotations

from pathlib import Path

from analyses.report.latex import latex_table
from analyses.report.spreadsheet import table_csv, table_xlsx
from analyses.report.symbols import heading_runs, sentence_runs
from analyses.report.tables import ReportTable, heading_rows, table_cells
from analyses.report.word import tables_docx

TABLE_FORMATS = ("docx", "tex", "html", "csv", "xlsx")
HERE = Path(__file__).parent
_WIDEST = 38  # letters of a cell in a terminal


def table_file(table: ReportTable, kind: str, *, number: str = "1", name: str = "table") -> bytes:
    """A table as a file's content.

    Args:
        table: what to write; what must not leave the computer is hidden already.
        kind: one of ``TABLE_FORMATS``.
        number: what stands after "Table".
        name: for the label in LaTeX.

    Raises:
        ValueError: for another kind.
    """
    if kind == "docx":
        return tables_docx([table], [number])
    if kind == "tex":
        return latex_table(table, label=f"tab:{name}").encode("utf-8")
    if kind == "html":
        return table_page(table, number).encode("utf-8")
    if kind == "csv":
        return table_csv(table)
    if kind == "xlsx":
        return table_xlsx(table, number=number)
    raise ValueError(f"tables are written as {', '.join(TABLE_FORMATS)}, not {kind!r}")


def table_page(table: ReportTable, number: str) -> str:
    """A table as a web page of its own: no script, nothing loaded from elsewhere, everything escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"symbols": sentence_runs, "heading_symbols": heading_runs}
    css = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    return environment.get_template("table_page.html").render(
        table=table, number=number, headings=heading_rows(table), rows=table_cells(table), css=css
    )


def plain_table(table: ReportTable) -> str:
    """A table for a terminal: columns side by side, bold cells with an asterisk, superscripts after a caret."""
    headings = heading_rows(table)[-1]
    rows = [
        [
            f"{'  ' if cell.indented else ''}{_short(cell.text)}{'*' if cell.bold else ''}"
            f"{f'^{cell.mark}' if cell.mark else ''}"
            for cell in row
        ]
        for row in table_cells(table)
    ]
    lines = [[_short(heading.text) for heading in headings], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    told = [_line(line, widths, [heading.words for heading in headings]) for line in lines]
    over = _spanners(table, widths)
    notes = [table.note, *(f"^{mark} {meaning}" for mark, meaning in table.specific.items())]
    return "\n".join([table.title, *over, *told, *(note for note in notes if note)])


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDEST else f"{flat[: _WIDEST - 1]}…"


def _line(cells: list[str], widths: list[int], words: list[bool]) -> str:
    placed = [
        cell.ljust(width) if word else cell.rjust(width) for cell, width, word in zip(cells, widths, words, strict=True)
    ]
    return "  ".join(placed).rstrip()


def _spanners(table: ReportTable, widths: list[int]) -> list[str]:
    """The line of headings over several columns, if there are any."""
    rows = heading_rows(table)
    if len(rows) == 1:
        return []
    parts, place = [], 0
    for heading in rows[0]:
        width = sum(widths[place : place + heading.columns]) + 2 * (heading.columns - 1)
        parts.append(_short(heading.text)[:width].center(width))
        place += heading.columns
    return ["  ".join(parts).rstrip()]
