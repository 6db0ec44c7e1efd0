"""Whether every row of a csv file has the header's cells, found in one pass that holds one row at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from toolkit.data.columns import require_unique_names
from toolkit.data.readers.opening import not_a_table, opened
from toolkit.data.readers.options import ReadOptions
from toolkit.data.readers.sniffing import not_encoded
from toolkit.errors import DataError

MAX_BROKEN = 1_000  # rows remembered; a file that is broken throughout needs no longer list


def checked_header(path: Path, options: ReadOptions) -> tuple[list[str], int]:
    """The column names and the number of rows below them, after every row was found to have as many cells.

    Raises:
        DataError: E100 cannot be read, E104 column name twice, E105 broken row, E106 not in the encoding,
            E107 not text.
    """
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding=options.encoding, newline="")
        try:
            header, rows = _header_and_rows(_lines(text, options.encoding or "utf-8"), options.separator or ",")
        finally:
            text.detach()
    names = [name.strip("\ufeff") or f"unnamed_{number}" for number, name in enumerate(header, start=1)]
    require_unique_names(names)
    return names, rows


def _lines(text: io.TextIOWrapper, encoding: str) -> Iterator[str]:
    """Lines of the file; bytes that are no text become an error with their row."""
    read = 0
    try:
        for line in text:
            read += 1
            if "\x00" in line:
                raise not_a_table("not a text table (it holds NUL bytes)")
            yield line
    except UnicodeDecodeError as error:
        # text is decoded in blocks, so the row is found again line by line
        raise not_encoded(encoding, _undecodable_row(text, encoding) or read + 1, error.object) from None


def _undecodable_row(text: io.TextIOWrapper, encoding: str) -> int | None:
    """Row of the first line that cannot be decoded by itself; unknown where lines do not end in one byte."""
    if encoding.startswith("utf-16"):
        return None
    binary = cast(BinaryIO, text.buffer)
    binary.seek(0)
    for number, line in enumerate(binary, start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            return number
    return None


def _header_and_rows(lines: Iterable[str], separator: str) -> tuple[list[str], int]:
    """The header, and how many rows follow it."""
    rows = csv.reader(lines, delimiter=separator, strict=True)
    broken: list[int] = []
    header: list[str] = []
    blank_since, number, blank = 0, 0, 0
    width = 0
    try:
        for number, row in enumerate(rows, start=1):
            if len(row) == width and not blank_since:
                continue  # nearly every row
            if number == 1:
                header, width = row, len(row)
            elif not row and width > 1:
                blank_since = blank_since or number  # blank lines may only stand at the end: row numbers would shift
                blank += 1
            elif blank_since:
                broken.append(blank_since)
                blank_since = 0
            elif row and len(broken) < MAX_BROKEN:
                broken.append(number)
    except csv.Error:  # a quote that is never closed swallows the rest; the row it starts in is the next one
        broken.append(number + 1)
    if broken or not header:
        raise DataError(
            f"row(s) that do not have the header's {len(header)} cells, or a quote that is not closed",
            code="E105",
            rows=broken or [1],
            remedy="Correct these rows: look for a separator too many, an empty line or a stray quotation mark",
        )
    return header, number - 1 - blank
