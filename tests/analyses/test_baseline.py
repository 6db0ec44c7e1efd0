from __future__ import annotations

import dataclasses

import numpy as np
import pingouin
import pytest
import scipy.stats

from analyses.baseline import bias_baseline
from analyses.correlation_bootstrap import fisher_z
from toolkit.errors import DataError, ToolkitWarning
from toolkit.results import Result


def pair(n=38, slope=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    return x, slope * x + rng.standard_normal(n)


def run(x, y, seed=0, **options):
    return bias_baseline(x, y, rng=np.random.default_rng(seed), **({"resamples": 2000} | options))


def test_r_fishers_interval_and_p_are_pingouins():
    x, y = pair()
    found, theirs = run(x, y), pingouin.corr(x, y).iloc[0]
    assert found.r == pytest.approx(theirs["r"], rel=1e-12)
    assert found.pvalue == pytest.approx(theirs["p_val"], rel=1e-9)
    np.testing.assert_allclose([found.low_fisher, found.high_fisher], theirs["CI95"], atol=0.0051)
    exact = scipy.stats.pearsonr(x, y).confidence_interval(0.95)
    np.testing.assert_allclose([found.low_fisher, found.high_fisher], exact, rtol=1e-9)
    assert isinstance(found, Result)


@pytest.mark.slow
def test_person_bootstrap_agrees_with_scipy_within_monte_carlo_error():
    x, y = pair(100)
    found = run(x, y, resamples=20_000)
    assert found.method == "percentile"
    theirs = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.pearsonr(a, b)[0],
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    ends = [found.low_bootstrap, found.high_bootstrap]
    np.testing.assert_allclose(ends, theirs.confidence_interval, atol=6 * 0.043 * theirs.standard_error)


def test_linearised_error_is_the_infinitesimal_jackknife():
    x, y = pair(12)
    moments = np.stack([np.ones(12), x, y, x * x, y * y, x * y], axis=1)
    z, error = fisher_z(moments, np.ones((1, 12)))
    assert z[0] == pytest.approx(np.arctanh(np.corrcoef(x, y)[0, 1]))
    step = 1e-6
    influence = [(fisher_z(moments, np.ones((1, 12)) + step * np.eye(12)[[i]])[0][0] - z[0]) / step for i in range(12)]
    assert error[0] == pytest.approx(np.sqrt(12 / 11 * np.sum(np.square(influence))), rel=1e-4)


def test_families_replace_the_interval_and_say_so():
    x, y = pair(40)
    family = np.repeat(np.arange(40), 3)
    tripled = run(np.repeat(x, 3), np.repeat(y, 3), unit=family, unit_name="families", method="percentile")
    single = run(x, y, method="percentile")
    assert tripled.r == pytest.approx(single.r)
    np.testing.assert_allclose([tripled.low, tripled.high], [single.low, single.high], rtol=1e-9)
    ends = [(found.low_bootstrap, found.high_bootstrap) for found in (tripled, single)]
    np.testing.assert_allclose(*ends, rtol=1e-6)
    assert "interval and p from leaving out families one at a time" in tripled.text()
    assert "by percentile, 2,000 resamples of families: 95% CI [" in tripled.text()
    assert tripled.apa().endswith("(jackknife by families).")
    assert tripled.n_units == 40
    assert tripled.n == 120


def test_sentence_of_the_reporting_conventions():
    x, y = pair()
    shown = dataclasses.replace(run(x, y), r=0.912, low=0.834, high=0.953, pvalue=1e-9)
    assert shown.apa("Person-specific bias", "baseline mood") == (
        "Person-specific bias and baseline mood were positively correlated, r(36) = .91, 95% CI [.83, .95], p < .001."
    )
    assert shown.statistic() == "r(36) = .91, 95% CI [.83, .95], p < .001"
    assert "resamples of persons: 95% CI [" in shown.text()
    negative = run(x, -y)
    assert "negatively correlated, r(36) = −." in negative.apa()
    unclear = run(*pair(slope=0.0))
    assert "not detectably correlated" in unclear.apa()
    assert shown.to_frame().loc[0, "r"] == 0.912
    assert shown.summary()["notes"] == []


def test_a_perfect_correlation_has_no_width():
    x = np.arange(30.0)
    found = run(x, 2 * x + 1)
    assert (found.r, found.low, found.high_bootstrap, found.pvalue) == (1.0, 1.0, 1.0, 0.0)


def test_few_persons_warn_and_small_samples_stay_finite():
    x, y = pair(5)
    with pytest.warns(ToolkitWarning, match="W301"):
        found = run(x, y)
    assert np.isfinite([found.low_bootstrap, found.high_bootstrap, found.pvalue_bootstrap]).all()
    assert -1 <= found.low_bootstrap <= found.high_bootstrap <= 1
    assert "rests on 5 persons" in found.notes[0]


@pytest.mark.parametrize(
    ("x", "y", "options", "code"),
    [
        (np.ones(20), np.arange(20.0), {}, "E115"),
        (np.arange(20.0), np.ones(20), {}, "E115"),
        (np.arange(3.0), np.arange(3.0), {}, "E116"),
        (np.arange(20.0), np.arange(20.0) ** 2, {"unit": np.arange(20) // 10}, "E116"),
        (np.array([np.nan, *range(19)]), np.arange(20.0), {}, "E111"),
        (np.arange(20.0), np.array([np.inf, *range(19)]), {}, "E110"),
        (np.arange(20.0), np.arange(19.0), {}, "E127"),
        (np.arange(20.0), np.arange(20.0), {"resamples": 98}, "E125"),
        (np.arange(20.0), np.arange(20.0), {"method": "bca"}, "E302"),
        (np.arange(20.0), np.arange(20.0), {"correlation": "kendall"}, "E302"),
        (np.arange(20.0), np.arange(20.0), {"correlation": "spearman", "method": "bootstrap-t"}, "E302"),
        (np.r_[np.zeros(18), 1.0, 2.0], np.arange(20.0), {"correlation": "bend"}, "E115"),
        (np.arange(20.0), np.arange(20.0), {"unit": [None, *range(19)]}, "E112"),
    ],
)
def test_bad_input_is_named(x, y, options, code):
    with pytest.raises(DataError) as caught:
        run(x, y, **options)
    assert caught.value.code == code
