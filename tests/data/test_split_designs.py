"""Splits by rows, persons, clusters and dates: no part knows what it should not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.grouped import GroupedDataset
from toolkit.data.splits import explicit, warn_of_untrained_persons
from toolkit.errors import ToolkitWarning


def study(persons: int = 12, rows: int = 10) -> GroupedDataset:
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(persons), rows)
    frame = pd.DataFrame(
        {
            "who": [f"p{k}" for k in person],
            "family": [f"f{k // 2}" for k in person],
            "t": np.tile(np.arange(rows), persons) + person % 3,
            "x": rng.normal(size=len(person)),
            "y": rng.normal(size=len(person)),
        }
    )
    frame = frame.sample(frac=1, random_state=1)
    return GroupedDataset.from_frame(frame, target="y", features="x", groups="who", time="t", cluster="family")


def test_persons_without_training_rows_are_counted() -> None:
    data = study()
    labels = np.where(data.person < 2, "test", "train")
    with pytest.warns(ToolkitWarning, match="W209: 2 of 12 persons"):
        warn_of_untrained_persons(data, explicit(data, labels))
