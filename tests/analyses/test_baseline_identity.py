"""Baselines dealt to other persons: against every arrangement of a small study."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from analyses.baseline_identity import permuted_identity
from toolkit.errors import DataError
from toolkit.results import Result


def pair(n=8, slope=0.7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, slope * x + rng.standard_normal(n)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_reaches_every_arrangement_of_persons(kind):
    x, y = pair(6)
    found = permuted_identity(x, y, correlation=kind, permutations=20_000, rng=np.random.default_rng(1))
    correlation = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr}[kind]
    every = [correlation(x, y[list(order)])[0] for order in itertools.permutations(range(6))]
    exact = np.mean(np.abs(every) >= abs(found.r) - 1e-9)
    # Four Monte Carlo standard errors.
    assert abs(found.pvalue - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    assert found.pvalue_low < found.pvalue < found.pvalue_high
    assert set(np.round(found.null, 9)) <= set(np.round(every, 9))
    assert isinstance(found, Result)


def test_families_change_places_as_a_whole_and_only_with_families_of_their_size():
    x, y = pair(9)
    family = np.array([0, 0, 1, 2, 2, 1, 3, 3, 3])
    found = permuted_identity(x, y, unit=family, unit_name="families", permutations=400, rng=np.random.default_rng(1))
    rows = [np.flatnonzero(family == f) for f in range(4)]
    every = []
    for order in itertools.permutations(range(3)):
        dealt = y.copy()
        for place, source in enumerate(order):
            dealt[rows[place]] = y[rows[source]]
        every.append(np.corrcoef(x, dealt)[0, 1])
    assert set(np.round(found.null, 9)) == set(np.round(every, 9))
    assert found.n_fixed == 3
    assert any("3 persons belong to families of a size that no other has" in note for note in found.notes)
    assert any("So few arrangements" in note for note in found.notes)


def test_sentences():
    x, y = pair(60, slope=2)
    found = permuted_identity(x, y, permutations=999, rng=np.random.default_rng(1))
    assert found.pvalue == 0.001
    assert "outside that range, p = .001." in found.text()
    assert found.apa().endswith("observed, p = .001 (two-sided).")
    assert (found.notes, found.summary()["notes"]) == ((), [])
    assert found.to_frame().loc[0, "r"] == found.r
    assert not found.null.flags.writeable


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"permutations": 98}, "E125"),
        ({"correlation": "kendall"}, "E302"),
        ({"unit": np.repeat(np.arange(4), [1, 2, 3, 2])}, None),
        ({"unit": np.repeat(np.arange(4), [1, 2, 4, 1])}, None),
        ({"unit": np.repeat(np.arange(3), [1, 2, 5])}, "E116"),
        ({"unit": [None, *range(7)]}, "E112"),
    ],
)
def test_bad_input_is_named(options, code):
    x, y = pair(8)
    options = {"permutations": 99} | options
    if code is None:
        assert permuted_identity(x, y, rng=np.random.default_rng(0), **options).n_fixed > 0
        return
    with pytest.raises(DataError) as caught:
        permuted_identity(x, y, rng=np.random.default_rng(0), **options)
    assert caught.value.code == code


def test_families_that_all_differ_in_size_cannot_change_places():
    x, y = pair(10)
    with pytest.raises(DataError, match="E124"):
        permuted_identity(x, y, unit=np.repeat(range(4), [1, 2, 3, 4]), permutations=99, rng=np.random.default_rng(0))
