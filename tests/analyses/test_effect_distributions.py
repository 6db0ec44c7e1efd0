"""Variances with intervals beside the spread of estimates, centring over classes, and one prediction taken apart."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from analyses.class_centring import centred_effects
from analyses.contributions import contributions
from analyses.effect_distributions import effect_distributions
from analyses.effect_parameters import Varying, varying
from analyses.variance_interval import variance_interval


def test_of_equal_levels_the_interval_is_that_of_an_analysis_of_variance():
    rows_say, variance, levels = 0.5, 2.0, 20
    found = variance_interval(variance, np.full(levels, variance / (variance + rows_say)))
    low, high = (19 * (variance + rows_say) / chi2.ppf(p, 19) - rows_say for p in (0.975, 0.025))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.information == pytest.approx(20 * 0.8**2)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        rows_say = rng.uniform(0.2, 2.0, size=30)
        seen = rng.normal(size=30) + np.sqrt(rows_say) * rng.normal(size=30)
        variance = _most_likely(seen, rows_say)
        found = variance_interval(variance, variance / (variance + rows_say))
        inside += found.low <= 1.0 <= found.high
    assert 0.92 <= inside / 400 <= 0.99


def _most_likely(seen: np.ndarray, rows_say: np.ndarray) -> float:
    """The variance by maximum likelihood, on a grid."""
    grid = np.concatenate([[1e-6], np.linspace(0.02, 6, 300)])
    total = grid[:, None] + rows_say
    mean = (seen / total).sum(axis=1, keepdims=True) / (1 / total).sum(axis=1, keepdims=True)
    return float(grid[np.argmin((np.log(total) + (seen - mean) ** 2 / total).sum(axis=1))])


@pytest.mark.parametrize(("variance", "reliability"), [(1.0, [0.5, 0.6]), (0.0, [0.5] * 9), (1e-6, [0.0] * 9)])
def test_where_effects_say_nothing_there_is_no_interval(variance, reliability):
    found = variance_interval(variance, np.array(reliability))
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def run_of(classes: tuple[str, ...] | None, hidden: list[int]):
    return SimpleNamespace(classes=classes, targets=("y",), manifest={"config": {"hidden": hidden}})


def test_parameters_are_read_from_their_names():
    states = ("calm", "tense, a lot")
    names = ["layers.1.bias[calm]", "layers.1.bias[tense, a lot]", "layers.0.bias[1]", "layers.1.weight[calm,3]"]
    found = varying(run_of(states, [4]), names)  # pyright: ignore[reportArgumentType]
    assert [one.outcome for one in found] == ["calm", "tense, a lot", "", "calm"]
    assert [one.is_level for one in found] == [True, True, False, False]
    numbered = varying(run_of(("0", "1"), [4]), ["layers.0.bias[1]", "layers.1.bias[1]"])  # pyright: ignore[reportArgumentType]
    assert [one.outcome for one in numbered] == ["", "1"]
    plain = varying(run_of(None, []), ["layers.0.bias", "layers.0.weight[x]", "output.bias", "slopes[x]"])  # pyright: ignore[reportArgumentType]
    assert [one.is_level for one in plain] == [True, False, True, False]
    assert [one.label for one in plain] == ["average level", "slope of x", "average level", "slope of x"]


def test_distributions_stand_beside_the_variances_they_are_shrunken_from():
    rng = np.random.default_rng(4)
    blocks = [("who", 40, 1.5, 0.8), ("item", 9, 0.2, 0.3)]
    effects = pd.concat(
        pd.DataFrame(
            {
                "term": term,
                "level": [f"{term}{k}" for k in range(count)],
                "parameter": "output.bias",
                "estimate": rng.normal(size=count) * np.sqrt(variance * reliability),
                "reliability": reliability,
            }
        )
        for term, count, variance, reliability in blocks
    )
    components = pd.DataFrame(
        [(term, "output.bias", variance, False) for term, _, variance, _ in blocks]
        + [("residual", "residual", 1, False)],
        columns=["term", "parameter", "variance", "at_boundary"],
    )
    described = [Varying(name="output.bias", label="average level", outcome="", is_level=True)]
    found = effect_distributions(effects, components, described)
    table = found.to_frame().set_index("term")
    for term, count, variance, reliability in blocks:
        mine = effects[effects["term"] == term]["estimate"]
        assert table.loc[term, "spread"] == pytest.approx(float(mine.std()))
        assert table.loc[term, "levels"] == count
        assert table.loc[term, "shrinkage"] == pytest.approx(1 - reliability)
        low, high = table.loc[[term], ["low", "high"]].to_numpy(dtype=float)[0]
        assert low < variance < high
    assert "persons (40) 1.22" in found.text()
    assert "closer together" in found.text()
    assert "σ² = 1.50, 95% CI" in found.apa()
    assert found.summary()["parts"][1]["term"] == "item"


def test_centred_effects_give_the_same_probabilities_and_add_up_to_zero():
    rng = np.random.default_rng(5)
    effects, fixed = rng.normal(size=(6, 4)), rng.normal(size=4)
    root = rng.normal(size=(6, 4, 4))
    covariance, prior = root @ root.transpose(0, 2, 1), np.diag([1.0, 2.0, 0.5, 0.1])
    centred, sd, spread = centred_effects(effects, covariance, prior)
    np.testing.assert_allclose(centred.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(_softmax(fixed + centred), _softmax(fixed + effects), atol=1e-12)
    for level in range(6):
        for one in range(4):
            weights = np.full(4, -0.25)
            weights[one] += 1.0
            assert sd[level, one] == pytest.approx(np.sqrt(weights @ covariance[level] @ weights))
            assert spread[one] == pytest.approx(np.sqrt(weights @ prior @ weights))


def _softmax(values: np.ndarray) -> np.ndarray:
    odds = np.exp(values)
    return odds / odds.sum(axis=-1, keepdims=True)


def parts(task: str = "multiclass"):
    """Two rows of a made-up model of three classes and two factors."""
    rng = np.random.default_rng(6)
    population, own = rng.normal(size=(2, 3)), rng.normal(size=(2, 2, 3))
    root = rng.normal(size=(2, 2, 3, 3))
    return SimpleNamespace(
        task=task, outputs=("a", "b", "c"), factors=("who", "item_id"), levels=np.array([[0, 1], [3, -1]]),
        population=population, parts=own, covariance=root @ root.transpose(0, 1, 3, 2), additive=True,
        predictions_population=_softmax(population), predictions=_softmax(population + own.sum(axis=1)),
        classes=("a", "b", "c"), field=None,
    )  # fmt: skip


def test_contributions_add_up_to_the_prediction_and_its_probabilities():
    given = parts()
    found = contributions(given, ["P4", ""], row=1, outcome="mood")  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(_softmax(found.total), given.predictions[1], atol=1e-12)
    np.testing.assert_allclose(found.parts.sum(axis=1), 0.0, atol=1e-12)
    table = found.to_frame()
    last = table[table["step"] == "prediction"].set_index("outcome")
    before = table[table["term"] == "item_id"].set_index("outcome")
    for name, probability in zip(("a", "b", "c"), given.predictions[1], strict=True):
        assert last.loc[name, "prediction"] == pytest.approx(probability)
        assert last.loc[name, "value"] == pytest.approx(before.loc[name, "end"])
    assert list(table[table["step"] == "factor"]["known"]) == [True] * 3 + [False] * 3
    assert "this item was not there in training and adds nothing" in found.text()
    assert "differences from their mean over the classes" in found.text()
    assert "item" in found.apa()
    assert found.summary()["with_effects"]["a"] == pytest.approx(given.predictions[1, 0])


def test_contributions_of_a_number_are_left_as_they_are():
    given = parts("regression")
    given.classes = None
    found = contributions(given, ["P1", "G2"], level=0.9)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(found.parts, given.parts[0])
    np.testing.assert_allclose(found.sd**2, np.einsum("foo->fo", given.covariance[0]))
    assert "90% CI" in found.text()
