"""Data a model cannot be fitted to, or meets only when it predicts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tests.small_study import small_study
from toolkit import GroupedDataset, fit
from toolkit.errors import DataError, ToolkitWarning
from toolkit.models import GenericMlp, NmeMlp

ROLES = {"target": "mood", "groups": ["who"], "time": "t"}


def rows(frame: pd.DataFrame, *features: str) -> GroupedDataset:
    return GroupedDataset.from_frame(frame, features=list(features or ("x",)), **ROLES)


@pytest.fixture(scope="module")
def run():
    frame = small_study().assign(y=lambda f: np.cos(f["x"] * 9))
    return fit(GenericMlp(hidden=(), epochs=5), rows(frame, "x", "y"), seed=1), frame


def test_no_more_rows_than_effects():
    frame = small_study(persons=4, rows=3)
    names = [f"x{k}" for k in range(3)]
    frame = frame.assign(**{name: np.random.default_rng(k).normal(size=len(frame)) for k, name in enumerate(names)})
    with pytest.raises(DataError, match="12 rows for 16 person effects") as caught:
        fit(NmeMlp(hidden=(), epochs=2), rows(frame, *names), seed=1)
    assert caught.value.code == "E118"


def test_features_are_matched_by_name(run):
    fitted, frame = run
    np.testing.assert_array_equal(fitted.predict(rows(frame, "y", "x")), fitted.predict(rows(frame, "x", "y")))


def test_features_missing_or_too_many(run):
    fitted, frame = run
    with pytest.raises(DataError, match="E405"):
        fitted.predict(rows(frame, "x"))
    with pytest.warns(ToolkitWarning, match="W218: .*ignored: extra"):
        predicted = fitted.predict(rows(frame.assign(extra=frame["x"]), "x", "extra", "y"))
    np.testing.assert_array_equal(predicted, fitted.predict(rows(frame, "x", "y")))


def test_features_far_outside_the_training_range(run):
    fitted, frame = run
    other = frame.assign(y=np.where(frame["t"] == 3, 3000 + frame["y"] * 1000, frame["y"]))
    with pytest.warns(ToolkitWarning, match=rf"W210: .*y \({(frame['t'] == 3).sum()}\)"):
        fitted.predict(rows(other, "x", "y"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(rows(frame, "x", "y"))
