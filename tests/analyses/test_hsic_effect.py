"""Effect sizes against slow definitions; leave-one-out sums against leaving out; sentences; edge cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analyses.alignment import between_groups, unbiased_alignment, unbiased_hsic
from analyses.hsic import hsic_test
from analyses.hsic_effect import HsicEffect, hsic_effect_size, off_diagonal
from analyses.kernels import kernel_matrix, median_bandwidth
from toolkit.errors import ConfigError, DataError
from toolkit.results import Result


def study(n=30, effect=1.0, seed=0, groups=2):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % groups
    return rng.standard_normal((n, 3)) + effect * group[:, None], group


def distances(x):
    return np.array([[np.linalg.norm(a - b) for b in x] for a in x])


def slow_unbiased_hsic(k, m):
    """The U-statistic over ordered quadruples of different rows."""
    n, total = len(k), 0.0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def test_unbiased_hsic_is_the_average_over_quadruples():
    x, group = study(9)
    k = off_diagonal(kernel_matrix(x, "gaussian", 1.0))
    m = off_diagonal((group[:, None] == group).astype(float))
    value, without = unbiased_hsic(k, m)
    assert value == pytest.approx(slow_unbiased_hsic(k, m), rel=1e-10)
    for left in (0, 5):
        kept = np.arange(9) != left
        assert without[left] == pytest.approx(
            slow_unbiased_hsic(k[np.ix_(kept, kept)], m[np.ix_(kept, kept)]), rel=1e-9
        )


def test_unbiased_hsic_averages_to_zero_over_all_orders_of_the_rows():
    x, group = study(6)
    k = off_diagonal(kernel_matrix(x, "gaussian", 1.0))
    m = off_diagonal((group[:, None] == group).astype(float))
    values = [unbiased_hsic(k, m[np.ix_(o, o)])[0] for o in map(list, itertools.permutations(range(6)))]
    assert np.mean(values) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("groups", [2, 3])
def test_energy_coefficient_is_its_definition_and_leaves_out_exactly(groups):
    x, group = study(14, groups=groups)

    def slow(x, group):
        away = distances(x)
        pairs = list(itertools.combinations(range(groups), 2))
        between = np.mean([away[np.ix_(group == a, group == b)].mean() for a, b in pairs])
        within = np.mean(
            [
                away[np.ix_(group == g, group == g)].sum() / (np.sum(group == g) * (np.sum(group == g) - 1))
                for g in range(groups)
            ]
        )
        return 1 - within / between

    found = between_groups(distances(x), group)
    assert found.value == pytest.approx(slow(x, group), rel=1e-12)
    assert hsic_effect_size(x, group).energy == pytest.approx(found.value, rel=1e-12)
    for left in (0, 5, 13):
        kept = np.arange(14) != left
        assert found.left_out[left] == pytest.approx(slow(x[kept], group[kept]), rel=1e-10)


def test_alignment_without_each_unit_is_that_of_the_rest():
    x, group = study(12)
    k, m = kernel_matrix(x, "gaussian", 1.3), (group[:, None] == group).astype(float)
    found = unbiased_alignment(off_diagonal(k), off_diagonal(m))
    for left in range(12):
        kept = np.arange(12) != left
        rest = hsic_effect_size(x[kept], group[kept], bandwidth=1.3)
        assert found.left_out[left] == pytest.approx(rest.alignment, rel=1e-10)
    assert unbiased_alignment(off_diagonal(k), off_diagonal(k)).value == pytest.approx(1.0)


@pytest.mark.parametrize("measure", ["cka", pytest.param("energy", marks=pytest.mark.slow)])
def test_spread_without_dependence_is_that_under_shuffling(measure):
    x, group = study(40, effect=0.0)
    rng = np.random.default_rng(1)
    k = off_diagonal(kernel_matrix(x, "gaussian", median_bandwidth(x)))

    def found(label):
        if measure == "energy":
            return between_groups(distances(x), label)
        return unbiased_alignment(k, off_diagonal((label[:, None] == label).astype(float)))

    values = [found(rng.permutation(group)).value for _ in range(400)]
    assert found(group).spread == pytest.approx(np.std(values), rel=0.15)


@pytest.mark.slow
def test_estimates_are_not_pushed_up_by_small_samples():
    rng = np.random.default_rng(2)
    found = [hsic_effect_size(rng.standard_normal((12, 4)), np.arange(12) % 2) for _ in range(300)]
    for values in ([f.alignment for f in found], [f.energy for f in found]):
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_intervals_hold_the_estimate_and_widen_with_the_level():
    x, group = study(40)
    narrow, wide = hsic_effect_size(x, group, level=0.8), hsic_effect_size(x, group, level=0.99)
    assert wide.alignment_low < narrow.alignment_low < narrow.alignment < narrow.alignment_high < wide.alignment_high
    assert wide.energy_low < narrow.energy_low < narrow.energy < narrow.energy_high < wide.energy_high
    nothing = hsic_effect_size(*study(40, effect=0.0))
    assert nothing.alignment_low == 0 <= nothing.alignment_high <= 1


def test_a_strong_effect_stays_below_one():
    found = hsic_effect_size(*study(40, effect=50.0), kernel="linear")
    assert 0.9 < found.alignment_low <= found.alignment_high <= 1


def test_units_count_once_whatever_their_rows():
    x, group = study(24)
    once = hsic_effect_size(x, group, bandwidth=1.5)
    twice = hsic_effect_size(
        np.repeat(x, 2, axis=0), np.repeat(group, 2), unit=np.repeat(np.arange(24), 2), bandwidth=1.5
    )
    for name in ("alignment", "alignment_low", "alignment_high", "energy", "energy_low", "energy_high"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name), rel=1e-9)
    assert (twice.n, twice.n_units) == (48, 24)


def test_numbers_get_the_distance_correlation():
    x, _ = study(20)
    y = x[:, 0] + np.random.default_rng(3).standard_normal(20)
    found = hsic_effect_size(x, y, group_kernel="gaussian")
    first, second = (off_diagonal(distances(v.reshape(20, -1))) for v in (x, y))
    cross, own, other = (unbiased_hsic(a, b)[0] for a, b in ((first, second), (first, first), (second, second)))
    assert found.energy == pytest.approx(cross / np.sqrt(own * other), rel=1e-10)
    assert "squared distance correlation" in found.apa()
    joint = hsic_effect_size(x, {"y": y, "sex": np.arange(20) % 2})
    assert np.isnan(joint.energy)
    assert list(joint.to_frame()["measure"]) == ["normalised HSIC (CKA)"]
    assert "distance" not in joint.text()


def test_sentences_and_table():
    shown = HsicEffect(
        alignment=0.271, alignment_low=0.041, alignment_high=0.512, energy=0.154, energy_low=0.031, energy_high=0.29,
        energy_name="energy coefficient H", n=60, n_units=40, unit_name="families", level=0.95, notes=("A note.",),
    )  # fmt: skip
    assert shown.apa() == (
        "Effect sizes: normalised HSIC (CKA) = .27, 95% CI [.04, .51]; energy coefficient H = .15, 95% CI [.03, .29] "
        "(jackknife over families)."
    )
    assert "leaving out families one by one. A note." in shown.text()
    assert isinstance(shown, Result)
    assert shown.to_frame().shape == (2, 4)
    assert shown.summary()["energy_low"] == 0.031


def test_the_test_carries_its_effect_sizes():
    x, group = study(40)
    tested = hsic_test(x, group, permutations=199, rng=np.random.default_rng(0), effect_size=True)
    alone = hsic_effect_size(x, group)
    assert tested.effect.alignment == pytest.approx(alone.alignment, rel=1e-12)
    assert tested.apa().endswith(alone.apa())
    assert alone.text() in tested.text()
    assert tested.summary()["effect"]["energy"] == pytest.approx(alone.energy)
    assert hsic_test(x, group, permutations=199, rng=np.random.default_rng(0)).effect is None


def test_equal_rows_have_no_effect_and_say_so():
    found = hsic_effect_size(np.ones((12, 2)), np.arange(12) % 2)
    assert (found.alignment, found.alignment_low, found.alignment_high, found.energy) == (0, 0, 0, 0)
    assert "All rows are equal" in found.notes[0]


def test_few_units_are_pointed_out_or_refused():
    x, group = study(12)
    assert "roughly at best" in hsic_effect_size(x, group).notes[0]
    below = next(f for f in (hsic_effect_size(*study(40, effect=0.0, seed=s)) for s in range(20)) if f.alignment < 0)
    assert "no sign of an effect" in below.notes[0]
    small = hsic_effect_size(x[:6], [0, 0, 1, 1, 1, 1])
    assert np.isnan([small.alignment_low, small.energy_high]).all()
    assert np.isfinite([small.alignment, small.energy]).all()
    assert any("too few for an interval" in note for note in small.notes)
    with pytest.raises(DataError, match="at least 5"):
        hsic_effect_size(x[:4], group[:4])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"level": 1.0}, "E302"),
        ({"kernel": "sigmoid"}, "E302"),
        ({"x": np.full((12, 2), np.nan)}, "E111"),
        ({"group": np.zeros(12)}, "E124"),
        ({"unit": np.arange(12) // 2}, "E126"),
    ],
)
def test_bad_input_is_named(change, code):
    x, group = study(12)
    arguments = {"x": x, "group": group} | change
    error = ConfigError if code == "E302" else DataError
    with pytest.raises(error) as caught:
        hsic_effect_size(arguments.pop("x"), arguments.pop("group"), **arguments)
    assert caught.value.code == code


def test_where_intervals_do_not_hold_exactly_is_said():
    rng = np.random.default_rng(31)
    none = hsic_effect_size(rng.standard_normal((60, 3)), np.arange(60) % 2)
    assert none.alignment_low <= 0
    assert any("on the wide side" in note for note in none.notes)
    number = rng.standard_normal(60)
    strong = hsic_effect_size(number[:, None] + 0.2 * rng.standard_normal((60, 2)), number, group_kernel="gaussian")
    assert any("a little too short (93%)" in note for note in strong.notes)
    assert not any("wide side" in note for note in strong.notes)
