"""Figures of answers, paths and layers: the numbers drawn, both drawings, words, labels that look like markup."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example_run import STATES, example_frames

from analyses.figures import answer_strip, answered_by_person, answers_by_day, effect_layers, gate_shares, state_paths
from analyses.figures.print_style import figure_bytes

EVIL = "<script>alert(1)</script> $x$"
GATE = pd.DataFrame(
    {"split": "test", "expert": [EVIL, *(f"P{k:02d}" for k in range(1, 31))], "weight": [0.4, *np.full(30, 0.02)]}
)


@pytest.fixture(scope="module")
def frames():
    return example_frames(persons=30)


@pytest.fixture(scope="module")
def drawn(frames):
    rows = frames.predictions.assign(answered=True)
    persons = frames.persons.assign(group=frames.persons["group"].replace("depressed", EVIL))
    counted = persons.assign(answered=persons["rows"])
    paths = frames.predictions.assign(
        prediction_sequence=frames.predictions["prediction"],
        prediction_sequence_population=frames.predictions["prediction_population"],
    )
    days = pd.DataFrame({"day": [1, 2, 3], "persons": [30, 25, 4], "compliance": [0.9, 0.5, 0.1]})
    return {
        answer_strip: answer_strip.tidy(rows, persons, unit="prompts"),
        answered_by_person: answered_by_person.tidy(counted, planned=98, unit="prompts"),
        answers_by_day: answers_by_day.tidy(days, relative_to="7 prompts a day"),
        state_paths: state_paths.tidy(paths, frames.persons["person"][4], STATES),
        effect_layers: effect_layers.tidy(frames.random_effects, persons),
        gate_shares: gate_shares.tidy(GATE, split="test", own="P30"),
    }


MODULES = [answer_strip, answered_by_person, answers_by_day, state_paths, effect_layers, gate_shares]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_both_drawings_and_words(drawn, module):
    frame = drawn[module]
    on_screen = module.screen(frame).to_json()
    assert "<script>" not in on_screen
    assert figure_bytes(module.print_figure(frame), "svg").startswith(b"<?xml")
    assert module.alt_text(frame).endswith(".")


def test_a_cell_of_the_strip_counts_the_answers_of_a_person_and_day(frames, drawn):
    person = frames.persons["person"][4]
    rows = frames.predictions[frames.predictions["person"] == person]
    mine = drawn[answer_strip][drawn[answer_strip]["person"] == person]
    assert mine["value"].tolist() == rows.groupby("sequence").size().tolist()
    assert mine["day"].tolist() == list(range(1, rows["sequence"].nunique() + 1))


def test_the_strip_of_levels_holds_means_of_days(frames):
    rows = frames.predictions.assign(truth=np.arange(len(frames.predictions), dtype=float), answered=True)
    frame = answer_strip.tidy(rows, frames.persons, value="level", outcome="mood")
    first = frame.iloc[0]
    mine = rows[rows["person"] == first["person"]]
    assert first["value"] == pytest.approx(mine[mine["sequence"] == mine["sequence"].min()]["truth"].mean())


def test_a_record_without_days_is_cut_into_twentieths(frames):
    rows = frames.predictions.assign(sequence=0, answered=True)
    frame = answer_strip.tidy(rows, frames.persons)
    assert frame["day"].max() == 20
    assert int(frame["value"].sum()) == len(rows)


def test_paths_part_where_they_differ(frames, drawn):
    frame = drawn[state_paths]
    wide = frame.assign(state=frame["state"].astype(str)).pivot(index="step", columns="series", values="state")
    parted = frame[frame["series"] == state_paths.OWN].set_index("step")["parted"]
    assert (parted == (wide[state_paths.OWN] != wide[state_paths.AVERAGE])).all()
    assert f"part at {int(parted.sum())} of {len(wide)} prompts" in state_paths.alt_text(frame)
    assert set(state_paths.between(frame, 2, 5)["step"]) == {2, 3, 4, 5}


def test_a_run_without_the_average_path_has_two_lanes(frames):
    rows = frames.predictions.assign(prediction_sequence=frames.predictions["prediction"])
    frame = state_paths.tidy(rows, frames.persons["person"][4], STATES)
    assert set(frame["series"]) == {state_paths.OBSERVED, state_paths.OWN}
    assert not frame["parted"].any()
    assert "part" not in state_paths.alt_text(frame)


def test_layers_hold_quantiles_over_the_persons_of_a_group(frames):
    frame = effect_layers.tidy(frames.random_effects, frames.persons, most=5)
    assert frame["left_out"].iloc[0] == 11
    row = frame.iloc[0]
    members = set(frames.persons.loc[frames.persons["group"] == row["group"], "person"])
    effects = frames.random_effects
    mine = effects[(effects["parameter"] == row["parameter"]) & effects["level"].isin(members)]["estimate"]
    assert [row["lower"], row["median"], row["upper"]] == pytest.approx(list(mine.quantile([0.25, 0.5, 0.75])))


def test_days_with_few_persons_are_left_out(drawn):
    assert drawn[answers_by_day]["day"].tolist() == [1, 2]


def test_a_persons_own_expert_is_always_among_those_drawn(drawn):
    frame = drawn[gate_shares]
    assert frame["kind"].tolist().count("own") == 1
    assert frame["weight"].sum() + frame["rest"].iloc[0] == pytest.approx(1.0)
    assert frame["left_out"].iloc[0] == 31 - len(frame)
