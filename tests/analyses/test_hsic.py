"""HSIC against dHSIC's values, naive loops, all permutations, and what must not change it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.hsic import HsicResult, hsic_test
from analyses.kernels import median_bandwidth
from analyses.resampling import permutation_blocks
from toolkit.errors import ConfigError, DataError
from toolkit.results import Result

GOLDEN = Path(__file__).parents[1] / "golden"
VALUES = pd.read_csv(GOLDEN / "dhsic_goldens.csv").pivot_table(index="case", columns="stat", values="value")
A = pd.read_csv(GOLDEN / "hsic_A_transitions.csv")
X_A, GROUP_A = A.filter(like="T_").to_numpy(), A["group"].to_numpy()


def run(x, group, seed=0, permutations=199, **options):
    return hsic_test(x, group, rng=np.random.default_rng(seed), permutations=permutations, **options)


def slow_hsic(x, y, bandwidth_x, bandwidth_y):
    """n x dHSIC by its definition; bandwidth None is the discrete kernel."""
    n = len(x)

    def gram(values, bandwidth):
        k = np.empty((n, n))
        for i, j in itertools.product(range(n), range(n)):
            squared = float(np.sum((values[i] - values[j]) ** 2))
            k[i, j] = float(squared == 0) if bandwidth is None else np.exp(-squared / (2 * bandwidth**2))
        return k

    k, m = gram(x, bandwidth_x), gram(y, bandwidth_y)
    return n * ((k * m).mean() + k.mean() * m.mean() - 2 * (k.mean(0) * m.mean(0)).mean())


def slow_bandwidth(x):
    squared = sorted(float(np.sum((a - b) ** 2)) for a, b in itertools.combinations(x, 2))
    return np.sqrt(0.5 * squared[len(squared) // 2]) or 0.001


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("A_gauss_discrete", {}),
        ("A_gauss_gauss", {"group_kernel": "gaussian"}),
        ("A_gaussfixed2_discrete", {"bandwidth": 2.0}),
    ],
)
def test_statistic_and_bandwidths_equal_dhsic(case, options):
    found, golden = run(X_A, GROUP_A, **options), VALUES.loc[case]
    assert found.statistic == pytest.approx(golden["statistic_n_times_dHSIC"], rel=1e-10)
    assert found.bandwidth == pytest.approx(golden["bandwidth1"], rel=1e-10)
    if case == "A_gauss_gauss":
        assert found.group_bandwidth == pytest.approx(golden["bandwidth2"], rel=1e-10)
    assert found.n == golden["n"]


@pytest.mark.parametrize("case", ["A_gauss_discrete", "A_gauss_gauss", "A_gaussfixed2_discrete"])
def test_p_agrees_with_dhsic_within_monte_carlo_error(case):
    options = {"A_gauss_gauss": {"group_kernel": "gaussian"}, "A_gaussfixed2_discrete": {"bandwidth": 2.0}}.get(
        case, {}
    )
    golden = VALUES.loc[case, "perm_p_B20000_seed1_MC"]
    found = run(X_A, GROUP_A, permutations=20_000, **options)
    assert abs(found.pvalue - golden) < 4 * np.sqrt(2 * golden / 20_000)


def test_ties_everywhere_give_zero_and_one():
    frame = pd.read_csv(GOLDEN / "hsic_E_ties.csv")
    found = run(frame["e"], frame["g"])
    assert found.statistic == pytest.approx(VALUES.loc["E_gauss_discrete", "statistic_n_times_dHSIC"], abs=1e-12)
    assert found.bandwidth == VALUES.loc["E_gauss_discrete", "bandwidth1"]
    assert (found.pvalue, found.statistic) == (1.0, 0.0)


def test_equal_rows_give_zero_and_one_and_a_note():
    found = run(np.full((12, 4, 4), 0.25), np.arange(12) % 2)
    assert (found.pvalue, found.statistic) == (1.0, 0.0)
    assert not np.isnan(found.null).any()
    assert "All rows are equal" in found.notes[0]


@given(
    st.integers(4, 9),
    st.integers(1, 3),
    st.integers(2, 3),
    st.sampled_from(["discrete", "gaussian"]),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_statistic_equals_naive_loops(n, columns, groups, group_kernel, seed):
    rng = np.random.default_rng(seed)
    n = max(n, 2 * groups)
    x = rng.integers(0, 4, (n, columns)).astype(float)
    y = (np.arange(n) % groups).astype(float)[:, None]
    width = None if group_kernel == "discrete" else slow_bandwidth(y)
    expected = slow_hsic(x, y, slow_bandwidth(x), width)
    found = run(x, y[:, 0], permutations=99, group_kernel=group_kernel)
    assert found.bandwidth == pytest.approx(slow_bandwidth(x), rel=1e-12)
    assert found.statistic == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("group_kernel", ["discrete", "gaussian"])
def test_exact_p_at_n_8_is_that_of_all_permutations(group_kernel):
    rng = np.random.default_rng(3)
    x, group = rng.standard_normal((8, 2)), np.repeat([0.0, 1.0], 4)
    width = None if group_kernel == "discrete" else slow_bandwidth(group[:, None])
    everything = [
        slow_hsic(x, np.isin(np.arange(8), chosen).astype(float)[:, None], slow_bandwidth(x), width)
        for chosen in itertools.combinations(range(8), 4)
    ]
    observed = slow_hsic(x, group[:, None], slow_bandwidth(x), width)
    found = run(x, group, permutations=9_999, group_kernel=group_kernel)
    np.testing.assert_allclose(np.sort(found.null), np.sort(everything), rtol=1e-9)
    assert (found.method, found.permutations, found.requested) == ("exact", 70, 9_999)
    assert found.pvalue == np.mean(np.array(everything) >= observed - 1e-12)
    assert found.pvalue_low == found.pvalue == found.pvalue_high
    assert "70 distinct" in found.notes[0]
    drawn = run(x, group, permutations=9_999, group_kernel=group_kernel, method="permutation")
    assert drawn.pvalue_low <= found.pvalue <= drawn.pvalue_high


def test_several_numeric_covariates_and_three_groups_permute_like_reindexing():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((12, 2))
    for group, kernel in ((rng.standard_normal((12, 2)), "gaussian"), (np.arange(12) % 3, "discrete")):
        found = run(x, group, permutations=99, group_kernel=kernel, seed=8)
        y = np.asarray(group, dtype=float).reshape(12, -1)
        width = slow_bandwidth(y) if kernel == "gaussian" else None
        levels, codes = np.unique(y, axis=0, return_inverse=True)
        # The library permutes codes of sorted distinct values; the same generator gives the same permutations.
        block = next(permutation_blocks(codes.ravel(), None, 99, np.random.default_rng(8), 99))
        expected = [slow_hsic(x, levels[c], slow_bandwidth(x), width) for c in block]
        np.testing.assert_allclose(found.null, expected, rtol=1e-9, atol=1e-12)


def test_permuting_units_equals_relabelling_whole_units():
    rng = np.random.default_rng(6)
    unit = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4, 4])
    label = np.array([0, 1, 0, 1, 1])
    x = rng.standard_normal((10, 3))
    found = run(x, label[unit], unit=unit, seed=2, permutations=99, method="permutation")
    block = next(permutation_blocks(label, None, 99, np.random.default_rng(2), 99))
    expected = [slow_hsic(x, c[unit][:, None].astype(float), slow_bandwidth(x), None) for c in block]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9, atol=1e-12)
    assert found.statistic == pytest.approx(slow_hsic(x, label[unit][:, None].astype(float), slow_bandwidth(x), None))


def test_row_order_label_names_and_matrix_shape_do_not_matter():
    rng = np.random.default_rng(7)
    x, unit = rng.random((20, 2, 2)), np.arange(20) // 2 * 2 + 1
    label = np.array(["no", "yes"])[np.repeat(np.arange(10) % 2, 2)]
    order = rng.permutation(20)
    first = run(x, label, unit=unit, permutations=999)
    second = run(x.reshape(20, 4)[order], label[order], unit=unit[order], permutations=999)
    third = run(x, np.where(label == "no", 9, 3), unit=[f"u{u}" for u in unit], permutations=999)
    for other in (second, third):
        assert other.statistic == pytest.approx(first.statistic, rel=1e-12)
        assert abs(other.pvalue - first.pvalue) < 0.08


def test_strata_keep_a_confounder_out():
    rng = np.random.default_rng(8)
    site = np.repeat([0, 1], 40)
    group = np.where(rng.random(80) < np.where(site == 0, 0.2, 0.8), 1, 0)
    x = (3 * site + rng.standard_normal(80))[:, None]
    assert run(x, group, permutations=999).pvalue < 0.01
    within = run(x, group, strata=site, permutations=999)
    assert within.pvalue > 0.05
    assert "within strata" in within.apa()


def test_a_clear_difference_is_found_and_the_same_seed_repeats():
    rng = np.random.default_rng(9)
    group = np.repeat([0, 1], 20)
    x = rng.standard_normal((40, 4)) + group[:, None]
    first, second = run(x, group, permutations=999), run(x, group, permutations=999)
    assert first.pvalue == 1 / 1000
    np.testing.assert_array_equal(first.null, second.null)
    assert first.group_sizes == {0: 20, 1: 20}
    assert not first.null.flags.writeable


def test_discrete_kernel_on_x_compares_whole_rows():
    x = np.array([[0, 1], [0, 1], [1, 0], [1, 0], [0, 1], [1, 0]], dtype=float)
    group = np.array([0, 0, 1, 1, 0, 1])
    expected = slow_hsic(x, group[:, None].astype(float), None, None)
    found = run(x, group, kernel="discrete")
    assert found.statistic == pytest.approx(expected)
    assert np.isnan(found.bandwidth)
    assert "discrete kernel on transitions" in found.apa()


def test_median_bandwidth_is_the_upper_median():
    # Squared distances 1, 1, 4, 4, 9, 1: the sorted element number 3 (from zero) of six is 4.
    assert median_bandwidth(np.array([[0.0], [1.0], [2.0], [3.0]])) == pytest.approx(np.sqrt(0.5 * 4))


def test_sentence_of_the_reporting_conventions():
    shown = HsicResult(
        statistic=0.71,
        pvalue=0.006,
        pvalue_low=0.0044,
        pvalue_high=0.0077,
        bandwidth=1.2,
        group_bandwidth=float("nan"),
        null=np.zeros(9999),
        n=195,
        n_units=151,
        permutations=9999,
        kernel="gaussian",
        group_kernel="discrete",
        bandwidth_rule="median",
        unit_name="families",
        stratified=False,
        group_sizes={"a": 100, "b": 95},
        notes=(),
    )
    assert shown.apa() == (
        "Transition matrices differed between groups, n x HSIC = 0.71 (Gaussian kernel with median bandwidth on "
        "transitions, discrete kernel on group), p = .006 (9,999 permutations of families; "
        "Monte Carlo 95% CI [.004, .008])."
    )
    assert "shuffled over families" in shown.text()
    assert "n x HSIC = 0.71" in shown.text()
    assert isinstance(shown, Result)
    assert shown.to_frame().loc[0, "statistic"] == 0.71
    assert shown.summary()["group_sizes"] == {"a": 100, "b": 95}


def test_sentences_follow_the_outcome():
    rng = np.random.default_rng(11)
    x, group = rng.standard_normal((30, 2)), np.arange(30) % 2
    nothing = run(x, group)
    assert nothing.pvalue > 0.05
    assert "did not differ detectably" in nothing.apa()
    assert "no more than chance" in nothing.text()
    numeric = run(x, x[:, 0], group_kernel="gaussian")
    assert numeric.apa().startswith("Transition matrices depended on group")
    assert numeric.group_sizes == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"x": np.array([[np.nan]] + [[0.0]] * 7)}, "E111"),
        ({"x": np.array([[np.inf]] + [[0.0]] * 7)}, "E110"),
        ({"x": np.zeros((0, 2))}, "E127"),
        ({"group": np.zeros(8)}, "E124"),
        ({"group": [0] * 7 + [1]}, "E124"),
        ({"group": [0, 1] * 3}, "E127"),
        ({"group": [None, 1, 0, 1, 0, 1, 0, 1]}, "E111"),
        ({"group": np.zeros(8), "group_kernel": "gaussian"}, "E124"),
        ({"group": np.arange(6.0), "group_kernel": "gaussian"}, "E127"),
        ({"group": [np.nan, *range(7)], "group_kernel": "gaussian"}, "E111"),
        ({"unit": [0, 0, 0, 1, 1, 1, 2, 2]}, "E126"),
        ({"unit": [None, *range(7)]}, "E112"),
        ({"unit": [0, 1, 0, 1, 0, 1, 0, 1]}, "E124"),
        ({"unit": [0, 1, 2, 3, 0, 1, 2, 3], "group": [0, 1, 0, 1] * 2, "strata": [0] * 4 + [1] * 4}, "E126"),
        ({"permutations": 98}, "E125"),
        ({"kernel": "sigmoid"}, "E302"),
        ({"group_kernel": "sigmoid"}, "E302"),
        ({"bandwidth": 0.0}, "E302"),
        ({"bandwidth": 1.0, "kernel": "discrete"}, "E302"),
    ],
)
def test_bad_input_is_named(change, code):
    arguments = {"x": np.arange(8.0)[:, None], "group": [0, 1] * 4, "permutations": 99} | change
    with pytest.raises(DataError) as caught:
        hsic_test(arguments.pop("x"), arguments.pop("group"), rng=np.random.default_rng(0), **arguments)
    assert caught.value.code == code


def test_errors_do_not_repeat_labels():
    with pytest.raises(DataError) as caught:
        run(np.arange(4.0)[:, None], ["Anna", "Anna", "Anna", "Berta"], permutations=99)
    assert "Anna" not in str(caught.value)
    assert "Berta" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"smallest p is 1/\(B\+1\)"):
        run(np.arange(4.0)[:, None], [0, 0, 1, 1], permutations=10)
