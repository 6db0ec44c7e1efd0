"""Opening a file: what it is by its first bytes, whether it may be read, whether it fits into memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import DataError

SIGNATURES = {
    b"PK\x03\x04": "xlsx or zip",
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"%PDF": "pdf",
    b"\xd0\xcf\x11\xe0": "an old Excel file (xls)",
    b"$FL2": "SPSS (sav)",
    b"$FL3": "SPSS (zsav)",
    b"<stata_dta>": "Stata (dta)",
}
HEAD = 262_144  # bytes looked at to find out how a file is written
MEMORY_FACTOR = 3.0  # memory a table takes while it is read, per byte of its text


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading; whatever the system says about it becomes a plain sentence (E100).

    Raises:
        DataError: E100 if the file is not there, may not be read, or vanishes while it is read.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError("the file was not found", code="E100", remedy="Check its name and folder") from None
    except PermissionError:
        raise DataError("the file may not be read", code="E100", remedy="Ask for the right to open it") from None
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeError):
            raise
        raise DataError("the file cannot be read", code="E100", remedy="Check that it is a file you may open") from None


def is_refusal(error: BaseException) -> bool:
    """Whether the system could not give the file (gone, no permission, a lost drive); damage inside it is not that."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def require_readable(path: Path) -> None:
    """Refuse a file that has gone or may not be read (E100), before it is called damaged."""
    with opened(path) as file:
        file.read(1)


def size_of(path: Path) -> int:
    """Bytes of a file.

    Raises:
        DataError: E100 as :func:`opened`.
    """
    with opened(path) as file:
        return file.seek(0, os.SEEK_END)


def head_of(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        DataError: E100 as :func:`opened`; E101 if there is nothing in it.
    """
    with opened(path) as file:
        head = file.read(HEAD)
        blank = not head.strip(b" \t\r\n\xef\xbb\xbf")
        while blank and (more := file.read(HEAD)):
            blank = not more.strip(b" \t\r\n")
    if blank:
        raise DataError("the file is empty", code="E101", remedy="Export the table again")
    return head


def kind_by_content(head: bytes) -> str | None:
    """What the first bytes say the file is, or ``None`` for text."""
    return next((kind for start, kind in SIGNATURES.items() if head.startswith(start)), None)


def not_a_table(message: str) -> DataError:
    """The error for a file that holds no table (E107)."""
    return DataError(message, code="E107", remedy="Save the table as csv (UTF-8), parquet, xlsx, sav or dta")


def available_memory() -> int:
    """Bytes of memory that can be had without swapping; without an answer from the system, 4 GiB are assumed."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 4 * 2**30


def require_memory(size: int, *, factor: float = MEMORY_FACTOR) -> None:
    """Refuse a table that would not fit into memory (E503).

    Args:
        size: bytes of the table as text, or unpacked.
        factor: bytes of memory taken per byte.
    """
    limit = int(available_memory() / factor)
    if size > limit:
        raise DataError(
            f"the table is too large for this computer's memory: {size / 2**20:,.0f} MiB, and the limit is "
            f"{limit / 2**20:,.0f} MiB",
            code="E503",
            remedy="Import it once with 'nme import', which reads csv files in pieces, and choose fewer columns",
        )
