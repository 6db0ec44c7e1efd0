"""Whether an Excel file is safe to unpack, found by unpacking it in small pieces that are thrown away."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from toolkit.data.readers.opening import is_refusal, not_a_table, opened
from toolkit.errors import DataError

LARGEST_UNPACKED = 200 * 2**20  # bytes
LARGEST_RATIO = 200  # unpacked bytes per packed byte; tables of numbers reach about 30
RATIO_FROM = 10 * 2**20  # small files may be as empty as they like
PIECE = 2**20
# a spreadsheet never declares entities; a file that does wants to grow or to read other files
_ENTITY = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def require_safe_zip(path: Path) -> None:
    """Refuse an Excel file that unpacks to too much, or declares entities (E501).

    The sizes in the zip's own directory are looked at first, then the truth: every part is unpacked, a piece at a time.

    Raises:
        DataError: E107 if it is no zip at all; E501.
    """
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check(archive, file)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
            OSError,
            ValueError,
        ) as error:
            if is_refusal(error):
                raise
            raise not_a_table("the file is not an Excel workbook, or it is damaged or has a password") from None


def _check(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    file.seek(0, 2)
    packed = max(file.tell(), 1)
    parts = archive.infolist()
    _refuse_large(sum(part.file_size for part in parts), packed)
    total = 0
    for part in parts:
        part.file_size = LARGEST_UNPACKED + 1  # the directory may lie: read to the end of what is packed
        with archive.open(part) as content:
            tail = b""
            while piece := content.read(PIECE):
                total += len(piece)
                _refuse_large(total, packed)
                if _ENTITY.search((tail + piece).replace(b"\x00", b"")):
                    raise _unsafe("the Excel file declares entities, which no spreadsheet needs")
                tail = piece[-32:]


def _refuse_large(unpacked: int, packed: int) -> None:
    if unpacked > LARGEST_UNPACKED:
        raise _unsafe(f"the Excel file unpacks to more than {LARGEST_UNPACKED // 2**20} MiB")
    if unpacked > RATIO_FROM and unpacked > LARGEST_RATIO * packed:
        raise _unsafe(f"the Excel file unpacks to more than {LARGEST_RATIO} times its size")


def _unsafe(message: str) -> DataError:
    return DataError(message, code="E501", remedy="Save the table as csv (UTF-8) and read that")
