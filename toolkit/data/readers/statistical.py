"""SPSS (sav), Stata (dta) and SAS (sas7bdat) files, through pyreadstat, with their labels and missing codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.columns import require_unique_names
from toolkit.data.labels import cell_as_text
from toolkit.data.readers.opening import head_of, not_a_table, require_memory, require_readable, size_of
from toolkit.data.readers.options import ReadOptions, ReadResult, TableFormat
from toolkit.errors import ConfigError, DataError, ToolkitWarning

ENDINGS = (".sav", ".zsav", ".dta", ".sas7bdat")


def read_statistical(path: Path, options: ReadOptions, *, text_columns: Sequence[str]) -> ReadResult:
    """A table of a statistics program.

    Codes the file marks as missing (SPSS: single values and ranges; Stata and SAS: .a to .z) are emptied and counted.
    Values stay codes; columns of ``options.value_labels`` become the words of their labels.

    Raises:
        DataError: E100, E101, E102, E104, E107; E302 if a column to be read by its labels has none.
    """
    head_of(path)
    size = size_of(path)
    require_memory(size, factor=8.0)
    kind = path.suffix.lower().lstrip(".")
    frame, about = _read(path, kind, options)
    require_unique_names(list(frame.columns))
    if not len(frame):
        raise DataError("the table has no rows", code="E102", remedy="Check that the data were saved with it")
    frame, emptied = _without_user_missing(frame, about)
    labels = _value_labels(frame, about)
    frame = _with_words(frame, labels, options.value_labels)
    frame = _with_text_ids(frame, text_columns)
    questions = {name: text for name, text in zip(about.column_names, about.column_labels, strict=True) if text}
    settled = ReadOptions(encoding=options.encoding, value_labels=options.value_labels)
    return ReadResult(
        frame=frame,
        format=TableFormat(kind="sav" if kind == "zsav" else kind, options=settled),
        value_labels=labels,
        questions=questions,
        user_missing=emptied,
        notices=_notices(emptied),
    )


def _read(path: Path, kind: str, options: ReadOptions) -> tuple[pd.DataFrame, Any]:
    """Frame and description as pyreadstat gives them."""
    import pyreadstat

    readers: Mapping[str, Any] = {
        "sav": pyreadstat.read_sav,
        "zsav": pyreadstat.read_sav,
        "dta": pyreadstat.read_dta,
        "sas7bdat": pyreadstat.read_sas7bdat,
    }
    try:
        return readers[kind](str(path), user_missing=True, encoding=options.encoding, dates_as_pandas_datetime=True)
    except UnicodeError:
        raise DataError(
            "the file's letters are in another encoding than it says",
            code="E106",
            remedy="Say which: encoding 'cp1252' for most older Windows files",
        ) from None
    except Exception:  # pyreadstat raises its own, OSError and ValueError, with words of the file
        require_readable(path)
        raise not_a_table(f"the file is not a {kind} table, or it is damaged") from None


def _without_user_missing(frame: pd.DataFrame, about: Any) -> tuple[pd.DataFrame, dict[str, int]]:
    """Cells whose code the file marks as missing, emptied; and how many there were, by column."""
    emptied: dict[str, int] = {}
    for column in frame.columns:
        ranges = about.missing_ranges.get(column, [])
        marks = set(about.missing_user_values.get(column, []) or [])
        if not ranges and not marks:
            continue
        missing = np.zeros(len(frame), dtype=bool)
        for limits in ranges:
            missing |= _within(frame[column], limits["lo"], limits["hi"])
        if marks:
            missing |= frame[column].isin(list(marks)).to_numpy()
        if missing.any():
            emptied[str(column)] = int(missing.sum())
            cells = frame[column].mask(missing)
            frame[column] = pd.to_numeric(cells, errors="coerce") if marks else cells
    return frame, emptied


def _within(series: pd.Series, low: object, high: object) -> np.ndarray:
    """Cells from ``low`` to ``high``; words are compared as words."""
    if isinstance(low, str) or isinstance(high, str):
        return series.isin([low, high]).to_numpy()
    numbers = pd.to_numeric(series, errors="coerce")
    return numbers.between(float(str(low)), float(str(high))).to_numpy()


def _value_labels(frame: pd.DataFrame, about: Any) -> dict[str, dict[str, str]]:
    """Column -> code as text -> label."""
    return {
        str(column): {cell_as_text(code): str(label) for code, label in labels.items()}
        for column, labels in about.variable_value_labels.items()
        if column in frame.columns and labels
    }


def _with_words(frame: pd.DataFrame, labels: Mapping[str, Mapping[str, str]], columns: Sequence[str]) -> pd.DataFrame:
    """Codes of some columns replaced by the words of their labels; codes without a label stay as text."""
    for column in columns:
        if column not in labels:
            raise ConfigError(
                "this column has no value labels in the file", code="E302", column=column, remedy="Leave it out"
            )
        words = [None if pd.isna(cell) else cell_as_text(cell) for cell in frame[column]]
        known = labels[column]
        frame[column] = pd.Series(
            [None if w is None else known.get(w, w) for w in words], dtype="str", index=frame.index
        )
    return frame


def _with_text_ids(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Id columns as text: 7 and not 7.0; empty text is an empty cell."""
    for column in columns:
        if column in frame.columns:
            cells = [None if pd.isna(cell) or cell == "" else cell_as_text(cell) for cell in frame[column]]
            frame[column] = pd.Series(cells, dtype="str", index=frame.index)
    return frame


def _notices(emptied: Mapping[str, int]) -> tuple[ToolkitWarning, ...]:
    """Which columns had cells with a missing code."""
    if not emptied:
        return ()
    listed = ", ".join(f"'{column}' ({count})" for column, count in list(emptied.items())[:10])
    more = f" and {len(emptied) - 10} more columns" if len(emptied) > 10 else ""
    return (ToolkitWarning(f"cells with a code the file marks as missing were emptied: {listed}{more}", code="W221"),)
