"""Power by simulation: draws against plain formulas, error rate without effect, power rising to one, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.power import power_curve
from analyses.simulation import person_scores, shift_for_difference, softmax, transition_counts
from toolkit.errors import ConfigError, DataError

SCORES = np.log([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]])
VARIANCE = np.full((3, 3), 0.2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_persons_of_a_cluster_are_as_alike_as_asked(rng):
    drawn = person_scores(SCORES, np.diag(VARIANCE.ravel()), 20_000, 2, 0.4, rng).reshape(20_000, 2, 9)
    eta = drawn - SCORES.ravel()
    assert eta.var(axis=(0, 1)) == pytest.approx(np.full(9, 0.2), abs=0.01)
    r = [np.corrcoef(eta[:, 0, k], eta[:, 1, k])[0, 1] for k in range(9)]
    assert r == pytest.approx(np.full(9, 0.4), abs=0.03)


def test_the_shift_makes_the_difference(rng):
    sigma = np.diag(VARIANCE.ravel())
    shift = shift_for_difference(SCORES, sigma, (0, 1), 0.1, rng)
    drawn = person_scores(SCORES, sigma, 50_000, 1, 0.0, rng)
    before = softmax(drawn)[:, 0, 1].mean()
    drawn[:, 0, 1] += shift
    assert softmax(drawn)[:, 0, 1].mean() - before == pytest.approx(0.1, abs=0.004)
    assert np.isnan(shift_for_difference(SCORES, sigma, (0, 1), 0.9, rng))


def test_counts_follow_the_matrix(rng):
    chances = softmax(SCORES)[None].repeat(400, axis=0)
    counts = transition_counts(chances, 100, rng)
    assert np.all(counts.sum(axis=(1, 2)) == 100)
    total = counts.sum(axis=0)
    assert total / total.sum(axis=1, keepdims=True) == pytest.approx(chances[0], abs=0.015)
    never = chances.copy()
    never[:, 0] = [0.0, 1.0, 0.0]
    assert transition_counts(never, 50, rng)[:, 0, [0, 2]].sum() == 0


@pytest.mark.slow
def test_without_effect_power_is_alpha(rng):
    found = power_curve(
        SCORES,
        VARIANCE,
        cell=(0, 1),
        difference=0,
        clusters=[12],
        transitions=[40],
        cluster_size=2,
        correlation=0.5,
        simulations=300,
        permutations=99,
        rng=rng,
    )
    assert found.cell_low[0] <= 0.05 <= found.cell_high[0]
    assert found.hsic_low[0] <= 0.05 <= found.hsic_high[0]


def test_power_rises_to_one(rng):
    found = power_curve(
        SCORES,
        VARIANCE,
        cell=(0, 1),
        difference=0.15,
        clusters=[5, 20, 80],
        transitions=[80],
        simulations=200,
        permutations=99,
        hsic=False,
        rng=rng,
        states=["a", "b", "c"],
    )
    assert np.all(np.diff(found.cell_power) > 0)
    assert found.cell_power[-1] > 0.98
    assert np.isnan(found.hsic_power).all()
    assert "from a to b" in found.text()
    assert found.to_frame()["persons"].tolist() == [10, 40, 160]
    assert "Monte Carlo 95% CI" in found.apa()


def test_bad_input_is_named(rng):
    good = {"cell": (0, 1), "difference": 0.1, "clusters": [5], "transitions": [20], "simulations": 99}
    for change, code in (
        ({"cell": (0, 3)}, "E302"),
        ({"difference": 0.9}, "E302"),
        ({"clusters": [1]}, "E302"),
        ({"correlation": 1.0}, "E302"),
        ({"simulations": 10}, "E125"),
        ({"permutations": 10}, "E125"),
    ):
        with pytest.raises(ConfigError, match=code):
            power_curve(SCORES, VARIANCE, **{**good, **change}, rng=rng)
    with pytest.raises(DataError, match="E127"):
        power_curve(SCORES, np.zeros((2, 2)), **good, rng=rng)
    with pytest.raises(DataError, match="E111"):
        power_curve(SCORES * np.nan, VARIANCE, **good, rng=rng)
