"""One entry for every kind of file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from toolkit.data.columns import require_rows
from toolkit.data.readers import delimited, excel, parquet, statistical
from toolkit.data.readers.opening import not_a_table
from toolkit.data.readers.options import ReadOptions, ReadResult

READERS: dict[str, Callable[..., ReadResult]] = {
    **dict.fromkeys(delimited.ENDINGS, delimited.read_delimited),
    **dict.fromkeys(parquet.ENDINGS, parquet.read_parquet),
    **dict.fromkeys(excel.ENDINGS, excel.read_excel),
    **dict.fromkeys(statistical.ENDINGS, statistical.read_statistical),
}
KINDS = tuple(READERS)
PLAIN = ReadOptions()


def read_table(path: str | Path, *, text_columns: Sequence[str] = (), options: ReadOptions = PLAIN) -> pd.DataFrame:
    """A table from a csv, tsv, parquet, xlsx, sav, dta or sas7bdat file.

    What had to be assumed about a csv file (a semicolon, a decimal comma) is said in a warning, unless the options
    say it.

    Args:
        path: the file; its ending says what it is.
        text_columns: columns read as text (ids), so that "007" and "7" stay two persons and 17 digits stay exact;
            names the file does not have are passed over.
        options: separator, decimal mark, encoding, sheet, ... where they should not be found by looking.

    Raises:
        DataError: E100 cannot be read, E101 empty, E102 header only, E104 column name twice, E105 broken row (with its
            number), E106 not in the encoding, E107 not a table, E108 numbers that can be read in two ways, E501 unsafe
            Excel file, E502 Excel errors or merged cells, E503 too large for the memory, E504 several sheets.
    """
    result = read_file(path, text_columns=text_columns, options=options)
    for notice in result.notices:
        warnings.warn(notice, stacklevel=2)
    return result.frame


def read_file(path: str | Path, *, text_columns: Sequence[str] = (), options: ReadOptions = PLAIN) -> ReadResult:
    """A table with what its file says about it: format, labels, missing codes; see :func:`read_table`.

    Raises:
        DataError: as :func:`read_table`.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in READERS:
        raise not_a_table(f"the file does not end in one of {', '.join(KINDS)}")
    result = READERS[ending](path, options, text_columns=text_columns)
    require_rows(result.frame)
    return result
