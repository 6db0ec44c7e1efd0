"""Rao and Scott's correction against explicit loops, and in the limits where its value is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from analyses.base_rates import base_rate_test
from analyses.rao_scott import cramers_v_interval, rao_scott
from toolkit.errors import DataError


def study(groups=(12, 9), states=3, seed=0, alike=5.0):
    """Counts of units whose shares differ from unit to unit, and their groups."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(groups)), groups)
    shares = rng.dirichlet(np.full(states, alike), label.size)
    rows = rng.integers(10, 60, label.size)
    counts = np.array([rng.multinomial(n, p) for n, p in zip(rows, shares, strict=True)], dtype=float)
    return counts, label


def by_hand(counts, label):
    """Statistic, design effects and Welch's nu with one loop per index and the full contrast of all shares."""
    n_groups, states = label.max() + 1, counts.shape[1]
    n = counts.sum()
    shares = {g: counts[label == g].sum(axis=0) / counts[label == g].sum() for g in range(n_groups)}
    size = {g: counts[label == g].sum() for g in range(n_groups)}
    pooled = counts.sum(axis=0) / n
    statistic = sum(
        size[g] * (shares[g][k] - pooled[k]) ** 2 / pooled[k] for g in range(n_groups) for k in range(states)
    )
    # The quadratic form in all G x K shares (no state left out), and their covariance.
    form = np.zeros((n_groups * states, n_groups * states))
    for (g, k), (h, m) in itertools.product(itertools.product(range(n_groups), range(states)), repeat=2):
        weight = size[g] * (g == h) - size[g] * size[h] / n
        form[g * states + k, h * states + m] = weight * (k == m) / pooled[k]
    covariance = np.zeros_like(form)
    for g in range(n_groups):
        members = np.flatnonzero(label == g)
        for u in members:
            for k, m in itertools.product(range(states), repeat=2):
                e_k = counts[u][k] - counts[u].sum() * shares[g][k]
                e_m = counts[u][m] - counts[u].sum() * shares[g][m]
                term = e_k * e_m / size[g] ** 2 * len(members) / (len(members) - 1)
                covariance[g * states + k, g * states + m] += term
    delta = np.sort(np.linalg.eigvals(form @ covariance).real)[::-1][: (n_groups - 1) * (states - 1)]
    load, m = [], []
    for g in range(n_groups):
        cells = slice(g * states, (g + 1) * states)
        load.append(size[g] * (1 - size[g] / n) * np.sum(np.diag(covariance[cells, cells]) / pooled))
        m.append(np.sum(label == g))
    nu = sum(load) ** 2 / sum(t**2 / (k - 1) for t, k in zip(load, m, strict=True))
    return statistic, delta, nu


@pytest.mark.parametrize(("groups", "states"), [((12, 9), 3), ((8, 8), 2), ((6, 10, 7), 4)])
def test_agrees_with_explicit_loops(groups, states):
    counts, label = study(groups, states)
    found = rao_scott(counts, label)
    statistic, delta, nu = by_hand(counts, label)
    assert found.statistic == pytest.approx(statistic, rel=1e-10)
    np.testing.assert_allclose(found.design_effects, delta, rtol=1e-8)
    df = (len(groups) - 1) * (states - 1)
    assert found.design_effect == pytest.approx(delta.sum() / df, rel=1e-9)
    # First order: X2 / mean design effect, as F on df; second order: Satterthwaite's with the spread of the effects.
    first = statistic / (delta.sum() / df) / df
    assert (found.f_first, found.pvalue_first) == (
        pytest.approx(first, rel=1e-9),
        pytest.approx(scipy.stats.f.sf(first, df, df * nu), rel=1e-8),
    )
    mean = delta.mean()
    a2 = np.sum((delta - mean) ** 2) / (df * mean**2)
    second = statistic / (mean * (1 + a2))
    assert found.df_second == pytest.approx((df / (1 + a2), nu * df / (1 + a2)), rel=1e-8)
    assert found.f_second == pytest.approx(second / (df / (1 + a2)), rel=1e-8)
    assert found.pvalue_second == pytest.approx(scipy.stats.f.sf(found.f_second, *found.df_second), rel=1e-8)


def test_without_clustering_it_is_pearsons_test():
    rng = np.random.default_rng(3)
    label = np.repeat([0, 1], 4000)
    counts = np.eye(3)[rng.choice(3, 8000, p=[0.5, 0.3, 0.2])]
    found = rao_scott(counts, label)
    theirs = scipy.stats.chi2_contingency([counts[label == g].sum(axis=0) for g in (0, 1)], correction=False)
    assert found.statistic == pytest.approx(theirs.statistic)
    np.testing.assert_allclose(found.design_effects, 1, atol=0.05)
    assert found.pvalue_second == pytest.approx(theirs.pvalue, abs=0.005)


def test_repeating_every_observation_changes_nothing():
    counts, label = study()
    once, often = rao_scott(counts, label), rao_scott(7 * counts, label)
    assert often.statistic == pytest.approx(7 * once.statistic)
    np.testing.assert_allclose(often.design_effects, 7 * once.design_effects, rtol=1e-9)
    assert often.f_second == pytest.approx(once.f_second, rel=1e-9)
    assert often.pvalue_second == pytest.approx(once.pvalue_second, rel=1e-9)
    assert often.cramers_v_corrected == pytest.approx(once.cramers_v_corrected, rel=1e-9)
    ends = [cramers_v_interval(c, label, rng=np.random.default_rng(0)) for c in (counts, 7 * counts)]
    np.testing.assert_allclose(*ends, rtol=1e-6)


def test_the_order_of_states_groups_and_units_does_not_matter():
    counts, label = study((6, 10, 7), 4)
    order = np.random.default_rng(1).permutation(23)
    found, other = rao_scott(counts, label), rao_scott(counts[order][:, [2, 0, 3, 1]], 2 - label[order])
    assert other.pvalue_second == pytest.approx(found.pvalue_second, rel=1e-9)


def test_interval_of_v_holds_the_estimate_and_narrows_with_units():
    rng = np.random.default_rng(4)
    widths = []
    for persons in (10, 40, 160):
        label = np.repeat([0, 1], persons)
        shares = np.where(label[:, None] == 0, [0.6, 0.3, 0.1], [0.3, 0.4, 0.3])
        counts = np.array([rng.multinomial(40, p) for p in shares], dtype=float)
        low, high = cramers_v_interval(counts, label, rng=rng)
        assert low < rao_scott(counts, label).cramers_v_corrected < high
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]
    counts, label = study(groups=(20, 20), seed=5)
    low, high = cramers_v_interval(counts, label, rng=rng)
    assert low == 0 < high


def test_units_that_do_not_differ_leave_nothing_to_correct_by():
    states = np.tile(["a", "a", "b", "c"], 12).astype(object)
    person = np.repeat(np.arange(12), 4)
    found = base_rate_test(states, person % 2, person=person, permutations=99, rng=np.random.default_rng(0))
    assert np.isnan(found.rao_scott.pvalue_second)
    assert any("nothing to correct the test by" in note for note in found.notes)
    assert "Rao-Scott F(not defined" in found.apa()
    few = base_rate_test(
        states[:16], person[:16] % 2, person=person[:16], permutations=99, rng=np.random.default_rng(0)
    )
    assert any("smallest group has 2 persons" in note for note in few.notes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"counts": np.full((21, 3), np.nan)}, "E111"),
        ({"counts": np.full((21, 3), -1.0)}, "E111"),
        ({"counts": np.full((21, 3), np.inf)}, "E110"),
        ({"counts": np.pad(np.ones((21, 1)), ((0, 0), (0, 2)))}, "E121"),
        ({"label": np.zeros(21, dtype=int)}, "E124"),
        ({"label": np.r_[0, np.ones(20, dtype=int)]}, "E124"),
        ({"label": np.zeros(20, dtype=int)}, "E127"),
    ],
)
def test_bad_input_is_named(change, code):
    counts, label = study()
    options = {"counts": counts, "label": label} | change
    with pytest.raises(DataError) as caught:
        rao_scott(options["counts"], options["label"])
    assert caught.value.code == code


@pytest.mark.parametrize(("options", "code"), [({"draws": 9}, "E125"), ({"level": 0.0}, "E302")])
def test_bad_options_of_the_interval_are_named(options, code):
    with pytest.raises(DataError) as caught:
        cramers_v_interval(*study(), rng=np.random.default_rng(0), **options)
    assert caught.value.code == code


def test_an_interval_of_v_that_reaches_zero_says_what_that_means():
    rng = np.random.default_rng(41)
    state, person = rng.integers(0, 3, 800), np.repeat(np.arange(40), 20)
    alike = base_rate_test(state, person % 2, person=person, permutations=99, rng=rng)
    assert alike.v_low == 0
    assert any("reaches 0" in note for note in alike.notes)
    state = np.where(person % 2 == 1, np.minimum(state, 1), state)
    apart = base_rate_test(state, person % 2, person=person, permutations=99, rng=rng)
    assert not any("reaches 0" in note for note in apart.notes)
