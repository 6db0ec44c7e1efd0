"""The target column as numbers or as class codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from toolkit.data import columns
from toolkit.data.labels import label_codes, numbers_as_classes, row_numbers
from toolkit.errors import DataError, ToolkitWarning

_NUMBER_KINDS = {"floating", "integer", "mixed-integer-float", "decimal"}


def target_values(
    series: pd.Series, *, allow_missing: bool, as_labels: bool
) -> tuple[Float[np.ndarray, " rows"], tuple[str, ...] | None, list[ToolkitWarning]]:
    """The target as numbers, or as class codes with their labels if it holds text, true/false or categories.

    Args:
        series: the target column.
        allow_missing: keep empty cells as NaN (a missing label inside a sequence).
        as_labels: the caller named the classes, so text that looks like numbers is meant as labels.

    Raises:
        DataError: E109, E110, or E111 with the rows of the empty cells.
    """
    column = str(series.name)
    notices: list[ToolkitWarning] = []
    classes: tuple[str, ...] | None = None
    if _holds_labels(series, as_labels=as_labels):
        codes, classes, notices = label_codes(series, kind="class")
        values = np.where(codes < 0, np.nan, codes.astype(np.float64))
        if columns.is_categorical(series):
            values, classes = _in_category_order(series, values, classes)
    else:
        values = columns.numeric(series)
        columns.refuse_infinite(values, column)
    if not allow_missing and np.isnan(values).any():
        raise DataError(
            f"{int(np.isnan(values).sum())} empty cell(s) in target column '{column}'",
            code="E111",
            column=column,
            rows=row_numbers(np.isnan(values)),
            remedy='Drop these rows (empty_cells = "drop" in [data] of the study file); a target cannot be filled in',
        )
    if as_labels and classes is None:
        values, classes = numbers_as_classes(values, column=column, origin=np.arange(len(values)))
    return values, classes, notices


def further_targets(
    frame: pd.DataFrame, targets: tuple[str, ...], classes: tuple[str, ...] | None, *, allow_missing: bool
) -> Float[np.ndarray, "rows further"] | None:
    """Values of all targets but the first, which all have to be numbers; None where there is one only.

    Raises:
        DataError: E109, E110, E111 as `target_values`; E302 where a target holds classes, or is named twice.
    """
    if len(targets) < 2:
        return None
    if len(set(targets)) < len(targets):
        raise DataError("a target is named twice", code="E302", column="target", remedy="name every target once")
    if classes is not None:
        raise several_classes(targets[0])
    found = []
    for name in targets[1:]:
        values, labels, _ = target_values(frame[name], allow_missing=allow_missing, as_labels=False)
        if labels is not None:
            raise several_classes(name)
        found.append(values)
    return np.column_stack(found)


def several_classes(column: str) -> DataError:
    """Why several targets cannot be classes."""
    return DataError(
        "several targets have to be numbers, and one of them holds classes",
        code="E302",
        column=column,
        remedy="fit one model for each target of classes",
    )


def _holds_labels(series: pd.Series, *, as_labels: bool) -> bool:
    """Whether a target column holds classes; a number column with a few words in it is refused (E109) as a slip."""
    if columns.is_categorical(series) or pd.api.types.is_bool_dtype(series.dtype):
        return True
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if pd.api.types.is_numeric_dtype(series.dtype) or kind in _NUMBER_KINDS:
        return False
    empty = columns.empty_cells(series.astype(object))
    words = _words(series) & ~empty
    if not as_labels and words.any() and not (words | empty).all():
        raise columns.not_numbers(
            series, words, remedy="Correct or empty these cells; if they are class labels, name the classes"
        )
    return kind == "string" or bool(words.any())


def _words(series: pd.Series) -> np.ndarray:
    """Cells that cannot be read as a number."""
    return pd.to_numeric(series.astype("str"), errors="coerce").isna().to_numpy(dtype=bool)


def _in_category_order(
    series: pd.Series, values: np.ndarray, classes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The classes that occur, in the order the caller gave to the categories."""
    categories = pd.Series(series.cat.categories, dtype=object, name=series.name)
    codes, labels, _ = label_codes(categories, kind="class")
    ordered = tuple(label for label in dict.fromkeys(labels[code] for code in codes if code >= 0) if label in classes)
    lookup = np.array([ordered.index(label) for label in classes] + [0], dtype=np.float64)
    known = ~np.isnan(values)
    return np.where(known, lookup[np.where(known, values, -1).astype(np.int64)], np.nan), ordered
