"""Every page: it shows what the run holds, and moving a widget changes the figure's data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from example_run import CRF_PARAMETERS, write_example
from streamlit.testing.v1 import AppTest

from analyses.figures import person_matrix
from app.launcher import MAIN

EVIL = "<script>alert(1)</script> ![x](http://elsewhere.example/x.png)"


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, page: str = "") -> AppTest:
    monkeypatch.setenv("NME_RUNS", str(folder))
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    if page:
        at = at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    return at


def figure(at: AppTest, index: int = 0) -> dict:
    return json.loads(at.get("plotly_chart")[index].proto.spec)


def all_text(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning, at.success, at.code, at.subheader, at.header)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def run_table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def test_start_says_what_is_in_the_run_and_where_data_go(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch)
    text = all_text(at)
    assert "Nothing leaves this computer" in text
    assert "Example study" in text
    assert "40 persons" in text
    assert "28 below the cut-off and 12 above the cut-off" in text
    assert "The validation metric settled after 40 epochs" in text
    assert "1 person and 3 rows" in text
    assert at.sidebar.selectbox(key="run").options == [
        "families",
        "generic-crf-absolute",
        "nme-crf-absolute",
        "nme-mlp",
    ]
    assert at.sidebar.selectbox(key="run").value == "nme-crf-absolute"
    assert "Save report" not in text


def test_start_without_any_run_says_what_to_do(tmp_path, monkeypatch) -> None:
    at = opened(tmp_path, monkeypatch)
    assert "nme demo" in all_text(at)
    assert not at.error
    for page in ("persons", "one_person", "group_test"):
        assert "Start page" in all_text(opened(tmp_path, monkeypatch, page))


def test_a_folder_can_be_opened_by_typing_its_path(tmp_path, runs_folder, monkeypatch) -> None:
    at = opened(tmp_path, monkeypatch)
    at.text_input(key="folder").set_value(str(runs_folder / "nme-mlp"))
    at.button[0].click().run()
    assert at.sidebar.selectbox(key="run").value == "nme-mlp"
    at.text_input(key="folder").set_value(str(tmp_path / "nowhere"))
    at.button[0].click().run()
    assert "There is no run in this folder" in at.error[0].value


def test_report_is_offered_only_where_there_is_one(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-absolute", persons=20)
    (tmp_path / "report.html").write_text("<html></html>")
    assert "read or to print" in all_text(opened(tmp_path, monkeypatch))


def test_persons_draws_the_transition_that_varies_most(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    components = run_table(runs_folder / "nme-crf-absolute", "variance_components")
    most = components.sort_values("variance", ascending=False)["parameter"].iloc[0]
    assert at.selectbox(key=at.main.selectbox[0].key).value == most
    drawn = sum(len(trace["y"]["bdata"]) > 0 for trace in figure(at)["data"])
    assert drawn == 2
    assert "standard deviation" in all_text(at)
    assert "Mean reliability" in all_text(at)


@pytest.mark.slow
def test_moving_the_parameter_changes_what_is_drawn(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    before = figure(at)["data"]
    other = next(name for name in CRF_PARAMETERS if name != at.main.selectbox[0].value)
    at.main.selectbox[0].set_value(other).run()
    assert not at.exception
    assert figure(at)["data"] != before
    at.main.selectbox[1].set_value("group").run()
    assert [trace["name"] for trace in figure(at)["data"]] == ["above the cut-off (12)", "below the cut-off (28)"]


def test_interval_level_widens_the_lines(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    before = figure(at)["data"][0]["error_y"]["array"]
    at.sidebar.selectbox(key="level").set_value(0.99).run()
    assert figure(at)["data"][0]["error_y"]["array"] != before


def test_no_grouping_draws_one_colour(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    at.sidebar.selectbox(key="group_variable").set_value("no grouping").run()
    assert len(figure(at)["data"]) == 1
    assert "below the cut-off" not in all_text(at)


@pytest.mark.slow
def test_pseudonyms_stay_out_until_the_identifiable_view(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    person = run_table(runs_folder / "nme-crf-absolute", "persons")["person"].iloc[5]
    everywhere = str([element.proto for element in at.get("plotly_chart")]) + str(
        [t.value.to_csv() for t in at.dataframe]
    )
    assert person not in everywhere
    at.sidebar.toggle(key="identifiable").set_value(True).run()
    assert any(person in table.value.to_csv() for table in at.dataframe)
    assert len(at.checkbox) == 1


def test_a_model_without_person_effects_says_so(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "persons")
    at.sidebar.selectbox(key="run").set_value("generic-crf-absolute").run()
    assert "same parameters for everybody" in all_text(at)


def test_one_person_draws_own_matrix_and_changes_with_the_person(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "one_person")
    folder = runs_folder / "nme-crf-absolute"
    names = run_table(folder, "persons")["person"].tolist()
    frame = person_matrix.tidy(run_table(folder, "transitions"), names[4], value="expected")
    before = figure(at)["data"]
    at.main.selectbox[0].set_value(names[4]).run()
    assert not at.exception
    assert figure(at)["data"] != before
    assert [trace["name"] for trace in figure(at)["data"]] == list(dict.fromkeys(frame["panel"]))
    hatched = [shape for shape in figure(at)["layout"].get("shapes", []) if shape.get("name") == "no observation"]
    never = int(frame[frame["panel"] == person_matrix.OBSERVED]["unobserved"].sum())
    assert len(hatched) == 9 * never
    assert "mean reliability" in all_text(at)


@pytest.mark.slow
def test_one_person_shows_transition_scores_alone_when_asked(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "one_person")
    table = run_table(runs_folder / "nme-crf-absolute", "transitions")
    person = at.main.selectbox[0].value
    drawn = {}
    for words, value in (("Expected of this person", "expected"), ("Transition scores alone", "probability")):
        at.main.radio(key="which").set_value(words).run()
        cells = person_matrix.tidy(table, person, value=value)
        drawn[value] = [note["text"] for note in figure(at)["layout"]["annotations"]]
        assert "percentage points" in all_text(at) or "as the average person does" in all_text(at)
        titles = {f"<b>{panel}</b>" for panel in cells["panel"]}
        assert sorted(text for text in drawn[value] if text not in titles) == sorted(cells["text"])
    assert drawn["expected"] != drawn["probability"]


def test_a_person_with_three_rows_gets_a_sentence(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "one_person")
    text = all_text(at)
    assert "3 prompts" in text
    assert "mostly the group’s average" in text
    assert "great care" in text


@pytest.mark.slow
def test_files_of_one_person_need_a_tick(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "one_person")
    assert not at.get("download_button")
    at.checkbox[0].check().run()
    assert len(at.get("download_button")) == 5
    other = run_table(runs_folder / "nme-crf-absolute", "persons")["person"].iloc[7]
    at.main.selectbox[0].set_value(other).run()
    assert not at.get("download_button")


def test_one_person_of_a_mood_model_shows_observed_and_predicted(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "one_person")
    at.sidebar.selectbox(key="run").set_value("nme-mlp").run()
    assert not at.exception
    assert figure(at)["data"][0]["name"] == "observed"
    at.get("button_group")[0].set_value("All effects").run()
    assert any("level (bias)" in table.value.to_csv() for table in at.dataframe)


def test_a_copy_without_persons_says_what_it_lacks(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-absolute")
    path = tmp_path / "nme-crf-absolute" / "manifest.json"
    manifest = json.loads(path.read_text())
    files = {name: digest for name, digest in manifest["files"].items() if not name.startswith("persons")}
    path.write_text(json.dumps(manifest | {"without_persons": True, "levels": [], "files": files}))
    at = opened(tmp_path, monkeypatch)
    assert not at.exception
    assert "no data of persons" in all_text(at)


@pytest.mark.parametrize("page", ["", "data", "model", "persons", "one_person", "group_test"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("manifest", marks=pytest.mark.slow),
        "table",
        pytest.param("missing", marks=pytest.mark.slow),
        "newer",
    ],
)
def test_a_damaged_run_folder_gets_a_sentence(tmp_path, monkeypatch, page, damage) -> None:
    folder = write_example(tmp_path / "nme-crf-absolute", persons=20)
    manifest = json.loads((folder / "manifest.json").read_text())
    if damage == "manifest":
        (folder / "manifest.json").write_text("{")
    elif damage == "newer":
        (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    elif damage == "table":
        (folder / "persons.parquet").write_bytes(b"PAR1 secret-name")
    else:
        (folder / "persons.parquet").unlink()
    at = opened(tmp_path, monkeypatch, page)
    assert at.error
    assert "Traceback" not in all_text(at)
    assert "secret-name" not in all_text(at)


@pytest.mark.parametrize("page", ["", "data", "model", "persons", "one_person", "group_test"])
def test_labels_are_shown_as_written(tmp_path, monkeypatch, page) -> None:
    folder = write_example(tmp_path / "nme-crf-absolute", persons=24, groups=(EVIL, "b"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"] |= {"title": EVIL, "group_name": EVIL}
    manifest["status"]["sentence"] = EVIL
    (folder / "manifest.json").write_text(json.dumps(manifest))
    at = opened(tmp_path, monkeypatch, page)
    assert not at.error
    raw = "\n".join(str(element.value) for kind in (at.markdown, at.caption, at.subheader) for element in kind)
    assert "![x](" not in raw
    assert "<script>" not in raw.replace(r"\<script\>", "")
    for chart in at.get("plotly_chart"):
        assert "<script>" not in json.dumps(json.loads(chart.proto.spec), ensure_ascii=False)


def test_two_runs_of_one_name_are_told_apart(tmp_path, monkeypatch) -> None:
    for study in ("a", "b"):
        write_example(tmp_path / study / "nme-crf", persons=20)
    monkeypatch.setenv("NME_RUNS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    at = AppTest.from_file(str(MAIN), default_timeout=30).run()
    assert at.sidebar.selectbox(key="run").options == ["a / nme-crf", "b / nme-crf"]
    shutil.rmtree(tmp_path / "a")
    at.run()
    assert not at.exception


def test_the_example_speaks_the_run_folders_language(runs_folder) -> None:
    from toolkit.runs.folder import TABLES, load_run

    run = load_run(runs_folder / "nme-crf-absolute")
    assert run.verify() == len(TABLES)
    assert run.states is not None


@pytest.mark.slow
def test_nothing_about_a_small_group_can_be_saved(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-absolute", persons=30)
    at = opened(tmp_path, monkeypatch, "persons")
    assert "figures by group cannot be saved" in all_text(at)
    assert [button.proto.label for button in at.get("download_button")] == ["CSV"]
    at.sidebar.selectbox(key="group_variable").set_value("no grouping").run()
    assert [button.proto.label for button in at.get("download_button")] == ["SVG", "PNG", "PDF"] * 2 + ["CSV"]


@pytest.mark.slow
def test_what_a_stability_analysis_found_unstable_is_marked(runs_folder, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs_folder / "nme-crf-absolute", folder / "nme-crf-absolute")
    kept = folder / "nme-crf-absolute" / "analyses" / "stability"
    kept.mkdir(parents=True, exist_ok=True)
    names = [name.replace("transitions", value) for value in ("probability", "expected") for name in CRF_PARAMETERS]
    pd.DataFrame({"parameter": names, "stable": False}).to_parquet(kept / "table.parquet")
    for page in ("persons", "one_person"):
        at = opened(folder, monkeypatch, page)
        assert "did not come out alike when the model was fitted again" in all_text(at), page
    at = opened(runs_folder, monkeypatch, "persons")
    assert "did not come out alike" not in all_text(at)
