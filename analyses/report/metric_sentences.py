"""How well a run predicts, as a plain sentence and as one for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses import wording
from analyses.report.sentences import METRIC_NAMES

if TYPE_CHECKING:
    import pandas as pd

_BOUNDED = {"krippendorff_alpha", "ordinal_alpha", "kendall", "pearson", "ccc", "accuracy", "auc"}
_HEADLINE = ("krippendorff_alpha", "ordinal_alpha", "pearson", "ccc", "rmse", "accuracy")
_PARTS = {"train": "training", "validation": "validation", "test": "test"}


def metric_sentences(metrics: pd.DataFrame, split: str = "test", level: str = "person") -> tuple[str, str] | None:
    """The headline metric of a run: plain sentence and APA sentence; None where the run has none of these rows.

    Args:
        metrics: the run's metrics.
        split: train, validation or test.
        level: kind of prediction.
    """
    rows = metrics[(metrics["split"] == split) & (metrics["level"] == level)]
    name = next((name for name in _HEADLINE if (rows["metric"] == name).any()), None)
    if name is None:
        return None
    mine = rows[rows["metric"] == name]
    values = mine[mine["scope"] == "person"]["value"].to_numpy(dtype=np.float64)
    pooled = mine[mine["scope"] == "pooled"]["value"].to_numpy(dtype=np.float64)
    known, word = values[np.isfinite(values)], METRIC_NAMES[name]
    if not known.size:
        text = f"On the {_PARTS[split]} rows, {word} is not defined for any person."
        return text, f"On the {_PARTS[split]} rows, {word} was not defined for any person."
    show = wording.bounded if name in _BOUNDED else wording.number
    together = show(float(pooled[0])) if pooled.size else wording.UNDEFINED
    mean, spread = show(float(known.mean())), show(float(known.std(ddof=1))) if known.size > 1 else wording.UNDEFINED
    missing = values.size - known.size
    verb = "is" if missing == 1 else "are"
    left = f"; {wording.persons(missing)}, for whom it is not defined, {verb} left out" if missing else ""
    undefined = f"; undefined for {wording.persons(missing)}" if missing else ""
    text = (
        f"On the {_PARTS[split]} rows, {word} is {together} with all rows together and {mean} on average over "
        f"{wording.persons(known.size)}{left}."
    )
    apa = (
        f"On the {_PARTS[split]} rows, {word} was {together} pooled; over persons, M = {mean}, SD = {spread}, "
        f"n = {known.size}{undefined}."
    )
    return text, apa
