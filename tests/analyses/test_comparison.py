from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

from analyses.comparison import paired_bootstrap
from toolkit.errors import DataError
from toolkit.results import Result


def run(a, b, seed=0, **options):
    return paired_bootstrap(a, b, rng=np.random.default_rng(seed), **({"resamples": 2000} | options))


def test_difference_is_a_minus_b_with_scipys_interval():
    rng = np.random.default_rng(0)
    b = rng.random(80)
    a = b + 0.05 + 0.1 * rng.standard_normal(80)
    found = run(a, b, resamples=20_000)
    assert found.difference == pytest.approx(np.mean(a - b))
    assert found.mean_a - found.mean_b == pytest.approx(found.difference)
    theirs = scipy.stats.bootstrap(
        (a - b,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    )
    slack = 4 * np.sqrt(2) * 0.019 * theirs.standard_error
    np.testing.assert_allclose([found.low, found.high], theirs.confidence_interval, atol=slack)
    assert isinstance(found, Result)
    assert json.loads(json.dumps(found.summary()))["n"] == 80


def test_undefined_persons_are_left_out_and_counted():
    a = np.arange(30.0) % 7
    b = a[::-1].copy()
    a[3], b[5] = np.nan, np.nan
    kept = run(a, b)
    both = ~np.isnan(a) & ~np.isnan(b)
    assert (kept.n, kept.n_excluded) == (28, 2)
    assert kept.difference == pytest.approx(np.mean((a - b)[both]))
    assert kept.mean_a == pytest.approx(a[both].mean())
    assert "2 persons without a value" in kept.text()


def test_families_are_resampled_whole():
    rng = np.random.default_rng(2)
    d = rng.standard_normal(50)
    one = run(d, np.zeros(50), method="percentile")
    many = run(
        np.repeat(d, 4), np.zeros(200), unit=np.repeat(np.arange(50), 4), unit_name="families", method="percentile"
    )
    assert (one.low, one.high) == (pytest.approx(many.low), pytest.approx(many.high))
    assert "resamples of families" in many.apa()
    assert many.n_units == 50


def test_swapping_the_models_turns_the_sign():
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 25))
    assert run(a, b).method == "bootstrap-t"
    assert run(a, b).difference == -run(b, a).difference
    assert run(a, b).low == pytest.approx(-run(b, a).high)


def test_equal_models_have_nothing_to_test():
    a = np.linspace(0, 1, 30)
    found = run(a, a)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert np.isnan(found.pvalue)
    assert found.apa().endswith("was 0.00 for every person, N = 30; no test was possible.")


def test_sentences_say_which_is_higher():
    rng = np.random.default_rng(4)
    b = rng.random(60)
    found = run(b + 0.2 + 0.1 * rng.standard_normal(60), b)
    assert "mean alpha of NME-CRF was clearly higher than that of Generic-CRF" in found.text(
        "NME-CRF", "Generic-CRF", "alpha"
    )
    assert found.apa("NME-CRF", "Generic-CRF", "alpha").startswith(
        "The mean alpha of NME-CRF minus that of Generic-CRF"
    )
    assert "not clearly" in run(rng.random(60), rng.random(60)).text()
    assert found.to_frame().shape[0] == 1


@pytest.mark.parametrize(
    ("a", "b", "options", "code"),
    [
        (np.ones(5), np.ones(4), {}, "E127"),
        (np.ones((5, 1)), np.ones(5), {}, "E127"),
        (np.full(30, np.nan), np.ones(30), {}, "E124"),
        (np.array([np.inf, 1.0]), np.ones(2), {}, "E110"),
        (np.arange(30.0), np.ones(30), {"resamples": 3}, "E125"),
        (np.arange(30.0), np.ones(30), {"unit": np.zeros(30)}, "E124"),
        (np.arange(30.0), np.ones(30), {"unit": np.zeros(3)}, "E127"),
    ],
)
def test_bad_input_is_named(a, b, options, code):
    with pytest.raises(DataError) as caught:
        run(a, b, **options)
    assert caught.value.code == code
