from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.resampling import (
    check_draws,
    distinct_assignments,
    factorise,
    make_units,
    multinomial_counts,
    permutation_blocks,
    permutation_pvalue,
    unit_values,
)
from toolkit.errors import DataError


def test_without_labels_every_row_is_a_person():
    units = make_units(None, 5)
    assert (units.n_units, units.name, units.alone) == (5, "persons", True)
    assert make_units(["a", "b"], 2, "families").alone
    assert make_units(["a", "a", "b"], 3).name == "units"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_unit_sums_equal_a_loop(labels, columns):
    values = np.random.default_rng(0).standard_normal((len(labels), columns))
    units = make_units(labels, len(labels))
    levels = sorted(set(labels))
    slow = np.array([sum(values[i] for i in range(len(labels)) if labels[i] == level) for level in levels])
    found = units.sums(values)
    if units.alone:
        found = found[np.argsort(labels)]
    np.testing.assert_allclose(found, slow)


def test_factorise_sorts_and_finds_missing_labels():
    codes, levels = factorise(pd.Series(["b", "a", "b"]), 3, "group")
    assert (codes.tolist(), levels) == ([1, 0, 1], ("a", "b"))
    assert factorise([10, 9, 9], 3, "group")[1] == (9, 10)
    with pytest.raises(DataError, match=r"E111.*row 2") as caught:
        factorise(["anna", None, "anna"], 3, "group")
    assert "anna" not in str(caught.value)
    with pytest.raises(DataError, match="E112"):
        make_units([1.0, np.nan], 2)
    with pytest.raises(DataError, match="E127"):
        make_units([1, 2, 3], 2)


def test_counts_are_multinomial():
    counts = multinomial_counts(7, 4000, np.random.default_rng(0))
    assert counts.shape == (4000, 7)
    assert np.all(counts.sum(axis=1) == 7)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.07)
    np.testing.assert_allclose(counts.var(axis=0), 6 / 7, atol=0.1)
    np.testing.assert_allclose(np.cov(counts.T)[0, 1], -1 / 7, atol=0.06)


def test_permutations_keep_the_labels_and_stay_within_strata():
    values, strata = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
    blocks = list(permutation_blocks(values, strata, 250, np.random.default_rng(0), 100))
    assert [len(block) for block in blocks] == [100, 100, 50]
    drawn = np.concatenate(blocks)
    for code in (0, 1):
        inside = strata == code
        assert np.all(np.sort(drawn[:, inside], axis=1) == np.sort(values[inside]))
    assert len(np.unique(drawn, axis=0)) == 36


def test_every_permutation_is_equally_likely():
    values = np.arange(3)
    drawn = np.concatenate(list(permutation_blocks(values, None, 6000, np.random.default_rng(1), 512)))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert counts.size == 6
    assert np.all(np.abs(counts - 1000) < 130)


def test_p_counts_ties_and_has_a_monte_carlo_interval():
    null = np.array([0.0, 1.0, 1.0 - 1e-12, 2.0] + [0.0] * 96)
    p, low, high = permutation_pvalue(1.0, null, 1e-9)
    assert p == 4 / 101
    assert low < 0.03 < high
    p, low, high = permutation_pvalue(5.0, null, 0.0)
    assert (p, low) == (1 / 101, 0.0)
    assert high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert permutation_pvalue(0.0, null, 0.0)[::2] == (1.0, 1.0)


def test_distinct_assignments_are_counted_exactly():
    assert distinct_assignments(np.array([0, 0, 1, 1]), None, 10_000) == 6
    assert distinct_assignments(np.array([0, 0, 1, 1, 2]), None, 10_000) == math.factorial(5) // 4
    assert distinct_assignments(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), 10_000) == 4
    assert distinct_assignments(np.repeat([0, 1], 50), None, 10_000) > 10_000


def test_a_label_that_differs_within_a_unit_is_refused_with_the_way_out():
    units = make_units([0, 0, 1, 1], 4, "families")
    assert unit_values(np.array([1, 1, 0, 0]), units, "group").tolist() == [1, 0]
    with pytest.raises(DataError, match=r"E126.*families.*row 4.*strata"):
        unit_values(np.array([1, 1, 0, 1]), units, "group")


def test_few_draws_are_refused():
    check_draws(99, "permutations")
    with pytest.raises(DataError, match=r"E125.*smallest p is 1/\(B\+1\) = 0.010"):
        check_draws(98, "permutations")
