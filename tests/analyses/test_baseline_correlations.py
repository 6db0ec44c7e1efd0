"""Spearman and percentage bend beside pingouin; leaving out units beside a loop; resamples beside a loop."""

from __future__ import annotations

import numpy as np
import pingouin
import pytest
import scipy.stats

from analyses.baseline import bias_baseline
from analyses.correlation import KINDS, correlate, without_each_unit
from analyses.correlation_bootstrap import resampled_correlations
from analyses.resampling import make_units

NAMES = {"pearson": "pearson", "spearman": "spearman", "bend": "percbend"}


def families(n_units=30, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(n_units), 1 + np.arange(n_units) % 3)
    rng.shuffle(family)
    x = rng.standard_normal(family.size)
    y = 0.5 * x + rng.standard_normal(family.size)
    return (np.round(x), np.round(y), family) if ties else (x, y, family)


def pingouins(x, y, kind):
    return pingouin.corr(x, y, method=NAMES[kind]).iloc[0]


def by_hand(x, y, kind):
    """One correlation; the percentage bend as Wilcox (1994) and his R functions write it, value by value."""
    if kind != "bend":
        return pingouins(x, y, kind)["r"]
    bent = []
    for values in (x, y):
        median = np.median(values)
        omega = sorted(abs(v - median) for v in values)[int(0.8 * len(values) + 0.5) - 1]
        inside = [v for v in values if abs(v - median) <= omega]
        balance = sum(v - median > omega for v in values) - sum(v - median < -omega for v in values)
        centre = (sum(inside) + omega * balance) / len(inside)
        bent.append(np.array([min(1.0, max(-1.0, (v - centre) / omega)) for v in values]))
    return np.sum(bent[0] * bent[1]) / np.sqrt(np.sum(bent[0] ** 2) * np.sum(bent[1] ** 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", [False, True])  # 60 persons: pingouin takes floor(.8 n) where Wilcox rounds
def test_correlation_and_p_are_pingouins(kind, ties):
    x, y, _ = families(ties=ties)
    found = bias_baseline(x, y, correlation=kind, resamples=99, rng=np.random.default_rng(0))
    assert found.r == pytest.approx(pingouins(x, y, kind)["r"], rel=1e-12)
    assert found.pvalue == pytest.approx(pingouins(x, y, kind)["p_val"], rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ties", [False, True])
def test_leaving_out_units_is_what_a_loop_of_refits_gives(kind, ties):
    x, y, family = families(ties=ties)
    found = without_each_unit(x, y, make_units(family, family.size), kind)
    theirs = [by_hand(x[family != f], y[family != f], kind) for f in range(30)]
    np.testing.assert_allclose(found, theirs, rtol=1e-12)


def test_interval_is_the_jackknife_written_out():
    x, y, family = families()
    found = bias_baseline(x, y, unit=family, resamples=99, rng=np.random.default_rng(0))
    z = np.arctanh([np.corrcoef(x[family != f], y[family != f])[0, 1] for f in range(30)])
    error = np.sqrt(29 / 30 * np.sum((z - z.mean()) ** 2))
    centre = np.arctanh(np.corrcoef(x, y)[0, 1])
    ends = np.tanh(centre + np.array([-1, 1]) * scipy.stats.t.ppf(0.975, 28) * error)
    np.testing.assert_allclose([found.low, found.high], ends, rtol=1e-9)
    assert found.pvalue == pytest.approx(2 * scipy.stats.t.sf(centre / error, 28), rel=1e-9)
    ranks = bias_baseline(x, y, unit=family, correlation="spearman", resamples=99, rng=np.random.default_rng(0))
    z = np.arctanh([scipy.stats.spearmanr(x[family != f], y[family != f])[0] for f in range(30)])
    error = np.sqrt(29 / 30 * np.sum((z - z.mean()) ** 2))
    assert np.arctanh(ranks.high) - np.arctanh(ranks.r) == pytest.approx(scipy.stats.norm.ppf(0.975) * error, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_resampled_units_are_those_of_a_loop(kind):
    x, y, family = families(n_units=9)
    found = resampled_correlations(
        x, y, make_units(family, family.size), kind, resamples=40, rng=np.random.default_rng(3)
    )
    drawn = np.random.default_rng(3).integers(0, 9, (40, 9))
    theirs = []
    for units in drawn:
        rows = np.concatenate([np.flatnonzero(family == unit) for unit in units])
        theirs.append(correlate(x[rows], y[rows], kind))
    np.testing.assert_allclose(found, theirs, rtol=1e-10)


def test_extreme_persons_hardly_move_the_percentage_bend():
    rng = np.random.default_rng(5)
    x = rng.standard_normal(60)
    y = x + 0.5 * rng.standard_normal(60)
    far_x, far_y = np.r_[x, 30.0, 40.0], np.r_[y, -30.0, -40.0]
    assert correlate(far_x, far_y, "pearson") < 0
    assert correlate(far_x, far_y, "bend") > 0.6


def test_percentage_bend_reports_percentiles_of_persons_and_leaves_out_families():
    x, y, family = families()
    found = bias_baseline(x, y, correlation="bend", resamples=999, rng=np.random.default_rng(1))
    drawn = resampled_correlations(x, y, make_units(None, x.size), "bend", resamples=999, rng=np.random.default_rng(1))
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.025, 0.975]), rtol=1e-12)
    assert found.pvalue_bootstrap == pytest.approx(2 * (np.sum(drawn <= 0) + 1) / 1000)
    assert found.text().startswith(
        "Person-specific bias and baseline level were positively correlated, percentage bend"
    )
    assert "percentile, 999 resamples of persons" in found.apa()
    whole = bias_baseline(
        x, y, unit=family, unit_name="families", correlation="bend", resamples=99, rng=np.random.default_rng(1)
    )
    z = np.arctanh([by_hand(x[family != f], y[family != f], "bend") for f in range(30)])
    error = np.sqrt(29 / 30 * np.sum((z - z.mean()) ** 2))
    half = scipy.stats.t.ppf(0.975, 28) * error
    np.testing.assert_allclose([whole.low, whole.high], np.tanh(np.arctanh(whole.r) + half * np.array([-1, 1])))
    assert whole.interval == "jackknife"


def test_strong_skew_and_a_lone_person_are_said():
    rng = np.random.default_rng(2)
    x = rng.exponential(size=50) ** 2
    found = bias_baseline(x, x + 0.1 * rng.exponential(size=50) ** 2, resamples=99, rng=rng)
    assert any("strongly skewed" in note for note in found.notes)
    bent = bias_baseline(x, x + 0.1 * rng.standard_normal(50), correlation="bend", resamples=99, rng=rng)
    assert any("percentage bend correlation covered" in note for note in bent.notes)
    lone = np.r_[np.zeros(29), 1.0]
    found = bias_baseline(lone, rng.standard_normal(30), resamples=99, rng=rng)
    assert np.isnan([found.low, found.high]).all()
    assert any("nothing varies any more" in note for note in found.notes)
