"""Predictions of Monte Carlo EM averaged over draws, and their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tests.models.mcgmenn_study import CLASSES, fitted, study
from toolkit import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.mcgmenn_prediction import ROWS_AT_ONCE


def test_the_average_is_that_of_a_loop_over_draws():
    run, data = fitted("multiclass"), study("multiclass")
    logits = np.log(run.predict(data, "population"))
    loop = np.zeros_like(logits)
    trained: Any = run.trained
    for person, item in zip(*trained.draws, strict=True):
        own = person.numpy()[np.asarray(data.person)] + item.numpy()[np.asarray(data.groupings[1].codes)]
        loop += softmax(logits + own, axis=1) / len(trained.draws[0])
    np.testing.assert_allclose(run.predict_averaged(data), loop, atol=1e-6)


def test_intervals_hold_the_prediction_and_are_wider_for_levels_nobody_knows():
    run, data = fitted("binary"), study("binary")
    known = run.predict_interval(data)
    assert len(known) == 2 * data.n_rows
    assert ((known["low"] <= known["prediction"]) & (known["prediction"] <= known["high"])).all()
    np.testing.assert_allclose(known["prediction"].to_numpy().reshape(-1, 2), run.predict_averaged(data))
    frame = known.iloc[:0]
    assert list(frame.columns) == ["row", "person", "person_known", "class", "prediction", "sd", "low", "high"]
    features = list(data.feature_names)
    columns = {name: np.asarray(data.features)[:200, place] for place, name in enumerate(features)}
    strangers = GroupedDataset.from_frame(
        pd.DataFrame(columns).assign(person="nobody", item="nothing"), features=features, groups=["person", "item"]
    )
    unknown = run.predict_interval(strangers)
    assert not unknown["person_known"].any()
    assert unknown["sd"].mean() > 1.5 * known["sd"].mean()


def test_intervals_of_numbers_cover_them():
    run, data = fitted("regression"), study("regression")
    found = run.predict_interval(data, level=0.9)
    assert len(found) == data.n_rows <= ROWS_AT_ONCE
    inside = (found["low"] < np.asarray(data.target)) & (np.asarray(data.target) < found["high"])
    assert inside.mean() == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("task", ["ordinal", "count"])
def test_other_outcomes_are_averaged(task):
    run, data = fitted(task), study(task)
    found = run.predict_averaged(data)
    assert found.shape == ((data.n_rows, len(CLASSES)) if task == "ordinal" else (data.n_rows,))
    assert np.corrcoef(found.ravel(), run.predict(data).ravel())[0, 1] > 0.99


def test_a_level_that_is_no_probability_is_refused():
    with pytest.raises(ConfigError, match="no probability"):
        fitted("binary").predict_interval(study("binary"), level=95.0)
