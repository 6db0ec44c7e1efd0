"""Variance partition: oracles by loops and pingouin, limits, run folders of both kinds, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import skew, t

from analyses.icc import icc_one_way, icc_two_way, one_way_sums, two_way_sums
from analyses.variance import partition_variance, variance_blocks
from toolkit.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def made():
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(30), rng.integers(5, 15, 30))
    level, x = rng.normal(size=30)[person], rng.normal(size=person.size)
    f = 0.7 * x
    return person, f + level + rng.normal(size=person.size), f + 0.9 * level, f


def test_r2_is_the_plain_formula(made, rng):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, resamples=199, rng=rng)
    shared, persons, rest = f.var(), (p - f).var(), (y - p).var()
    value = dict(zip(found.quantities, found.values, strict=True))
    assert value["r2_marginal"] == pytest.approx(shared / (shared + persons + rest), rel=1e-12)
    assert value["r2_conditional"] == pytest.approx((shared + persons) / (shared + persons + rest), rel=1e-12)
    assert value["icc_model"] == pytest.approx(persons / (persons + rest), rel=1e-12)
    assert value["explained"] == pytest.approx(1 - np.mean((y - p) ** 2) / y.var(), rel=1e-12)
    assert np.all(found.low <= found.values)
    assert np.all(found.values <= found.high)


def test_percentiles_are_those_of_a_loop_over_resampled_persons(made):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, method="percentile", resamples=2_000, rng=np.random.default_rng(2))
    rng, drawn = np.random.default_rng(3), []
    for _ in range(2_000):
        rows = np.concatenate([np.flatnonzero(person == k) for k in rng.integers(0, 30, 30)])
        parts = [v[rows].var() for v in (f, p - f, y - p)]
        drawn.append(parts[0] / sum(parts))
    place = found.quantities.index("r2_marginal")
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert [found.low[place], found.high[place]] == pytest.approx([low, high], abs=0.02)


def test_icc_interval_is_that_of_a_loop_over_persons_left_out(made, rng):
    """log F of the analysis of variance without each person, written out; the ICC's limits bend nowhere."""
    person, y, p, f = made

    def log_f(rows):
        groups = [y[rows & (person == k)] for k in np.unique(person[rows])]
        grand, n = y[rows].mean(), rows.sum()
        between = sum(g.size * (g.mean() - grand) ** 2 for g in groups) / (len(groups) - 1)
        return np.log(between / (sum(((g - g.mean()) ** 2).sum() for g in groups) / (n - len(groups))))

    whole = log_f(np.ones(y.size, dtype=bool))
    pseudo = 30 * whole - 29 * np.array([log_f(person != k) for k in range(30)])
    half = t.ppf(0.975, 28) * pseudo.std(ddof=1) / np.sqrt(30)
    lopsided = skew([y[person == k].mean() for k in range(30)], bias=False)
    ends = pseudo.mean() - half, pseudo.mean() + half * (1 + 0.5 / 30 + 6 * lopsided**2 / 30 ** (2 / 3))
    rows = np.bincount(person)
    size = (rows.sum() - (rows**2).sum() / rows.sum()) / 29
    found = partition_variance(y, p, f, person, rng=rng)
    assert [found.low[0], found.high[0]] == pytest.approx([(np.exp(z) - 1) / (np.exp(z) + size - 1) for z in ends])


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_icc_interval_is_near_pingouins_for_many_normal_persons(rng):
    import pingouin

    codes = np.repeat(np.arange(400), 6)
    y = rng.normal(size=400)[codes] + rng.normal(size=2400)
    frame = pd.DataFrame({"t": codes, "r": np.tile(np.arange(6), 400), "y": y})
    table = pingouin.intraclass_corr(frame, targets="t", raters="r", ratings="y").set_index("Type")
    found = partition_variance(y, y, np.zeros_like(y), codes, rng=rng)
    assert [found.low[0], found.high[0]] == pytest.approx(list(table.iloc[0]["CI95"]), abs=0.01)


def test_intervals_do_not_depend_on_units_of_measurement_or_order(made, rng):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, rng=rng)
    turned = np.random.default_rng(3).permutation(y.size)
    other = partition_variance(*(7 + 3 * v[turned] for v in (y, p, f)), person[turned], rng=rng)
    assert other.low == pytest.approx(found.low)
    assert other.high == pytest.approx(found.high)


def test_units_left_out_are_whole_families(made, rng):
    """Each person twice as a family of two says no more than each person once."""
    person, y, p, f = made
    once = partition_variance(y, p, f, person, rng=rng)
    twice = partition_variance(
        *(np.tile(v, 2) for v in (y, p, f)), np.r_[person, person + 30], unit=np.tile(person, 2), rng=rng
    )
    assert twice.n_units == 30
    assert twice.low[1:4] == pytest.approx(once.low[1:4])
    assert twice.high[1:4] == pytest.approx(once.high[1:4])


def test_three_persons_have_no_interval(rng):
    y = rng.normal(size=12) + np.repeat([0, 1, 2], 4)
    found = partition_variance(y, 0.5 * y, 0.1 * y, np.repeat(list("abc"), 4), rng=rng)
    assert np.isnan(found.low).all()
    assert np.isfinite(found.values).all()
    assert "too few for intervals" in found.text()


def test_result_says_how_and_where_it_falls_short(made, rng):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, rng=rng)
    assert found.summary()["method"] == "jackknife"
    assert found.resamples == 0
    assert "left out one by one" in found.apa()
    assert any("skewed" in note for note in found.notes)
    drawn = partition_variance(y, p, f, person, method="percentile", resamples=199, rng=rng)
    assert "199 resamples of persons" in drawn.apa()
    assert any("too short" in note for note in drawn.notes)


def test_strong_skewness_is_pointed_out_among_many_persons(rng):
    person = np.repeat(np.arange(60), 5)
    effect = rng.exponential(size=60)[person] ** 2
    y = effect + rng.normal(size=300)
    assert any("skewed" in note for note in partition_variance(y, effect, 0 * y, person, rng=rng).notes)
    even = rng.normal(size=60)[person]
    notes = partition_variance(even + rng.normal(size=300), even, 0 * y, person, rng=rng).notes
    assert not any("skewed" in note for note in notes)


def test_unknown_method(made, rng):
    with pytest.raises(ConfigError, match="E302"):
        partition_variance(*made[1:], made[0], method="bca", rng=rng)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_icc_one_way_is_pingouins():
    import pingouin

    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(12), 6)
    y = rng.normal(size=12)[codes] + rng.normal(size=72)
    frame = pd.DataFrame({"t": codes, "r": np.tile(np.arange(6), 12), "y": y})
    table = pingouin.intraclass_corr(frame, targets="t", raters="r", ratings="y").set_index("Type")["ICC"]
    assert icc_one_way(one_way_sums(y, codes, 12).sum(axis=0)) == pytest.approx(table.iloc[0], abs=1e-9)
    wide = y.reshape(12, 6)
    assert icc_two_way(two_way_sums(wide).sum(axis=0)) == pytest.approx(table.iloc[1], abs=1e-9)


def test_icc_reaches_its_limits():
    codes = np.repeat(np.arange(5), 4)
    assert icc_one_way(one_way_sums(codes.astype(float), codes, 5).sum(axis=0)) == pytest.approx(1.0)
    rng = np.random.default_rng(5)
    many = np.repeat(np.arange(2_000), 5)
    assert abs(icc_one_way(one_way_sums(rng.normal(size=10_000), many, 2_000).sum(axis=0))) < 0.02
    same = np.repeat(rng.normal(size=(9, 1)), 3, axis=1)
    assert icc_two_way(two_way_sums(same).sum(axis=0)) == pytest.approx(1.0)
    assert np.isnan(icc_two_way(two_way_sums(np.ones((9, 3))).sum(axis=0)))


def test_no_person_effects_means_no_share(made, rng):
    person, y, _, f = made
    found = partition_variance(y, f, f, person, resamples=99, rng=rng)
    value = dict(zip(found.quantities, found.values, strict=True))
    assert value["icc_model"] == 0
    assert (found.low[3], found.high[3]) == (0, 0)
    assert np.isfinite(found.low).all()
    assert value["r2_marginal"] == value["r2_conditional"]
    assert "variance is zero" in found.text()


def test_blocks_are_shares_of_the_person_variance():
    table = pd.DataFrame(
        {
            "term": ["person", "person", "person", "residual"],
            "parameter": ["layers.1.weight[0]", "layers.1.weight[1]", "transitions[a,b.c]", "residual"],
            "share": [0.1, 0.2, 0.1, 0.6],
            "at_boundary": [True, False, False, False],
        }
    )
    (layer, block, share, count, zero), last = variance_blocks(table)
    assert (layer, block, count, zero) == ("layers.1", "weight", 2, 1)
    assert share == pytest.approx(0.75)
    assert last[:2] == ("", "transitions")


def test_families_are_resampled_whole(made, rng):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, unit=person // 2, unit_name="families", resamples=99, rng=rng)
    assert found.n_units == 15
    assert "families" in found.text()
    assert len(found.to_frame()) == 5


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"truth": np.zeros(6)}, "E115"),
        ({"truth": [1, 2, np.nan, 4, 5, 6]}, "E111"),
        ({"prediction": np.zeros(5)}, "E127"),
        ({"person": ["a"] * 6}, "E124"),
        ({"unit": list("xxyxyy")}, "E126"),
    ],
)
def test_bad_input_is_named(change, code, rng):
    given = {"truth": np.arange(6.0), "prediction": np.zeros(6), "population": np.zeros(6), "person": list("aabbcc")}
    with pytest.raises(DataError, match=code):
        partition_variance(**{**given, **change}, resamples=99, rng=rng)


def test_too_few_resamples(made, rng):
    with pytest.raises(ConfigError, match="E125"):
        partition_variance(*made[1:], made[0], resamples=98, rng=rng)
