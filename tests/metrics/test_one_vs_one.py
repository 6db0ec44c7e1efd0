"""The area of pairs of classes against counting pairs of rows, and scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import softmax

from toolkit.errors import DataError
from toolkit.metrics import auc, auc_one_vs_one


def drawn(classes: int = 4, rows: int = 150, ties: bool = False):
    rng = np.random.default_rng(5)
    truth = rng.integers(0, classes, size=rows)
    logits = rng.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[truth]
    return truth, softmax(logits.round(0 if ties else 8), axis=1)


@pytest.mark.parametrize("ties", [False, True])
def test_pairs_of_classes_are_pairs_of_rows(ties):
    truth, scores = drawn(ties=ties)
    areas = []
    for first, second in itertools.permutations(range(4), 2):
        wins = [
            float(scores[i, first] > scores[j, first]) + 0.5 * float(scores[i, first] == scores[j, first])
            for i in np.flatnonzero(truth == first)
            for j in np.flatnonzero(truth == second)
        ]
        areas.append(np.mean(wins))
    assert auc_one_vs_one(truth, scores) == pytest.approx(np.mean(areas), abs=1e-12)


def test_as_scikit_learn_has_it():
    metrics = pytest.importorskip("sklearn.metrics")
    truth, scores = drawn()
    assert auc_one_vs_one(truth, scores) == pytest.approx(
        metrics.roc_auc_score(truth, scores, multi_class="ovo", average="macro"), abs=1e-12
    )


def test_two_classes_missing_classes_and_refusals():
    truth, scores = drawn(classes=2)
    assert auc_one_vs_one(truth, scores) == pytest.approx(auc(truth, scores[:, 1]))
    truth, scores = drawn()
    some = truth != 2
    kept = auc_one_vs_one(truth[some], scores[some])
    codes = np.array([0, 1, -1, 2])[truth[some]]
    assert kept == pytest.approx(auc_one_vs_one(codes, scores[some][:, [0, 1, 3]]))
    assert np.isnan(auc_one_vs_one([1, 1], scores[:2]))
    with pytest.raises(DataError, match="E127"):
        auc_one_vs_one(truth, scores[:, 0])
    with pytest.raises(DataError, match="E127"):
        auc_one_vs_one(truth, scores[:, :3])
