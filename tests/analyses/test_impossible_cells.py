"""Matrices in which a cell is missing in everybody: a transition that cannot occur."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.base_rate_adjustment import excess_transitions
from analyses.hsic import hsic_test
from analyses.matrices import observed_transitions, transition_matrices
from analyses.plausible_transitions import plausible_transitions
from analyses.shifted_matrices import shift_warning, warn_of_shifts
from toolkit.errors import DataError, ToolkitWarning

SIDE = np.arange(24) % 2 == 0


def onset_scores() -> np.ndarray:
    scores = np.random.default_rng(0).normal(size=(24, 3, 3))
    scores[:, np.arange(3), np.arange(3)] = np.nan
    return scores


def test_counts_of_impossible_transitions_are_not_smoothed():
    rng = np.random.default_rng(4)
    cells = [(who, a, b) for who in ("p", "q") for a in "xyz" for b in "xyz"]
    frame = pd.DataFrame(cells, columns=["person", "from_state", "to_state"])
    same = (frame["from_state"] == frame["to_state"]).to_numpy()
    frame["observed"] = np.where(same, 0, rng.integers(0, 5, len(frame)))
    frame["score"] = np.where(same, np.nan, 0.3)
    _, _, counts = transition_matrices(frame, "observed")
    shares = observed_transitions(counts)
    assert (np.diagonal(shares, axis1=1, axis2=2) == 0).all()
    np.testing.assert_allclose(shares.sum(axis=2), 1.0)
    plain = frame["observed"].to_numpy(dtype=float).reshape(2, 3, 3)
    assert shares[0, 0, 1] == pytest.approx((plain[0, 0, 1] + 0.5) / (plain[0, 0].sum() + 1.0))
    np.testing.assert_array_equal(excess_transitions(counts), excess_transitions(plain))
    possible = transition_matrices(frame.drop(columns="score"), "observed")[2]
    np.testing.assert_array_equal(possible, plain)  # without scores nothing says so


def test_matrices_that_a_covariate_shifted_are_not_compared_in_silence():
    manifest = {"config": {"transition_covariates": ["depressed"]}}
    with pytest.warns(ToolkitWarning, match="W230: in this model depressed shifts"):
        warn_of_shifts(manifest, "probability")
    assert shift_warning(manifest, "observed") is None
    assert shift_warning({"config": {}}, "score") is None


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
