"""Slopes of transitions on a covariate: other libraries, explicit loops, limits, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from analyses.covariate_slopes import transition_slopes
from analyses.resampling import make_units
from analyses.slope_fit import fit_slopes
from analyses.transitions import compare_transitions
from analyses.wild_slopes import SIX_POINTS, wild_t, wild_weights
from toolkit.errors import ConfigError, DataError


def study(n=60, slope=0.0, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 60, n)
    t = rng.dirichlet(np.ones(3), (n, 3))
    share = np.clip(slope * (age - 40), -0.4, 0.4)[:, None]
    t[:, 0] = t[:, 0] * (1 - np.abs(share)) + np.abs(share) * np.where(share > 0, [1.0, 0, 0], [0, 0, 1.0])
    return t, age


def slopes(t, age, **options):
    return transition_slopes(t, age, rng=np.random.default_rng(1), **({"resamples": 999} | options))


def slow_cr2(y, x, codes):
    """Slope, CR2 error and Satterthwaite's degrees of freedom from whole matrices."""
    n = len(x)
    design = np.column_stack([np.ones(n), x])
    bread = np.linalg.inv(design.T @ design)
    hat = design @ bread @ design.T
    residual = y - hat @ y
    variance, columns = 0.0, []
    for unit in np.unique(codes):
        rows = codes == unit
        size, directions = np.linalg.eigh(np.eye(rows.sum()) - hat[np.ix_(rows, rows)])
        root = directions @ np.diag(size**-0.5) @ directions.T
        k = (bread @ design[rows].T @ root)[1]
        variance += (k @ residual[rows]) ** 2
        columns.append((np.eye(n) - hat)[:, rows] @ k)
    working = np.array(columns) @ np.array(columns).T
    return (bread @ design.T @ y)[1], np.sqrt(variance), np.trace(working) ** 2 / (working**2).sum()


@pytest.mark.parametrize("families", [False, True])
def test_slope_error_and_degrees_of_freedom_match_whole_matrices(families):
    rng = np.random.default_rng(2)
    n = 24
    codes = np.repeat(np.arange(9), [1, 2, 3, 4, 1, 2, 3, 4, 4]) if families else np.arange(n)
    x, y = rng.standard_normal(n), rng.standard_normal((n, 3))
    y[[3, 7], 1] = np.nan
    fit = fit_slopes(y, x, make_units(codes, n))
    for cell in range(3):
        there = ~np.isnan(y[:, cell])
        expected = slow_cr2(y[there, cell], x[there], codes[there])
        np.testing.assert_allclose([fit.slope[cell], fit.error[cell], fit.df[cell]], expected, rtol=1e-9)
        if not families:
            found = sm.OLS(y[there, cell], sm.add_constant(x[there])).fit(cov_type="HC2")
            assert fit.error[cell] == pytest.approx(found.bse[1])
            assert fit.intercept[cell] == pytest.approx(found.params[0])


def test_every_wild_resample_equals_a_new_fit_to_signed_residuals():
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(13), 2)
    x, y = rng.standard_normal(26), rng.standard_normal((26, 2))
    y[5, 1] = np.nan
    fit = fit_slopes(y, x, make_units(codes, 26))
    drawn = wild_t(fit, 6, np.random.default_rng(4))
    weights = wild_weights(6, 13, np.random.default_rng(4))
    assert set(np.unique(weights)) == {-1.0, 1.0}
    for cell in range(2):
        there = ~np.isnan(y[:, cell])
        design = np.column_stack([np.ones(there.sum()), x[there]])
        hat = design @ np.linalg.pinv(design)
        fitted, member = hat @ y[there, cell], codes[there]
        adjusted = np.empty(there.sum())
        for unit in range(13):
            rows = member == unit
            size, directions = np.linalg.eigh(np.eye(rows.sum()) - hat[np.ix_(rows, rows)])
            root = directions @ np.diag(size**-0.5) @ directions.T
            adjusted[rows] = root @ (y[there, cell] - fitted)[rows]
        for b in range(6):
            slope, error, _ = slow_cr2(fitted + weights[b, member] * adjusted, x[there], member)
            assert drawn[b, cell] == pytest.approx((slope - fit.slope[cell]) / error)


def test_a_covariate_of_two_values_gives_the_difference_and_welchs_error():
    t, _ = study()
    side = np.arange(60) < 25
    found, pair = slopes(t, side.astype(float)), compare_transitions(t, side, rng=np.random.default_rng(1))
    np.testing.assert_allclose(found.slope, pair.difference, atol=1e-12)
    welch = scipy.stats.ttest_ind(t[side], t[~side], equal_var=False)
    np.testing.assert_allclose(found.slope / found.standard_error, welch.statistic)
    assert "with one unit more of the covariate" in found.text()


def test_a_relation_is_found_in_its_cell_and_told_in_points():
    t, age = study(150, slope=0.012)
    found = slopes(t, age, covariate_name="age", per=10, states=("low", "even", "high"), resamples=4999)
    assert found.low_simultaneous[0, 0] > 0
    assert np.all(found.low_simultaneous <= found.low)
    assert np.all(found.high_simultaneous >= found.high)
    once = slopes(t, age, resamples=4999)
    np.testing.assert_allclose(found.slope, 10 * once.slope)
    np.testing.assert_allclose(found.pvalue, once.pvalue)
    sentence = found.cell_text("low", "low")
    assert "10 units more of age" in sentence
    assert "percentage points higher" in sentence
    assert "change clearly with age" in found.text() or "changes clearly with age" in found.text()
    assert "related to age" in found.apa()
    assert list(found.to_frame(every=True).columns)[:3] == ["from_state", "to_state", "slope"]
    assert found.summary()["covariate"] == "age"


def test_rows_never_visited_and_structural_zeros():
    t, age = study(40)
    t[:, range(3), range(3)] = 0.0
    t /= t.sum(axis=2, keepdims=True)
    t[:6, 1] = np.nan
    found = slopes(t, age)
    assert np.isnan(np.diag(found.pvalue)).all()
    assert found.n_cell[1, 0] == 34
    assert found.n_cell[0, 1] == 40
    assert any("not tested" in note for note in found.notes)
    with_few = slopes(t[:10], age[:10])
    assert any("wide side" in note for note in with_few.notes)


def test_weights_have_mean_zero_and_variance_one():
    for units in (8, 30):
        weights = wild_weights(40_000, units, np.random.default_rng(5))
        assert abs(weights.mean()) < 0.01
        assert weights.var() == pytest.approx(1.0, abs=0.01)
    assert np.mean(SIX_POINTS**2) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"covariate": np.ones(60)}, "E124"),
        ({"covariate": np.full(60, np.nan)}, "E111"),
        ({"covariate": np.full(60, np.inf)}, "E110"),
        ({"covariate": np.arange(59.0)}, "E127"),
        ({"unit": np.arange(60) // 20}, "E124"),
        ({"resamples": 20}, "E125"),
        ({"level": 1.5}, "E302"),
        ({"scale": "cubic"}, "E302"),
    ],
)
def test_bad_input(change, code):
    t, age = study()
    options = {"covariate": age} | change
    with pytest.raises((DataError, ConfigError)) as error:
        slopes(t, options.pop("covariate"), **options)
    assert error.value.code == code


def test_a_constant_cell_is_not_tested_and_nothing_else_is_lost():
    t, age = study()
    found = slopes(np.broadcast_to(t[:1], t.shape), age)
    assert np.isnan(found.pvalue).all()
    assert found.text().startswith("No transition varies")
    with pytest.raises(DataError, match="E120"):
        found.cell_text("state 1", "nowhere")


def test_a_long_tail_of_the_covariate_is_said():
    t, age = study()
    assert not any("long tail" in note for note in slopes(t, age).notes)
    assert any("long tail" in note for note in slopes(t, np.exp(age / 8)).notes)
