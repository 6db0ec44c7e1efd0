"""Drivers of a cell: leaving out against a loop of new computations, contributions that sum, sentences, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats

from analyses.drivers import cell_drivers
from toolkit.errors import DataError
from toolkit.results import Result


def study(seed=0, families=8, gap=0.1):
    """Persons in families of one to three, the group belonging to the family."""
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(families), 1 + np.arange(families) % 3)
    side = family % 2 == 0
    values = 0.3 + gap * side + 0.05 * rng.standard_normal(families)[family] + 0.05 * rng.standard_normal(family.size)
    return values, side, family


def refit(x, side, family, nested):
    """Difference, t interval and p written out for one set of rows."""
    difference = x[side].mean() - x[~side].mean()
    units = np.unique(family)
    if nested:
        variances, sizes = [], []
        for on in (side, ~side):
            residual = [np.sum(x[on & (family == f)] - x[on].mean()) / on.sum() for f in np.unique(family[on])]
            m = len(residual)
            if m < 2:
                return difference, np.nan, np.nan, np.nan
            variances.append(m / (m - 1) * np.sum(np.square(residual)))
            sizes.append(m)
        variance = sum(variances)
        df = variance**2 / sum(v**2 / (m - 1) for v, m in zip(variances, sizes, strict=True))
    else:
        residual = [
            sum(
                sign * np.sum(x[on & (family == f)] - x[on].mean()) / on.sum()
                for sign, on in ((1, side), (-1, ~side))
                if (on & (family == f)).any()
            )
            for f in units
        ]
        variance = units.size / (units.size - 1) * np.sum(np.square(residual))
        df = units.size - 1
    half = scipy.stats.t.ppf(0.975, df) * np.sqrt(variance)
    return difference, difference - half, difference + half, 2 * scipy.stats.t.sf(abs(difference / variance**0.5), df)


@pytest.mark.parametrize("nested", [True, False])
def test_leaving_out_is_a_loop_of_new_computations(nested):
    x, side, family = study()
    if not nested:
        side = np.arange(x.size) % 2 == 0
    found = cell_drivers(x, side, unit=family)
    whole = refit(x, side, family, nested)
    np.testing.assert_allclose((found.difference, found.low, found.high, found.pvalue), whole, rtol=1e-9)
    loop = np.array([refit(x[family != f], side[family != f], family[family != f], nested) for f in range(8)])
    left = found.without
    np.testing.assert_allclose(np.stack([left.difference, left.low, left.high, left.pvalue], axis=1), loop, rtol=1e-8)
    np.testing.assert_array_equal(left.persons, np.bincount(family))


def test_persons_alone_give_welchs_test():
    x, side, _ = study()
    found = cell_drivers(x, side)
    theirs = scipy.stats.ttest_ind(x[side], x[~side], equal_var=False)
    ends = theirs.confidence_interval(0.95)
    np.testing.assert_allclose((found.pvalue, found.low, found.high), (theirs.pvalue, *ends), rtol=1e-9)


def test_contributions_sum_to_the_difference():
    x, side, family = study()
    found = cell_drivers(x, side, unit=family)
    assert found.contribution.sum() == pytest.approx(found.difference, rel=1e-12)
    assert found.share.sum() == pytest.approx(1, rel=1e-12)
    frame = found.to_frame()
    assert frame["contribution"].is_monotonic_decreasing
    # The person who contributes most lies furthest on the side the difference goes, per person of the group.
    middle = (x[side].mean() + x[~side].mean()) / 2
    pull = np.where(side, (x - middle) / side.sum(), (middle - x) / (~side).sum())
    assert frame["person"].iloc[0] == np.argmax(pull) + 1
    down = cell_drivers(-x + 1, side, unit=family)
    assert down.to_frame()["contribution"].is_monotonic_increasing


def test_distribution_by_group():
    x, side, _ = study()
    frame = cell_drivers(x, side, group_names=("ill", "well")).distribution_frame().set_index("group")
    assert frame.loc["ill", "median"] == pytest.approx(np.median(x[side]))
    assert frame.loc["well", "quartile_3"] == pytest.approx(np.quantile(x[~side], 0.75))
    assert frame["persons"].sum() == x.size


def test_sentences_name_the_family_that_matters():
    x = np.r_[0.30, 0.32, 0.31, 0.29, 0.70, 0.30, 0.31, 0.29, 0.30, 0.28]
    side = np.arange(10) < 5
    family = np.array([f"F{k}" for k in range(10)])
    found = cell_drivers(x, side, unit=family, unit_name="families", cell=("calm", "sad"), group_names=("ill", "well"))
    text = found.text()
    assert "Leaving out F4 (one of 10 families) moves the difference from 8.8 to 0.9 percentage points" in text
    assert "no single one of the families turns it to zero" in text
    assert "5 accounts for 82% of it, the 5 persons who push it most for 125%" in text
    assert "ranged from 0.9 to 11.1" in found.apa()
    assert found.influence_frame()["unit"].iloc[0] == "F4"
    assert json.loads(json.dumps(found.summary()))["units_that_turn_the_sign"] == 0
    assert isinstance(found, Result)
    x[0:4] = 0.28
    turned = cell_drivers(x, side, unit=family, unit_name="families")
    assert "it vanishes or turns round without 1 of the families" in turned.text()
    strong = cell_drivers(np.r_[0.5, 0.52, 0.51, 0.5, 0.44, 0.3, 0.31, 0.29, 0.3, 0.43], side)
    assert strong.summary()["units_that_change_the_verdict"] == 0
    edge = cell_drivers(np.r_[0.5, 0.52, 0.51, 0.5, 0.9, 0.3, 0.31, 0.29, 0.3, 0.48], side)
    assert "but without" in edge.text()


def test_persons_without_a_value_are_counted_and_equal_groups_have_no_shares():
    x, side, family = study()
    x[3] = np.nan
    found = cell_drivers(x, side, unit=family)
    assert (found.n_left_out, len(found.persons)) == (1, x.size - 1)
    assert "1 persons never were in the first state" in found.notes[0]
    level = cell_drivers([0.1, 0.2, 0.3, 0.1, 0.2, 0.3], [True] * 3 + [False] * 3)
    assert np.isnan(level.share).all()
    assert "nobody carries a difference" in level.text()
    pair = cell_drivers([0.1, 0.2, 0.4, 0.5], [True, True, False, False])
    assert np.isnan(pair.without.low).all()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"values": np.full(15, 0.2)}, "E115"),
        ({"values": np.full(15, np.nan)}, "E111"),
        ({"values": np.r_[np.inf, np.full(14, 0.2)]}, "E110"),
        ({"group": np.ones(15, dtype=bool)}, "E124"),
        ({"group": [None] * 15}, "E111"),
        ({"group": np.arange(15) < 7, "unit": (np.arange(15) < 7).astype(int)}, "E124"),
        ({"unit": [None] * 15}, "E112"),
        ({"persons": [1] * 15}, "E113"),
        ({"group": np.ones(14, dtype=bool)}, "E127"),
        ({"scale": "odds"}, "E302"),
        ({"level": 1.0}, "E302"),
    ],
)
def test_bad_input_is_named(change, code):
    x, side, family = study()
    options = {"values": x, "group": side, "unit": family} | change
    with pytest.raises(DataError) as caught:
        cell_drivers(options.pop("values"), options.pop("group"), **options)
    assert caught.value.code == code
