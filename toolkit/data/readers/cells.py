"""Text cells as numbers: what a column holds, and its values, in arrow arrays (fast, and without Python objects)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from toolkit.data.labels import LARGEST_EXACT_FLOAT

Kind = Literal["empty", "whole", "number", "truth", "text"]
# cells that mean "empty" in a column of numbers; in an id column only the empty cell does ("NA" may be somebody's id)
EMPTY_CELLS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
_ID_DIGITS = r"^[+-]?(0[0-9]|[0-9]{16,}$)"  # leading zeros, or more digits than a decimal number holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """How numbers are written."""

    decimal: str = "."
    thousands: str | None = None


POINT = Notation()
# what a column of text may turn out to be: with a mark between thousands, or with the other decimal mark
OTHER_NOTATIONS = tuple(
    Notation(decimal=decimal, thousands=thousands)
    for decimal, thousands in ((".", ","), (",", "."), (",", None), (".", None), (".", " "), (",", " "), (".", "'"))
)


def without_empty(cells: Any) -> Any:
    """The cells, null where they mean "empty"; nothing else is changed."""
    import pyarrow as pa

    pc = _compute()

    empty = pc.is_in(pc.utf8_trim_whitespace(cells), value_set=pa.array(EMPTY_CELLS))
    return pc.if_else(empty, pa.scalar(None, pa.string()), cells) if pc.any(empty).as_py() else cells


def in_plain_notation(cells: Any, notation: Notation) -> Any:
    """Numbers as a computer writes them: without blanks and thousands marks, with a decimal point."""
    pc = _compute()

    cells = pc.utf8_trim_whitespace(cells)
    decimal, thousands = notation.decimal, notation.thousands
    if thousands:
        # only where groups of three follow: "1,5" with a thousands comma is no number
        pattern = rf"^[+-]?[0-9]{{1,3}}([{thousands}][0-9]{{3}})+([{decimal}][0-9]+)?$"
        grouped = pc.match_substring_regex(cells, pattern=pattern)
        cells = pc.if_else(grouped, pc.replace_substring(cells, pattern=thousands, replacement=""), cells)
    if decimal == ",":
        # a point is no part of a number then; a mark in its place keeps such cells from being read as one
        cells = pc.replace_substring(cells, pattern=".", replacement="?")
        cells = pc.replace_substring(cells, pattern=",", replacement=".")
    return cells


def kind_of(cells: Any, notation: Notation = POINT, *, at_least: Kind = "empty") -> Kind:
    """What cells hold.

    Whole numbers with leading zeros ("007"), or too long to be exact as decimal numbers, are text: they are ids.

    Args:
        cells: arrow array of text, null where there is nothing.
        notation: how numbers are written.
        at_least: the kind earlier cells of the column have; kinds it makes impossible are not tried.
    """
    import pyarrow as pa

    pc = _compute()
    if cells.null_count == len(cells):
        return "empty"
    # nearly every cell of a data file is a plain number, so that is tried before anything is cleaned up
    kind = _number_kind(cells, at_least) if notation == POINT else None
    if kind is not None:
        return kind
    cells = without_empty(cells)
    if cells.null_count == len(cells):
        return "empty"
    plain = in_plain_notation(cells, notation)
    kind = _number_kind(plain, at_least)
    if kind is not None:
        return kind
    truth = pc.is_in(pc.utf8_lower(plain), value_set=pa.array(["true", "false"]))
    return "truth" if pc.all(pc.or_(truth, pc.is_null(cells))).as_py() else "text"


def _number_kind(plain: Any, at_least: Kind) -> Kind | None:
    """Whole, number, or text for ids made of digits; ``None`` if some cell is no number."""
    import pyarrow as pa

    pc = _compute()
    whole = None if at_least == "number" else _cast(plain, pa.int64())
    if whole is not None:
        extremes = pc.min_max(whole)
        largest = max(abs(extremes["min"].as_py()), abs(extremes["max"].as_py()))
        return "text" if largest >= LARGEST_EXACT_FLOAT or _any(plain, _ID_DIGITS) else "whole"
    if _cast(plain, pa.float64()) is None:
        return None
    return "text" if _any(plain, _ID_DIGITS) else "number"


def widened(one: Kind, other: Kind) -> Kind:
    """The kind that holds the cells of both parts of a column."""
    if one == other or other == "empty":
        return one
    if one == "empty":
        return other
    return "number" if {one, other} == {"whole", "number"} else "text"


def values_of(cells: Any, kind: Kind, notation: Notation = POINT) -> Any:
    """Cells as values of their kind, null where they mean "empty"; an empty column is one of numbers."""
    import pyarrow as pa

    pc = _compute()
    if kind in ("whole", "number") and notation == POINT:
        values = _cast(cells, arrow_type(kind))
        if values is not None:
            return values
    cells = without_empty(cells)
    if kind == "text":
        return cells
    plain = in_plain_notation(cells, notation)
    if kind == "truth":
        return pc.equal(pc.utf8_lower(plain), "true")
    return plain.cast(pa.int64() if kind == "whole" else pa.float64())


def arrow_type(kind: Kind) -> Any:
    """The arrow type of a kind."""
    import pyarrow as pa

    return {"whole": pa.int64(), "truth": pa.bool_(), "text": pa.string()}.get(kind, pa.float64())


def _compute() -> Any:
    """Pyarrow's functions; they are made when the module is loaded, so that a type checker does not know them."""
    import pyarrow.compute

    return pyarrow.compute


def _cast(cells: Any, kind: Any) -> Any | None:
    import pyarrow as pa

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


def _any(cells: Any, pattern: str) -> bool:
    pc = _compute()
    return bool(pc.any(pc.match_substring_regex(cells, pattern=pattern)).as_py())
