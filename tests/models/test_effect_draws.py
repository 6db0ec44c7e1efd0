"""Draws from the posterior of person effects."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.models.test_several_factors import dense_posterior
from toolkit import GroupedDataset, fit
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericMlp, Lmm, NmeMlp, PenShared
from toolkit.runs.adapting import adapt
from toolkit.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
FACTORS = ["person", "family", "item"]


def data() -> GroupedDataset:
    return GroupedDataset.from_frame(
        pd.read_csv(GOLDEN / "nested_crossed.csv"), target="y", features=["x"], groups=FACTORS
    )


@cache
def fitted() -> Run:
    return fit(Lmm(random="(1 + x | person) + (1 | family) + (1 | item)"), data(), seed=1, split=None)


@pytest.mark.slow
def test_mean_sd_and_correlation_are_the_posteriors():
    run = fitted()
    drawn = run.draw_effects(20_000, rng=np.random.default_rng(1))
    known = run.random_effects().set_index(["term", "level", "parameter"])
    found = drawn.groupby(["term", "level", "parameter"])["value"].agg(["mean", "std"]).loc[known.index]
    sd = known["sd"].to_numpy()
    assert (np.abs(found["mean"] - known["estimate"]) / sd).max() < 5 / np.sqrt(20_000)
    assert found["std"].to_numpy() == pytest.approx(sd, rel=0.03)
    person = drawn[(drawn["term"] == "person") & (drawn["level"] == "p03")]
    pair = person.pivot_table(index="draw", columns="parameter", values="value").to_numpy()
    code = run.trained.network.levels.index("p03")
    covariance = run.trained.reported_scale @ run.trained.estimate.posterior.covariance[code].numpy()
    covariance = covariance @ run.trained.reported_scale.T
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert np.corrcoef(pair.T)[0, 1] == pytest.approx(expected, abs=0.03)


def test_draws_are_as_spread_as_the_persons_are():
    run = fitted()
    drawn = run.draw_effects(200, rng=np.random.default_rng(2), term="family")
    estimates = run.random_effects("family")["estimate"]
    spread = drawn.groupby("draw")["value"].std().mean()
    sd = run.variance_components().set_index("term").loc["family", "sd"]
    assert estimates.std() < spread
    assert spread == pytest.approx(sd, rel=0.2)


def test_one_factor_and_the_generator():
    run = fitted()
    first, again = (run.draw_effects(3, rng=np.random.default_rng(3), term="item") for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert set(first["term"]) == {"item"}
    assert first.columns.tolist() == ["term", "level", "parameter", "draw", "value"]
    assert sorted(set(first["draw"])) == [0, 1, 2]
    assert len(first) == 3 * len(run.random_effects("item"))


@pytest.mark.slow
def test_networks_are_drawn_from_too():
    frame = pd.read_csv(GOLDEN / "nested_crossed.csv")
    persons = GroupedDataset.from_frame(frame, target="y", features=["x"], groups="person")
    run = fit(NmeMlp(hidden=(), effects="last", epochs=50), persons, seed=1, split=None)
    drawn = run.draw_effects(4_000, rng=np.random.default_rng(4))
    known = run.random_effects().set_index(["level", "parameter"])
    found = drawn.groupby(["level", "parameter"])["value"].std().loc[known.index]
    assert found.to_numpy() == pytest.approx(known["sd"].to_numpy(), rel=0.07)


def test_what_cannot_be_drawn_is_refused():
    run = fitted()
    with pytest.raises(ConfigError, match="at least once"):
        run.draw_effects(0, rng=np.random.default_rng(1))
    with pytest.raises(ConfigError, match="known: person, family, item"):
        run.draw_effects(1, rng=np.random.default_rng(1), term="site")
    generic = fit(GenericMlp(hidden=(), epochs=2), data().of_persons(), seed=1, split=None)
    with pytest.raises(DataError, match="no posterior of effects") as caught:
        generic.draw_effects(1, rng=np.random.default_rng(1))
    assert caught.value.code == "E406"
    experts = fit(PenShared(head_epochs=1), data().of_persons(), seed=1, split=None)
    with pytest.raises(DataError, match="this model has no posterior"):
        experts.draw_effects(1, rng=np.random.default_rng(1))


def independent() -> Run:
    bias = "layers.0.bias"
    config = NmeMlp(hidden=(), effects={"person": "last", "family": bias, "item": bias}, epochs=60)
    return fit(config, data(), seed=1, split=None)


def linear_mixed() -> Run:
    random = "(1 | person) + (0 + x | person) + (1 | family) + (1 | item)"
    return fit(Lmm(random=random), data(), seed=1, split=None)


@pytest.mark.parametrize("make", [linear_mixed, pytest.param(independent, marks=pytest.mark.slow)])
def test_draws_of_several_factors_belong_together(make):
    """A person's level and the level of the family share what is known: Henderson's dense posterior says how much."""
    run, count = make(), 6_000
    drawn = run.draw_effects(count, rng=np.random.default_rng(5))
    wide = drawn.pivot_table(index=["term", "level", "parameter"], columns="draw", values="value")
    _, covariance, names = dense_posterior(run)
    found = np.corrcoef(wide.loc[pd.MultiIndex.from_tuples(names)].to_numpy())
    sd = np.sqrt(np.diag(covariance))
    expected = covariance / np.outer(sd, sd)
    assert np.abs(expected - np.eye(len(sd))).max() > 0.3
    np.testing.assert_allclose(found, expected, atol=6 / np.sqrt(count))


@pytest.mark.slow
def test_new_persons_are_drawn_beside_families_that_are_known():
    run = independent()
    rows = pd.read_csv(GOLDEN / "nested_crossed.csv")
    new = rows[rows["person"] == rows["person"].iloc[0]].assign(person="new")
    own = GroupedDataset.from_frame(new, target="y", features=["x"], groups=FACTORS)
    drawn = adapt(run, own, seed=1).draw_effects(5, rng=np.random.default_rng(1))
    assert drawn.loc[drawn["term"] == "person", "value"].notna().all()
    assert drawn.loc[drawn["term"] == "family", "value"].isna().all()
