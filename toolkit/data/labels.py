"""Labels of persons, clusters, groups and classes as text.

Ids are text in this toolkit: a spreadsheet turns 7 into 7.0 as soon as one cell is empty, and "007" into 7.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from toolkit.errors import DataError, ToolkitWarning

LARGEST_EXACT_FLOAT = 2**53
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)
_DIGITS = re.compile(r"(\d+)", re.ASCII)


def row_numbers(selected: Bool[np.ndarray, " rows"], origin: Int[np.ndarray, " rows"] | None = None) -> list[int]:
    """Row numbers as a spreadsheet shows them (header is row 1) of the rows that are ``True``.

    Args:
        selected: which rows.
        origin: position of each row in the caller's frame, if rows were left out since.
    """
    positions = np.flatnonzero(selected) if origin is None else origin[selected]
    return [int(position) + 2 for position in positions]


def natural_order(label: str) -> tuple[object, ...]:
    """Sorting key under which -100 < 2 < 10, "P2" < "P10", and numbers come before words."""
    if _NUMBER.fullmatch(label):
        return (0, float(label), label)
    parts = (
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in _DIGITS.split(label)
    )
    return (1, tuple(parts), label)


def numbers_in_order(labels: Sequence[str]) -> bool:
    """Whether all labels are numbers, the smallest first."""
    if not all(_NUMBER.fullmatch(label) for label in labels):
        return False
    values = [float(label) for label in labels]
    return values == sorted(values)


def number_as_text(value: float) -> str:
    """``7.0`` as "7", ``7.5`` as "7.5"."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def cell_as_text(value: object) -> str:
    """One label as text: whole numbers without a decimal point, everything else as Python writes it."""
    if isinstance(value, float | np.floating):
        return number_as_text(float(value))
    return str(value)


def label_codes(
    series: pd.Series, *, kind: str
) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...], list[ToolkitWarning]]:
    """Integer codes of a label column.

    Surrounding blanks are stripped and letters composed (Unicode NFC), so that "P1" and "P1 " are one label.

    Args:
        series: the column.
        kind: what a label stands for ("person", "group", ...), used in the notices.

    Returns:
        Codes, shape (rows,), -1 where the cell is empty; the labels in natural order; notices about odd labels.

    Raises:
        DataError: E112 if ids are decimal numbers too long to be exact.
    """
    raw_codes, uniques = pd.factorize(series, use_na_sentinel=True)
    raw = list(uniques)
    _refuse_rounded(raw, column=str(series.name))
    written = [cell_as_text(value) for value in raw]
    texts = [unicodedata.normalize("NFC", text.strip()) for text in written]
    levels = tuple(sorted({text for text in texts if text}, key=natural_order))
    position = {text: code for code, text in enumerate(levels)}
    # the last entry serves the sentinel -1 that factorize gives to empty cells
    lookup = np.array([position.get(text, -1) for text in texts] + [-1], dtype=np.int64)
    return lookup[raw_codes], levels, _notices(written, levels, column=str(series.name), kind=kind)


def _refuse_rounded(raw: Sequence[object], *, column: str) -> None:
    """Refuse decimal ids beyond 2**53: neighbouring ids would be the same number, two persons would become one."""
    if any(isinstance(value, float | np.floating) and abs(value) >= LARGEST_EXACT_FLOAT for value in raw):
        raise DataError(
            f"column '{column}' holds ids stored as decimal numbers too long to be exact",
            code="E112",
            column=column,
            remedy="Read this column as text",
        )


def _notices(written: Sequence[str], levels: Sequence[str], *, column: str, kind: str) -> list[ToolkitWarning]:
    """What was changed about the labels, and what looks like a slip (counts only, never a label)."""
    stripped = [text.strip() for text in written]
    blanks = sum(before != after for before, after in zip(written, stripped, strict=True))
    composed = sum(unicodedata.normalize("NFC", text) != text for text in stripped)
    apart = len({text for text in written if text.strip()})
    merged = f"; {apart - len(levels)} of them became one with another" if apart > len(levels) else ""
    same_but_case = len(levels) - len({level.casefold() for level in levels})
    found = (
        (blanks, "W211", f"blanks around {blanks} {kind} label(s) in column '{column}' were removed{merged}"),
        (
            composed,
            "W212",
            f"accents in {composed} {kind} label(s) in column '{column}' were put into one form{merged}",
        ),
        (
            same_but_case,
            "W201",
            f"{same_but_case} {kind} label(s) in column '{column}' differ only in upper and lower case; kept apart",
        ),
    )
    return [ToolkitWarning(message, code=code) for count, code, message in found if count]


def numbers_as_classes(
    values: Float[np.ndarray, " rows"], *, column: str, origin: Int[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " rows"], tuple[str, ...]]:
    """Class codes of whole-number labels; every number is a class of its own, also -100 or -1.

    Args:
        values: the numbers, shape (rows,).
        column: name of the column, for the error.
        origin: position of each row in the caller's frame, for the error.

    Returns:
        Codes as float64, NaN where the value is NaN, shape (rows,); the labels as text in the order of the numbers.

    Raises:
        DataError: E109 if a value is not a whole number.
    """
    broken = np.isfinite(values) & (values != np.floor(values))
    if broken.any():
        raise DataError(
            f"column '{column}' holds numbers with decimals and cannot be read as classes",
            code="E109",
            column=column,
            rows=row_numbers(broken, origin),
            remedy="Use it as a numeric target, or give the classes as whole numbers or text",
        )
    known = ~np.isnan(values)
    levels, found = np.unique(values[known], return_inverse=True)
    codes = np.full(values.shape, np.nan)
    codes[known] = found
    return codes, tuple(number_as_text(float(level)) for level in levels)


def recode(
    codes: Float[np.ndarray, " rows"],
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    column: str,
    origin: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, " rows"]:
    """Codes counted along ``labels`` as codes counted along ``classes``; NaN stays NaN.

    Raises:
        DataError: E120 if a label that occurs is not among ``classes``, with the rows.
    """
    position = {label: code for code, label in enumerate(classes)}
    lookup = np.array([position.get(label, -1) for label in labels] + [-1], dtype=np.float64)
    known = ~np.isnan(codes)
    recoded = np.where(known, lookup[np.where(known, codes, -1).astype(np.int64)], np.nan)
    unknown = recoded == -1
    if unknown.any():
        raise DataError(
            f"column '{column}' holds classes other than the {len(classes)} known ones",
            code="E120",
            column=column,
            rows=row_numbers(unknown, origin),
            remedy="Leave these rows out, or fit the model again with data that contain the class",
        )
    return recoded
