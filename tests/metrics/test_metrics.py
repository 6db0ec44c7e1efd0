"""Metrics against exact fractions, other packages, and slow definitions."""

from __future__ import annotations

import itertools
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toolkit.errors import DataError
from toolkit.metrics import accuracy, auc, ccc, krippendorff_alpha, nrmse, pearson, per_person, rmse

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDENS = pd.read_csv(GOLDEN / "metric_goldens.csv").set_index("case")["value"]
A_BINARY = ([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0])
labels = hnp.arrays(np.int64, st.tuples(st.just(2), st.integers(2, 40)), elements=st.integers(0, 3))
numbers = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 30)), elements=st.floats(-100, 100, width=16))


def test_alpha_equals_the_exact_fractions():
    assert krippendorff_alpha(*A_BINARY) == pytest.approx(GOLDENS["A_binary"], abs=1e-12)
    assert krippendorff_alpha([0, 1, 1, 0], [0, 1, 1, 0]) == GOLDENS["perfect_2cat"]


def test_ccc_equals_the_exact_fractions():
    frame = pd.read_csv(GOLDEN / "ccc_basic10.csv")
    assert ccc(frame["x"], frame["y"]) == pytest.approx(GOLDENS["basic10"], abs=1e-12)
    assert ccc(frame["x"], frame["x"]) == pytest.approx(GOLDENS["identical"], abs=1e-12)


@given(labels)
@settings(max_examples=60, deadline=None)
def test_alpha_equals_the_krippendorff_package(pair):
    ours = krippendorff_alpha(pair[0], pair[1])
    if np.unique(pair).size == 1:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(krippendorff.alpha(pair, level_of_measurement="nominal"), abs=1e-12)


def test_alpha_takes_words_and_forgets_their_names():
    words = np.array(["other", "positive", "sad", "angry"])
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 4, (2, 50))
    assert krippendorff_alpha(words[y], words[p]) == krippendorff_alpha(y, p)
    assert krippendorff_alpha(words[y].astype(object), words[p].astype(object)) == krippendorff_alpha(y, p)


@given(numbers)
@settings(max_examples=60, deadline=None)
def test_correlations_keep_their_bounds_and_symmetry(pair):
    y, p = pair
    r, c = pearson(y, p), ccc(y, p)
    if np.isnan(r):
        assert np.ptp(y) == 0 or np.ptp(p) == 0
        return
    assert r == pytest.approx(np.corrcoef(y, p)[0, 1], abs=1e-7)
    assert abs(c) <= abs(r) + 1e-12
    assert c == pytest.approx(ccc(p, y), abs=1e-12)


def test_undefined_is_nan_without_a_warning():
    flat, varied = np.full(5, 2.5), np.arange(5.0)
    assert np.isnan(pearson(flat, varied))
    assert np.isnan(pearson(varied, flat))
    assert np.isnan(ccc(flat, varied))
    assert np.isnan(nrmse(flat, varied))
    assert np.isnan(krippendorff_alpha([1, 1], [1, 1]))
    assert np.isnan(auc([1, 1], [0.2, 0.4]))
    assert np.isnan(pearson([1.0], [2.0]))


def test_a_constant_prediction_of_a_varying_truth_has_no_concordance():
    assert ccc(np.arange(5.0), np.full(5, 2.0)) == 0.0


def test_predicting_the_mean_has_an_nrmse_of_one():
    y = np.array([1.0, 2.0, 4.0, 9.0])
    assert nrmse(y, np.full(4, y.mean())) == pytest.approx(1.0)
    assert rmse(y, y + 2.0) == pytest.approx(2.0)


def test_accuracy_is_the_share_of_hits():
    assert accuracy(["a", "b", "b", "a"], ["a", "b", "a", "a"]) == 0.75


def test_auc_equals_counting_all_pairs():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 40), rng.integers(0, 6, 40).astype(float)
    pairs = list(itertools.product(score[y == 1], score[y == 0]))
    slow = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert auc(y, score) == pytest.approx(slow, abs=1e-12)


def test_multiclass_auc_is_the_mean_of_class_against_rest():
    rng = np.random.default_rng(2)
    y, scores = rng.integers(0, 3, 60), rng.random((60, 4))
    expected = np.mean([auc(y == k, scores[:, k]) for k in range(3)])
    assert auc(y, scores) == pytest.approx(expected)
    with pytest.raises(DataError, match="E127"):
        auc(y, scores[:, 0])


def test_per_person_averages_within_persons_and_counts_the_undefined():
    person = np.array(["b", "a", "b", "a", "c", "c"])
    truth = np.array([1.0, 5.0, 2.0, 7.0, 3.0, 3.0])
    prediction = np.array([10.0, 2.0, 20.0, 1.0, 1.0, 2.0])
    found = per_person(pearson, truth, prediction, person)
    assert found.persons == ("a", "b", "c")
    np.testing.assert_allclose(found.values, [-1.0, 1.0, np.nan])
    assert found.counts.tolist() == [2, 2, 2]
    assert (found.mean, found.n_used, found.n_excluded) == (pytest.approx(0.0), 2, 1)
    assert not found.values.flags.writeable


def test_per_person_is_free_of_simpsons_paradox():
    person = np.repeat([0, 1], 20)
    within = np.tile(np.arange(20.0), 2)
    truth, prediction = within + 100 * person, -within + 100 * person
    assert pearson(truth, prediction) > 0.9
    assert per_person(pearson, truth, prediction, person).mean == pytest.approx(-1.0)


def test_per_person_takes_class_probabilities_and_may_find_nothing():
    person, truth = np.repeat([0, 1], 10), np.tile([0, 1], 10)
    scores = np.random.default_rng(3).random((20, 2))
    assert per_person(auc, truth, scores, person).n_used == 2
    assert np.isnan(per_person(pearson, np.ones(20), np.ones(20), person).mean)


@pytest.mark.parametrize(("truth", "prediction"), [([1.0, 2.0], [1.0]), ([], []), (np.ones((2, 1)), np.ones(3))])
def test_lengths_have_to_agree(truth, prediction):
    for metric in (rmse, ccc, pearson, nrmse, accuracy, krippendorff_alpha, auc):
        with pytest.raises(DataError, match="E127"):
            metric(truth, prediction)
