"""The Data page: what is drawn follows the study, or the rows of a run; persons are chosen; small groups stay here."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from example_run import write_example
from opened_pages import choose, figure, opened_at, sentences_of, views_of

VIEWS = ["Answers", "States", "Base rates", "Self-transitions", "Missing data", "Table 1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    for name in ("nme-crf", "nme-mlp"):
        write_example(home / name, model=name, persons=40)
    return home


@pytest.mark.slow
def test_a_run_alone_shows_what_it_kept_and_says_so(runs, monkeypatch):
    at = opened_at("data", runs, monkeypatch, "nme-crf")
    assert views_of(at) == VIEWS
    for name in VIEWS:
        at = choose(at, name)
        assert at.get("plotly_chart") or at.dataframe
        assert "rows that the open run kept" in sentences_of(at)


def test_every_answer_of_every_person_is_in_the_strip(runs, monkeypatch):
    at = opened_at("data", runs, monkeypatch, "nme-crf")
    lines = [len(trace["y"]["bdata"]) if isinstance(trace["y"], dict) else len(trace["y"]) for trace in
             figure(at)["data"]]  # fmt: skip
    assert len(lines) == 2
    rows = int(pd.read_parquet(runs / "nme-crf" / "persons.parquet")["rows"].sum())
    assert f"{rows:,} prompts were answered by 40 persons" in sentences_of(at)


@pytest.mark.slow
def test_persons_and_a_minimum_of_rows_filter_what_is_shown(runs, monkeypatch):
    at = opened_at("data", runs, monkeypatch, "nme-crf")
    before = figure(at)["data"]
    at.number_input(key="data fewest").set_value(60).run()
    kept = int((pd.read_parquet(runs / "nme-crf" / "persons.parquet")["rows"] >= 60).sum())
    assert f"Shown: {kept} of 40 persons" in sentences_of(at)
    assert figure(at)["data"] != before
    at.number_input(key="data fewest").set_value(0)
    names = at.multiselect(key="data persons").options
    at.multiselect(key="data persons").set_value(
        sorted(pd.read_parquet(runs / "nme-crf" / "persons.parquet")["person"])[:3]
    )
    at.run()
    assert "Shown: 3 of 40 persons" in sentences_of(at)
    assert names[0] == "No. 1"
    at.number_input(key="data fewest").set_value(89).run()
    at = at.multiselect(key="data persons").set_value([]).run()
    assert not at.exception


@pytest.mark.slow
def test_persons_drawn_around_in_the_chart_are_picked_until_the_drawing_is_cleared(runs, monkeypatch):
    from app import data_missing

    at = choose(opened_at("data", runs, monkeypatch, "nme-crf"), "Missing data")
    order = at.session_state[data_missing.POSITIONS]
    event = {"selection": {"points": [{"x": 2.0, "y": 50}, {"x": 5, "y": 51}]}}
    monkeypatch.setattr(data_missing, "persons_marked", lambda _: [order[1], order[4]])
    at.run()
    assert sorted(at.multiselect(key="data persons").value) == sorted([order[1], order[4]])
    assert "Shown: 2 of 40 persons" in sentences_of(at)
    assert at.session_state[data_missing.POSITIONS] == order
    monkeypatch.setattr(data_missing, "persons_marked", lambda _: [])
    at.run()
    assert at.multiselect(key="data persons").value == []
    monkeypatch.undo()
    monkeypatch.setattr(data_missing.st, "session_state", {data_missing.POSITIONS: order})
    assert data_missing.persons_marked(event) == [order[1], order[4]]
    assert data_missing.persons_marked(None) == []


def test_a_study_without_a_run_is_shown(tmp_path, monkeypatch):
    from app import studies
    from toolkit.data.demo import BUNDLED

    at = opened_at("data", tmp_path, monkeypatch)
    at.session_state[studies.OPENED] = next(iter(BUNDLED.values()))
    at.run()
    assert not at.exception
    assert not at.error
    assert at.get("plotly_chart")
    assert "answered by" in sentences_of(at)


@pytest.mark.slow
def test_base_rates_are_tested_over_whole_persons(runs, monkeypatch):
    at = choose(opened_at("data", runs, monkeypatch, "nme-crf"), "Base rates")
    said = sentences_of(at)
    assert "shuffled over whole persons" in said
    assert "χ²(3, N =" in "".join(block.value for block in at.code)
    code = next(block.value for block in at.code if "base_rate_test(" in block.value)
    space: dict = {}
    exec(compile(code, "snippet", "exec"), space)
    assert space["result"].text().replace("\\", "") in said


@pytest.mark.slow
def test_families_are_shuffled_whole(tmp_path, monkeypatch):
    write_example(tmp_path / "families", clusters=True)
    at = choose(opened_at("data", tmp_path, monkeypatch, "families"), "Base rates")
    assert "shuffled over whole families" in sentences_of(at)


def test_a_number_shows_its_level_and_no_states(runs, monkeypatch):
    at = opened_at("data", runs, monkeypatch, "nme-mlp")
    names = views_of(at)
    assert names == ["Answers", "Levels", "Missing data", "Table 1"]
    assert "Persons’ means of happy" in sentences_of(choose(at, "Levels"))


def test_one_group_gets_a_sentence_instead_of_a_test(tmp_path, monkeypatch):
    write_example(tmp_path / "nme-crf", groups=("only", "only"), persons=20)
    at = choose(opened_at("data", tmp_path, monkeypatch, "nme-crf"), "Base rates")
    assert "one group only" in sentences_of(at)


@pytest.mark.slow
def test_nothing_by_small_groups_is_saved(tmp_path, monkeypatch):
    write_example(tmp_path / "nme-crf", persons=30)
    at = opened_at("data", tmp_path, monkeypatch, "nme-crf")
    for name in ("Answers", "States", "Base rates", "Missing data"):
        at = choose(at, name)
        assert "cannot be saved" in sentences_of(at)
        assert {button.proto.label for button in at.get("download_button")} <= {"HTML", "DOCX"}
    assert "<11" in choose(at, "Table 1").dataframe[0].value.to_csv().replace("\xa0", "")


def test_the_study_itself_tells_what_a_run_cannot(tmp_path, monkeypatch):
    path = write_example(tmp_path / "nme-crf", persons=20) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["study"] |= {"name": "emotions-absolute", "title": "Emotions in daily life"}
    path.write_text(json.dumps(manifest))
    at = choose(opened_at("data", tmp_path, monkeypatch, "nme-crf"), "Missing data")
    assert "of the 98 planned" in sentences_of(at)
    assert len(at.get("plotly_chart")) == 2
    assert "rows that the open run kept" not in sentences_of(at)


def test_without_a_run_or_a_study_the_page_says_what_to_do(tmp_path, monkeypatch):
    at = opened_at("data", tmp_path, monkeypatch)
    assert "Start page first" in sentences_of(at)
