"""Data a model cannot be fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.small_study import small_study
from toolkit import GroupedDataset, fit
from toolkit.errors import DataError
from toolkit.models import NmeMlp

ROLES = {"target": "mood", "groups": ["who"], "time": "t"}


def rows(frame: pd.DataFrame, *features: str) -> GroupedDataset:
    return GroupedDataset.from_frame(frame, features=list(features or ("x",)), **ROLES)


def test_no_more_rows_than_effects():
    frame = small_study(persons=4, rows=3)
    names = [f"x{k}" for k in range(3)]
    frame = frame.assign(**{name: np.random.default_rng(k).normal(size=len(frame)) for k, name in enumerate(names)})
    with pytest.raises(DataError, match="12 rows for 16 person effects") as caught:
        fit(NmeMlp(hidden=(), epochs=2), rows(frame, *names), seed=1)
    assert caught.value.code == "E118"
