"""Tables as csv and xlsx: numbers stay numbers, texts cannot become formulas, the same table gives the same file."""

# pyright: reportMissingModuleSource=false, reportMissingTypeStubs=false
from __future__ import annotations

import io
import math
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.report.guard import csv_bytes, inert
from analyses.report.tables import (
    Cell,
    Format,
    ReportTable,
    bounded_cell,
    bounded_three_cell,
    heading_rows,
    one_cell,
    p_cell,
    percent_cell,
    points_cell,
    signed_cell,
    table_cells,
    table_columns,
    three_cell,
    two_cell,
)

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_NEVER = (1980, 1, 1, 0, 0, 0)
_SUPERSCRIPTS = str.maketrans("abcdefghijklmnoprstuvwxyz0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ⁰¹²³⁴⁵⁶⁷⁸⁹")
# how Excel shows a number that stays one, with a true minus sign, and by how much it is multiplied before
_SHOWN: dict[Format | type, tuple[str, float]] = {
    p_cell: ('[<0.001]"< .001";[<0.9995].000;"> .999"', 1.0),
    points_cell: ("+0.0;−0.0;0.0", 100.0),
    percent_cell: ("0.0;−0.0;0.0", 100.0),
    bounded_cell: (".00;−.00;.00", 1.0),
    bounded_three_cell: (".000;−.000;.000", 1.0),
    one_cell: ("0.0;−0.0;0.0", 1.0),
    two_cell: ("0.00;−0.00;0.00", 1.0),
    three_cell: ("0.000;−0.000;0.000", 1.0),
    signed_cell: ("+0.00;−0.00;0.00", 1.0),
    float: ("0.00;−0.00;0.00", 1.0),
    int: ("#,##0;−#,##0;0", 1.0),
}
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_LETTERS = 32_767  # in one cell of Excel


def table_csv(table: ReportTable) -> bytes:
    """The numbers of a table as csv: full precision, no notes, texts made harmless.

    The plain table (``data``) where there is one, else the printed table's own numbers under its headings.
    """
    if table.data is not None:
        return csv_bytes(table.data)
    frame = table.frame.copy()
    frame.columns = [column.label for column in table_columns(table)]
    return csv_bytes(frame)


def table_xlsx(table: ReportTable, *, number: str = "1") -> bytes:
    """A table as a spreadsheet: as printed on the first sheet, its plain numbers on a second one where there are any.

    Args:
        table: what to write.
        number: what stands after "Table".
    """
    from openpyxl import Workbook

    book = Workbook()
    sheet: Any = book.active
    sheet.title = f"Table {_sheet_part(number)}"
    last = _printed(sheet, table, number)
    _notes(sheet, table, last + 1)
    if table.data is not None:
        _plain(book.create_sheet("Numbers"), table.data)
    for name in ("creator", "lastModifiedBy", "title"):
        setattr(book.properties, name, "")
    return _same_every_time(book)


def _sheet_part(number: str) -> str:
    return re.sub(r"[^\w -]", "", number)[:20] or "1"


def _printed(sheet: Worksheet, table: ReportTable, number: str) -> int:
    """Number, title, headings and lines; returns the last row used."""
    from openpyxl.styles import Font

    _write(sheet, 1, 1, f"Table {number}").font = Font(bold=True)
    _write(sheet, 2, 1, table.title).font = Font(italic=True)
    row = _headings(sheet, table, 3)
    writers = [table.formats.get(name) for name in table.frame.columns]
    for cells, values in zip(table_cells(table), table.frame.itertuples(index=False, name=None), strict=True):
        row += 1
        for column, (cell, value, writer) in enumerate(zip(cells, values, writers, strict=True), start=1):
            _body_cell(sheet, row, column, cell, value, writer)
    _rule(sheet, row, len(writers), "bottom", "medium")
    _widths(sheet, table)
    return row


def _headings(sheet: Worksheet, table: ReportTable, first: int) -> int:
    from openpyxl.styles import Alignment, Border, Side

    rows = heading_rows(table)
    for place, headings in enumerate(rows):
        column = 1
        for heading in headings:
            cell = _write(sheet, first + place, column, heading.text)
            cell.alignment = Alignment(
                horizontal="center" if heading.spans else "left" if heading.words else "right", wrap_text=True
            )
            if heading.spans:
                end = column + heading.columns - 1
                for below in range(column, end + 1):
                    sheet.cell(first + place, below).border = Border(bottom=Side(style="thin"))
                sheet.merge_cells(start_row=first + place, end_row=first + place, start_column=column, end_column=end)
            column += heading.columns
    last = first + len(rows) - 1
    _rule(sheet, first, len(table.frame.columns), "top", "medium")
    _rule(sheet, last, len(table.frame.columns), "bottom", "thin")
    return last


def _body_cell(sheet: Worksheet, row: int, column: int, cell: Cell, value: Any, writer: Format | None) -> None:
    """A number as a number, shown as it is printed; anything else as the printed text."""
    from openpyxl.styles import Alignment, Font

    shown = _number_format(value, writer)
    superscript = cell.mark.translate(_SUPERSCRIPTS)
    if shown is None:
        written = _write(sheet, row, column, cell.text + superscript)
    else:
        written = sheet.cell(row, column, float(value) * shown[1] if shown[1] != 1 else _plain_number(value))
        marked = [f'{part}"{superscript}"' for part in shown[0].split(";")] if superscript else [shown[0]]
        written.number_format = ";".join(marked)
    written.font = Font(bold=cell.bold)
    written.alignment = Alignment(horizontal="left" if cell.words else "right", indent=1 if cell.indented else 0)


def _number_format(value: Any, writer: Format | None) -> tuple[str, float] | None:
    """How a value is shown if it can stay a number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    if not math.isfinite(float(value)):
        return None
    if writer is None:
        return _SHOWN[int if isinstance(value, int | np.integer) else float]
    return _SHOWN.get(writer)


def _plain_number(value: Any) -> int | float:
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _plain(sheet: Worksheet, frame: pd.DataFrame) -> None:
    """A frame as it is: headings in the first row, full precision below."""
    for column, name in enumerate(frame.columns, start=1):
        _write(sheet, 1, column, str(name))
        for row, value in enumerate(frame.iloc[:, column - 1], start=2):
            if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
                continue
            if isinstance(value, bool | np.bool_):
                sheet.cell(row, column, bool(value))
            elif isinstance(value, int | float | np.integer | np.floating) and math.isfinite(float(value)):
                sheet.cell(row, column, _plain_number(value))
            else:
                _write(sheet, row, column, str(value))


def _write(sheet: Worksheet, row: int, column: int, text: str) -> Any:
    """A text that stays one: no formula, no control characters, no more letters than Excel takes."""
    safe = _ILLEGAL.sub("\ufffd", inert(text))[:_MOST_LETTERS]
    cell: Any = sheet.cell(row, column)
    cell.value = safe or None
    if safe:
        cell.data_type = "s"
        cell.quotePrefix = safe.startswith("'")
    return cell


def _rule(sheet: Worksheet, row: int, columns: int, side: str, style: str) -> None:
    from openpyxl.styles import Border, Side

    for column in range(1, columns + 1):
        cell = sheet.cell(row, column)
        kept = {name: getattr(cell.border, name) for name in ("top", "bottom")}
        cell.border = Border(**(kept | {side: Side(style=style)}))  # pyright: ignore[reportArgumentType]


def _widths(sheet: Worksheet, table: ReportTable) -> None:
    from openpyxl.utils import get_column_letter

    cells, headings = table_cells(table), heading_rows(table)[-1]
    for place, heading in enumerate(headings):
        longest = max([len(row[place].text) + len(row[place].mark) for row in cells] + [len(heading.text) // 2, 6])
        sheet.column_dimensions[get_column_letter(place + 1)].width = min(longest + 3, 60)


def _notes(sheet: Worksheet, table: ReportTable, row: int) -> None:
    texts = [f"Note. {table.note}"] if table.note else []
    texts += [f"{mark.translate(_SUPERSCRIPTS)} {meaning}" for mark, meaning in table.specific.items()]
    for place, text in enumerate(texts):
        _write(sheet, row + place, 1, text)


def _same_every_time(book: Any) -> bytes:
    """The saved workbook without the times at which it was made."""
    saved, written = io.BytesIO(), io.BytesIO()
    book.save(saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            part = zipfile.ZipInfo(entry.filename, date_time=_NEVER)
            part.compress_type, part.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            content = old.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"<dcterms:(created|modified)[^>]*>[^<]*</dcterms:\1>", b"", content)
            new.writestr(part, content)
    return written.getvalue()
