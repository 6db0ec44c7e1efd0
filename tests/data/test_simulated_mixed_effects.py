"""Simulated rows with random effects: moments against their formulas, the field against its kernel, the layout."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from toolkit.data.simulate import lmmnn
from toolkit.data.simulate.gaussian_field import _waves, draw_field, rbf_covariance
from toolkit.data.split_designs import latest_rows
from toolkit.errors import ConfigError

KINDS = ("single", "multiple", "longitudinal", "spatial", "mixed", "binary")
SMALL = {
    "single": {"rows": 400, "levels": 30},
    "multiple": {"rows": 400, "levels": (5, 10, 15)},
    "longitudinal": {"rows": 400, "levels": 40},
    "spatial": {"rows": 400, "levels": 30},
    "mixed": {"rows": 400, "levels": (5, 6, 30)},
    "binary": {"rows": 400, "levels": 30},
}


def drawn(kind: str, seed: int = 0, **settings):
    return lmmnn(kind, rng=np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_published", [False, True])
def test_rows_add_up(kind, as_published):
    truth = drawn(kind, as_published=as_published, **SMALL[kind])
    data = truth.data
    assert data.n_rows == 400
    assert data.feature_names[:10] == tuple(f"x{number}" for number in range(1, 11))
    total = 1.0 + np.asarray(data.features)[:, :10].sum(axis=1)
    fixed = total * np.cos(total) + 2 * data.features[:, 0] * data.features[:, 1]
    if kind == "longitudinal":
        fixed = fixed + data.features[:, 10] + data.features[:, 11]
    np.testing.assert_allclose(truth.fixed, fixed)
    random = np.zeros(400)
    for row in range(400):  # one row at a time, by hand
        for factor, effects in zip(data.groupings, truth.effects, strict=True):
            own = effects[factor.codes[row]]
            time = 0.0 if data.time is None else data.time[row]
            random[row] += own if effects.ndim == 1 else own @ np.array([1.0, time, time**2])
    np.testing.assert_allclose(truth.random, random)
    for factor, effects in zip(data.groupings, truth.effects, strict=True):
        assert len(factor.levels) == len(effects) == len(np.unique(factor.codes)) == factor.codes.max() + 1
        assert list(factor.levels) == sorted(factor.levels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_data_set(kind):
    first, again, other = (drawn(kind, seed, **SMALL[kind]) for seed in (1, 1, 2))
    assert first.data.content_hash() == again.data.content_hash() != other.data.content_hash()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="E302"):
        drawn("nested")


def test_variances_are_those_asked_for():
    truth = drawn("multiple", rows=20_000, levels=(3000, 4000, 5000), variances=(0.3, 3.0, 1.0))
    for effects, (variance,) in zip(truth.effects, truth.variances, strict=True):
        assert np.var(effects) == pytest.approx(variance, rel=0.1)
    residual = np.asarray(truth.data.target) - truth.fixed - truth.random
    assert np.var(residual) == pytest.approx(1.0, rel=0.05)
    # what a linear model leaves: with the intercept inside the cosine 1.91, without it 1.38
    design = np.column_stack([np.ones(20_000), truth.data.features])
    left = truth.fixed - design @ np.linalg.lstsq(design, truth.fixed, rcond=None)[0]
    assert np.var(left) == pytest.approx(1.91, rel=0.05)


def test_mapped_effects():
    """``W b`` with a tenth as many ``b``: the variance of an effect is that of ``b`` times ``d / 3``."""
    truth = drawn("single", rows=20_000, levels=2000, variances=0.5, linear_map=True)
    (mapping,), (effects,) = truth.maps, truth.effects
    assert mapping.shape == (len(effects), round(0.1 * len(effects)))
    assert np.abs(mapping).max() <= 1.0
    assert np.var(effects) == pytest.approx(0.5 * mapping.shape[1] / 3, rel=0.25)
    assert np.linalg.matrix_rank(np.column_stack([mapping[:300], effects[:300]])) == mapping.shape[1]


def test_factors_are_independent_unless_published():
    own = drawn("multiple", rows=5000, levels=(50, 100, 150))
    published = drawn("multiple", rows=5000, levels=(50, 100, 150), as_published=True)
    apart = np.corrcoef(own.data.groupings[0].codes, own.data.groupings[1].codes)[0, 1]
    together = np.corrcoef(published.data.groupings[0].codes, published.data.groupings[1].codes)[0, 1]
    assert abs(apart) < 0.05
    assert together > 0.99
    assert all((np.diff(factor.codes) >= 0).all() for factor in published.data.groupings)


def test_sizes_of_levels():
    """Shares are Poisson + 1: the variance of a level's rows is that of the share and of the multinomial draw."""
    truth = drawn("single", rows=100_000, levels=5000)
    sizes = np.bincount(truth.data.person)
    assert sizes.mean() == pytest.approx(20.0, rel=0.01)
    assert np.var(sizes) == pytest.approx(20.0 + 20.0**2 * 3 / 16, rel=0.08)


def test_measures_of_subjects():
    truth = drawn("longitudinal", rows=60_000, levels=20_000, variances=(0.3, 3.0, 1.0))
    (effects,) = truth.effects
    np.testing.assert_allclose(np.cov(effects.T), truth.covariance, atol=0.08)
    np.testing.assert_allclose(truth.covariance[0, 1], 0.3 * np.sqrt(0.3 * 3.0))
    assert truth.covariance[1, 2] == 0.0
    data = truth.data
    assert data.time is not None
    assert data.feature_names[10:] == ("t", "t2")
    np.testing.assert_array_equal(data.time, data.features[:, 10])
    np.testing.assert_allclose(data.features[:, 11], np.asarray(data.time) ** 2)
    assert (data.time.min(), data.time.max()) == (0.0, 1.0)
    steps = np.bincount(data.person).max() - 1
    own = np.sort(data.time[data.person == 7]) * steps
    np.testing.assert_allclose(own, np.arange(len(own)))


def test_published_measures_come_in_order():
    data = drawn("longitudinal", rows=500, levels=60, as_published=True).data
    assert data.time is not None
    assert (np.diff(data.person) >= 0).all()
    assert (np.diff(data.time)[np.diff(data.person) == 0] > 0).all()


@pytest.mark.parametrize("squared_scale", [0.1, 1.0, 10.0])
def test_waves_give_the_kernel(squared_scale):
    """The products of the waves, summed over all of them, are the kernel's values of a dense table."""
    locations = np.random.default_rng(0).uniform(-10, 10, size=(200, 2))
    across, along = (_waves(coordinate, squared_scale) for coordinate in locations.T)
    implied = (across @ across.T) * (along @ along.T)
    dense = rbf_covariance(locations, locations, variance=1.0, squared_scale=squared_scale)
    np.testing.assert_allclose(implied, dense, atol=1e-12)


@pytest.mark.slow
def test_draws_of_the_field():
    rng = np.random.default_rng(5)
    locations = rng.uniform(-3, 3, size=(8, 2))
    draws = np.array([draw_field(locations, variance=2.0, squared_scale=1.5, rng=rng) for _ in range(4000)])
    dense = rbf_covariance(locations, locations, variance=2.0, squared_scale=1.5)
    np.testing.assert_allclose(np.cov(draws.T), dense, atol=0.2)
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=0.1)


def test_places_and_their_field():
    truth = drawn("mixed", **SMALL["mixed"])
    data = truth.data
    assert [factor.name for factor in data.groupings] == ["group1", "group2", "location"]
    assert data.feature_names[10:] == ("x_coord", "y_coord")
    assert truth.locations is not None
    np.testing.assert_array_equal(data.features[:, 10:], truth.locations[data.groupings[2].codes])
    assert truth.field is truth.effects[2]
    assert np.abs(truth.locations).max() <= 10.0
    assert drawn("single", **SMALL["single"]).field is None


def test_classes():
    truth = drawn("binary", rows=50_000, levels=500)
    assert truth.data.classes == ("0", "1")
    assert truth.error_variance is None
    chance = expit(truth.fixed + truth.random)
    for low in (0.1, 0.4, 0.7):
        chosen = (chance > low) & (chance < low + 0.1)
        assert np.asarray(truth.data.target)[chosen].mean() == pytest.approx(chance[chosen].mean(), abs=0.03)


def test_the_latest_rows_test():
    data = drawn("longitudinal", rows=1000, levels=100).data
    split = latest_rows(data, rng=np.random.default_rng(0))
    assert split.counts == {"train": 720, "validation": 80, "test": 200}
    time = np.asarray(data.time)
    assert time[split.rows("test")].min() >= time[split.labels != "test"].max()
    with pytest.raises(ConfigError, match="E302"):
        latest_rows(drawn("single", **SMALL["single"]).data, rng=np.random.default_rng(0))
