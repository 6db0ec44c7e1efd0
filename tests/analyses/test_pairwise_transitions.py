"""All pairs of several groups against two-group comparisons, limits, and bad input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from analyses.pairwise_transitions import compare_groups
from analyses.transitions import compare_transitions
from toolkit.errors import ConfigError, DataError, ToolkitWarning


def study(n, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    t = rng.dirichlet(np.ones(3), (n, 3))
    group = np.array(["a", "b", "c"])[np.arange(n) % 3]
    t[group == "c", 0] = (1 - shift) * t[group == "c", 0] + shift * np.array([1.0, 0, 0])
    return t, group


def compare(t, group, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return compare_groups(t, group, rng=np.random.default_rng(1), **({"resamples": 999} | options))


@pytest.mark.parametrize("n", [20, 120])
@pytest.mark.parametrize("method", ["auto", "percentile", "bootstrap-t"])
def test_two_groups_are_the_two_group_comparison(n, method):
    t, _ = study(n)
    group = np.arange(n) % 2 == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        one = compare_transitions(t, group, resamples=999, method=method, rng=np.random.default_rng(1))
    labels = np.where(group, "a", "b")
    pair = compare(t, labels, method=method).comparisons[0]
    for name in ("difference", "low", "high", "low_simultaneous", "high_simultaneous", "pvalue", "pvalue_holm"):
        np.testing.assert_allclose(getattr(pair, name), getattr(one, name), rtol=1e-6, atol=1e-9, err_msg=name)
    assert pair.group_names == ("a", "b")


def test_corrections_run_over_all_pairs_and_cells():
    t, group = study(90, shift=0.4)
    found = compare(t, group, resamples=4999)
    assert [pair.group_names for pair in found.comparisons] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair, (first, second) in zip(found.comparisons, (("a", "b"), ("a", "c"), ("b", "c")), strict=True):
        both = np.isin(group, [first, second])
        alone = compare_transitions(
            t[both], group[both] == first, resamples=4999, method="auto", rng=np.random.default_rng(2)
        )
        np.testing.assert_allclose(pair.difference, alone.difference, atol=1e-12)
        np.testing.assert_allclose(pair.standard_error, alone.standard_error, rtol=1e-9)
        width, narrower = (x.high_simultaneous - x.low_simultaneous for x in (pair, alone))
        assert np.all(width > narrower)
        np.testing.assert_allclose(pair.high - pair.low, alone.high - alone.low, rtol=0.1)
    p = np.concatenate([pair.pvalue.ravel() for pair in found.comparisons])
    holm = np.concatenate([pair.pvalue_holm.ravel() for pair in found.comparisons])
    assert holm[p.argmin()] == pytest.approx(min(1.0, p.min() * p.size))
    assert "a against c: " in found.text()
    assert "from state 1 to state" in found.text()
    assert "3 groups" in found.apa()
    assert len(found.to_frame()) == 27
    assert found.summary()["groups"] == {"a": 30, "b": 30, "c": 30}


def test_families_with_members_in_several_groups_are_resampled_as_a_whole():
    t, group = study(120)
    family = np.arange(120) // 3
    found = compare(t, group, unit=family, unit_name="families")
    assert {pair.method for pair in found.comparisons} == {"bootstrap-t"}
    difference = t[group == "a"] - t[group == "b"]
    one = found.comparisons[0]
    np.testing.assert_allclose(one.difference, difference.mean(axis=0), atol=1e-12)
    # One person of each group in every family: the error is that of the paired difference.
    np.testing.assert_allclose(one.standard_error, difference.std(axis=0, ddof=1) / np.sqrt(40), rtol=1e-9)


def test_structural_zeros_are_not_tested_in_any_pair():
    t, group = study(60)
    t[:, range(3), range(3)] = 0.0
    t /= t.sum(axis=2, keepdims=True)
    found = compare(t, group)
    assert all(np.isnan(np.diag(pair.pvalue)).all() for pair in found.comparisons)
    assert all(np.isfinite(pair.pvalue[0, 1]) for pair in found.comparisons)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"group": np.full(60, "a")}, "E124"),
        ({"group": np.array(["a"] * 30 + ["b"] * 29 + ["c"])}, "E124"),
        ({"group_names": ("one", "two")}, "E127"),
        ({"resamples": 50}, "E125"),
        ({"method": "bca"}, "E302"),
    ],
)
def test_bad_input(change, code):
    t, group = study(60)
    options = {"group": group} | change
    with pytest.raises((DataError, ConfigError)) as error:
        compare(t, options.pop("group"), **options)
    assert error.value.code == code


@pytest.mark.slow
def test_simultaneous_intervals_hold_over_three_groups():
    missed = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        t, group = rng.standard_normal((45, 4, 4)), np.arange(45) % 3
        found = compare_groups(t, group, resamples=299, rng=rng)
        missed += any(pair.flagged()["cells_simultaneous"].any() for pair in found.comparisons)
    # Four binomial standard errors around .05 with 300 studies.
    assert 0.0 < missed / 300 < 0.1
