"""The slope corrected for shrinkage: against least squares written out, and on average right."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from analyses.baseline_slope import corrected_slope
from toolkit.errors import DataError
from toolkit.results import Result


def shrunken(n=40, beta=0.8, seed=0, error=False):
    """Biases pulled towards zero by their reliability, and baselines measured with error or without."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal(n)
    noise = 2 / rng.integers(3, 30, n)
    estimate = beta * level + 0.5 * rng.standard_normal(n) + np.sqrt(noise) * rng.standard_normal(n)
    reliability = (beta**2 + 0.25) / (beta**2 + 0.25 + noise)
    s = np.sqrt(1 / rng.integers(5, 20, n)) * error
    return reliability * estimate, level + s * rng.standard_normal(n), reliability, s


def test_is_weighted_least_squares_of_the_unshrunken_estimates():
    bias, baseline, reliability, _ = shrunken()
    found = corrected_slope(bias, baseline, reliability=reliability)
    design = np.stack([np.ones(40), baseline], axis=1) * np.sqrt(reliability)[:, None]
    intercept, slope = np.linalg.lstsq(design, bias / reliability * np.sqrt(reliability), rcond=None)[0]
    assert found.slope == pytest.approx(slope, rel=1e-10)
    assert found.intercept == pytest.approx(intercept, abs=1e-10)
    assert found.slope_shrunken == pytest.approx(np.polyfit(baseline, bias, 1)[0], rel=1e-10)
    assert isinstance(found, Result)


def test_interval_is_a_loop_of_refits():
    bias, baseline, reliability, error = shrunken(error=True)
    family = np.arange(40) // 3
    found = corrected_slope(bias, baseline, reliability=reliability, baseline_error=error, unit=family)

    def refit(keep):
        w, b, s = reliability[keep], baseline[keep], error[keep]
        centred = b - np.sum(w * b) / w.sum()
        spread = np.sum(w * centred**2) - np.sum(w * s**2 * (1 - w / w.sum()))
        return np.sum(centred * bias[keep]) / spread

    without = np.array([refit(family != f) for f in range(14)])
    se = np.sqrt(13 / 14 * np.sum((without - without.mean()) ** 2))
    assert found.slope == pytest.approx(refit(family >= 0), rel=1e-10)
    sizes = np.bincount(family)
    half = scipy.stats.t.ppf(0.975, sizes.sum() ** 2 / (sizes**2).sum() - 2) * se
    np.testing.assert_allclose([found.low, found.high], [found.slope - half, found.slope + half], rtol=1e-8)


@pytest.mark.slow
def test_is_right_on_average_where_the_shrunken_slope_is_not():
    plain, noisy = [], []
    for seed in range(300):
        bias, baseline, reliability, _ = shrunken(n=60, seed=seed)
        found = corrected_slope(bias, baseline, reliability=reliability)
        plain.append((found.slope, found.slope_shrunken))
        bias, baseline, reliability, error = shrunken(n=60, seed=seed, error=True)
        noisy.append(
            (
                corrected_slope(bias, baseline, reliability=reliability, baseline_error=error).slope,
                corrected_slope(bias, baseline, reliability=reliability).slope,
            )
        )
    corrected, pulled = np.mean(plain, axis=0)
    assert corrected == pytest.approx(0.8, abs=4 * np.std(plain, axis=0)[0] / np.sqrt(300))
    assert pulled < 0.7
    both, shrinkage_only = np.mean(noisy, axis=0)
    # The correction for errors is a ratio, and so some per cent too steep with 60 persons.
    assert both == pytest.approx(0.8, abs=0.02)
    assert shrinkage_only < 0.75


def test_a_reliability_of_one_changes_nothing():
    bias, baseline, _, _ = shrunken()
    found = corrected_slope(bias, baseline, reliability=np.ones(40))
    assert found.slope == pytest.approx(found.slope_shrunken, rel=1e-10)
    moved = corrected_slope(bias, 1000 + baseline, reliability=np.ones(40))
    assert moved.slope == pytest.approx(found.slope, rel=1e-9)


def test_sentences():
    bias, baseline, reliability, error = shrunken()
    found = corrected_slope(bias, baseline, reliability=reliability)
    assert "without correcting for that the slope would be 0." in found.text()
    assert found.apa().startswith("The slope of person-specific bias on baseline, corrected for shrinkage, was b = ")
    small = corrected_slope(bias / 1000, baseline, reliability=reliability)
    assert "0.0008" in small.text() or "0.0007" in small.text()
    few = corrected_slope(bias[:8], baseline[:8], reliability=reliability[:8] / 100, baseline_error=error[:8])
    assert len(few.notes) == 2
    assert few.summary()["notes"] == list(few.notes)
    assert found.to_frame().loc[0, "slope"] == found.slope


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reliability": np.full(40, 1.2)}, "E302"),
        ({"reliability": np.full(40, np.nan)}, "E111"),
        ({"reliability": np.zeros(40)}, "E115"),
        ({"reliability": np.ones(39)}, "E127"),
        ({"baseline_error": np.full(40, -1.0)}, "E302"),
        ({"baseline_error": np.full(40, 5.0)}, "E115"),
        ({"baseline_error": np.full(40, np.inf)}, "E110"),
        ({"baseline": np.ones(40)}, "E115"),
        ({"bias": np.ones(40)}, "E115"),
        ({"unit": np.arange(40) // 20}, "E116"),
        ({"level": 95.0}, "E302"),
    ],
)
def test_bad_input_is_named(change, code):
    bias, baseline, reliability, _ = shrunken()
    options = {"bias": bias, "baseline": baseline, "reliability": reliability} | change
    with pytest.raises(DataError) as caught:
        corrected_slope(options.pop("bias"), options.pop("baseline"), **options)
    assert caught.value.code == code
