"""Scales, structural zeros, permutation p-values and the adjustment for base rates."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import scipy.stats

from analyses.base_rate_adjustment import excess_from_probabilities, excess_transitions
from analyses.cell_permutation import permute_cells
from analyses.resampling import make_units
from analyses.transition_scales import softmax_transitions, structural_zeros
from analyses.transitions import compare_transitions
from toolkit.errors import DataError, ToolkitWarning


def matrices(n=60, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(size, 5.0), size=(n, size)), np.arange(n) % 2 == 0


def compare(t, group, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return compare_transitions(t, group, **({"resamples": 299, "rng": np.random.default_rng(1)} | options))


def test_permutation_p_is_that_of_every_assignment():
    rng = np.random.default_rng(0)
    values, side = rng.standard_normal((8, 2)), np.arange(8) < 4
    values[side, 0] += 2
    found = permute_cells(values, side, make_units(None, 8), permutations=20_000, rng=rng)

    def statistic(members):
        inside = np.isin(np.arange(8), members)
        return np.abs(scipy.stats.ttest_ind(values[inside], values[~inside], equal_var=False).statistic)

    null = np.array([statistic(members) for members in itertools.combinations(range(8), 4)])
    observed = statistic(range(4))
    np.testing.assert_allclose(found.pvalue, (null >= observed - 1e-9).mean(axis=0), atol=0.015)
    largest = null.max(axis=1)[:, None]
    np.testing.assert_allclose(found.pvalue_max, (largest >= observed - 1e-9).mean(axis=0), atol=0.015)


def test_permuting_families_is_permuting_their_means_when_they_are_equally_large():
    rng = np.random.default_rng(1)
    values, side, family = rng.standard_normal((40, 3)), np.arange(40) < 20, np.arange(40) // 2
    whole = permute_cells(values, side, make_units(family, 40), permutations=999, rng=np.random.default_rng(5))
    means = values.reshape(20, 2, 3).mean(axis=1)
    alone = permute_cells(means, side[::2], make_units(None, 20), permutations=999, rng=np.random.default_rng(5))
    np.testing.assert_allclose(whole.pvalue, alone.pvalue, atol=0.003)
    assert not whole.within_units
    mixed = permute_cells(values, np.arange(40) % 2 == 0, make_units(family, 40), permutations=99, rng=rng)
    assert mixed.within_units


def test_permutation_p_stands_in_the_result_and_the_wide_frame():
    t, group = matrices()
    t[group, 0] = [0.8, 0.1, 0.1]
    t[:, 2] = [1.0, 0.0, 0.0]
    found = compare(t, group, permutations=199)
    assert found.pvalue_permutation[0, 0] == pytest.approx(1 / 200)
    assert np.isnan(found.pvalue_permutation[2]).all()
    assert np.all(found.pvalue_permutation_max[:2] >= found.pvalue_permutation[:2])
    assert np.all(found.pvalue_holm[:2] >= found.pvalue_fdr[:2] - 1e-12)
    assert "pvalue_permutation_max" in found.to_frame(every=True)
    assert "pvalue_permutation" in found.summary()


def test_logits_are_log_odds_and_invert_under_swapped_groups():
    t, group = matrices()
    found = compare(t, group, scale="logit")
    logits = np.log(t / (1 - t))
    np.testing.assert_allclose(found.difference, logits[group].mean(axis=0) - logits[~group].mean(axis=0))
    assert "log odds of moving" in found.text().lower()


def test_onset_coded_data_are_found_dropped_and_renormalised():
    t, group = matrices()
    t[:, np.arange(3), np.arange(3)] = 0
    whole = t / t.sum(axis=2, keepdims=True)
    assert structural_zeros(t).tolist() == np.eye(3, dtype=bool).tolist()
    dropped = compare(whole, group, structural="drop")
    assert np.isnan(np.diag(dropped.difference)).all()
    assert "no state ever follows itself" in dropped.notes[-1]
    partial = compare(t, group, structural="renormalise", scale="auto")
    np.testing.assert_allclose(partial.difference[0, 1], compare(whole, group).difference[0, 1])
    logit = compare(whole, group, scale="logit")
    assert np.isnan(np.diag(logit.pvalue)).all()
    assert np.isfinite(logit.difference[0, 1])


def test_a_state_nobody_moves_into_is_named():
    t, group = matrices()
    t[:, :, 2] = 0
    t /= t.sum(axis=2, keepdims=True)
    assert "nobody ever moves into calm" in compare(t, group, states=["a", "b", "calm"]).notes[-1]


def test_rows_that_do_not_sum_to_one_are_refused_where_probabilities_are_claimed():
    t, group = matrices()
    t[3, 0, 0] += 0.2
    for scale in ("probability", "logit"):
        with pytest.raises(DataError, match=r"E128.*row 4"):
            compare(t, group, scale=scale)
    assert compare(t, group).scale == "probability"
    for options in ({"scale": "odds"}, {"structural": "hide"}, {"scale": "score", "structural": "renormalise"}):
        with pytest.raises(DataError, match="E302"):
            compare(t, group, **options)
    with pytest.raises(DataError, match="E125"):
        compare(t, group, permutations=10)


def test_softmax_rows_sum_to_one_and_shifts_do_not_matter():
    scores = np.random.default_rng(2).standard_normal((4, 3, 3)) * 50
    p = softmax_transitions(scores)
    np.testing.assert_allclose(p.sum(axis=2), 1)
    np.testing.assert_allclose(softmax_transitions(scores + 1000), p)


def test_excess_is_zero_when_everybody_has_the_same_association():
    rng = np.random.default_rng(4)
    theta = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 1.0], [0.2, 1.0, 4.0]])
    a, b = rng.uniform(0.2, 2, (2, 6, 3))
    flows = 50 * a[:, :, None] * b[:, None, :] * theta
    np.testing.assert_allclose(excess_transitions(flows), 0, atol=1e-6)
    onset = flows * (1 - np.eye(3))
    found = excess_transitions(onset)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_excess_has_the_totals_of_the_person_and_of_everybody():
    counts = np.random.default_rng(5).poisson(6, (9, 4, 4)).astype(float)
    counts[3] = 0
    counts[4, 2] = 0
    found = excess_transitions(counts)
    assert np.isnan(found[3]).all()
    kept = np.delete(np.arange(9), 3)
    np.testing.assert_allclose(found[kept].sum(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(found[kept].sum(axis=2), 0, atol=1e-6)
    together = (found[kept] * counts[kept].sum(axis=(1, 2), keepdims=True)).sum(axis=0)
    np.testing.assert_allclose(together, 0, atol=1e-4)
    # One person's table against a log-linear fit by hand: with theta given, proportional fitting has one answer.
    expected = counts[0] - found[0] * counts[0].sum()
    ratio = expected[0, 0] * expected[1, 1] / (expected[0, 1] * expected[1, 0])
    other = counts[1] - found[1] * counts[1].sum()
    assert ratio == pytest.approx(other[0, 0] * other[1, 1] / (other[0, 1] * other[1, 0]), rel=1e-4)


def test_excess_from_probabilities_is_that_of_their_flows():
    rng = np.random.default_rng(6)
    t, rates = rng.dirichlet(np.ones(3), (8, 3)), rng.dirichlet(np.ones(3), 8)
    np.testing.assert_allclose(excess_from_probabilities(t, rates), excess_transitions(t * rates[:, :, None]))


def test_excess_ignores_base_rates_that_plain_transitions_follow():
    rng = np.random.default_rng(3)
    group = np.arange(120) < 60
    rate = np.where(group[:, None], [0.6, 0.4], [0.3, 0.7])
    counts = np.stack([rng.multinomial(60, np.outer(r, r).ravel()).reshape(2, 2) for r in rate]).astype(float)
    plain = compare(counts / np.maximum(counts.sum(axis=2, keepdims=True), 1), group)
    adjusted = compare(excess_transitions(counts), group, scale="excess")
    assert plain.pvalue.min() < 0.01
    assert adjusted.pvalue.min() > 0.01
    assert "beyond base rates" in adjusted.cell_text("state 1", "state 1")
    assert "percentage points" in adjusted.cell_text("state 1", "state 1")
    with pytest.raises(DataError, match="E115"):
        excess_transitions(np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="E127"):
        excess_from_probabilities(np.full((120, 2, 2), 0.5), rate[:5])
    with pytest.raises(DataError, match="E128"):
        excess_from_probabilities(np.full((120, 2, 2), 0.5), 2 * rate)
