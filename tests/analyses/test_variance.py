"""Variance partition: oracles by loops and pingouin, limits, run folders of both kinds, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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


def test_intervals_are_those_of_a_loop_over_resampled_persons(made):
    person, y, p, f = made
    found = partition_variance(y, p, f, person, resamples=2_000, rng=np.random.default_rng(2))
    rng, drawn = np.random.default_rng(3), []
    for _ in range(2_000):
        rows = np.concatenate([np.flatnonzero(person == k) for k in rng.integers(0, 30, 30)])
        parts = [v[rows].var() for v in (f, p - f, y - p)]
        drawn.append(parts[0] / sum(parts))
    place = found.quantities.index("r2_marginal")
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert [found.low[place], found.high[place]] == pytest.approx([low, high], abs=0.02)


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
