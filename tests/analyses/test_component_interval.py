"""Limits of intervals of ratios: the plain jackknife, mirror images, the bend, skewness, too few units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import skew, t

from analyses.component_interval import Ratio, ratio_ends, sample_skewness, upper_factor


@pytest.fixture
def ratio():
    rng = np.random.default_rng(0)
    part = 1 + 0.1 * rng.normal(size=12)
    without = 0.5 * part + 0.02 * rng.normal(size=12)
    return Ratio(
        value=float(without.mean()) + 0.01,
        without=without,
        component=part,
        share=0.5,
        grows=True,
        skewness=0.0,
        more=0.0,
        less=0.0,
    )


def test_all_share_and_no_skewness_is_the_t_interval_of_the_jackknife(ratio):
    plain = replace(ratio, component=ratio.without, share=1.0)
    low, centre, high = ratio_ends(plain, 0.9)
    pseudo = 12 * plain.value - 11 * plain.without
    half = t.ppf(0.95, 10) * pseudo.std(ddof=1) / np.sqrt(12)
    assert centre == pytest.approx(pseudo.mean())
    assert [low, high] == pytest.approx([pseudo.mean() - half, pseudo.mean() + half])


def test_no_share_leaves_the_t_interval_too(ratio):
    expected = ratio_ends(replace(ratio, component=ratio.without, share=1.0), 0.95)
    assert ratio_ends(replace(ratio, share=0.0), 0.95) == pytest.approx(expected)
    assert ratio_ends(replace(ratio, component=np.full(12, -np.inf)), 0.95)[1] == pytest.approx(expected[1])


def test_falling_is_the_mirror_image_of_growing(ratio):
    low, centre, high = ratio_ends(replace(ratio, skewness=1.0, more=3.0), 0.95)
    mirrored = replace(ratio, value=-ratio.value, without=-ratio.without, grows=False, skewness=1.0, more=3.0)
    assert ratio_ends(mirrored, 0.95) == pytest.approx((-high, -centre, -low))


def test_limits_bend_with_the_component(ratio):
    """A part that is nothing but log(A + C): the limits are those of C, carried through."""
    c = np.exp(ratio.component - ratio.component.mean())
    pure = replace(ratio, without=ratio.share * (ratio.component - 1), value=0.0)
    low, centre, high = ratio_ends(replace(pure, value=float(pure.without.mean())), 0.95)
    error = np.sqrt(11 / 12 * np.sum(np.log(c) ** 2))
    q = t.ppf(0.975, 10)
    assert high - centre == pytest.approx(np.log((1 + np.exp(q * error)) / 2))
    assert centre - low == pytest.approx(-np.log((1 + np.exp(-q * error)) / 2))
    assert high - centre > centre - low


def test_skewness_moves_only_the_limit_of_more_variance(ratio):
    low, _, high = ratio_ends(ratio, 0.95)
    other = ratio_ends(replace(ratio, skewness=-2.0), 0.95)
    assert other[0] == pytest.approx(low)
    assert other[2] > high
    assert upper_factor(2.0, 27, 0.0) == pytest.approx(1 + 6 * 4 / 9)
    assert upper_factor(0.0, 10, 4.0) == pytest.approx(1.4)


def test_undefined_without_a_unit_or_with_few(ratio):
    hole = ratio.without.copy()
    hole[3] = np.inf
    assert np.isnan(ratio_ends(replace(ratio, without=hole), 0.95)).all()
    few = replace(ratio, without=ratio.without[:3], component=ratio.component[:3])
    assert np.isnan(ratio_ends(few, 0.95)).all()


def test_sample_skewness_is_scipys():
    values = np.random.default_rng(1).exponential(size=15)
    assert sample_skewness(values) == pytest.approx(skew(values, bias=False))
    assert sample_skewness(np.full(9, 0.1)) == 0
    assert sample_skewness(values[:2]) == 0
