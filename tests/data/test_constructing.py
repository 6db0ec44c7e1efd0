"""Columns made from others: against the bundled study's own rules, against loops, and without a look ahead."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bad_input.studies import good
from toolkit.data.constructing import centred, with_constructions
from toolkit.data.constructions import Constructions
from toolkit.data.demo.emotions import DATA_FILE, VARIANTS, emotion_frame
from toolkit.data.readers import read_table
from toolkit.data.study import Study
from toolkit.data.study_checks import check_study
from toolkit.errors import ConfigError, DataError

RULE = """
[state_rule]
standardise = "{standardise}"
threshold = 0.25
[state_rule.scores]
aggressive = ["anger"]
dysphoric = ["sad", "stress"]
positive = ["happy", "relaxed"]
[lagged]
columns = ["happy", "anger", "state"]
"""


def made(text: str) -> Constructions:
    return Constructions.from_settings(tomllib.loads(text))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bundled_studys_states_and_predictors_can_be_said_in_toml(variant: str) -> None:
    raw = read_table(DATA_FILE, text_columns=["id"])
    rule = made(RULE.format(standardise="all" if variant == "absolute" else "person"))
    frame = with_constructions(raw, rule, person="id", time="beep", sequence="day")
    answered = frame[frame["state"].notna()].sort_values(["id", "beep"], kind="stable").reset_index(drop=True)
    expected = emotion_frame(raw, variant=variant)
    assert answered["state"].tolist() == expected["state"].tolist()
    first = expected["first_of_day"].to_numpy() == 1
    np.testing.assert_array_equal(answered["first_of_sequence"], first * 1.0)
    np.testing.assert_allclose(answered["gap"], expected["gap"])
    np.testing.assert_allclose(answered["happy_before"][~first], 50 * expected["happy_before"][~first] + 50)
    np.testing.assert_array_equal(answered["state_positive_before"], expected["positive_before"])
    assert rule.sentences()[0].startswith(
        "state is the largest of aggressive (anger), dysphoric (mean of sad and stress)"
    )


def test_composites_and_cut_offs() -> None:
    frame = pd.DataFrame({"p": ["a"] * 5, "x": [0, 3, 5, 7, np.nan], "y": [2.0, 3, 5, 9, 1]})
    rule = made(
        '[composites]\nboth = ["x", "y"]\n'
        '[cut_offs.level]\nitem = "both"\ncuts = [3, 5]\nnames = ["low", "middle", "high"]\n'
    )
    found = with_constructions(frame, rule, person="p", time=None, sequence=None)
    assert found["both"].tolist()[:4] == [1.0, 3.0, 5.0, 8.0]
    assert found["level"].tolist()[:4] == ["low", "middle", "high", "high"]
    assert found[["both", "level"]].iloc[4].isna().all()
    assert rule.sentences()[1] == "level is low where both is below 3, middle from 3, high from 5."


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=40), st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_of_the_same_or_a_later_row_is_known(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    frame = pd.DataFrame(rows, columns=["p", "day"]).sort_values(["p", "day"], kind="stable", ignore_index=True)
    frame["t"] = np.arange(len(frame))
    rng = np.random.default_rng(len(rows))
    frame["x"] = np.where(rng.random(len(frame)) < 0.2, np.nan, rng.normal(size=len(frame)))
    rule = made('[lagged]\ncolumns = ["x"]\n[centred]\ncolumns = ["x"]\n')
    roles = {"person": "p", "time": "t", "sequence": "day"}
    found = with_constructions(frame, rule, **roles)
    row = data.draw(st.integers(0, len(frame) - 1))
    other = frame.copy()
    other.loc[row, "x"] = 1e6
    changed = with_constructions(other, rule, **roles)
    known = ["x_before", "gap", "first_of_sequence"]
    pd.testing.assert_frame_equal(found.loc[:row, known], changed.loc[:row, known])
    pd.testing.assert_series_equal(found.loc[: row - 1, "x_within"], changed.loc[: row - 1, "x_within"])
    later = frame.index > row
    outside = later & ((frame["p"] != frame["p"][row]) | (frame["day"] != frame["day"][row])).to_numpy()
    pd.testing.assert_frame_equal(found.loc[outside, known], changed.loc[outside, known])
    for k in range(len(frame)):
        same = (
            (frame["p"] == frame["p"][k]) & (frame["day"] == frame["day"][k]) & (frame.index < k) & frame["x"].notna()
        )
        expected = frame["x"][same].iloc[-1] if same.any() else 0.0
        assert found["x_before"][k] == expected


def test_centring_is_the_loop() -> None:
    values, person = np.array([1.0, 2.0, np.nan, 4.0, 10.0]), np.array([0, 0, 0, 0, 1])
    order = np.arange(5)
    np.testing.assert_allclose(centred(values, person, order, "before"), [0, 1, np.nan, 2.5, 0])
    np.testing.assert_allclose(centred(values, person, order, "all"), [-4 / 3, -1 / 3, np.nan, 5 / 3, 0])


@pytest.mark.parametrize("feature", ["x", "both", "x_within", "level"])
def test_a_feature_of_the_same_answers_is_refused(feature: str) -> None:
    rule = made(
        '[composites]\nboth = ["x", "y"]\n[centred]\ncolumns = ["x"]\n[lagged]\ncolumns = ["x", "level"]\n'
        '[cut_offs.level]\nitem = "both"\ncuts = [3]\nnames = ["low", "high"]\n'
        '[state_rule]\n[state_rule.scores]\ncalm = ["x"]\ntense = ["z"]\n'
    )
    with pytest.raises(ConfigError, match="E132") as caught:
        rule.refuse_giveaways(["state"], ["w", feature])
    assert caught.value.column == feature
    rule.refuse_giveaways(["state"], ["w", "y", "x_before", "level_before"])


@pytest.mark.parametrize(
    "text",
    [
        '[cut_offs.a]\nitem = "x"\ncuts = [3, 1]\nnames = ["a", "b", "c"]',
        '[cut_offs.a]\nitem = "x"\ncuts = [3]\nnames = ["a"]',
        '[cut_offs.a]\nitem = "x"\ncuts = ["3"]\nnames = ["a", "b"]',
        "[cut_offs]\na = 3",
        '[composites]\na = "x"',
        '[centred]\ncolumns = ["x"]\nmean = "median"',
        '[lagged]\ncolums = ["x"]',
        '[state_rule]\ncolumn = "s"',
        '[state_rule]\nstandardise = "some"\n[state_rule.scores]\na = ["x"]',
        '[state_rule]\notherwise = "a"\n[state_rule.scores]\na = ["x"]',
    ],
)
def test_rules_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="E302"):
        made(text)


def write(folder: Path, features: str) -> Study:
    good().to_csv(folder / "a.csv", index=False)
    (folder / "study.toml").write_text(
        '[data]\nfile = "a.csv"\n[roles]\nperson = "person"\ntime = "t"\ntargets = ["level"]\nstate = "level"\n'
        f"features = {features}\n"
        '[cut_offs.level]\nitem = "mood"\ncuts = [0]\nnames = ["low", "high"]\n[lagged]\ncolumns = ["mood"]\n'
    )
    return Study.read(folder / "study.toml")


def test_a_study_file_makes_its_columns(tmp_path: Path) -> None:
    study = write(tmp_path, '["mood_before", "first_of_sequence"]')
    batch = study.sequences()
    assert batch.state_names == ("high", "low")
    assert batch.data.feature_names == ("mood_before", "first_of_sequence")
    assert study.definitions()[0] == "level is low where mood is below 0, high from 0."
    with pytest.raises(ConfigError, match="E132"):
        write(tmp_path, '["mood"]')


def test_a_taken_name_or_a_missing_item_is_refused() -> None:
    frame = pd.DataFrame({"p": ["a"], "x": [1.0]})
    for text, code in (('[composites]\nx = ["x"]', "E104"), ('[composites]\na = ["y"]', "E103")):
        with pytest.raises(DataError, match=code):
            with_constructions(frame, made(text), person="p", time=None, sequence=None)


def test_a_column_that_tells_the_target_is_found_without_any_definition(tmp_path: Path) -> None:
    frame = good()
    frame["twin"] = 3 * frame["mood"] - 1
    frame["height"] = np.where(frame["state"] == "calm", 1.0, 5.0) + frame["x"] / 10
    frame.to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "study.toml").write_text(
        '[data]\nfile = "a.csv"\n[roles]\nperson = "person"\ntime = "t"\ntargets = ["mood", "state"]\nstate = "state"\n'
        'features = ["x", "twin", "height"]\n'
    )
    found = check_study(Study.read(tmp_path / "study.toml")).findings.found
    assert [finding.column for finding in found if finding.code == "W219"] == ["twin", "height"]
