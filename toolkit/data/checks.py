"""What a model needs from the data before it can be fitted (a set to predict needs less)."""

from __future__ import annotations

import numpy as np

from toolkit.data.grouped import GroupedDataset
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
    rows = rows[rows > 0]
    person = data.groupings[0].name
    if len(rows) < 2:
        raise DataError(
            "needs at least 2 persons",
            code="E116",
            column=person,
            remedy="Person-specific parameters are compared with what persons have in common",
        )
    if (rows == 1).all():
        raise DataError(
            "every person has a single row",
            code="E117",
            column=person,
            remedy="Differences between persons cannot be told from chance; several rows per person are needed",
        )
    _check_target_varies(data)


def _check_target_varies(data: GroupedDataset) -> None:
    """Refuse a target with one class (E121) or one value (E115)."""
    known = data.target[~np.isnan(data.target)]
    if len(np.unique(known)) >= 2:
        return
    if data.is_classification:
        raise DataError(
            f"target column '{data.target_name}' holds one class only",
            code="E121",
            column=data.target_name,
            remedy="At least two classes are needed",
        )
    raise DataError(
        f"target column '{data.target_name}' is constant",
        code="E115",
        column=data.target_name,
        remedy="Check that this is the column to predict",
    )
