"""What a model needs from the data before it can be fitted (a set to predict needs less)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping, lies_within
from toolkit.errors import DataError


def check_trainable(data: GroupedDataset) -> None:
    """Refuse data no person-specific model can be fitted to.

    Raises:
        DataError: E103 no target; E116 fewer than 2 persons; E117 every person has one row; E121 one class only;
            E115 a numeric target that never varies.
    """
    if data.target_name is None:
        raise DataError("no target column was named", code="E103", remedy="Name the column to predict")
    rows = np.bincount(data.person, minlength=data.n_persons)
    require_several_persons(rows[rows > 0], data.groupings[0].name)
    require_varying_target(data.target, data.target_name, is_classification=data.is_classification)


def require_several_persons(rows: np.ndarray, column: str) -> None:
    """Refuse fewer than two persons (E116), or persons with one row each (E117).

    Args:
        rows: number of rows of each person.
        column: name of the person column.
    """
    if len(rows) < 2:
        raise DataError(
            "needs at least 2 persons",
            code="E116",
            column=column,
            remedy="Person-specific parameters are compared with what persons have in common",
        )
    if (rows == 1).all():
        raise DataError(
            "every person has a single row",
            code="E117",
            column=column,
            remedy="Differences between persons cannot be told from chance; several rows per person are needed",
        )


def require_varying_target(target: np.ndarray, column: str, *, is_classification: bool) -> None:
    """Refuse a target with one class (E121) or one value (E115).

    Args:
        target: values or class codes, NaN where empty.
        column: its name.
        is_classification: whether they are class codes.
    """
    if len(np.unique(target[~np.isnan(target)])) >= 2:
        return
    if is_classification:
        raise DataError(
            f"target column '{column}' holds one class only",
            code="E121",
            column=column,
            remedy="At least two classes are needed",
        )
    raise DataError(
        f"target column '{column}' is constant",
        code="E115",
        column=column,
        remedy="Check that this is the column to predict",
    )


def check_more_rows_than_effects(data: GroupedDataset) -> None:
    """Refuse a linear mixed model with no more rows than person effects (E118): intercept and slopes of every person.

    Raises:
        DataError: E118.
    """
    each = data.n_features + 1
    effects = data.n_persons * each
    if data.n_rows <= effects:
        raise DataError(
            f"{data.n_rows} rows for {effects} person effects ({each} for each of {data.n_persons} persons)",
            code="E118",
            column=data.groupings[0].name,
            remedy="Use fewer features, or effects in the intercept only; more rows than effects are needed",
        )


def check_further_factors(data: GroupedDataset) -> None:
    """Refuse a further grouping factor that cannot have effects of its own.

    Raises:
        DataError: E138 a factor with one level, or one whose levels are the same rows as another's.
    """
    for place, factor in enumerate(data.groupings[1:], start=1):
        require_own_levels(factor, data.groupings[:place])


def require_own_levels(factor: Grouping, others: Sequence[Grouping]) -> None:
    """Refuse a grouping factor with one level, or one that divides the rows as another one does (E138)."""
    codes = np.asarray(factor.codes)
    if (codes == codes[:1]).all():
        raise DataError(
            f"grouping factor '{factor.name}' has a single level",
            code="E138",
            column=factor.name,
            remedy="Leave it out: what is common to all rows is shared already",
        )
    for other in others:
        theirs = np.asarray(other.codes)
        if lies_within(codes, theirs) and lies_within(theirs, codes):
            raise DataError(
                f"the levels of '{factor.name}' are the same rows as those of '{other.name}'",
                code="E138",
                column=factor.name,
                remedy="Leave one of them out: nothing could tell their effects apart",
            )
