"""The page of one person with every model: what is drawn, whom the person is compared with, what needs a tick."""

from __future__ import annotations

import pandas as pd
import pytest
from example_run import write_example
from opened_pages import choose, figure, opened_at, sentences_of, views_of

from analyses.figures import person_matrix, state_paths
from toolkit.runs.folder import load_run

EFFECTS = ["Over time", "Beside the others", "All effects"]
VIEWS = {
    "nme-crf": ["Transitions", "Network", "Over time", "Beside the others", "All effects"],
    "real-nme-crf": ["Transitions", "Network", "Over time", "Beside the others", "All effects"],
    "generic-crf": ["Transitions", "Network", "Over time"],
    "nme-mlp": [*EFFECTS, "One prediction"],
    "specific-mlp": [*EFFECTS, "One prediction"],
    "lmm": [*EFFECTS, "One prediction"],
    "pen": ["Over time", "Beside the others", "All effects", "Experts"],
    "generic-mlp": ["Over time"],
}


@pytest.mark.parametrize("name", list(VIEWS))
def test_every_view_of_every_model(model_runs, monkeypatch, name):
    at = opened_at("one_person", model_runs, monkeypatch, name)
    assert views_of(at) == VIEWS[name]
    for view in VIEWS[name]:
        at = choose(at, view)
        assert at.get("plotly_chart") or at.dataframe or (view == "One prediction" and at.info)


@pytest.mark.parametrize(
    "name",
    [
        "nme-crf-absolute",
        pytest.param("generic-crf-absolute", marks=pytest.mark.slow),
        pytest.param("nme-mlp", marks=pytest.mark.slow),
        pytest.param("families", marks=pytest.mark.slow),
    ],
)
def test_every_view_of_the_examples(runs_folder, monkeypatch, name):
    at = opened_at("one_person", runs_folder, monkeypatch, name)
    for view in views_of(at):
        at = choose(at, view)
        needed = [word.value for word in at.info if "the rows of the study are needed" in word.value]
        assert at.get("plotly_chart") or at.dataframe or (view == "One prediction" and needed)


@pytest.mark.slow
def test_a_person_is_compared_with_the_mean_of_a_group(runs_folder, monkeypatch):
    at = opened_at("one_person", runs_folder, monkeypatch, "nme-crf-absolute")
    run = load_run(runs_folder / "nme-crf-absolute")
    before = figure(at)["layout"]["annotations"]
    at.selectbox(key="person beside").set_value("the mean of above the cut-off").run()
    members = run.persons().query("group == '1'")["person"]
    table = run.transitions()
    mean = table[table["person"].isin(set(members))].groupby(["from_state", "to_state"], sort=False)["expected"].mean()
    frame = person_matrix.tidy(
        table, at.main.selectbox[0].value, value="expected", members=list(members), beside="Mean"
    )
    shown = frame[frame["panel"] == "Mean"].set_index(["from_state", "to_state"])["value"]
    assert shown.to_dict() == pytest.approx(mean.to_dict())
    assert figure(at)["layout"]["annotations"] != before
    assert "The largest difference from the mean of above the cut-off" in sentences_of(at)


def test_paths_are_drawn_with_the_places_where_they_part(model_runs, monkeypatch):
    at = choose(opened_at("one_person", model_runs, monkeypatch, "real-nme-crf"), "Over time")
    run = load_run(model_runs / "real-nme-crf")
    frame = state_paths.tidy(run.predictions(), at.main.selectbox[0].value, run.states)
    assert set(frame["series"]) == set(state_paths.SERIES.values())
    marks = {str(state) for state in frame["state"].cat.categories}
    assert marks <= {str(trace.get("name")) for trace in figure(at)["data"]}
    assert "path" in sentences_of(at)


@pytest.mark.slow
def test_a_run_of_an_older_version_says_what_it_lacks(tmp_path, monkeypatch):
    folder = write_example(tmp_path / "nme-crf", persons=20)
    at = choose(opened_at("one_person", tmp_path, monkeypatch, "nme-crf"), "Over time")
    assert "did not keep the path of the average person" in sentences_of(at)
    assert folder.exists()


def test_many_prompts_are_drawn_in_part(model_runs, monkeypatch):
    from app import person_over_time

    monkeypatch.setattr(person_over_time, "MOST_STEPS", 8)
    at = choose(opened_at("one_person", model_runs, monkeypatch, "real-nme-crf"), "Over time")
    assert tuple(at.main.slider[0].value) == (1, 8)
    at.main.slider[0].set_range(5, 9).run()
    assert figure(at)["layout"]["xaxis"]["range"] == pytest.approx([4.2, 9.8])


def test_every_file_of_a_person_needs_a_tick_of_its_own(model_runs, monkeypatch):
    at = opened_at("one_person", model_runs, monkeypatch, "real-nme-crf")
    for view in VIEWS["real-nme-crf"]:
        at = choose(at, view)
        assert not at.get("download_button"), view
        assert len(at.checkbox) == 2
    at.checkbox[1].check().run()
    assert [button.proto.label for button in at.get("download_button")] == ["HTML", "DOCX"]


@pytest.mark.parametrize("name", ["real-nme-crf", "lmm", "pen", "generic-mlp"])
def test_one_page_holds_everything_about_a_person(model_runs, name):
    from analyses.report.document import render
    from app import person_page, person_shown
    from app.inputs import Settings
    from app.state import OpenRun

    opened = OpenRun(load_run(model_runs / name))
    settings = Settings(path=None, by_group=True, unit="persons", level=0.95, identifiable=False)
    person = person_shown.Person(opened=opened, settings=settings, name=str(opened.persons["person"].iloc[1]))
    page = render(person_shown.document(person, person_page.sections(person)))
    assert "IDENTIFIABLE" in page
    assert person.name in page
    assert "<svg" in page


@pytest.mark.slow
def test_a_person_with_three_rows_has_every_view(tmp_path, monkeypatch):
    write_example(tmp_path / "nme-crf")
    at = opened_at("one_person", tmp_path, monkeypatch, "nme-crf")
    few = pd.read_parquet(tmp_path / "nme-crf" / "persons.parquet").query("rows == 3")["person"].iloc[0]
    at.main.selectbox[0].set_value(str(few)).run()
    for view in VIEWS["nme-crf"]:
        at = choose(at, view)
        assert "great care" in sentences_of(at)


@pytest.mark.slow
def test_each_of_several_outcomes_can_be_shown(tmp_path, monkeypatch):
    from tests.models.experts_study import rows_of, study
    from toolkit import fit
    from toolkit.models import NmeMlp

    data = rows_of(study(persons=12, rows=10), target=["valence", "arousal"])
    fit(NmeMlp(epochs=2, hidden=(3,)), data, seed=1, out=tmp_path / "two", progress=None)
    at = opened_at("one_person", tmp_path, monkeypatch, "two")
    before = figure(at)["data"][0]
    at.get("button_group")[1].set_value("arousal").run()
    assert not at.exception
    assert figure(at)["data"][0] != before
    assert "predicts valence and arousal together" in sentences_of(opened_at("model", tmp_path, monkeypatch, "two"))


def test_experts_of_others_go_by_number(model_runs, monkeypatch):
    at = choose(opened_at("one_person", model_runs, monkeypatch, "pen"), "Experts")
    person = at.main.selectbox[0].value
    others = set(load_run(model_runs / "pen").persons()["person"]) - {person}
    words = sentences_of(at) + str(at.get("plotly_chart")[0].proto.spec)
    assert not any(name in words for name in others)
    assert "The model takes this person" in words
