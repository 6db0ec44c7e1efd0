"""The sampler behind the permutation tests: every order equally often, strata kept, both widths of its integers."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from analyses.resampling import permutation_blocks


def drawn(values, strata=None, permutations=2_400, seed=0, rows=500):
    blocks = permutation_blocks(np.asarray(values), strata, permutations, np.random.default_rng(seed), rows)
    return np.concatenate(list(blocks))


@pytest.mark.parametrize(
    "values", [[0, 1, 2, 3], [0, 0, 1, 1], [0.5, -1.25, 7.0, 7.0], [True, False, True, True], [3, 9, 9, 4]]
)
def test_every_order_comes_equally_often(values):
    found = drawn(values)
    counts = Counter(tuple(row) for row in found.tolist())
    assert set(counts) == set(itertools.permutations(np.asarray(values).tolist()))
    assert chisquare(list(counts.values())).pvalue > 1e-3
    assert found.dtype == np.asarray(values).dtype


def test_every_order_within_strata_comes_equally_often_and_none_across():
    strata = np.array([7, 2, 7, 2, 7])
    counts = Counter(tuple(row) for row in drawn([0, 1, 2, 3, 4], strata, 4_800).tolist())
    assert len(counts) == 6 * 2
    assert all(set(order[0::2]) == {0, 2, 4} and set(order[1::2]) == {1, 3} for order in counts)
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("units", [100, 6_000])
def test_many_pairs_switch_on_their_own(units):
    pair, label = np.arange(units) // 2, np.arange(units) % 2
    found = drawn(label, pair, permutations=400)
    first, second = found[:, 0::2], found[:, 1::2]
    assert np.all(first + second == 1)
    assert abs(first.mean() - 0.5) < 4 * 0.5 / np.sqrt(first.size)
    # Neighbouring pairs do not move together.
    assert abs(np.mean(first[:, :-1] == first[:, 1:]) - 0.5) < 4 * 0.5 / np.sqrt(first.size)


def test_many_values_and_large_samples_keep_their_values_and_their_uniformity():
    values = np.random.default_rng(1).standard_normal(5_000)
    found = drawn(values, permutations=60, rows=20)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.broadcast_to(np.sort(values), found.shape))
    place = np.mean([np.corrcoef(row, values)[0, 1] for row in found])
    assert abs(place) < 4 / np.sqrt(5_000 * 60)


def test_blocks_do_not_change_what_is_drawn():
    values = np.arange(30) % 3
    np.testing.assert_array_equal(drawn(values, rows=7), drawn(values, rows=2_400))
