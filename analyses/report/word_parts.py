"""Pieces of a Word document as XML: text that is safe to write, fields, bookmarks, tables with three rules."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from analyses.report.symbols import Run, heading_runs
from analyses.report.tables import Cell, Heading, ReportTable, heading_rows, table_cells
from analyses.report.word_styles import TEXT_WIDTH_MM

if TYPE_CHECKING:
    from docx.text.paragraph import Paragraph

# what XML 1.0 cannot hold, whatever it is escaped to
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TWIPS_PER_MM = 56.6929
_KEPT_TOGETHER = 25  # rows; longer tables may break between pages, and repeat their heading
_CHARACTER_MM = 2.1  # of 10 pt letters and figures, generously: not every computer has the font
_PADDING_MM = 2.6
_LONGEST_WORD = 16  # letters; longer words are broken
_SIZES = (10, 9, 8, 7)  # points, the first that leaves room for every word
_RULE_THICK, _RULE_THIN = 8, 4  # eighths of a point


def legal(text: str) -> str:
    """A text that can stand in a document: a replacement character where a control character was."""
    return _ILLEGAL.sub("\ufffd", text)


def text_xml(text: str) -> str:
    """A text as the content of a run."""
    return f'<w:t xml:space="preserve">{escape(legal(" ".join(text.splitlines())), quote=False)}</w:t>'


def run_xml(run: Run, *, bold: bool = False, superscript: bool = False, size: float | int | None = None) -> str:
    """A run with its looks."""
    looks = [
        "<w:b/>" if bold else "",
        "<w:i/>" if run.italic else "",
        f'<w:sz w:val="{round(2 * size)}"/>' if size else "",
        '<w:vertAlign w:val="superscript"/>' if superscript else "",
    ]
    return f"<w:r><w:rPr>{''.join(looks)}</w:rPr>{text_xml(run.text)}</w:r>"


def field_xml(instruction: str, shown: str) -> str:
    """A field that Word can update, with what it shows until then."""
    return (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        f'<w:r><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        f"<w:r>{text_xml(shown)}</w:r>"
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def add_xml(paragraph: Paragraph, xml: str) -> None:
    """Append pieces to a paragraph."""
    for piece in elements(xml):
        paragraph._p.append(piece)


def elements(xml: str) -> list[Any]:
    """Pieces of XML as elements of a document."""
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    return list(parse_xml(f"<w:body {nsdecls('w')}>{xml}</w:body>"))


def bookmarked(paragraph: Paragraph, name: str, number: int) -> None:
    """Put a bookmark around a paragraph's text, for links from the contents."""
    start, end = elements(f'<w:bookmarkStart w:id="{number}" w:name="{name}"/><w:bookmarkEnd w:id="{number}"/>')
    paragraph._p.insert(1 if paragraph._p.pPr is not None else 0, start)
    paragraph._p.append(end)


def table_element(table: ReportTable) -> Any:
    """`table_xml` as an element; parsed by itself, since a large child of another element is slow to move."""
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    return parse_xml(table_xml(table).replace("<w:tbl>", f"<w:tbl {nsdecls('w')}>", 1))


def table_xml(table: ReportTable) -> str:
    """A table with three rules and no others, headings that repeat on every page, and widths after its contents."""
    headings, rows = heading_rows(table), table_cells(table)
    size = next((size for size in _SIZES if _fits(headings[-1], rows, size)), _SIZES[-1])
    widths = column_widths(headings[-1], rows, size)
    # the last line stays with the notes; the lines of a long table may part
    noted, together = bool(table.note or table.specific), len(rows) <= _KEPT_TOGETHER
    lines = [_heading_row(row, last=place == len(headings) - 1, size=size) for place, row in enumerate(headings)]
    last = len(rows) - 1
    lines += [_body_row(row, size=size, keep=noted if place == last else together) for place, row in enumerate(rows)]
    grid = "".join(f'<w:gridCol w:w="{round(width * _TWIPS_PER_MM)}"/>' for width in widths)
    return f"<w:tbl>{_properties(table, sum(widths))}<w:tblGrid>{grid}</w:tblGrid>{''.join(lines)}</w:tbl>"


def column_widths(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], size: float | int = 10) -> list[float]:
    """Millimetres for each column: as wide as its longest cell needs, less where the page is not wide enough."""
    wanted, least = _needed(headings, rows, size)
    excess = sum(wanted) - TEXT_WIDTH_MM
    if excess <= 0:
        return wanted
    spare = [max(0.0, want - need) for want, need in zip(wanted, least, strict=True)]
    if sum(spare) <= excess:
        return [TEXT_WIDTH_MM * need / sum(least) for need in least]
    return [want - excess * room / sum(spare) for want, room in zip(wanted, spare, strict=True)]


def _fits(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], size: float | int) -> bool:
    return sum(_needed(headings, rows, size)[1]) <= TEXT_WIDTH_MM


def _needed(
    headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], size: float | int
) -> tuple[list[float], list[float]]:
    """Millimetres that each column would like to have, and the least it can do with: words wrap, numbers do not."""
    letter = _CHARACTER_MM * size / 10
    wanted, least = [], []
    for place, heading in enumerate(headings):
        cells = [f"{row[place].text}{row[place].mark}" for row in rows]
        longest = max([len(text) for text in cells] or [0])
        word = max([len(word) for text in [heading.text, *cells] for word in text.split()] or [1])
        top = min(max([len(word) for word in heading.text.split()] or [1]), _LONGEST_WORD)
        wanted.append(min(max(longest, top, min(len(heading.text), 14)), 60) * letter + _PADDING_MM + 1)
        least.append((min(word, _LONGEST_WORD) if heading.words else max(longest, top)) * letter + _PADDING_MM)
    return wanted, least


def _properties(table: ReportTable, width: float) -> str:
    edges = "".join(
        f'<w:{edge} w:val="single" w:sz="{_RULE_THICK}" w:space="0" w:color="000000"/>' for edge in ("top", "bottom")
    )
    title = escape(legal(table.title), quote=True)
    return (
        f'<w:tblPr><w:tblW w:w="{round(width * _TWIPS_PER_MM)}" w:type="dxa"/><w:tblBorders>{edges}</w:tblBorders>'
        '<w:tblLayout w:type="fixed"/>'
        '<w:tblCellMar><w:left w:w="70" w:type="dxa"/><w:right w:w="70" w:type="dxa"/></w:tblCellMar>'
        '<w:tblLook w:firstRow="1" w:lastRow="0" w:firstColumn="1" w:lastColumn="0" w:noHBand="1" w:noVBand="1"/>'
        f'<w:tblCaption w:val="{title}"/></w:tblPr>'
    )


def _heading_row(cells: Sequence[Heading], *, last: bool, size: float | int) -> str:
    rule = f'<w:tcBorders><w:bottom w:val="single" w:sz="{_RULE_THIN}" w:space="0" w:color="000000"/></w:tcBorders>'
    drawn = []
    for cell in cells:
        span = f'<w:gridSpan w:val="{cell.columns}"/>' if cell.columns > 1 else ""
        border = rule if last or cell.spans else ""
        side = "center" if cell.spans else "left" if cell.words else "right"
        runs = "".join(run_xml(run, size=size) for run in heading_runs(cell.text))
        text = _paragraph("TableHeading", side, runs)
        drawn.append(f'<w:tc><w:tcPr>{span}{border}<w:vAlign w:val="bottom"/></w:tcPr>{text}</w:tc>')
    return f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{''.join(drawn)}</w:tr>"


def _body_row(cells: Sequence[Cell], *, size: float | int, keep: bool) -> str:
    drawn = []
    for cell in cells:
        mark = run_xml(Run(text=cell.mark), superscript=True, size=size) if cell.mark else ""
        text = cell.text if cell.words else cell.text.replace(" ", "\u00a0")
        runs = run_xml(Run(text=text), bold=cell.bold, size=size) + mark
        side = "left" if cell.words else "right"
        drawn.append(f"<w:tc><w:tcPr/>{_paragraph('TableText', side, runs, keep=keep, indented=cell.indented)}</w:tc>")
    return f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{''.join(drawn)}</w:tr>"


def _paragraph(style: str, side: str, runs: str, *, keep: bool = False, indented: bool = False) -> str:
    together = "<w:keepNext/>" if keep else ""
    indent = '<w:ind w:left="220"/>' if indented else ""
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{together}{indent}<w:jc w:val="{side}"/></w:pPr>{runs}</w:p>'
