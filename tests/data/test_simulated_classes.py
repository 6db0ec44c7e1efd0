"""Simulations with several classes: what made the rows, and the two layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from toolkit.data.simulate import multiclass
from toolkit.data.simulate.multiclass import BASE, SCENARIOS
from toolkit.errors import ConfigError

SMALL: dict[str, Any] = {"rows": 4000, "levels": (30, 4, 20)}


def drawn(seed: int = 0, **settings):
    return multiclass(rng=np.random.default_rng(seed), **(SMALL | settings))


def test_the_truth_is_what_made_the_rows():
    truth = drawn(classes=3, variances=(0.3, (0.1, 0.0, 2.0), 0.5))
    assert truth.fixed.shape == truth.random.shape == (4000, 3)
    assert [effects.shape for effects in truth.effects] == [(30, 3), (4, 3), (20, 3)]
    assert truth.variances == ((0.3, 0.3, 0.3), (0.1, 0.0, 2.0), (0.5, 0.5, 0.5))
    random = sum(own[factor.codes] for own, factor in zip(truth.effects, truth.data.groupings, strict=True))
    np.testing.assert_allclose(truth.random, random)
    assert (truth.effects[1][:, 1] == 0).all()
    assert truth.data.classes == ("class-1", "class-2", "class-3")
    assert truth.data.feature_names[-1] == "x10"
    assert truth.error_variance is None
    # s cos(s) + 2 x1 x2 u: along x1 x2 = 0 and x = 0 every class has cos(1)
    x = np.asarray(truth.data.features)
    assert np.abs(x).max() <= 1.0
    assert np.abs(truth.fixed).max() < 12.0


def test_classes_are_as_frequent_as_their_chances():
    truth = drawn(rows=40_000)
    chances = softmax(truth.fixed + truth.random, axis=1)
    target = np.asarray(truth.data.target).astype(int)
    seen = np.eye(5)[target]
    error = np.sqrt((chances * (1 - chances)).sum(axis=0))
    assert (np.abs(seen.sum(axis=0) - chances.sum(axis=0)) < 4 * error).all()
    for code in range(5):  # and where a class is likely it is seen more often
        likely = chances[:, code] > np.quantile(chances[:, code], 0.9)
        expected, spread = chances[likely, code].sum(), np.sqrt((chances * (1 - chances))[likely, code].sum())
        assert abs(seen[likely, code].sum() - expected) < 4 * spread


def test_fixed_part_by_hand():
    rng = np.random.default_rng(3)
    truth = multiclass(rng=rng, rows=50, features=4, classes=3, levels=(5,), variances=(1.0,))
    again = np.random.default_rng(3)
    x = again.uniform(-1, 1, size=(50, 4))
    beta, u = again.uniform(size=(4, 3)), again.uniform(size=3)
    for row in range(0, 50, 7):
        for code in range(3):
            s = 1 + sum(x[row, place] * beta[place, code] for place in range(4))
            expected = s * np.cos(s) + 2 * x[row, 0] * x[row, 1] * u[code]
            assert truth.fixed[row, code] == pytest.approx(expected)


def test_factors_are_independent_or_in_parallel():
    apart, published = drawn(), drawn(as_published=True)
    first, third = apart.data.groupings[0].codes, apart.data.groupings[2].codes
    assert abs(np.corrcoef(first, third)[0, 1]) < 4 / np.sqrt(4000)
    for factor in published.data.groupings:
        assert (np.diff(factor.codes) >= 0).all()
    first, third = published.data.groupings[0].codes, published.data.groupings[2].codes
    assert np.corrcoef(first, third)[0, 1] > 0.97


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario(scenario):
    settings = BASE | SCENARIOS[scenario]
    small = {"rows": 600, "features": min(settings["features"], 40), "levels": [min(q, 50) for q in settings["levels"]]}
    truth = multiclass(scenario, rng=np.random.default_rng(1), **small)
    assert truth.fixed.shape == (600, settings["classes"])
    assert len(truth.data.groupings) == len(truth.variances) == len(settings["variances"])
    for found, wanted in zip(truth.variances, settings["variances"], strict=True):
        np.testing.assert_allclose(found, np.broadcast_to(wanted, settings["classes"]))


def test_the_same_stream_gives_the_same_rows():
    assert drawn(2).data.content_hash() == drawn(2).data.content_hash() != drawn(3).data.content_hash()


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"scenario": "unheard-of"}, "scenario"),
        ({"rows": 0}, "rows"),
        ({"features": 1}, "features"),
        ({"classes": 1}, "classes"),
        ({"levels": ()}, "levels"),
        ({"levels": (3, 0, 2)}, "levels"),
        ({"variances": (1.0, 2.0)}, "variances"),
        ({"variances": (1.0, -2.0, 1.0)}, "variances"),
        ({"variances": (1.0, float("nan"), 1.0)}, "variances"),
        ({"variances": (1.0, (1.0, 2.0), 1.0)}, "variances"),
        ({"per_level": -1.0}, "per_level"),
    ],
)
def test_numbers_that_no_data_can_have_are_refused(wrong, column):
    with pytest.raises(ConfigError, match="E302") as caught:
        drawn(**wrong)
    assert caught.value.column == column
