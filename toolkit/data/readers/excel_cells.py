"""Cells of an Excel sheet that hold no value of their own: errors, and formulas nobody has calculated.

The reader of values gives both as empty cells, so they are looked for in the sheet's own text.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from toolkit.data.readers.opening import not_a_table, opened

PIECE = 2**20
LONGEST_CELL = 2**16  # bytes
_ERROR = re.compile(rb'<c\b(?=[^>]*\bt="e")[^>]*\br="([A-Z]{1,3})(\d{1,7})"')
# a formula that gives empty text is calculated: it says t="str"
_UNCALCULATED = re.compile(
    rb'<c\b(?![^>]*\bt="str")[^>]*\br="([A-Z]{1,3})(\d{1,7})"[^>]*>\s*<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>'
)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def cells_without_value(path: Path, sheet: str) -> list[tuple[int, int]]:
    """Row and column (both from 0) of cells with an error or an uncalculated formula, in reading order.

    Args:
        path: a workbook found safe by :func:`toolkit.data.readers.packed.require_safe_zip`.
        sheet: name of the sheet.

    Raises:
        DataError: E107 if the workbook does not say where its sheets are.
    """
    found: set[tuple[int, int]] = set()
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for text in _pieces(archive, _part_of(archive, sheet)):
                    for pattern in (_ERROR, _UNCALCULATED):
                        found |= {(int(row) - 1, _column_number(letters)) for letters, row in pattern.findall(text)}
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise not_a_table("the Excel file is damaged, or it changed while it was read") from None
    return sorted(found)


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """Name of the part that holds a sheet."""
    from defusedxml import ElementTree

    try:
        workbook = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        wanted = next(
            e.attrib[_RELATION] for e in workbook.iter() if e.tag.endswith("}sheet") and e.get("name") == sheet
        )
        target = next(e.attrib["Target"] for e in relations if e.get("Id") == wanted)
        part = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
        archive.getinfo(part)
    except (KeyError, StopIteration, ElementTree.ParseError, ValueError):
        raise not_a_table("the Excel workbook does not say where its sheets are") from None
    return part


def _pieces(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The text of a part in pieces that end between two cells."""
    tail = b""
    with archive.open(part) as content:
        while piece := content.read(PIECE):
            text = tail + piece
            cut = text.rfind(b"<c ")
            cut = len(text) if cut < 0 else cut
            yield text[:cut]
            tail = text[cut:][-LONGEST_CELL:]
    yield tail


def _column_number(letters: bytes) -> int:
    """Column number from 0 of Excel's letters: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
