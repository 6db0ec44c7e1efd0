"""Stability: limits, oracles by loops, verdicts, bad input."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analyses.stability import correlation_with_full, cs_coefficient, pairwise_ranks, same_side, stability
from toolkit.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def runs():
    """Five runs of 40 persons: one parameter that repeats, one that is noise, one in which nobody differs."""
    made = np.random.default_rng(1)
    signal = made.normal(size=40) + made.normal(0, 0.05, size=(5, 40))
    return np.stack([signal, made.normal(size=(5, 40)), np.full((5, 40), 0.3)], axis=2)


def test_identical_runs_are_perfectly_stable(runs, rng):
    found = stability(["a", "b"], runs=np.repeat(runs[:1, :, :2], 3, axis=0), resamples=99, rng=rng)
    assert found.icc == pytest.approx([1, 1])
    assert found.icc_low == pytest.approx([1, 1])
    assert found.rank_agreement == pytest.approx([1, 1])
    assert found.sign_agreement.tolist() == [1, 1]
    assert found.stable == (True, True)


def test_noise_and_flat_parameters_are_marked(runs, rng):
    found = stability(["a", "b", "c"], runs=runs, resamples=199, rng=rng)
    assert found.stable == (True, False, False)
    assert found.reason == ("", "changes with the seed", "persons do not differ in it")
    assert abs(found.icc[1]) < 0.2
    assert "b, c" in found.text()
    assert found.to_frame()["stable"].tolist() == [True, False, False]
    assert found.icc_low[0] <= found.icc[0] <= found.icc_high[0]


def test_agreement_is_that_of_loops(runs):
    values = runs[:, :, 1]
    pairs = list(combinations(range(5), 2))
    assert pairwise_ranks(values) == pytest.approx(np.mean([spearmanr(values[a], values[b])[0] for a, b in pairs]))
    side = values > values.mean(axis=1, keepdims=True)
    assert same_side(values) == pytest.approx(np.mean([np.mean(side[a] == side[b]) for a, b in pairs]))


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_icc_is_pingouins(runs, rng):
    import pingouin

    values = runs[:, :, 1]
    frame = pd.DataFrame({"t": np.tile(np.arange(40), 5), "r": np.repeat(np.arange(5), 40), "y": values.ravel()})
    expected = pingouin.intraclass_corr(frame, targets="t", raters="r", ratings="y")["ICC"].iloc[1]
    assert stability(["b"], runs=runs[:, :, 1:2], resamples=99, rng=rng).icc[0] == pytest.approx(expected, abs=1e-9)


def test_case_drop_curve_falls_and_gives_the_cs(rng):
    full = rng.normal(size=(60, 2))
    noise = rng.normal(size=(4, 30, 60))
    fewer = {}
    for k, share in enumerate((0.1, 0.25, 0.5, 0.75)):
        good, bad = full[:, 0] + 0.1 * noise[k], full[:, 1] + (0.1, 0.3, 3, 3)[k] * noise[k]
        fewer[share] = np.stack([good, bad], axis=2)
    found = stability(["good", "bad"], full=full, dropped=fewer, rng=rng)
    assert found.cs.tolist() == [0.75, 0.25]
    r = correlation_with_full(full, fewer[0.5])
    assert r[3, 1] == pytest.approx(np.corrcoef(full[:, 1], fewer[0.5][3, :, 1])[0, 1])
    curve = found.curve_frame()
    assert len(curve) == 8
    assert curve["dropped"].max() == 0.75
    assert np.isnan(found.icc).all()


def test_cs_counts_95_percent_of_the_refits():
    good, mixed = np.full(100, 0.9), np.r_[np.full(94, 0.9), np.zeros(6)]
    assert cs_coefficient({0.1: good, 0.25: mixed, 0.5: good}) == 0.1
    assert cs_coefficient({0.1: mixed}) == 0.0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"runs": np.zeros((1, 9, 1))}, "E124"),
        ({}, "E124"),
        ({"runs": np.zeros((2, 3, 1))}, "E116"),
        ({"runs": np.zeros((2, 9, 2))}, "E127"),
        ({"runs": np.full((2, 9, 1), np.nan)}, "E111"),
        ({"dropped": {0.5: np.zeros((2, 9, 1))}}, "E127"),
        ({"full": np.zeros((9, 1)), "dropped": {1.5: np.zeros((2, 9, 1))}}, "E302"),
    ],
)
def test_bad_input_is_named(given, code, rng):
    with pytest.raises(DataError, match=code):
        stability(["a"], **given, rng=rng)


def test_too_few_resamples(runs, rng):
    with pytest.raises(ConfigError, match="E125"):
        stability(["a", "b", "c"], runs=runs, resamples=9, rng=rng)


def test_method_is_named_and_few_persons_are_pointed_out(runs, rng):
    found = stability(["a"], runs=runs[:, :20, :1], rng=rng)
    assert found.summary()["method"] == "jackknife"
    assert any("20 persons" in note for note in found.notes)
    drawn = stability(["a"], runs=runs[:, :20, :1], method="percentile", resamples=199, rng=rng)
    assert any("too short" in note for note in drawn.notes)
    assert drawn.icc_low != pytest.approx(found.icc_low)
    with pytest.raises(ConfigError, match="E302"):
        stability(["a"], runs=runs[:, :, :1], method="bca", rng=rng)
