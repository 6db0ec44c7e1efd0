"""Finding out how a csv file is written: encoding, separator, decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import replace

from toolkit.data.readers.opening import HEAD, kind_by_content, not_a_table
from toolkit.data.readers.options import ReadOptions, TableFormat
from toolkit.errors import DataError

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ROWS_LOOKED_AT = 200
_POINT = re.compile(r"[-+]?\d+\.\d+([eE][-+]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?", re.ASCII)
# 1,234 may be one thousand or one and a bit: such cells decide nothing
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}([.,]\d{3})+", re.ASCII)


def csv_format(head: bytes, options: ReadOptions, *, ending: str) -> TableFormat:
    """How a csv file is written; what the options say is not questioned.

    Args:
        head: the first bytes of the file.
        options: what the user said.
        ending: of the file name; ".tsv" speaks for tabs.

    Raises:
        DataError: E106 not UTF-8 (with the encoding to name), E107 not text, E108 decimal marks of both kinds.
    """
    kind = kind_by_content(head)
    if kind is not None:
        raise not_a_table(f"not a text table (looks like {kind})")
    encoding, found_encoding = _encoding(head, options)
    text = decoded_head(head, encoding)
    separator = options.separator or ("\t" if ending == ".tsv" else _separator(text))
    decimal = options.decimal or _decimal(text, separator, options.thousands)
    settled = replace(options, encoding=encoding, separator=separator, decimal=decimal)
    usual = {
        "separator": (",", "\t" if ending == ".tsv" else ","),
        "decimal": (".",),
        "encoding": ("utf-8", "utf-8-sig"),
    }
    assumed = tuple(
        option
        for option, plain in usual.items()
        if getattr(options, option) is None and getattr(settled, option) not in plain
    )
    if found_encoding:
        assumed = tuple(option for option in assumed if option != "encoding")  # a byte order mark is no guess
    return TableFormat(kind="csv", options=settled, assumed=assumed)


def _encoding(head: bytes, options: ReadOptions) -> tuple[str, bool]:
    """The encoding, and whether a byte order mark says so."""
    marked = next((name for mark, name in _BOMS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked, True
    if options.encoding is None and b"\x00" in head:
        raise not_a_table("not a text table (it holds NUL bytes)")
    return options.encoding or "utf-8", False


def decoded_head(head: bytes, encoding: str) -> str:
    """The first part of the text; a character cut in two at its end is left out.

    Raises:
        DataError: E106 with the row of the first byte that is not in the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        return decoder.decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError as error:
        raise not_encoded(encoding, head.count(b"\n", 0, error.start) + 1, head) from None


def not_encoded(encoding: str, row: int, around: bytes) -> DataError:
    """The error for bytes that are not in the encoding (E106), with the encoding that may be right."""
    remedy = "Save it as csv UTF-8"
    if encoding.startswith("utf-8"):
        guess = "cp1252" if not re.search(rb"[\x81\x8d\x8f\x90\x9d]", around) else "latin-1"
        remedy = f"Save it as csv UTF-8, or say encoding '{guess}' if it comes from an older Windows program"
    shown = "UTF-8" if encoding.startswith("utf-8") else encoding
    return DataError(f"the file is not {shown}", code="E106", rows=[row], remedy=remedy)


def _separator(text: str) -> str:
    """The mark that cuts the header into several cells and most rows into as many."""
    best, score = ",", (0.0, 0)
    for mark in (",", ";", "\t", "|"):
        rows = sample_rows(text, mark)
        if not rows or len(rows[0]) < 2:
            continue
        agreeing = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        if (agreeing, len(rows[0])) > score:
            best, score = mark, (agreeing, len(rows[0]))
    return best


def sample_rows(text: str, separator: str) -> list[list[str]]:
    """The first rows as cells; a row cut off at the end of the text is left out."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) > ROWS_LOOKED_AT:
                break
    except csv.Error:  # said with its row when the whole file is checked
        pass
    return rows if len(rows) <= 2 or len(rows) > ROWS_LOOKED_AT or len(text) < HEAD // 4 else rows[:-1]


def _decimal(text: str, separator: str, thousands: str | None) -> str:
    """Point or comma; a comma only where cells can hold one.

    Raises:
        DataError: E108 with the column where both marks occur and none is the thousands mark.
    """
    if thousands is not None:
        return "," if thousands == "." else "."
    rows = sample_rows(text, separator)
    points: list[str] = []
    commas: list[str] = []
    for position, name in enumerate(rows[0] if rows else []):
        cells = [row[position].strip() for row in rows[1:] if len(row) > position]
        sure = [cell for cell in cells if not _GROUPED.fullmatch(cell)]
        points += [name] if any(_POINT.fullmatch(cell) for cell in sure) else []
        commas += [name] if any(_COMMA.fullmatch(cell) for cell in sure) else []
    if points and commas:
        raise ambiguous_numbers(commas[0], "numbers with a decimal comma stand beside numbers with a decimal point")
    return "," if commas else "."


def ambiguous_numbers(column: str, message: str) -> DataError:
    """The error for numbers that can be read in two ways (E108)."""
    return DataError(
        f"{message} (column '{column}')",
        code="E108",
        column=column,
        remedy="Say which mark is which: decimal 'comma' or 'point', thousands 'comma', 'point' or 'space'",
    )
