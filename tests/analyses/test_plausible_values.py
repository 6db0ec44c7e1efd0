"""Plausible values and Rubin's rules: textbook numbers, closed forms, limits, and bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from analyses.plausible_transitions import plausible_transitions
from analyses.plausible_values import draw_plausible_values, latent_regression
from analyses.rubin import pool_by_rubin
from toolkit.errors import ConfigError, DataError, ToolkitWarning


def measured(n=400, noise=0.8, difference=1.0, seed=0, size=2):
    """Posterior of effects that were measured once with known error, under a prior that ignores the groups."""
    rng = np.random.default_rng(seed)
    side = np.arange(n) % 2 == 0
    eta = rng.standard_normal((n, size))
    eta[:, 0] += np.where(side, 0.5, -0.5) * difference
    data = eta + np.sqrt(noise) * rng.standard_normal((n, size))
    prior = np.eye(size) + np.diag([difference**2 / 4] + [0.0] * (size - 1))
    kept = np.diag(prior) / (np.diag(prior) + noise)
    covariance = np.broadcast_to(np.diag(kept * noise), (n, size, size))
    return data, kept * data, covariance, prior, side


def test_latent_regression_undoes_the_shrinkage():
    data, mean, covariance, prior, side = measured()
    design = np.column_stack([np.ones(400), side])
    found = latent_regression(mean, covariance, prior, design)
    assert found.converged
    # With one error variance for everybody, B is the difference of the raw means, whatever the prior was.
    expected = data[side].mean(axis=0) - data[~side].mean(axis=0)
    np.testing.assert_allclose(found.coefficients[1], expected, atol=1e-4)
    shrunken = mean[side, 0].mean() - mean[~side, 0].mean()
    assert shrunken < 0.75 * expected[0]
    within = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
    # Restricted maximum likelihood: divided by persons less the two coefficients.
    np.testing.assert_allclose(np.diag(found.residual), within.var(axis=0) * 400 / 398 - 0.8, atol=1e-3)
    error = np.sqrt(np.diag(found.coefficient_root @ found.coefficient_root.T)).reshape(2, 2)
    np.testing.assert_allclose(error[1], np.sqrt((np.diag(found.residual) + 0.8) * 4 / 400), rtol=1e-6)


def test_draws_have_the_posterior_given_the_group():
    data, mean, covariance, prior, side = measured(n=40)
    design = np.column_stack([np.ones(40), side])
    found = latent_regression(mean, covariance, prior, design)
    drawn = draw_plausible_values(found, design, 20_000, np.random.default_rng(1))
    assert drawn.shape == (20_000, 40, 2)
    within = np.diag(found.residual)
    kept = within / (within + 0.8)
    centre = kept * data + (1 - kept) * (design @ found.coefficients)
    np.testing.assert_allclose(drawn.mean(axis=0), centre, atol=0.03)
    of_b = (found.coefficient_root @ found.coefficient_root.T).reshape(2, 2, 2, 2)
    for k in range(2):
        level = np.einsum("pv,vw,pw->p", design, of_b[:, k, :, k], design)
        spread = kept[k] * 0.8 + (1 - kept[k]) ** 2 * level
        np.testing.assert_allclose(drawn[:, :, k].var(axis=0), spread, rtol=0.06)


def test_effects_that_are_known_exactly_stay_as_they_are():
    rng = np.random.default_rng(2)
    mean, design = rng.standard_normal((30, 2)), np.ones((30, 1))
    covariance = np.broadcast_to(1e-10 * np.eye(2), (30, 2, 2))
    found = latent_regression(mean, covariance, np.eye(2), design)
    drawn = draw_plausible_values(found, design, 5, rng)
    np.testing.assert_allclose(drawn, np.broadcast_to(mean, drawn.shape), atol=1e-3)


def test_correlated_effects_keep_their_correlation():
    rng = np.random.default_rng(3)
    sigma = np.array([[1.0, 0.6], [0.6, 1.0]])
    eta = rng.multivariate_normal([0, 0], sigma, 500)
    noise = 0.5 * np.eye(2)
    gain = sigma @ np.linalg.inv(sigma + noise)
    mean = (eta + np.sqrt(0.5) * rng.standard_normal((500, 2))) @ gain.T
    covariance = np.broadcast_to(sigma - gain @ sigma, (500, 2, 2))
    found = latent_regression(mean, covariance, sigma, np.ones((500, 1)))
    assert found.residual[0, 1] == pytest.approx(0.6, abs=0.15)
    drawn = draw_plausible_values(found, np.ones((500, 1)), 20, rng)
    assert np.mean([np.corrcoef(one.T)[0, 1] for one in drawn]) == pytest.approx(0.6, abs=0.12)


def test_rubins_rules_by_hand():
    estimates, variances = np.array([[1.0], [1.4], [0.9], [1.1]]), np.array([[0.04], [0.05], [0.06], [0.05]])
    found = pool_by_rubin(estimates, variances, complete_df=38)
    between = 1.25 * np.var([1.0, 1.4, 0.9, 1.1], ddof=1)
    total = 0.05 + between
    share = between / total
    assert found.estimate[0] == pytest.approx(1.1)
    assert found.error[0] == pytest.approx(np.sqrt(total))
    assert found.missing[0] == pytest.approx(share)
    assert found.df[0] == pytest.approx(1 / (share**2 / 3 + 1 / 38))
    same = pool_by_rubin(np.ones((5, 1)), np.full((5, 1), 0.04), complete_df=10)
    assert same.missing[0] == 0
    assert same.df[0] == pytest.approx(10)


def test_a_difference_of_groups_is_larger_and_its_interval_wider_than_at_face_value():
    _, mean, covariance, prior, side = measured(n=200, size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        found = plausible_transitions(
            mean.reshape(-1, 2, 2),
            mean,
            covariance,
            prior,
            side,
            value="score",
            states=("a", "b"),
            group_names=("ill", "well"),
            resamples=999,
            rng=np.random.default_rng(4),
        )
    assert abs(found.difference[0, 0] - 1) < abs(found.plug_in.difference[0, 0] - 1)
    assert found.low[0, 0] < 1 < found.high[0, 0]
    assert found.high[0, 0] - found.low[0, 0] > found.plug_in.high[0, 0] - found.plug_in.low[0, 0]
    assert 0.2 < found.missing[0, 0] < 0.8
    assert "taken at face value" in found.text()
    assert "from a to a" in found.text()
    assert "20 sets of plausible values" in found.apa()
    assert list(found.to_frame()["from_state"]) == ["a", "a", "b", "b"]
    assert found.summary()["draws"] == 20


def test_effects_that_do_not_vary_are_left_alone():
    _, mean, covariance, prior, side = measured(n=60, size=4)
    mean, covariance, prior = mean.copy(), covariance.copy(), prior.copy()
    mean[:, 3], covariance[:, 3, 3], prior[3, 3] = 0.0, 1e-14, 1e-14
    found = plausible_transitions(
        mean.reshape(-1, 2, 2), mean, covariance, prior, side, value="score", resamples=99, rng=np.random.default_rng(5)
    )
    assert np.isnan(found.pvalue[1, 1])
    assert found.difference[1, 1] == 0
    assert any(note.startswith("1 transitions do not vary") for note in found.notes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prior": np.zeros((4, 4))}, "E124"),
        ({"prior": np.eye(3)}, "E127"),
        ({"mean": np.full((60, 4), np.nan)}, "E111"),
        ({"value": "odds"}, "E302"),
        ({"draws": 2}, "E125"),
        ({"group": np.zeros(60, dtype=bool)}, "E124"),
    ],
)
def test_bad_input(change, code):
    _, mean, covariance, prior, side = measured(n=60, size=4)
    given = {"scores": mean.reshape(-1, 2, 2), "mean": mean, "covariance": covariance, "prior": prior, "group": side}
    with pytest.raises((DataError, ConfigError)) as error:
        plausible_transitions(**(given | {"resamples": 99, "rng": np.random.default_rng(6)} | change))
    assert error.value.code == code
