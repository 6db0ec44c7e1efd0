"""The description of a study: its numbers against loops over the rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.report.study_description import duration, guarded_days, sentences
from tests.bad_input.studies import PLANTED, ROLES, good, write_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.description import ALL, day_numbers, describe_study
from toolkit.data.study import Study
from toolkit.errors import ConfigError


def diary(persons: int = 26) -> pd.DataFrame:
    frame = good(persons)
    frame["day"] = frame["t"] // 4 + frame["person"].str[1:].astype(int)  # days are numbered differently by person
    frame.loc[[3, 4, 40], "mood"] = np.nan
    frame.loc[[5], "x"] = -99.0
    return frame.drop(index=[10, 11, 23]).reset_index(drop=True)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    diary().to_csv(tmp_path / "data.csv", index=False)
    roles = {**ROLES, "sequence": "day"}
    return Study.read(write_study(tmp_path, {"file": "data.csv"}, roles))


def test_counts_and_compliance(study: Study) -> None:
    frame, found = diary(), describe_study(study)
    assert (found.rows, found.persons, found.clusters) == (309, 26, 13)
    assert found.group_sizes == {"treated": 13, "waiting": 13}
    per = frame.groupby("person").size()
    assert found.rows_per_person["median"] == per.median()
    assert sorted(found.by_person["rows"]) == sorted(per)
    answered = frame.assign(ok=frame["mood"].notna()).groupby("person")["ok"].sum() / 12
    np.testing.assert_allclose(sorted(found.by_person["compliance"]), sorted(answered))
    items = found.by_item.set_index("item")["missing"]
    assert items["mood"] == 3
    assert items["x"] == 0
    assert found.sentinels.values.tolist() == [["x", "-99", 1]]


def test_days_are_numbered_within_persons(study: Study) -> None:
    frame, found = diary(), describe_study(study)
    person = pd.factorize(frame["person"])[0]
    order = np.lexsort((frame["t"], person))
    numbers = day_numbers(frame, "day", person, order)
    np.testing.assert_array_equal(numbers, frame["t"] // 4 + 1)
    assert found.by_day["day"].tolist() == [1, 2, 3]
    ok = frame["mood"].notna().groupby(frame["t"] // 4).sum()
    np.testing.assert_allclose(found.by_day["compliance"], ok / (26 * 4))


def planned_study(folder: Path, **plan: int) -> Study:
    diary().to_csv(folder / "data.csv", index=False)
    path = write_study(folder, {"file": "data.csv"}, {**ROLES, "sequence": "day"})
    path.write_text(path.read_text().replace("[roles]", "".join(f"{k} = {v}\n" for k, v in plan.items()) + "[roles]"))
    return Study.read(path)


@pytest.mark.parametrize(
    ("plan", "rows", "per_day"),
    [
        ({"planned_per_day": 6, "planned_days": 5}, 30, 6),
        ({"planned_per_day": 6}, 18, 6),  # three days at most
        ({"planned_days": 5}, 12, 4),  # no plan without the prompts of a day
        ({}, 12, 4),
    ],
)
def test_compliance_is_relative_to_the_plan(tmp_path: Path, plan: dict[str, int], rows: int, per_day: int) -> None:
    frame, study = diary(), planned_study(tmp_path, **plan)
    found = describe_study(study)
    assert (found.plan["rows"], found.plan["per_day"]) == (rows, per_day)
    assert found.plan["planned"] is ("planned_per_day" in plan)
    answered = frame["mood"].notna()
    np.testing.assert_allclose(
        sorted(found.by_person["compliance"]), sorted(answered.groupby(frame["person"]).sum() / rows)
    )
    np.testing.assert_allclose(
        found.by_day["compliance"], answered.groupby(frame["t"] // 4).sum().to_numpy() / (26 * per_day)
    )
    text = "\n".join(sentences(found, study, set()))
    assert ("planned for a person (6 a day" in text) is found.plan["planned"]
    assert ("of the person with most" in text) is not found.plan["planned"]
    assert ("How many were planned is not said" in text) is not found.plan["planned"]


def test_more_answers_than_planned_are_said(tmp_path: Path) -> None:
    study = planned_study(tmp_path, planned_per_day=2, planned_days=3)
    assert "26 person(s) answered more than planned" in "\n".join(sentences(describe_study(study), study, set()))


@pytest.mark.parametrize("value", ["0", "-1", "true", "2.5", "'7'"])
def test_a_plan_is_a_whole_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"E302.*'planned_per_day' in .data. must be a whole number"):
        planned_study(tmp_path, planned_per_day=value)  # pyright: ignore[reportArgumentType]


def test_states_and_steps(study: Study) -> None:
    frame, found = diary(), describe_study(study)
    shares = frame.assign(calm=frame["state"] == "calm").groupby(["arm", "person"])["calm"].mean()
    states = found.states.set_index(["group", "state"])["share"]
    assert states["treated", "calm"] == pytest.approx(shares["treated"].mean())
    assert states[ALL, "calm"] == pytest.approx(shares.mean())
    steps = repeated = 0
    for _, rows in frame.sort_values("t").groupby(["person", "day"]):
        for one, other in zip(rows["state"], rows["state"].iloc[1:], strict=False):
            steps, repeated = steps + 1, repeated + (one == other)
    assert found.steps == {"steps": steps, "repeated": repeated, "onset_coded": False}
    assert found.gaps["count"] == steps


def test_onset_coding_is_noticed(tmp_path: Path) -> None:
    frame = good().assign(state=lambda f: np.where(f["t"] % 2, "calm", "tense"))
    frame.to_csv(tmp_path / "data.csv", index=False)
    found = describe_study(Study.read(write_study(tmp_path, {"file": "data.csv"}, ROLES)))
    assert found.steps["onset_coded"]


def test_table_one_is_of_person_means(study: Study) -> None:
    table = describe_study(study).table_one.set_index("variable")
    means = diary().groupby("person")["z"].mean()
    assert table.loc["z, mean (SD)", ALL] == f"{means.mean():.2f} ({means.std():.2f})".replace("-", "−")
    assert table.loc["Persons"].tolist() == ["13", "13", "26"]


def test_command_page_and_json_show_no_small_group_and_no_id(tmp_path: Path, capsys) -> None:
    frame = good(26)
    frame["person"] = frame["person"].replace("p3", PLANTED)
    frame["arm"] = np.where(frame["person"].isin(["p1", "p2"]), "<b>few</b>", "many")
    frame.to_csv(tmp_path / "data.csv", index=False)
    path = write_study(tmp_path, {"file": "data.csv"}, {**ROLES, "cluster": None})
    page = tmp_path / "page.html"
    assert plain_errors(lambda: app(["describe", str(path), "--html", str(page)], standalone_mode=False)) == 0
    text = capsys.readouterr().out
    assert plain_errors(lambda: app(["describe", str(path), "--json"], standalone_mode=False)) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["group_sizes"] == {"<b>few</b>": "<11", "many": "suppressed"}
    assert {row["group"] for row in answer["states"]} == {ALL}
    html = page.read_text()
    assert "<script" not in html
    assert "<b>few" not in html
    for shown in (text, html, json.dumps(answer)):
        assert PLANTED not in shown
        assert "P001" not in shown


def test_durations_have_a_unit() -> None:
    assert [duration(value) for value in (86_400.0, 5_400.0, 90.0, 3.0, 0.0)] == [
        "1 day",
        "1.5 hours",
        "1.5 minutes",
        "3 seconds",
        "0 seconds",
    ]


def test_definitions_have_their_place_on_the_page_and_in_json(tmp_path: Path, capsys) -> None:
    good(26).drop(columns="state").to_csv(tmp_path / "data.csv", index=False)
    path = write_study(tmp_path, {"file": "data.csv"}, {**ROLES, "states": ["low", "high"]})
    cuts = '[cut_offs.state]\nitem = "mood"\ncuts = [0]\nnames = ["low", "high"]\n'
    path.write_text(path.read_text().replace("'mood', ", "") + cuts)
    page = tmp_path / "page.html"
    assert plain_errors(lambda: app(["describe", str(path), "--html", str(page)], standalone_mode=False)) == 0
    rule = "state is low where mood is below 0, high from 0."
    assert rule in capsys.readouterr().out
    assert page.read_text().count("How columns are made") >= 1
    assert page.read_text().count(rule) == 1
    assert plain_errors(lambda: app(["describe", str(path), "--json"], standalone_mode=False)) == 0
    assert json.loads(capsys.readouterr().out)["definitions"] == [rule]


def test_days_on_which_few_took_part_are_not_shown() -> None:
    days = pd.DataFrame({"day": [1, 2], "persons": [26, 3], "answered": [100, 7], "compliance": [0.9, 0.1]})
    shown = guarded_days(days)
    assert shown.iloc[0].tolist() == [1, 26, 100, 0.9]
    assert shown.iloc[1].tolist() == [2, "<11", "suppressed", "suppressed"]
    assert guarded_days(days.head(1)) is not None
    assert days["persons"].tolist() == [26, 3]


def test_person_means_and_shares_are_those_of_table_one(tmp_path: Path) -> None:
    frame, study = diary(), planned_study(tmp_path)
    found = describe_study(study)
    means = frame.groupby("person")["mood"].mean().to_numpy()
    np.testing.assert_allclose(sorted(found.person_means["mood"]), sorted(means))
    assert len(found.person_means) == len(found.person_shares) == found.persons
