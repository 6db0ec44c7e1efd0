"""Excel files (xlsx), through calamine, which reads values and nothing else: no macros, no links, no formulas."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.columns import named, require_unique_names
from toolkit.data.readers.excel_cells import cells_without_value
from toolkit.data.readers.opening import head_of, kind_by_content, not_a_table, require_readable
from toolkit.data.readers.options import ReadOptions, ReadResult, TableFormat
from toolkit.data.readers.packed import require_safe_zip
from toolkit.errors import DataError

ENDINGS = (".xlsx", ".xlsm")


def read_excel(path: Path, options: ReadOptions, *, text_columns: Sequence[str]) -> ReadResult:
    """One sheet of an Excel file as a frame; its first row holds the column names.

    Whole numbers in an id column are read as text without a decimal point.

    Raises:
        DataError: E100, E101, E102, E104, E105 an empty first row, E107; E501 unsafe to unpack; E502 cells with errors
            (#REF!), formulas without values or merged cells; E504 several sheets and none was named, or none of that
            name.
    """
    if kind_by_content(head_of(path)) != "xlsx or zip":
        raise not_a_table("the file is not an Excel workbook (xlsx)")
    require_safe_zip(path)
    sheet, name = _sheet(path, options.sheet)
    rows = sheet.to_python(skip_empty_area=False)
    _require_header(rows)
    _refuse_merged(sheet)
    header, body = _trimmed(rows[0], rows[1:])
    require_unique_names(header)
    if not body:
        raise DataError("the table has no rows", code="E102", remedy="Check that the data stand below the header")
    _refuse_without_value(cells_without_value(path, name), header)
    frame = pd.DataFrame(
        {
            column: _column([row[position] for row in body], column, as_text=column in text_columns)
            for position, column in enumerate(header)
        }
    )
    settled = ReadOptions(sheet=name)
    return ReadResult(frame=frame, format=TableFormat(kind="xlsx", options=settled))


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets that hold cells.

    Raises:
        DataError: E107 if the file is no workbook, E501 if it is unsafe to open.
    """
    require_safe_zip(path)
    return _names(_workbook(path))


def _workbook(path: Path) -> Any:
    import python_calamine

    try:
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except (python_calamine.CalamineError, OSError, ValueError):
        require_readable(path)
        raise not_a_table("the file is not an Excel workbook (xlsx), or it is damaged or has a password") from None


def _names(workbook: Any) -> list[str]:
    import python_calamine

    kinds = {sheet.name: sheet.typ for sheet in workbook.sheets_metadata}
    return [name for name in workbook.sheet_names if kinds.get(name) == python_calamine.SheetTypeEnum.WorkSheet]


def _sheet(path: Path, wanted: str | None) -> tuple[Any, str]:
    """The sheet that was named, or the only one that holds anything."""
    import python_calamine

    workbook = _workbook(path)
    try:
        if wanted is not None and wanted in _names(workbook):
            return workbook.get_sheet_by_name(wanted), wanted
        filled = [name for name in _names(workbook) if workbook.get_sheet_by_name(name).total_height]
        if wanted is None and len(filled) <= 1:
            name = (filled or workbook.sheet_names)[0]
            return workbook.get_sheet_by_name(name), name
    except (python_calamine.CalamineError, OSError, ValueError, IndexError):
        raise not_a_table("the sheet cannot be read") from None
    message = "the Excel file has several sheets" if wanted is None else "the Excel file has no sheet of this name"
    raise DataError(message, code="E504", column="sheet", remedy=f"Name one: {named(filled)}")


def _require_header(rows: list[list[Any]]) -> None:
    """Refuse a sheet without cells (E101), or whose first row is empty (E105): row numbers would not be Excel's."""
    if not any(cell != "" for row in rows for cell in row):
        raise DataError("the sheet is empty", code="E101", remedy="Name another sheet, or export the table again")
    if not any(cell != "" for cell in rows[0]):
        raise DataError(
            "the first row of the sheet is empty; it has to hold the column names",
            code="E105",
            rows=[1],
            remedy="Delete the rows above the column names",
        )


def _refuse_merged(sheet: Any) -> None:
    """Refuse merged cells (E502): only one of them holds the value."""
    ranges = list(sheet.merged_cell_ranges or ())
    if ranges:
        raise DataError(
            f"{len(ranges)} group(s) of merged cells",
            code="E502",
            rows=sorted({area[0][0] + 1 for area in ranges}),
            remedy="Unmerge them, and give every cell its value",
        )


def _trimmed(header: list[Any], body: list[list[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Names and rows without the empty columns at the right and the empty rows at the end."""
    width = max((number + 1 for number, name in enumerate(header) if name != ""), default=0)
    body = list(body)
    while body and all(cell == "" for cell in body[-1]):
        body.pop()
    names = [str(name).strip() or f"unnamed_{number}" for number, name in enumerate(header[:width], start=1)]
    return names, body


def _refuse_without_value(cells: list[tuple[int, int]], header: list[str]) -> None:
    """Refuse cells that hold an error (#REF!) or a formula that was never calculated (E502), with column and rows."""
    cells = [(row, column) for row, column in cells if column < len(header)]
    if not cells:
        return
    column = cells[0][1]
    rows = [row + 1 for row, place in cells if place == column]
    others = len({place for _, place in cells}) - 1
    more = f", and cells of {others} more column(s) do" if others else ""
    raise DataError(
        f"{len(rows)} cell(s) of column '{header[column]}' hold an error of Excel or a formula without a value{more}",
        code="E502",
        column=header[column],
        rows=rows,
        remedy="Correct the formulas, or empty these cells; then save the file in Excel, which calculates them",
    )


def _column(cells: list[Any], column: str, *, as_text: bool) -> pd.Series:
    """One column: numbers, dates, true/false or text."""
    values = [None if cell == "" else cell for cell in cells]
    if as_text:
        return pd.Series([None if value is None else _id_text(value) for value in values], dtype="str", name=column)
    return _typed(values, column)


def _typed(values: list[Any], column: str) -> pd.Series:
    """The narrowest kind that holds every cell; a mixture stays as it is, and the checks say where."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds or kinds <= {int, float}:
        numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        whole = bool(kinds) and not np.isnan(numbers).any() and (numbers == np.floor(numbers)).all()
        return pd.Series(numbers.astype(np.int64) if whole and np.abs(numbers).max() < 2**53 else numbers, name=column)
    if kinds == {str}:
        return pd.Series(values, dtype="str", name=column)
    if kinds <= {datetime.date, datetime.datetime}:
        return pd.to_datetime(pd.Series(values, dtype=object, name=column), errors="coerce")
    if kinds == {bool} and None not in values:
        return pd.Series(values, dtype=bool, name=column)
    series = pd.Series(values, dtype=object, name=column)
    return series.infer_objects() if str not in kinds else series


def _id_text(value: Any) -> str:
    """An id as it is shown in the cell: 7 and not 7.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
