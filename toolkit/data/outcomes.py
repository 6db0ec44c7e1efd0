"""Kinds of outcomes, and the rows as a model of each kind reads them."""

from __future__ import annotations

from toolkit.data.grouped import GroupedDataset

NUMBER_TASKS = ("regression", "count")
CLASS_TASKS = ("binary", "multiclass", "ordinal", "sequence")


def rows_for(task: str, data: GroupedDataset) -> GroupedDataset:
    """The rows with the target as class codes where the task predicts classes, else as they are.

    Raises:
        DataError: E109 for numbers with decimals where classes are predicted, E302 for several targets.
    """
    return data.as_classes() if task in CLASS_TASKS else data
