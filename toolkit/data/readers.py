"""Tables from files. What pandas and pyarrow say about a broken file repeats its cells, so their words never pass."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from toolkit.data.columns import require_rows, require_unique_names
from toolkit.errors import DataError

KINDS = (".csv", ".parquet")
# cells that mean "empty" in a column of numbers; in a text column only the empty cell does ("NA" may be somebody's id)
EMPTY_CELLS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
_SIGNATURES = {
    b"PK\x03\x04": "xlsx or zip",
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"%PDF": "pdf",
    b"\xd0\xcf": "xls",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: str | Path, *, text_columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table from a csv file (UTF-8, comma, point) or a parquet file.

    Args:
        path: the file; its ending says what it is.
        text_columns: columns read as text (ids), so that "007" and "7" stay two persons and 17 digits stay exact;
            names the file does not have are passed over.

    Raises:
        DataError: E100 cannot be read, E101 empty, E102 header only, E104 column name twice, E105 broken row (with its
            number), E106 not UTF-8, E107 not a table.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise _not_a_table(f"the file does not end in {' or '.join(KINDS)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError("the file was not found", code="E100", remedy="Check its name and folder") from None
    except OSError:
        raise DataError("the file cannot be read", code="E100", remedy="Check that it is a file you may open") from None
    if not content.strip():
        raise DataError("the file is empty", code="E101", remedy="Export the table again")
    frame = _parquet(content) if path.suffix.lower() == ".parquet" else _csv(content, text_columns)
    require_rows(frame)
    return frame


def _not_a_table(message: str) -> DataError:
    return DataError(message, code="E107", remedy="Save the table as csv (UTF-8) or parquet")


def _parquet(content: bytes) -> pd.DataFrame:
    """A parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        raise _not_a_table("the file is not a parquet table") from None
    require_unique_names(table.column_names)
    try:
        return table.to_pandas()
    except (pa.ArrowException, ValueError, TypeError):
        raise _not_a_table("the parquet table holds columns that cannot be read") from None


def _csv(content: bytes, text_columns: Sequence[str]) -> pd.DataFrame:
    """A csv table: checked row by row, then read by pandas."""
    text = _decoded(content)
    header = _checked_header(text)
    require_unique_names(header)
    as_text = [name for name in text_columns if name in header]
    try:
        return pd.read_csv(
            io.StringIO(text),
            dtype=dict.fromkeys(as_text, "str"),
            keep_default_na=False,
            na_values={name: [""] if name in as_text else list(EMPTY_CELLS) for name in header},
            low_memory=False,
            skip_blank_lines=len(header) > 1,
            index_col=False,
        )
    except (ValueError, OverflowError):  # pandas' parser errors are ValueErrors
        raise DataError("the file cannot be read as a table", code="E105", remedy="Export it again as csv") from None


def _decoded(content: bytes) -> str:
    """UTF-8 text, with or without byte order mark."""
    kind = next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)
    if kind is not None:
        raise _not_a_table(f"not a text table (looks like {kind})")
    if content.startswith(_UTF16):
        raise DataError("the file is not UTF-8 (looks like UTF-16)", code="E106", remedy="Save it as csv UTF-8")
    if b"\x00" in content:
        raise _not_a_table("not a text table (it holds NUL bytes)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError("the file is not UTF-8", code="E106", rows=[row], remedy="Save it as csv UTF-8") from None


def _checked_header(text: str) -> list[str]:
    """The column names, after every row was found to have as many cells."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    broken: list[int] = []
    header: list[str] = []
    blank_since, number = 0, 0
    try:
        for number, row in enumerate(rows, start=1):
            if number == 1:
                header = row
            elif not row and len(header) > 1:
                blank_since = blank_since or number  # blank lines may only stand at the end: row numbers would shift
            elif blank_since:
                broken.append(blank_since)
                blank_since = 0
            elif row and len(row) != len(header):
                broken.append(number)
    except csv.Error:  # a quote that is never closed swallows the rest; the row it starts in is the next one
        broken.append(number + 1)
    if broken or not header:
        raise DataError(
            f"row(s) that do not have the header's {len(header)} cells, or a quote that is not closed",
            code="E105",
            rows=broken or [1],
            remedy="Correct these rows: look for a comma too many, an empty line or a stray quotation mark",
        )
    return header
