"""Matrices in which a cell is missing in everybody: a transition that cannot occur."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.hsic import hsic_test
from analyses.plausible_transitions import plausible_transitions
from toolkit.errors import DataError

SIDE = np.arange(24) % 2 == 0


def onset_scores() -> np.ndarray:
    scores = np.random.default_rng(0).normal(size=(24, 3, 3))
    scores[:, np.arange(3), np.arange(3)] = np.nan
    return scores


def test_hsic_leaves_the_cells_out():
    scores = onset_scores()
    options = {"permutations": 199, "probabilities": False}
    found = hsic_test(scores, SIDE, rng=np.random.default_rng(1), **options)
    kept = scores.reshape(24, 9)[:, ~np.eye(3, dtype=bool).ravel()]
    plain = hsic_test(kept, SIDE, rng=np.random.default_rng(1), **options)
    assert found.statistic == plain.statistic
    assert found.pvalue == plain.pvalue
    scores[3, 0, 1] = np.nan
    with pytest.raises(DataError, match="E111"):
        hsic_test(scores, SIDE, rng=np.random.default_rng(1), **options)


def test_plausible_values_give_impossible_transitions_no_probability():
    varying = ~np.eye(3, dtype=bool).ravel()
    covariance = np.diag(0.2 * varying)
    mean = np.where(varying, np.random.default_rng(2).normal(scale=0.5, size=(24, 9)), 0.0)
    result = plausible_transitions(
        onset_scores(), mean, np.tile(covariance, (24, 1, 1)), np.diag(0.5 * varying), SIDE, draws=5, resamples=99,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    assert (np.diagonal(result.difference) == 0).all()
    assert np.isnan(np.diagonal(result.pvalue)).all()
    assert np.isfinite(result.pvalue[~np.eye(3, dtype=bool)]).all()
