from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
import scipy.stats

from analyses.base_rates import base_rate_test
from toolkit.errors import DataError
from toolkit.results import Result


def study(persons=20, rows=15, spread=1.0, seed=0):
    """Persons with their own state shares; the group says nothing."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(3, 1 / spread), persons)
    states = np.concatenate([rng.choice(["calm", "low", "tense"], rows, p=share) for share in shares]).astype(object)
    person = np.repeat(np.arange(persons), rows)
    return states, np.where(person % 2 == 0, "a", "b"), person


def run(states, group, person, seed=0, **options):
    return base_rate_test(
        states, group, person=person, rng=np.random.default_rng(seed), **({"permutations": 999} | options)
    )


def test_statistic_is_scipys():
    states, group, person = study()
    found = run(states, group, person)
    table = np.array([[np.sum((states == s) & (group == g)) for s in found.states] for g in found.groups])
    theirs = scipy.stats.chi2_contingency(table, correction=False)
    np.testing.assert_array_equal(found.counts, table)
    assert found.statistic == pytest.approx(theirs.statistic)
    assert (found.df, found.pvalue_naive) == (theirs.dof, pytest.approx(theirs.pvalue))
    assert found.cramers_v == pytest.approx(scipy.stats.contingency.association(table, method="cramer"))
    assert isinstance(found, Result)


def test_permuting_persons_reaches_every_assignment():
    states, group, person = study(persons=6, rows=8, seed=1)
    found = run(states, group, person, permutations=4000)
    exact = []
    for chosen in itertools.combinations(range(6), 3):
        inside = np.isin(person, chosen)
        table = [[np.sum((states == s) & on) for s in found.states] for on in (inside, ~inside)]
        exact.append(scipy.stats.chi2_contingency(table, correction=False).statistic)
    p = np.mean(np.array(exact) >= found.statistic - 1e-9)
    assert found.pvalue_low <= p <= found.pvalue_high


def test_persons_who_differ_make_the_naive_p_far_too_small():
    states, group, person = study(persons=30, rows=60, spread=2.0, seed=2)
    found = run(states, group, person)
    assert found.pvalue_naive < 0.001
    assert found.pvalue > 0.05
    assert "Taking every observation as independent would give p < .001" in found.text()


def test_families_are_permuted_whole():
    states, _, person = study(persons=24)
    family = person // 2
    group = np.where(family % 2 == 0, "a", "b")
    found = run(states, group, person, unit=family, unit_name="families")
    assert (found.n_persons, found.n_units, found.unit_name) == (24, 12, "families")
    assert "permuting the label over whole families" in found.apa()


def test_missing_states_are_left_out_and_the_order_is_the_callers():
    states, group, person = study()
    states[[0, 7]] = None
    states[8] = float("nan")
    found = run(states, group, person, states_order=["tense", "never", "low", "calm"])
    assert found.states == ("tense", "low", "calm")
    assert (found.n, found.n_excluded) == (297, 3)
    assert found.counts.sum() == 297
    frame = found.to_frame()
    assert frame.groupby("group")["share"].sum().tolist() == pytest.approx([1, 1])


def test_three_groups_have_their_degrees_of_freedom():
    states, _, person = study(persons=21)
    found = run(states, np.array(["x", "y", "z"])[person % 3], person)
    assert (found.df, len(found.groups)) == (4, 3)


def test_sentence_of_the_paper():
    found = run(*study())
    corrected = dataclasses.replace(
        found.rao_scott, f_second=3.124, df_second=(2.81, 104.33), pvalue_second=0.032, design_effect=6.52
    )
    shown = dataclasses.replace(
        found,
        statistic=61.0,
        df=3,
        n=8946,
        pvalue_naive=1e-12,
        cramers_v=0.083,
        v_low=0.0,
        v_high=0.142,
        pvalue=0.012,
        rao_scott=corrected,
    )
    assert shown.statistic_text() == "χ²(3, N = 8946) = 61.0, p < .001"
    assert shown.apa() == (
        "χ²(3, N = 8946) = 61.0, p < .001 (observations taken as independent); "
        "permuting the label over whole persons, p = .012 (999 permutations); "
        "Rao-Scott F(2.8, 104.3) = 3.12, p = .032; Cramér's V = .08, 95% CI [.00, .14] (over persons)."
    )
    assert "6.5 times as large here as among independent observations" in shown.text()
    assert json.loads(json.dumps(shown.summary()))["groups"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"group": np.arange(300) % 2}, "E123"),
        ({"group": np.repeat("a", 300)}, "E124"),
        ({"group": np.where(np.arange(300) < 15, "a", "b")}, "E124"),
        ({"unit": np.arange(300) // 30}, "E126"),
        ({"states": np.repeat("calm", 300)}, "E121"),
        ({"states_order": ["calm", "low"]}, "E120"),
        ({"permutations": 10}, "E125"),
        ({"level": 1.0}, "E302"),
        ({"person": np.arange(299)}, "E127"),
        ({"group": [None] * 300}, "E111"),
        ({"person": [None] * 300}, "E112"),
    ],
)
def test_bad_input_is_named(change, code):
    states, group, person = study()
    options = {"states": states, "group": group, "person": person} | change
    with pytest.raises(DataError) as caught:
        run(options.pop("states"), options.pop("group"), options.pop("person"), **options)
    assert caught.value.code == code
    assert "calm" not in str(caught.value)
