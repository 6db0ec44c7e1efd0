"""The bootstrap engine against loops over resamples, scipy, and limits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.bootstrap import bootstrap_contrast
from analyses.bootstrap_draws import SMOOTHING, draw_stratum
from analyses.bootstrap_strata import bca_acceleration, evaluate_strata, lay_out_strata, unit_totals
from analyses.intervals import adjusted_holm, choose_method, make_intervals
from analyses.resampling import count_block_sizes, make_units, multinomial_counts
from toolkit.errors import DataError, ToolkitWarning


def contrast(values, side, unit=None, seed=0, **options):
    options = {"resamples": 2000, "method": "percentile", "level": 0.95} | options
    units = make_units(unit, len(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return bootstrap_contrast(values, side, units, rng=np.random.default_rng(seed), **options)


def slow_statistic(values, side, weight):
    """Difference of means and its linearised cluster standard error, unit by unit; `weight` counts each unit."""
    n_units = weight.size
    unit = np.arange(len(values)) // 2
    influence, difference = np.zeros(n_units), 0.0
    for on, sign in ((side, 1), (~side, -1)):
        valid = on & ~np.isnan(values)
        total = sum(weight[unit[i]] for i in np.flatnonzero(valid))
        mean = sum(weight[unit[i]] * values[i] for i in np.flatnonzero(valid)) / total
        difference += sign * mean
        for i in np.flatnonzero(valid):
            influence[unit[i]] += sign * (values[i] - mean) / total
    return difference, influence


@given(st.integers(3, 8), st.booleans(), st.booleans(), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_every_resample_equals_weighting_units_in_a_loop(n_units, joint, missing, seed):
    rng = np.random.default_rng(seed)
    rows = 4 * n_units
    values = rng.standard_normal((rows, 2))
    side = np.arange(rows) % 2 == 0 if joint else np.arange(rows) < 2 * n_units
    if missing:
        values[rng.integers(0, rows, 2), 0] = np.nan
    units = make_units(np.arange(rows) // 2, rows)
    sides = np.stack([side, ~side])
    sums, sizes, members = unit_totals(values, sides, units)
    with np.errstate(invalid="ignore"):
        means = sums.sum(axis=1) / sizes.sum(axis=1)
    strata = lay_out_strata(sums, sizes, means, members, (1.0, -1.0))
    assert len(strata) == (1 if joint else 2)
    weights = [rng.multinomial(s.n_units, np.full(s.n_units, 1 / s.n_units), size=5).astype(float) for s in strata]
    shift, error = evaluate_strata(strata, weights, 2)
    for k in range(5):
        weight = np.zeros(units.n_units)
        for inside, drawn in zip(members if not joint else [np.ones(units.n_units, bool)], weights, strict=True):
            weight[inside] = drawn[k]
        for cell in range(2):
            with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                difference, influence = slow_statistic(values[:, cell], side, weight)
            point = means[0, cell] - means[1, cell]
            if not np.isfinite(difference):
                assert not np.isfinite(shift[k, cell])
                continue
            variance = 0.0
            for inside in members if not joint else [np.ones(units.n_units, bool)]:
                variance += inside.sum() / (inside.sum() - 1) * np.sum((weight * influence**2)[inside])
            assert shift[k, cell] + point == pytest.approx(difference, abs=1e-10)
            assert error[k, cell] == pytest.approx(np.sqrt(variance), abs=1e-7)


def test_percentile_interval_agrees_with_scipy_within_monte_carlo_error():
    rng = np.random.default_rng(1)
    values = rng.gamma(2.0, size=(120, 3))
    side = np.arange(120) < 45
    found = contrast(values, side, resamples=20_000).intervals
    theirs = scipy.stats.bootstrap(
        (values[side], values[~side]),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000,
        method="percentile",
        axis=0,
        rng=np.random.default_rng(2),
    )
    # Standard error of a 2.5 % quantile from 20,000 draws is about 0.019 SD; two of them, four times.
    slack = 4 * np.sqrt(2) * 0.019 * theirs.standard_error
    assert np.all(np.abs(found.low - theirs.confidence_interval.low) < slack)
    assert np.all(np.abs(found.high - theirs.confidence_interval.high) < slack)


def test_standard_error_is_welchs_for_independent_persons():
    rng = np.random.default_rng(2)
    values, side = rng.standard_normal((30, 1)), np.arange(30) < 12
    units = make_units(None, 30)
    sides = np.stack([side, ~side])
    sums, sizes, members = unit_totals(values, sides, units)
    strata = lay_out_strata(sums, sizes, sums.sum(axis=1) / sizes.sum(axis=1), members, (1.0, -1.0))
    _, error = evaluate_strata(strata, [np.ones((1, s.n_units)) for s in strata], 1)
    welch = np.sqrt(values[side].var(ddof=1) / 12 + values[~side].var(ddof=1) / 18)
    assert error[0, 0] == pytest.approx(welch)


def test_bootstrap_t_of_normal_data_is_close_to_students_t():
    values = scipy.stats.norm.ppf((np.arange(12) + 0.5) / 12)[:, None]
    found = contrast(values, None, method="bootstrap-t", resamples=40_000).intervals
    exact = scipy.stats.t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert found.high[0] == pytest.approx(exact, rel=0.12)
    percentile = contrast(values, None).intervals
    assert percentile.high[0] < found.high[0]


def test_copies_of_rows_within_units_change_nothing():
    rng = np.random.default_rng(3)
    values, side = rng.random((20, 4)), np.arange(20) % 2 == 0
    for method in ("percentile", "bootstrap-t"):
        one = contrast(values, side, method=method).intervals
        many = contrast(np.repeat(values, 5, axis=0), np.repeat(side, 5), np.repeat(np.arange(20), 5), method=method)
        for name in ("low", "high", "low_simultaneous", "pvalue"):
            np.testing.assert_allclose(getattr(one, name), getattr(many.intervals, name), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["percentile", "bootstrap-t", "symmetric-t"])
def test_simultaneous_intervals_contain_the_single_ones_and_p_matches_the_interval(method):
    rng = np.random.default_rng(4)
    side = np.arange(40) < 20
    values = rng.gamma(1.0, size=(40, 8)) + side[:, None] * np.linspace(0, 1.5, 8)
    found = contrast(values, side, method=method, resamples=5000).intervals
    assert np.all(found.low_simultaneous <= found.low)
    assert np.all(found.high_simultaneous >= found.high)
    excludes = (found.low > 0) | (found.high < 0)
    clear = np.abs(found.pvalue - 0.05) > 0.002
    assert np.all((found.pvalue < 0.05)[clear] == excludes[clear])
    assert excludes.any()
    assert not excludes.all()
    assert found.pvalue.min() >= 2 / 5001
    np.testing.assert_allclose(found.pvalue_fdr, scipy.stats.false_discovery_control(found.pvalue))


def test_shifting_and_scaling_carry_over():
    rng = np.random.default_rng(5)
    values, side = rng.random((30, 2)), np.arange(30) % 3 == 0
    for method in ("percentile", "bootstrap-t"):
        first = contrast(values, side, method=method)
        second = contrast(7 - 100 * values, side, method=method)
        np.testing.assert_allclose(second.point, -100 * first.point, rtol=1e-9)
        np.testing.assert_allclose(second.intervals.low, -100 * first.intervals.high, rtol=1e-6)
        np.testing.assert_allclose(second.intervals.pvalue, first.intervals.pvalue, rtol=1e-9)


def test_cells_without_variance_keep_their_point_and_are_not_tested():
    rng = np.random.default_rng(6)
    side = np.arange(50) < 25
    values = np.column_stack([np.zeros(50), np.where(side, 0.3, 0.1), rng.random(50), np.full(50, np.nan)])
    for method in ("percentile", "bootstrap-t"):
        found = contrast(values, side, method=method)
        cells = found.intervals
        np.testing.assert_allclose(cells.low[:2], [0, 0.2], atol=1e-15)
        np.testing.assert_allclose(cells.high_simultaneous[:2], [0, 0.2], atol=1e-15)
        assert np.isnan(cells.pvalue[[0, 1, 3]]).all()
        assert np.isnan(cells.low[3])
        assert cells.pvalue_fdr[2] == cells.pvalue[2]
        assert cells.low_simultaneous[2] == pytest.approx(cells.low[2], abs=0.03)
        assert "3 of 4 cells do not vary" in found.notes[0]


def test_resamples_that_lose_a_group_or_all_variance_do_not_leak():
    values = np.array([0.1, 0.5, 0.2, 0.9])[:, None]
    for method in ("percentile", "bootstrap-t"):
        found = contrast(values, np.array([True, True, False, False]), method=method)
        assert np.isfinite([found.intervals.low, found.intervals.high, found.intervals.pvalue]).all()
    joint = contrast(values[[0, 1, 2, 3, 0, 3]], np.array([1, 0, 1, 1, 0, 0], bool), [0, 0, 1, 1, 2, 2])
    assert np.isfinite(joint.intervals.low).all()
    assert joint.intervals.degenerate > 0
    assert "left a cell without variance or without data" in " ".join(joint.notes)


def test_nothing_usable_gives_no_interval():
    cells = make_intervals(
        np.array([0.4]),
        np.array([0.1]),
        np.full((200, 1), np.nan),
        np.full((200, 1), np.nan),
        method="percentile",
        tested=np.array([True]),
        level=0.95,
    )
    assert (cells.low[0], cells.high[0]) == (0.4, 0.4)
    assert np.isnan(cells.pvalue[0])


def test_simultaneous_intervals_are_studentised_with_either_method():
    rng = np.random.default_rng(7)
    values, side = rng.standard_normal((40, 6)), np.arange(40) < 20
    one, other = contrast(values, side).intervals, contrast(values, side, method="bootstrap-t").intervals
    np.testing.assert_allclose(one.low_simultaneous, np.minimum(other.low_simultaneous, one.low))
    np.testing.assert_allclose(one.high_simultaneous, np.maximum(other.high_simultaneous, one.high))


def test_auto_depends_on_the_design_and_few_units_warn():
    assert choose_method("auto", 0.95, 39, "persons") == "bootstrap-t"
    assert choose_method("auto", 0.95, 40, "persons") == "percentile"
    with pytest.warns(ToolkitWarning, match=r"W301.*19 families"):
        assert choose_method("percentile", 0.95, 19, "families") == "percentile"
    rng = np.random.default_rng(8)
    values = rng.random((100, 1))
    assert contrast(values, np.arange(100) < 50, method="auto").method == "symmetric-t"
    assert contrast(values, None, method="auto").method == "bootstrap-t"
    both_in_a_unit = contrast(values, np.arange(100) % 2 == 0, np.arange(100) // 2, method="auto")
    assert both_in_a_unit.method == "bootstrap-t"
    few = contrast(values[:14], np.arange(14) < 7, method="auto")
    assert "rests on 14 persons" in " ".join(few.notes) or "rests on 14 units" in " ".join(few.notes)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"resamples": 98}, "E125"),
        ({"method": "bayes"}, "E302"),
        ({"level": 1.0}, "E302"),
        ({"level": 95.0}, "E302"),
    ],
)
def test_bad_options_are_named(options, code):
    with pytest.raises(DataError) as caught:
        contrast(np.ones((40, 1)), np.arange(40) < 20, **options)
    assert caught.value.code == code


def test_a_group_of_one_is_refused():
    with pytest.raises(DataError, match="E124"):
        contrast(np.ones((40, 1)), np.arange(40) < 1)


def test_bca_agrees_with_scipy_within_monte_carlo_error():
    rng = np.random.default_rng(11)
    values = rng.lognormal(size=(70, 2))
    side = np.arange(70) < 25
    found = contrast(values, side, method="bca", resamples=40_000).intervals
    theirs = scipy.stats.bootstrap(
        (values[side], values[~side]),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=40_000,
        method="BCa",
        axis=0,
        rng=np.random.default_rng(12),
    )
    slack = 6 * 0.019 * theirs.standard_error
    assert np.all(np.abs(found.low - theirs.confidence_interval.low) < slack)
    assert np.all(np.abs(found.high - theirs.confidence_interval.high) < slack)


def test_bca_of_joint_units_jackknifes_whole_units():
    rng = np.random.default_rng(13)
    values, side, unit = rng.gamma(1.0, size=(40, 1)), np.arange(40) % 2 == 0, np.arange(40) // 4
    units = make_units(unit, 40)
    sides = np.stack([side, ~side])
    sums, sizes, members = unit_totals(values, sides, units)
    strata = lay_out_strata(sums, sizes, sums.sum(axis=1) / sizes.sum(axis=1), members, (1.0, -1.0))
    left = [values[side & (unit != u)].mean() - values[~side & (unit != u)].mean() for u in range(10)]
    pull = np.mean(left) - np.array(left)
    expected = np.sum(pull**3) / (6 * np.sum(pull**2) ** 1.5)
    assert bca_acceleration(strata, 1)[0] == pytest.approx(expected)


def test_bca_p_is_the_level_at_which_the_interval_touches_zero():
    rng = np.random.default_rng(14)
    values, side = rng.gamma(1.0, size=(60, 1)), np.arange(60) < 20
    values[side] += 0.35
    p = contrast(values, side, method="bca", resamples=9999).intervals.pvalue[0]
    at = contrast(values, side, method="bca", resamples=9999, level=1 - p).intervals
    assert min(abs(at.low[0]), abs(at.high[0])) < 0.02


@pytest.mark.slow
def test_holm_is_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005, 0.9, 0.03])
    known = ~np.isnan(p)
    np.testing.assert_allclose(adjusted_holm(p)[known], multipletests(p[known], method="holm")[1])
    assert np.isnan(adjusted_holm(p)[1])


def test_the_unit_of_measurement_does_not_matter():
    rng = np.random.default_rng(15)
    values, side = rng.standard_normal((120, 3)), np.arange(120) < 50
    for method in ("percentile", "bca", "bootstrap-t"):
        one, far = contrast(values, side, method=method), contrast(1e12 * values, side, method=method)
        np.testing.assert_allclose(1e12 * one.intervals.low, far.intervals.low, rtol=1e-5)
        np.testing.assert_allclose(one.intervals.pvalue, far.intervals.pvalue)


def test_single_precision_is_invisible_beside_a_loop_in_double():
    rng = np.random.default_rng(16)
    values, side = 1000 + rng.standard_normal((90, 2)), np.arange(90) < 45
    found = contrast(values, side, resamples=999, seed=3).intervals
    same = np.random.default_rng(3)
    shift = 0.0
    for sign, rows in ((1, values[side]), (-1, values[~side])):
        blocks = [multinomial_counts(45, b.stop - b.start, same) for b in count_block_sizes(45, 999)]
        shift = shift + sign * np.concatenate(blocks) @ rows / 45
    np.testing.assert_allclose([found.low, found.high], np.quantile(shift, (0.025, 0.975), axis=0), rtol=1e-5)


def test_smoothed_resamples_keep_mean_and_covariance_and_their_standard_errors_match_a_loop():
    rng = np.random.default_rng(17)
    values = rng.gamma(1.0, size=(12, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    units = make_units(None, 12)
    sums, sizes, members = unit_totals(values, np.ones((1, 12), dtype=bool), units)
    stratum = lay_out_strata(sums, sizes, values.mean(axis=0)[None], members, (1.0,))[0]
    shift, variance = draw_stratum(stratum, 3, 20_000, np.random.default_rng(18), smooth=True)
    expected = np.cov(values.T) * 11 / 12 / 12
    # The drawn part has the sample's covariance with divisor n, the noise that with n - 1.
    noise = SMOOTHING**2 / 12
    np.testing.assert_allclose(shift.mean(axis=1), 0.0, atol=4 * np.sqrt(expected.max() / 20_000))
    inflation = (1 + noise * 12 / 11) / (1 + noise)
    np.testing.assert_allclose(np.cov(shift), expected * inflation, rtol=0.06, atol=2e-4)
    np.testing.assert_allclose(variance.mean(axis=1), np.diag(expected) * inflation, rtol=0.03, atol=1e-9)
    assert np.all(variance[2] == 0)
    assert variance[0].min() > 1e-4


def test_smoothed_resamples_are_the_formula_resample_by_resample():
    values = np.random.default_rng(19).standard_normal((9, 2))
    values[4, 1] = np.nan
    family = np.array([0, 0, 1, 2, 3, 3, 3, 4, 5])
    units = make_units(family, 9)
    sums, sizes, members = unit_totals(values, np.ones((1, 9), dtype=bool), units)
    means = np.nanmean(values, axis=0)[None]
    stratum = lay_out_strata(sums, sizes, means, members, (1.0,))[0]
    shift, variance = draw_stratum(stratum, 2, 5, np.random.default_rng(20), smooth=True)
    same, pulled = np.random.default_rng(20), sums[0] - means * sizes[0]
    drawn = same.integers(0, 6, size=(5, 6))
    noise = same.standard_normal((5, 6, 2), dtype=np.float32)
    _, size, right = np.linalg.svd(pulled, full_matrices=False)
    width = SMOOTHING / np.sqrt(6)
    for b in range(5):
        rows, moved = sizes[0][drawn[b]], np.empty((6, 2))
        for j in range(6):
            jitter = noise[b, j] @ (np.diag(size) @ right) / np.sqrt(5)
            moved[j] = (pulled[drawn[b, j]] + width * jitter) / np.sqrt(1 + width**2)
        mean = moved.sum(axis=0) / rows.sum(axis=0)
        pull = (moved - mean * rows) / rows.sum(axis=0)
        np.testing.assert_allclose(shift[:, b], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(variance[:, b], 6 / 5 * (pull**2).sum(axis=0), rtol=1e-3)


def test_strong_skewness_of_few_units_is_said():
    rng = np.random.default_rng(23)
    side = np.arange(30) < 15
    values = np.column_stack([rng.standard_normal(30), np.exp(1.5 * rng.standard_normal(30))])
    assert any(note.startswith("1 of 2 cells are strongly skewed") for note in contrast(values, side).notes)
    assert not any("skewed" in note for note in contrast(values[:, :1], side).notes)
    many = np.exp(1.5 * rng.standard_normal((100, 1)))
    assert not any("skewed" in note for note in contrast(many, np.arange(100) < 50).notes)


def test_symmetric_intervals_take_the_quantile_of_the_sizes_of_t():
    rng = np.random.default_rng(21)
    t = rng.standard_normal((999, 3)) + 0.3
    point, error = np.array([0.5, -1.0, 0.0]), np.array([0.5, 0.4, 1.0])
    cells = make_intervals(
        point, error, t, t, method="symmetric-t", tested=np.ones(3, dtype=bool), level=0.9, together="symmetric"
    )
    reach = np.quantile(np.abs(t), 0.9, axis=0)
    np.testing.assert_allclose(cells.low, point - error * reach)
    np.testing.assert_allclose(cells.high, point + error * reach)
    np.testing.assert_allclose(cells.high_simultaneous, point + error * np.quantile(np.abs(t).max(axis=1), 0.9))
    beyond = (np.abs(t) >= np.abs(point / error)).sum(axis=0)
    np.testing.assert_allclose(cells.pvalue, (beyond + 1) / 1000)
    none = make_intervals(
        point, error, t, t, method="symmetric-t", tested=np.ones(3, dtype=bool), level=0.9, together="none"
    )
    assert np.isnan(none.low_simultaneous).all()
    np.testing.assert_array_equal(none.low, cells.low)


@pytest.mark.parametrize("design", ["persons", "families", "both sides in a family", "missing"])
def test_percentiles_alone_are_those_of_the_whole_analysis(design):
    rng = np.random.default_rng(22)
    values, side = rng.standard_normal((100, 3)), np.arange(100) < 48
    unit = {"families": np.arange(100) // 4, "both sides in a family": np.arange(100) % 50}.get(design)
    if design == "missing":
        values[rng.integers(0, 100, 9), 1] = np.nan
    one = contrast(values, side, unit, resamples=499, simultaneous=False).intervals
    whole = contrast(values, side, unit, resamples=499).intervals
    if design != "families":
        # Twelve and thirteen families a side are smoothed for the simultaneous intervals, which moves the draws on.
        np.testing.assert_allclose(one.low, whole.low, rtol=1e-4)
        np.testing.assert_allclose(one.high, whole.high, rtol=1e-4)
    np.testing.assert_allclose(one.high - one.low, whole.high - whole.low, rtol=0.25)
    assert np.isnan(one.low_simultaneous).all()
