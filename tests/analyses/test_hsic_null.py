"""Null distributions of the HSIC test: all assignments, the gamma curve of dHSIC, early stopping, single precision."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.hsic import hsic_test
from analyses.hsic_null import all_assignments, enumerated, gamma_null, permuted, quadratic_form
from analyses.kernels import centred, kernel_matrix, low_rank_factor, median_bandwidth

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(("case", "width"), [("A_gauss_discrete", None), ("A_gaussfixed2_discrete", 2.0)])
def test_gamma_p_is_dhsics(case, width):
    frame = pd.read_csv(GOLDEN / "hsic_A_transitions.csv")
    golden = pd.read_csv(GOLDEN / "dhsic_goldens.csv").pivot_table(index="case", columns="stat", values="value")
    x, group = frame.filter(like="T_").to_numpy(), frame["group"].to_numpy()
    k = kernel_matrix(x, "gaussian", width or median_bandwidth(x))
    m = (group[:, None] == group[None, :]).astype(float)
    found = gamma_null(k, m, golden.loc[case, "statistic_n_times_dHSIC"])
    assert found.pvalue == pytest.approx(golden.loc[case, "gamma_p"], rel=1e-6)


@pytest.mark.parametrize("stratum", [None, np.array([0, 0, 0, 1, 1, 1, 1])])
def test_every_assignment_comes_once(stratum):
    codes = np.array([0, 1, 2, 0, 1, 1, 2])
    layers = np.zeros(7, dtype=int) if stratum is None else stratum
    expected = {
        order
        for order in itertools.permutations(codes.tolist())
        if all(sorted(np.array(order)[layers == s]) == sorted(codes[layers == s]) for s in set(layers.tolist()))
    }
    found = [tuple(row) for block in all_assignments(codes, stratum, 5) for row in block.tolist()]
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == expected


def pieces(n, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, 3))
    return centred(kernel_matrix(x, "gaussian", median_bandwidth(x))), np.arange(n) % 2, low_rank_factor(np.eye(2))


def test_exact_p_lies_in_the_monte_carlo_interval():
    gram, codes, factor = pieces(8)
    observed = quadratic_form(gram, codes[None], factor)[0]
    exact = enumerated(gram, codes, factor, None, observed, 1e-9)
    drawn = permuted(gram, codes, factor, None, observed, 1e-9, permutations=9_999, rng=np.random.default_rng(1))
    assert exact.values.size == 70
    assert drawn.low <= exact.pvalue <= drawn.high


def test_stopping_early_is_a_prefix_of_the_full_run():
    gram, codes, factor = pieces(20)
    observed = quadratic_form(gram, codes[None], factor)[0]
    full, early = (
        permuted(
            gram, codes, factor, None, observed, 1e-9, permutations=999, rng=np.random.default_rng(1), stop_after=stop
        )
        for stop in (None, 5)
    )
    np.testing.assert_allclose(early.values, full.values[: early.values.size])
    assert early.pvalue == 5 / early.values.size
    assert early.values[-1] >= observed - 1e-9


def test_values_are_those_of_the_test():
    x, group = np.random.default_rng(0).standard_normal((20, 3)), np.arange(20) % 2
    gram, codes, factor = pieces(20)
    drawn = permuted(gram, codes, factor, None, 0.0, 0.0, permutations=199, rng=np.random.default_rng(4))
    theirs = hsic_test(x, group, permutations=199, rng=np.random.default_rng(4)).null
    np.testing.assert_allclose(drawn.values / 20, theirs, rtol=1e-9, atol=1e-12)
