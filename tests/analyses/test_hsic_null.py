"""Null distributions: every assignment, the gamma curve of dHSIC, early stopping, single precision, ties."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.hsic import hsic_test
from analyses.hsic_form import Form, make_form
from analyses.hsic_null import all_assignments
from analyses.kernels import centred, kernel_matrix, low_rank_factor, median_bandwidth, pivoted_factor
from analyses.resampling import permutation_blocks
from toolkit.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden"
VALUES = pd.read_csv(GOLDEN / "dhsic_goldens.csv").pivot_table(index="case", columns="stat", values="value")
A = pd.read_csv(GOLDEN / "hsic_A_transitions.csv")


def run(x, group, seed=0, permutations=999, **options):
    return hsic_test(x, group, rng=np.random.default_rng(seed), permutations=permutations, **options)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("A_gauss_discrete", {}),
        ("A_gauss_gauss", {"group_kernel": "gaussian"}),
        ("A_gaussfixed2_discrete", {"bandwidth": 2.0}),
    ],
)
def test_gamma_p_is_dhsics(case, options):
    found = run(A.filter(like="T_").to_numpy(), A["group"], method="gamma", **options)
    assert found.pvalue == pytest.approx(VALUES.loc[case, "gamma_p"], rel=1e-9)
    assert found.statistic == pytest.approx(VALUES.loc[case, "statistic_n_times_dHSIC"], rel=1e-10)
    assert (found.method, found.null.size, found.permutations) == ("gamma", 0, 0)
    assert "gamma approximation" in found.apa()
    assert "gamma curve" in found.text()


def test_gamma_is_refused_where_rows_depend_on_each_other_or_are_few():
    x, group, pair = np.random.default_rng(0).standard_normal((12, 2)), np.arange(12) % 2, np.arange(12) // 2
    for options in ({"unit": pair, "x": 1}, {"strata": pair}, {"paired": pair}, {"stop_after": 5}):
        label = pair % 2 if options.pop("x", 0) else group
        with pytest.raises(ConfigError, match="E302"):
            run(x, label, method="gamma", **options)
    with pytest.raises(ConfigError, match="six rows"):
        run(x[:5], group[:5], method="gamma")
    assert run(np.ones((12, 2)), group, method="gamma").pvalue == 1.0


@pytest.mark.parametrize("stratum", [None, np.array([0, 0, 0, 1, 1, 1, 1])])
@pytest.mark.parametrize("codes", [[0, 1, 2, 0, 1, 1, 2], [0, 1, 1, 0, 1, 1, 0]])
def test_every_assignment_comes_once(stratum, codes):
    codes = np.array(codes)
    layers = np.zeros(7, dtype=int) if stratum is None else stratum
    expected = {
        order
        for order in itertools.permutations(codes.tolist())
        if all(sorted(np.array(order)[layers == s]) == sorted(codes[layers == s]) for s in set(layers.tolist()))
    }
    found = [tuple(row) for block in all_assignments(codes, stratum, 5) for row in block.tolist()]
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == expected


def test_exact_p_of_a_numeric_covariate_is_that_of_all_orders():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    found = run(x, y, group_kernel="gaussian")
    k = centred(kernel_matrix(x, "gaussian", median_bandwidth(x)))
    m = kernel_matrix(y[:, None], "gaussian", median_bandwidth(y[:, None]))
    values = [np.sum(k * m[np.ix_(order, order)]) / 6 for order in map(list, itertools.permutations(range(6)))]
    assert found.permutations == 720
    np.testing.assert_allclose(np.sort(found.null), np.sort(values), rtol=1e-9)
    assert found.pvalue == np.mean(np.array(values) >= values[0] - 1e-12)


def test_exact_may_be_asked_for_beyond_the_permutations_and_has_a_limit():
    x = np.random.default_rng(2).standard_normal((14, 2))
    asked = run(x, np.arange(14) % 2, permutations=99, method="exact")
    assert (asked.permutations, asked.requested) == (3432, 99)
    drawn = run(x, np.arange(14) % 2, permutations=9_999, method="permutation")
    assert drawn.pvalue_low <= asked.pvalue <= drawn.pvalue_high
    with pytest.raises(ConfigError, match="too many"):
        run(np.zeros((40, 1)), np.arange(40) % 2, method="exact")


def test_few_assignments_are_said_to_miss_the_level():
    x = np.random.default_rng(3).standard_normal((5, 1))
    found = run(x, [0, 0, 1, 1, 1])
    assert found.permutations == 10
    assert any("no result can reach the level of .05" in note for note in found.notes)


def test_stopping_early_is_a_prefix_of_the_full_run():
    x, group = np.random.default_rng(4).standard_normal((40, 2)), np.arange(40) % 2
    full, early = (run(x, group, stop_after=stop, method="permutation") for stop in (None, 5))
    size = early.permutations
    assert size == early.null.size < 999
    np.testing.assert_allclose(early.null, full.null[:size], rtol=1e-9)
    assert early.pvalue == 5 / size
    assert np.sum(early.null >= early.statistic) == 5
    assert early.null[-1] >= early.statistic
    assert (early.method, early.stop_after, early.requested) == ("early stop", 5, 999)
    assert early.pvalue_low < early.pvalue < early.pvalue_high
    assert "stopped after 5 that reached it" in early.apa()
    assert "of at most 999" in early.apa()
    assert "stopped at the 5. such shuffle" in early.text()


def test_a_clear_effect_is_never_stopped():
    rng = np.random.default_rng(5)
    group = np.arange(40) % 2
    found = run(rng.standard_normal((40, 2)) + 2 * group[:, None], group, stop_after=20)
    assert (found.method, found.permutations, found.pvalue) == ("permutation", 999, 1 / 1000)


def pieces(kind, n, groups, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "normal": rng.standard_normal((n, 4)),
        "ties": rng.integers(0, 2, (n, 2)).astype(float),
        "outlier": rng.standard_cauchy((n, 3)) * 1e6,
    }[kind]
    gram = centred(kernel_matrix(x, "linear" if kind == "outlier" else "gaussian", median_bandwidth(x)))
    if groups:
        return gram, np.eye(groups), low_rank_factor(np.eye(groups)), np.arange(n) % groups
    similarity = kernel_matrix(x[:, :1], "gaussian", median_bandwidth(x[:, :1]))
    return gram, similarity, pivoted_factor(similarity, 64), np.arange(n)


@pytest.mark.parametrize("kind", ["normal", "ties", "outlier"])
@pytest.mark.parametrize("groups", [0, 2, 3])
@pytest.mark.parametrize("n", [64, 300])
def test_single_precision_errs_less_than_its_doubt_and_counts_the_same(kind, groups, n):
    gram, similarity, factor, codes = pieces(kind, n, groups)
    form = make_form(gram.copy(), similarity, factor)
    assert form.coarse is not None
    block = next(permutation_blocks(codes, None, 300, np.random.default_rng(1), 300))
    exact = form.exact(block)
    assert np.max(np.abs(form.values(block, -np.inf) - exact)) < form.doubt
    for observed in exact[:20]:
        slack = 1e-9 * abs(observed)
        assert np.sum(form.values(block, observed) >= observed - slack) == np.sum(exact >= observed - slack)


@pytest.mark.parametrize("groups", [2, 3])
def test_factored_and_direct_sums_agree(groups):
    gram, similarity, factor, codes = pieces("normal", 30, groups)
    form = make_form(gram, similarity, factor)
    direct = Form(gram=gram, coarse=None, scale=1.0, doubt=0.0, factor=None, similarity=similarity)
    block = next(permutation_blocks(codes, None, 50, np.random.default_rng(2), 50))
    np.testing.assert_allclose(form.exact(block), direct.exact(block), rtol=1e-10)


def test_heavy_ties_count_as_reached_in_both_precisions():
    rng = np.random.default_rng(6)
    x, group = rng.integers(0, 2, (100, 1)).astype(float), np.arange(100) % 2
    found = run(x, group, permutations=4_999)
    # One binary value against one binary label: the statistic is a function of one hypergeometric count.
    from scipy.stats import hypergeom

    ones, inside = int(x.sum()), int(x[group == 1].sum())
    count = np.arange(0, ones + 1)
    away = np.abs(count - ones / 2)
    exact = hypergeom(100, ones, 50).pmf(count)[away >= abs(inside - ones / 2) - 1e-9].sum()
    assert found.pvalue_low <= exact <= found.pvalue_high
    reached = np.abs(found.null - found.statistic) < 1e-9 * found.statistic
    assert reached.sum() > 50
