"""What the model and group figures draw: every person, row and cell once, at the right place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example_run import CRF_PARAMETERS, STATES, example_frames

from analyses.figures import (
    calibration_curve,
    caterpillar,
    effect_forest,
    effect_ridges,
    group_persons,
    sequence_index,
    shrinkage_funnel,
    state_shares,
    transition_network,
    variance_bars,
)
from analyses.figures.few_states import area_styles, folded
from analyses.figures.network_layout import arrow, loop, nodes
from analyses.transitions import compare_transitions
from analyses.variance import VariancePartition


@pytest.fixture(scope="module")
def crf():
    return example_frames(persons=40)


@pytest.fixture(scope="module")
def mlp():
    return example_frames(model="nme-mlp", persons=40)


@pytest.fixture(scope="module")
def comparison():
    return _comparison(4)


def _comparison(size: int, persons: int = 30):
    rng = np.random.default_rng(6)
    matrices = rng.dirichlet(np.ones(size), (persons, size))
    group = np.arange(persons) < 14
    matrices[group, 1] = np.eye(size)[-1] * 0.7 + 0.3 / size
    matrices += rng.normal(0, 1e-3, matrices.shape)
    names = [f"state {k}" for k in range(size)]
    return compare_transitions(
        np.clip(matrices, 0, 1), group, resamples=99, rng=rng, states=names, group_names=("ill", "well")
    )


# forest


def test_forest_draws_every_cell_at_its_difference(comparison) -> None:
    frame = effect_forest.tidy(comparison)
    assert frame["position"].tolist() == list(range(1, 17))
    assert frame["difference"].to_numpy() == pytest.approx(100 * comparison.difference.ravel())
    figure = effect_forest.screen(frame)
    dots = next(trace for trace in figure.data if trace.name == "difference")
    assert np.asarray(dots.x) == pytest.approx(frame["difference"])
    assert len([shape for shape in figure.layout.shapes if shape.type == "rect"]) == (frame["verdict"] == "clear").sum()
    by_size = effect_forest.tidy(comparison, order="size")
    assert by_size["difference"].abs().is_monotonic_decreasing
    assert set(by_size["label"]) == set(frame["label"])
    with pytest.raises(ValueError, match="state, size"):
        effect_forest.tidy(comparison, order="mood")


def test_forest_of_many_states_keeps_those_furthest_from_zero_and_says_so() -> None:
    frame = effect_forest.tidy(_comparison(10))
    assert len(frame) == effect_forest.MOST_ROWS
    assert frame["left_out"].unique().tolist() == [60]
    assert "60 transitions nearer to zero are not drawn" in effect_forest.alt_text(frame)
    assert {"state 1 → state 9"} <= set(frame["label"])


# ridges


def test_ridges_show_every_person_and_curves_of_area_one(crf) -> None:
    rows = [caterpillar.tidy(crf.random_effects, crf.persons, name) for name in CRF_PARAMETERS[:3]]
    frame = effect_ridges.tidy(rows)
    persons = frame[frame["kind"] == "person"]
    assert len(persons) == 3 * 40
    first = rows[0].sort_values("estimate")
    mine = persons[persons["parameter"] == CRF_PARAMETERS[0]]
    assert sorted(mine["x"]) == pytest.approx(first["estimate"].tolist())
    for _, curve in frame[frame["kind"] == "curve"].groupby(["parameter", "group"]):
        assert np.trapezoid(curve["density"], curve["x"]) == pytest.approx(1, abs=0.01)


def test_ridges_of_few_or_equal_persons_have_no_curve(crf) -> None:
    rows = caterpillar.tidy(crf.random_effects, crf.persons, CRF_PARAMETERS[1])
    few = rows.groupby("group").head(4)
    assert set(effect_ridges.tidy([few])["kind"]) == {"person"}
    same = effect_ridges.tidy([rows.assign(estimate=0.0)])
    assert set(same["kind"]) == {"person"}
    effect_ridges.screen(same)
    effect_ridges.print_figure(same)


# shrinkage


def test_funnel_of_a_transition_holds_counts_against_probabilities(crf) -> None:
    cell = (STATES[0], STATES[2])
    frame = shrinkage_funnel.of_transition(crf.transitions, crf.persons, cell).set_index("person")
    for person in list(frame.index)[:5]:
        mine = crf.transitions.query("person == @person and from_state == @cell[0]").set_index("to_state")
        assert frame.loc[person, "rows"] == mine["observed"].sum()
        assert frame.loc[person, "alone"] == pytest.approx(100 * mine["observed"][cell[1]] / mine["observed"].sum())
        assert frame.loc[person, "shrunken"] == pytest.approx(100 * mine["probability"][cell[1]])
    left = crf.transitions[crf.transitions["from_state"] == cell[0]].groupby("person")["observed"].sum()
    assert len(frame) == (left > 0).sum()


def test_funnel_of_a_number_uses_training_rows(mlp) -> None:
    frame = shrinkage_funnel.of_level(mlp.predictions, mlp.persons, "mood").set_index("person")
    person = mlp.persons["person"].iloc[3]
    rows = mlp.predictions.query("person == @person and split == 'train'")
    assert frame.loc[person, "rows"] == len(rows)
    assert frame.loc[person, "alone"] == pytest.approx((rows["truth"] - rows["prediction_population"]).mean())
    assert frame.loc[person, "shrunken"] == pytest.approx((rows["prediction"] - rows["prediction_population"]).mean())


# variance


def test_variance_bars_show_quantities_with_intervals_and_blocks_without() -> None:
    partition = VariancePartition(
        quantities=("icc_target",), values=np.array([0.4]), low=np.array([0.3]), high=np.array([0.5]),
        parts=(1.0, 1.0, 2.0), blocks=(("layers.2", "bias", 0.75, 1, 0), ("", "transitions", 0.25, 16, 7)), n_persons=9,
        n_rows=90, n_units=9, unit_name="persons", method="jackknife", resamples=0, level=0.95, rows_used="test",
        notes=(),
    )  # fmt: skip
    frame = variance_bars.tidy(partition)
    assert frame["value"].tolist() == [0.4, 0.75, 0.25]
    assert frame["low"].isna().tolist() == [False, True, True]
    assert "biases of layer 3 (1 parameter)" in frame["label"].tolist()
    assert "40 % [30, 50]" in variance_bars.alt_text(frame)
    variance_bars.screen(frame)


# sequences and shares


def test_every_answered_prompt_is_drawn_once(crf) -> None:
    frame = sequence_index.tidy(crf.predictions, crf.persons, STATES)
    assert len(frame) == len(crf.predictions)
    assert not frame.duplicated(["group", "line", "step"]).any()
    assert frame.groupby("group")["line"].max().sum() == 40
    drawn = sum(last - first + 1 for _, _, first, last in sequence_index._runs(frame))
    assert drawn == len(frame)
    for _, part in frame.groupby("group"):
        shares = part.groupby("line")["state"].apply(lambda s: (s == frame["state"].value_counts().index[0]).mean())
        assert shares.is_monotonic_increasing


def test_pseudonyms_do_not_reach_the_page(crf) -> None:
    frame = sequence_index.tidy(crf.predictions, crf.persons, STATES)
    persons = group_persons.tidy(crf.transitions, crf.persons)
    name = crf.persons["person"].iloc[4]
    assert name not in sequence_index.screen(frame).to_json()
    assert name not in group_persons.screen(persons).to_json()


def test_of_very_many_persons_evenly_spaced_ones_are_drawn(crf) -> None:
    frame = sequence_index.tidy(crf.predictions, crf.persons, STATES, most=20)
    assert frame["person"].nunique() <= 20
    assert frame["left_out"].unique().tolist() == [40 - frame["person"].nunique()]
    assert "persons are not drawn" in sequence_index.alt_text(frame)
    matrices = group_persons.tidy(crf.transitions, crf.persons, most=20)
    assert matrices["person"].nunique() <= 20
    assert set(matrices["group"]) == set(frame["group"])


def test_shares_add_up_and_few_persons_are_left_out(crf) -> None:
    frame = state_shares.tidy(crf.predictions, crf.persons, STATES, fewest=5)
    sums = frame.groupby(["over", "group", "step"])["share"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(len(sums)))
    assert frame["persons"].min() >= 5
    day = frame[(frame["over"] == state_shares.DAY) & (frame["step"] == 1)]
    rows = crf.predictions.merge(crf.persons[["person", "group"]], on="person").query("sequence == 0")
    for group, part in day.groupby("group"):
        truth = rows.loc[rows["group"] == group, "truth"].value_counts(normalize=True)
        assert part.set_index("state")["share"][STATES[0]] == pytest.approx(truth[STATES[0]])
    assert state_shares.tidy(crf.predictions, crf.persons, STATES, fewest=50).empty


def test_a_study_without_days_is_cut_into_twentieths(crf) -> None:
    frame = state_shares.tidy(crf.predictions.assign(sequence=0), crf.persons, STATES, fewest=1)
    assert frame["over"].unique().tolist() == [state_shares.STEP]
    assert sorted(frame["step"].unique()) == list(range(1, 21))
    state_shares.print_figure(frame, width_mm=89.0)


def test_many_states_become_eight_areas_that_can_be_told_apart() -> None:
    states = pd.Series(np.repeat([f"s{k}" for k in range(40)], np.arange(40, 0, -1)))
    kept, names = folded(states, [f"s{k}" for k in range(40)])
    assert names == [*(f"s{k}" for k in range(7)), "all other states (33)"]
    assert (kept == names[-1]).sum() == sum(range(1, 34))
    styles = area_styles(names)
    assert len({(style.fill, style.hatch) for style in styles.values()}) == 8
    same, few = folded(states[:79], [f"s{k}" for k in range(40)])
    assert few == ["s0", "s1"]
    assert same.equals(states[:79])


# persons' matrices and networks


def test_small_matrices_stand_in_order_and_hold_the_probabilities(crf) -> None:
    frame = group_persons.tidy(crf.transitions, crf.persons)
    assert len(frame) == 40 * 16
    part = frame[frame["group"] == frame["group"].iloc[0]]
    grid = group_persons._mosaic(part, 5)
    first = (
        part[part["rank"] == 1].pivot(index="from_state", columns="to_state", values="value").loc[[*STATES], [*STATES]]
    )
    assert grid[:4, :4] == pytest.approx(first.to_numpy())
    assert np.isnan(grid[4]).all()
    assert np.isfinite(grid).sum() == 16 * part["rank"].max()
    steady = part[part["from_state"] == part["to_state"]].groupby("rank")["value"].mean()
    assert steady.is_monotonic_decreasing


def test_arrows_below_the_threshold_are_not_drawn(comparison) -> None:
    mean = np.asarray(comparison.mean_true)
    frame = transition_network.tidy({"ill": mean}, comparison.states, difference=comparison.difference, threshold=0.25)
    own = frame[frame["kind"] == "probability"]
    assert own["drawn"].tolist() == (mean.ravel() >= 0.25).tolist()
    change = frame[frame["kind"] == "difference"]
    assert change["drawn"].tolist() == (np.abs(comparison.difference).ravel() >= 0.01).tolist()
    arrows = [trace for trace in transition_network.screen(frame).data if trace.mode == "lines"]
    assert len(arrows) == frame["drawn"].sum()
    assert "25 % and more" in transition_network.alt_text(frame)


def test_a_network_without_differences_says_so(comparison) -> None:
    frame = transition_network.tidy({"x": np.eye(4)}, comparison.states, difference=np.full((4, 4), 1e-4))
    assert "no difference of 1 percentage point or more" in transition_network.alt_text(frame)
    transition_network.print_figure(frame)


def test_networks_of_forty_states_keep_the_strongest_arrows() -> None:
    rng = np.random.default_rng(1)
    matrix = rng.dirichlet(np.full(40, 0.2), 40)
    frame = transition_network.tidy({"all": matrix}, [f"s{k}" for k in range(40)])
    assert 5 <= frame["drawn"].sum() <= transition_network.MOST_ARROWS
    transition_network.screen(frame)


def test_places_and_paths_of_a_network() -> None:
    place = nodes(["a", "b", "c", "d"])
    assert [float(np.linalg.norm(at)) for at in place.values()] == pytest.approx([1, 1, 1, 1])
    there, back = arrow(place["a"], place["b"])[0], arrow(place["b"], place["a"])[0]
    assert np.linalg.norm(there.mean(axis=0) - back.mean(axis=0)) > 0.1  # both directions can be seen
    outside = loop(place["a"])[0]
    assert np.linalg.norm(outside, axis=1).max() > 1.3


# calibration


def test_calibration_in_percent_leaves_out_bins_of_few_persons() -> None:
    table = pd.DataFrame(
        {"bin": [1, 2], "predicted": [0.1, 0.5], "observed": [0.2, 0.4], "low": [0.1, np.nan], "high": [0.3, np.nan],
         "rows": [50, 50], "persons": [20, 7]}
    )  # fmt: skip
    frame = calibration_curve.tidy({"calm": table})
    assert frame["predicted"].tolist() == [10.0]
    both = calibration_curve.tidy({"calm": table}, fewest=5)
    assert both["observed"].tolist() == [20.0, 40.0]
    dots = next(trace for trace in calibration_curve.screen(both).data if trace.name == "calm")
    assert list(dots.x) == [10.0, 50.0]
    assert "0 of 2 intervals miss the diagonal" in calibration_curve.alt_text(both)
    calibration_curve.print_figure(both)
