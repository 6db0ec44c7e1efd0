"""What may change places, and several covariates: against slow definitions, and what each design says."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from analyses.hsic import hsic_test
from analyses.kernels import centred, kernel_matrix, median_bandwidth
from toolkit.errors import ConfigError, DataError


def run(x, group, seed=0, permutations=999, **options):
    return hsic_test(x, group, rng=np.random.default_rng(seed), permutations=permutations, **options)


def slow(x, similarity):
    gram = centred(kernel_matrix(x, "gaussian", median_bandwidth(x)))
    return np.sum(gram * similarity) / len(x)


def same(label):
    return (label[:, None] == label[None, :]).astype(float)


def test_pairs_switch_their_labels():
    rng = np.random.default_rng(0)
    person, when = np.repeat(np.arange(6), 2), np.tile([0, 1], 6)
    x = rng.standard_normal((6, 3))[person] + 0.3 * rng.standard_normal((12, 3)) + 0.4 * when[:, None]
    found = run(x, when, paired=person)
    every = []
    for switched in itertools.product([0, 1], repeat=6):
        label = when ^ np.array(switched)[person]
        every.append(slow(x, same(label)))
    assert (found.method, found.permutations, found.design) == ("exact", 64, "pairs")
    np.testing.assert_allclose(np.sort(found.null), np.sort(every), rtol=1e-9)
    assert found.pvalue == np.mean(np.array(every) >= slow(x, same(when)) - 1e-12)
    assert "within pairs" in found.apa()
    as_strata = run(x, when, strata=person)
    assert as_strata.pvalue == found.pvalue


def test_pairs_find_what_shuffling_everybody_hides():
    rng = np.random.default_rng(1)
    person, when = np.repeat(np.arange(30), 2), np.tile([0, 1], 30)
    x = 3 * rng.standard_normal((30, 2))[person] + 0.3 * rng.standard_normal((60, 2)) + 0.3 * when[:, None]
    assert run(x, when, paired=person).pvalue < 0.01
    assert run(x, when).pvalue > 0.3


def test_pairs_of_units_keep_the_rows_of_a_unit_together():
    rng = np.random.default_rng(2)
    unit, pair = np.repeat(np.arange(12), 3), np.repeat(np.arange(6), 6)
    found = run(rng.standard_normal((36, 2)), (unit % 2), unit=unit, paired=pair)
    assert (found.n_units, found.permutations) == (12, 64)


@pytest.mark.parametrize(
    ("paired", "group"),
    [
        ([0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 0, 1, 0, 0, 0, 1]),  # equal labels in a pair
        ([0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 0, 1, 0, 1, 0, 1]),  # threesomes
    ],
)
def test_pairs_have_to_be_pairs(paired, group):
    with pytest.raises(DataError) as caught:
        run(np.arange(8.0)[:, None], group, paired=paired)
    assert caught.value.code == "E126"
    assert caught.value.rows


def test_options_that_exclude_each_other_are_refused():
    x, group, pair = np.arange(8.0)[:, None], np.tile([0, 1], 4), np.repeat(np.arange(4), 2)
    for options in (
        {"paired": pair, "strata": pair},
        {"paired": pair, "match_sizes": True},
        {"paired": pair, "effect_size": True},
        {"method": "exact", "stop_after": 5},
        {"kernel": "linear", "bandwidth_multiple": 2.0},
        {"bandwidth": 1.0, "bandwidth_multiple": 2.0},
        {"group_kernel": {"group": "discrete"}},
        {"bandwidth_multiple": np.inf},
        {"method": "magic"},
        {"alpha": 0.0},
    ):
        with pytest.raises(ConfigError) as caught:
            run(x, group, **options)
        assert caught.value.code == "E302"


def test_strata_in_which_nothing_varies_are_refused():
    group = np.repeat([0, 1], 4)
    with pytest.raises(DataError, match="no label can change places"):
        run(np.arange(8.0)[:, None], group, strata=group)


def test_units_of_equal_size_trade_labels():
    rng = np.random.default_rng(3)
    sizes = np.array([1, 1, 1, 1, 2, 2, 3, 3])
    unit, label = np.repeat(np.arange(8), sizes), np.array([0, 1, 0, 1, 0, 1, 0, 1])
    x = rng.standard_normal((len(unit), 2))
    found = run(x, label[unit], unit=unit, match_sizes=True)
    every = []
    for first, second, third in itertools.product(
        set(itertools.permutations([0, 1, 0, 1])), [(0, 1), (1, 0)], [(0, 1), (1, 0)]
    ):
        every.append(slow(x, same(np.array([*first, *second, *third])[unit])))
    assert (found.permutations, found.design) == (24, "sizes")
    np.testing.assert_allclose(np.sort(found.null), np.sort(every), rtol=1e-9)
    assert "of equal size" in found.apa()
    site = np.array([0, 0, 0, 0, 1, 1, 1, 1])[unit]
    assert run(x, label[unit], unit=unit, strata=site, match_sizes=True).permutations == 24


def test_units_trade_labels_by_size_where_size_goes_with_the_group():
    rng = np.random.default_rng(4)
    label, sizes = np.arange(24) % 2, np.repeat([1, 2, 3], 8)
    sizes[[0, 2]], sizes[[17, 19]] = 3, 1  # more large units in the first group
    sizes[[4, 6]] = 3
    unit = np.repeat(np.arange(24), sizes)
    x = rng.standard_normal((len(unit), 2))
    found = run(x, label[unit], unit=unit)
    assert found.design == "sizes"
    assert any("equal size alone traded" in note for note in found.notes)
    everybody = run(x, label[unit], unit=unit, match_sizes=False)
    assert everybody.design == "free"
    assert any("far too small" in note for note in everybody.notes)


def test_sizes_without_overlap_are_pointed_out():
    rng = np.random.default_rng(4)
    label = np.arange(20) % 2
    unit = np.repeat(np.arange(20), 1 + 2 * label)
    found = run(rng.standard_normal((len(unit), 2)), label[unit], unit=unit)
    assert found.design == "free"
    assert any("far too small" in note for note in found.notes)
    even = run(rng.standard_normal((40, 2)), np.repeat(label, 2), unit=np.repeat(np.arange(20), 2))
    assert not any("rows their" in note for note in even.notes)
    pairs = run(rng.standard_normal((len(unit), 2)), label[unit], unit=unit, paired=unit // 2)
    assert any("part of what the test finds" in note for note in pairs.notes)


@pytest.mark.slow
@pytest.mark.parametrize("frame", [False, True])
def test_several_covariates_are_one_product_kernel_permuted_jointly(frame):
    rng = np.random.default_rng(5)
    x, age = rng.standard_normal((7, 2)), rng.standard_normal(7)
    sex = np.array(["f", "m", "f", "m", "m", "f", "m"])
    columns = {"sex": sex, "age": age}
    found = run(x, pd.DataFrame(columns) if frame else columns, permutations=5_040)
    similarity = same(sex) * kernel_matrix(age[:, None], "gaussian", median_bandwidth(age[:, None]))
    every = [slow(x, similarity[np.ix_(order, order)]) for order in map(list, itertools.permutations(range(7)))]
    assert found.statistic == pytest.approx(every[0], rel=1e-9)
    np.testing.assert_allclose(np.sort(found.null), np.sort(every), rtol=1e-8)
    assert [column[:2] for column in found.covariates] == [("sex", "discrete"), ("age", "gaussian")]
    assert found.apa().startswith("Transition matrices did not depend detectably on sex and age")
    assert "product of discrete kernel on sex, Gaussian kernel with median bandwidth on age" in found.apa()
    assert found.summary()["covariates"][1]["name"] == "age"


def test_a_rough_joint_kernel_is_summed_directly_and_agrees_with_reindexing():
    rng = np.random.default_rng(6)
    x, columns = rng.standard_normal((90, 2)), {name: rng.standard_normal(90) for name in "abc"}
    found = run(x, columns, permutations=99)
    similarity = np.ones((90, 90))
    for column in columns.values():
        similarity *= kernel_matrix(column[:, None], "gaussian", median_bandwidth(column[:, None]))
    assert found.statistic == pytest.approx(slow(x, similarity), rel=1e-9)
    rng = np.random.default_rng(7)
    reindexed = [slow(x, similarity[np.ix_(order, order)]) for order in (rng.permutation(90) for _ in range(400))]
    assert np.mean(found.null) == pytest.approx(np.mean(reindexed), rel=0.05)


def test_covariates_name_their_kernels():
    rng = np.random.default_rng(8)
    columns = {"a": rng.standard_normal(20), "b": rng.integers(0, 3, 20)}
    found = run(rng.standard_normal((20, 2)), columns, group_kernel={"a": "linear", "b": "discrete"})
    assert [column[1] for column in found.covariates] == ["linear", "discrete"]
    assert {column[1] for column in run(columns["a"], columns, group_kernel="laplace").covariates} == {"laplace"}


@pytest.mark.parametrize(
    ("group", "kernel", "code"),
    [
        ({}, None, "E127"),
        ({"a": np.zeros(8), "b": np.arange(8.0)}, None, "E124"),
        ({"a": ["x"] * 8, "b": np.arange(8.0)}, None, "E124"),
        ({"a": [np.nan, *range(7)]}, None, "E111"),
        ({"a": np.arange(7.0)}, None, "E127"),
        ({"a": np.arange(8.0)}, {"c": "gaussian"}, "E302"),
        ({"a": np.arange(8.0)}, "sigmoid", "E302"),
        (["x"] * 4 + ["y"] * 4, "gaussian", "E110"),
    ],
)
def test_covariates_that_cannot_be_used_are_named(group, kernel, code):
    with pytest.raises(DataError) as caught:
        run(np.arange(8.0)[:, None], group, group_kernel=kernel)
    assert caught.value.code == code


def test_probabilities_have_to_sum_to_one():
    rng = np.random.default_rng(9)
    x, group = rng.dirichlet(np.ones(3), (10, 3)), np.arange(10) % 2
    assert run(x, group, probabilities=True).pvalue > 0
    x[3, 1, 1] += 0.2
    with pytest.raises(DataError) as caught:
        run(x, group, probabilities=True)
    assert (caught.value.code, caught.value.rows) == ("E128", (4,))
    assert run(x, group).pvalue > 0  # scores need not
    with pytest.raises(DataError) as caught:
        run(x.reshape(10, 9), group, probabilities=True)
    assert caught.value.code == "E127"


def test_the_level_asks_for_enough_permutations():
    x, group = np.random.default_rng(10).standard_normal((40, 2)), np.arange(40) % 2
    with pytest.raises(ConfigError, match=r"smallest p is 1/\(B\+1\)") as caught:
        run(x, group, permutations=199, alpha=0.001)
    assert (caught.value.code, "at least 999" in caught.value.remedy) == ("E125", True)
    strict = run(x + 0.35 * group[:, None], group, alpha=0.001)
    assert strict.pvalue > 0.001
    assert "did not differ detectably" in strict.apa()


@pytest.mark.parametrize("options", [{}, {"stop_after": 5}, {"method": "gamma"}, {"unit": np.arange(40) // 2}])
def test_equal_persons_give_zero_and_one_in_every_variant(options):
    found = run(np.full((40, 3, 3), 0.3), np.arange(40) // 2 % 2, **options)
    assert (found.statistic, found.pvalue) == (0.0, 1.0)
    assert np.isfinite([found.pvalue_low, found.pvalue_high, *found.null]).all()


@pytest.mark.parametrize("kernel", ["laplace", "linear", "discrete"])
def test_other_kernels_on_x_are_reported(kernel):
    rng = np.random.default_rng(11)
    x, group = rng.integers(0, 3, (20, 2)).astype(float), np.arange(20) % 2
    found = run(x, group, kernel=kernel)
    width = median_bandwidth(x, "laplace")
    expected = np.sum(centred(kernel_matrix(x, kernel, width)) * same(group)) / 20
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert f"{kernel.capitalize() if kernel == 'laplace' else kernel} kernel" in found.apa()
    if kernel == "laplace":
        assert found.bandwidth == pytest.approx(width)
        assert run(x, group, kernel=kernel, bandwidth_multiple=2.0).bandwidth == pytest.approx(2 * width)
        assert "2 x median bandwidth" in run(x, group, kernel=kernel, bandwidth_multiple=2.0).apa()
