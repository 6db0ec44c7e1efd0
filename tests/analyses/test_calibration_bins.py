"""Calibration in bins: known means, intervals that hold persons together, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.calibration import calibration_bins
from toolkit.errors import ConfigError, DataError


def drawn(persons: int, rows: int, spread: float, seed: int):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(persons), rows)
    p = np.clip(rng.uniform(0.05, 0.95, persons * rows), 0, 1)
    own = np.repeat(rng.normal(0, spread, persons), rows)
    truth = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + own)))
    return p, (rng.random(persons * rows) < truth).astype(float), person


def test_means_and_counts_are_those_of_the_rows() -> None:
    p, y, person = drawn(20, 50, 0.0, 1)
    table = calibration_bins(p, y, person, bins=4)
    assert table["rows"].tolist() == [250] * 4
    order = np.argsort(p, kind="stable")[:250]
    assert table.loc[0, "predicted"] == pytest.approx(p[order].mean())
    assert table.loc[0, "observed"] == pytest.approx(y[order].mean())
    assert (table["low"] < table["observed"]).all()
    assert (table["high"] > table["observed"]).all()
    assert table[["low", "high"]].to_numpy().min() > 0
    assert table[["low", "high"]].to_numpy().max() < 1


def test_intervals_are_those_of_a_cluster_robust_mean() -> None:
    import statsmodels.api as sm

    p, y, person = drawn(15, 30, 1.0, 2)
    whole = calibration_bins(p, y, person, bins=1, probability=False).iloc[0]
    fitted = sm.OLS(y, np.ones(len(y))).fit(
        cov_type="cluster", cov_kwds={"groups": person, "use_correction": True, "df_correction": True}, use_t=True
    )
    # statsmodels multiplies by (n - 1) / (n - 1 of parameters) = 1 as well, since there is one parameter
    low, high = fitted.conf_int()[0]
    assert [whole["low"], whole["high"]] == pytest.approx([low, high], rel=1e-9)


def test_rows_of_one_person_are_not_taken_as_independent() -> None:
    inside = 0
    for seed in range(60):
        p, y, person = drawn(25, 40, 1.0, seed)
        truth_rows = np.abs(p - 0.5) < 2  # all
        table = calibration_bins(p[truth_rows], y, person, bins=1)
        own = np.random.default_rng(0).normal(0, 1.0, 200_000)
        mean = np.mean(1 / (1 + np.exp(-(np.log(p / (1 - p))[:, None] + own[:400]))))
        inside += bool(table.loc[0, "low"] <= mean <= table.loc[0, "high"])
    assert inside >= 51  # of 60 at 95 %; taken as independent rows, about half would hold


def test_no_interval_where_there_is_no_spread() -> None:
    table = calibration_bins([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0], ["a", "a", "b", "b"], bins=1)
    assert table[["low", "high"]].isna().all().all()
    one = calibration_bins([0.1, 0.2], [0, 1], ["a", "a"], bins=1)
    assert one[["low", "high"]].isna().all().all()


def test_equal_predictions_stay_in_one_bin() -> None:
    table = calibration_bins(np.full(40, 0.3), np.tile([0.0, 1.0], 20), np.arange(40) % 5)
    assert table["rows"].tolist() == [40]


@pytest.mark.parametrize(
    ("p", "y", "person", "settings", "code"),
    [
        ([], [], [], {}, "E124"),
        ([0.1, np.nan], [0, 1], ["a", "b"], {}, "E111"),
        ([0.1, np.inf], [0, 1], ["a", "b"], {}, "E110"),
        ([0.1, 0.2], [0], ["a", "b"], {}, "E127"),
        ([0.1, 0.2], [0, 1], ["a"], {}, "E127"),
        ([0.1, 0.2], [0, 1], ["a", None], {}, "E111"),
        ([0.1, 0.2], [0, 1], ["a", "b"], {"bins": 0}, "E302"),
        ([0.1, 0.2], [0, 1], ["a", "b"], {"level": 1.0}, "E302"),
    ],
)
def test_bad_input_is_refused(p, y, person, settings: dict, code: str) -> None:
    with pytest.raises((DataError, ConfigError)) as caught:
        calibration_bins(p, y, person, **settings)
    assert caught.value.code == code
