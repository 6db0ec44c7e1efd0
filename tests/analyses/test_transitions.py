from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.transitions import compare_transitions, observed_transitions, transition_matrices
from toolkit.errors import DataError
from toolkit.results import Result

STATES = ("other", "aggressive", "dysphoric", "positive")


def matrices(n=60, size=4, seed=0, effect=0.0):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2 == 0
    t = rng.dirichlet(np.full(size, 5.0), size=(n, size))
    t[group, -1, 0] += effect
    return t / t.sum(axis=2, keepdims=True), group


def compare(t, group, seed=0, **options):
    return compare_transitions(t, group, rng=np.random.default_rng(seed), **({"resamples": 1000} | options))


def test_the_difference_is_higher_where_the_group_is_true():
    t, group = matrices(effect=0.5)
    found = compare(t, group, states=STATES)
    np.testing.assert_allclose(found.difference, t[group].mean(axis=0) - t[~group].mean(axis=0))
    assert found.difference[3, 0] > 0.1
    assert found.low_simultaneous[3, 0] > 0
    assert (found.n_true, found.n_false, found.n_units) == (30, 30, 60)
    assert isinstance(found, Result)


@pytest.mark.slow
def test_swapping_the_groups_turns_signs_around():
    t, group = matrices()
    one, other = compare(t, group, resamples=20_000), compare(t, ~group, resamples=20_000)
    np.testing.assert_allclose(one.difference, -other.difference)
    np.testing.assert_allclose(one.low, -other.high, atol=0.004)


def test_frame_has_the_public_columns_from_row_to_column():
    t, group = matrices()
    frame = compare(t, group, states=STATES).to_frame()
    assert list(frame.columns) == [
        "from_state",
        "to_state",
        "difference",
        "low",
        "high",
        "low_simultaneous",
        "high_simultaneous",
        "pvalue",
        "pvalue_fdr",
    ]
    row = frame[(frame["from_state"] == "positive") & (frame["to_state"] == "aggressive")]
    assert row["difference"].item() == pytest.approx(t[group, 3, 1].mean() - t[~group, 3, 1].mean())
    assert len(frame) == 16


def test_families_widen_the_interval_when_their_members_are_alike():
    t, group = matrices(40)
    twice, label, family = np.repeat(t, 2, axis=0), np.repeat(group, 2), np.repeat(np.arange(40), 2)
    naive = compare(twice, label, method="percentile")
    honest = compare(twice, label, unit=family, unit_name="families", method="percentile")
    ratio = (honest.high - honest.low) / (naive.high - naive.low)
    assert ratio.mean() == pytest.approx(np.sqrt(2), rel=0.06)
    assert "resamples of families" in honest.apa()


def test_a_family_with_members_in_both_groups_is_resampled_jointly():
    t, _ = matrices(60)
    family = np.arange(60) // 2
    shared = t + np.random.default_rng(1).standard_normal((30, 4, 4))[family]
    member = np.arange(60) % 2 == 0
    paired = compare(shared, member, unit=family, method="percentile")
    naive = compare(shared, member, method="percentile")
    assert np.all(paired.high - paired.low < 0.6 * (naive.high - naive.low))
    assert paired.scale == "score"


def test_states_never_visited_are_left_out_and_counted_per_cell():
    t, group = matrices(50)
    t[:6, 1, :] = np.nan
    for method in ("percentile", "bootstrap-t"):
        found = compare(t, group, method=method)
        kept = ~np.isnan(t[:, 1, 0])
        expected = t[group & kept, 1].mean(axis=0) - t[~group & kept, 1].mean(axis=0)
        np.testing.assert_allclose(found.difference[1], expected)
        assert found.n_cell_true[1].tolist() == [22] * 4
        assert found.n_cell_false[0].tolist() == [25] * 4
        assert np.isfinite(found.pvalue).all()
        assert "6 persons have no matrix row" in found.notes[-1]


def test_structural_zeros_are_neither_tested_nor_counted():
    t, group = matrices()
    t[:, np.arange(4), np.arange(4)] = 0
    t /= t.sum(axis=2, keepdims=True)
    found = compare(t, group, states=STATES)
    assert np.isnan(np.diag(found.pvalue)).all()
    assert np.isfinite(found.pvalue[~np.eye(4, dtype=bool)]).all()
    np.testing.assert_array_equal(np.diag(found.low), 0)
    assert "4 of 16 cells" in found.notes[0]
    assert "does not vary" in found.cell_text("other", "other")
    assert "Of 12 transition probabilities" in found.apa()
    nan = np.where(np.eye(4, dtype=bool), np.nan, t)
    same = compare(nan, group)
    np.testing.assert_allclose(same.pvalue, found.pvalue)


def test_all_persons_alike_leaves_nothing_to_compare():
    found = compare(np.full((20, 2, 2), 0.5), np.arange(20) < 10)
    assert "cannot be compared" in found.text()
    np.testing.assert_array_equal(found.difference, 0)


def test_cell_sentence_of_the_reporting_conventions():
    t, group = matrices()
    found = compare(t, group, states=STATES, unit_name="families", group_names=("depressed", "healthy"))

    def with_cell(**values):
        changed = {}
        for name, value in values.items():
            array = getattr(found, name).copy()
            array[3, 2] = value
            changed[name] = array
        return dataclasses.replace(found, **changed, method="bootstrap-t", resamples=10_000)

    shown = with_cell(
        difference=0.028, low=0.001, high=0.055, low_simultaneous=-0.006, high_simultaneous=0.062, pvalue=0.04
    )
    assert shown.cell_text("positive", "dysphoric") == (
        "The probability of moving from positive to dysphoric was 2.8 percentage points higher in the depressed group, "
        "95% CI [0.1, 5.5] (bootstrap-t, 10,000 resamples of families); simultaneous 95% CI [−0.6, 6.2]."
    )
    lower = with_cell(difference=-0.044, low=-0.074, high=-0.013).cell_text("positive", "dysphoric")
    assert "4.4 percentage points lower in the depressed group (difference −4.4), 95% CI [−7.4, −1.3]" in lower
    with pytest.raises(DataError, match=r"E120.*other, aggressive"):
        shown.cell_text("positive", "calm")


def test_text_counts_cells_by_each_criterion():
    t, group = matrices(effect=0.5)
    found = compare(t, group, states=STATES, group_names=("depressed", "healthy"))
    assert "Looking at all 16 transitions together" in found.text()
    assert "The clearest one: the probability of moving from positive to" in found.text()
    assert "by chance alone" in found.text()
    summary = json.loads(json.dumps(found.summary()))
    assert summary["cells_simultaneous"] == int(((found.low_simultaneous > 0) | (found.high_simultaneous < 0)).sum())
    assert summary["cells_single"] >= summary["cells_simultaneous"] >= 1


def test_arrays_are_read_only_and_numbers_repeat_with_the_seed():
    t, group = matrices()
    one, other = compare(t, group), compare(t, group.astype(int))
    np.testing.assert_array_equal(one.low, other.low)
    with pytest.raises(ValueError, match="read-only"):
        one.low[0, 0] = 1


@given(st.integers(4, 30), st.integers(2, 5), st.sampled_from(["percentile", "bootstrap-t"]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")
def test_any_shape_gives_finite_ordered_intervals(n, size, method, seed):
    t, group = matrices(n, size, seed)
    found = compare(t, group, resamples=300, method=method)
    assert np.isfinite(found.low).all()
    assert np.all(found.low_simultaneous <= found.low)
    assert np.all(found.low <= found.high)
    assert np.all(found.high <= found.high_simultaneous)
    assert np.all((found.pvalue > 0) & (found.pvalue <= 1))
    assert np.all(found.pvalue_fdr >= found.pvalue)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"t": np.ones((20, 2, 3))}, "E127"),
        ({"t": np.full((20, 2, 2), np.nan)}, "E111"),
        ({"t": np.where(np.arange(80).reshape(20, 2, 2) == 4, np.nan, 0.5)}, "E111"),
        ({"t": np.where(np.arange(80).reshape(20, 2, 2) == 4, np.inf, 0.5)}, "E110"),
        ({"group": np.zeros(20)}, "E124"),
        ({"group": np.arange(20) < 1}, "E124"),
        ({"group": np.arange(19) < 9}, "E127"),
        ({"group": ["a", "b"] * 10}, "E302"),
        ({"group": [None, *[True, False] * 9, True]}, "E111"),
        ({"group": np.arange(20)}, "E302"),
        ({"unit": np.arange(20) // 10, "group": np.arange(20) < 10}, "E124"),
        ({"unit": [None, *range(19)]}, "E112"),
        ({"states": ["a"]}, "E127"),
        ({"states": ["a", "a"]}, "E127"),
        ({"resamples": 50}, "E125"),
        ({"method": "bayes"}, "E302"),
    ],
)
def test_bad_input_is_named(change, code):
    options = {"t": np.full((20, 2, 2), 0.5), "group": np.arange(20) % 2 == 0} | change
    with pytest.raises(DataError) as caught:
        compare(options.pop("t"), options.pop("group"), **options)
    assert caught.value.code == code


def test_few_persons_warn():
    t, group = matrices(12)
    from toolkit.errors import ToolkitWarning

    with pytest.warns(ToolkitWarning, match="W301"):
        assert compare(t, group).method == "symmetric-t"


def test_observed_transitions_smooth_counts():
    counts = np.array([[[3, 1], [0, 0]]])
    np.testing.assert_allclose(observed_transitions(counts), [[[3.5 / 5, 1.5 / 5], [0.5, 0.5]]])
    raw = observed_transitions(counts, smoothing=0)
    np.testing.assert_allclose(raw, [[[0.75, 0.25], [np.nan, np.nan]]])
    for bad, code in ((-counts, "E111"), (counts[0], "E127")):
        with pytest.raises(DataError, match=code):
            observed_transitions(bad)
    with pytest.raises(DataError, match="E302"):
        observed_transitions(counts, smoothing=-1)


def test_matrices_come_from_the_long_table_of_a_run():
    t, _ = matrices(3, 2)
    rows = [
        {"person": f"p{i}", "from_state": "ab"[j], "to_state": "ab"[k], "probability": t[i, j, k]}
        for i in range(3)
        for j in range(2)
        for k in range(2)
    ]
    frame = pd.DataFrame(rows)
    persons, states, found = transition_matrices(frame, "probability")
    assert (persons, states) == (("p0", "p1", "p2"), ("a", "b"))
    np.testing.assert_array_equal(found, t)
    shuffled = frame.sample(frac=1, random_state=1)
    names, order, again = transition_matrices(shuffled, "probability", states=["b", "a"])
    assert order == ("b", "a")
    np.testing.assert_array_equal(again[names.index("p1")], t[1][::-1, ::-1])
    assert np.isnan(transition_matrices(frame.iloc[:-1], "probability")[2][2, 1, 1])
    for table, value, code in (
        (frame, "score", "E103"),
        (pd.concat([frame, frame.iloc[:1]]), "probability", "E113"),
    ):
        with pytest.raises(DataError, match=code):
            transition_matrices(table, value)
    with pytest.raises(DataError, match="E120"):
        transition_matrices(frame, "probability", states=["a", "c"])
