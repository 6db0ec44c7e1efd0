"""Transitions: averages that are those of the table, a step that can be chosen, who drives it, and why not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from example_run import STATES, write_example
from page_checks import figure, opened, saving, words

from analyses.matrices import transition_matrices
from toolkit.runs.folder import load_run


def means(folder) -> tuple[np.ndarray, np.ndarray]:
    run = load_run(folder)
    persons, _, matrices = transition_matrices(run.transitions(), "probability", states=run.states)
    group = run.persons().set_index("person")["group"].reindex(list(persons)).astype(str).to_numpy()
    return matrices[group == "1"].mean(axis=0), matrices[group == "0"].mean(axis=0)


def test_panels_hold_the_groups_averages_and_the_chosen_step_is_framed(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "nme-crf-absolute")
    first, second = means(runs_folder / "nme-crf-absolute")
    drawn = figure(at)["data"]
    assert [trace["name"] for trace in drawn][:2] == ["above the cut-off (n = 12)", "below the cut-off (n = 28)"]
    assert drawn[0]["text"] == [f"{100 * value:.0f}" for value in first.ravel()]
    assert drawn[0]["customdata"][1][:2] == [STATES[0], STATES[1]]
    top = np.unravel_index(np.abs(first - second).argmax(), first.shape)
    assert at.main.selectbox(key="cell_from").value == STATES[top[0]]
    assert at.main.selectbox(key="cell_into").value == STATES[top[1]]
    framed = [shape for shape in figure(at)["layout"]["shapes"] if shape["name"] == "chosen"]
    assert len(framed) == 3
    assert (framed[0]["x0"], framed[0]["y0"]) == (top[1] - 0.5, top[0] - 0.5)
    assert "differ most" in words(at)


@pytest.mark.slow
def test_choosing_a_step_changes_who_drives_it(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "nme-crf-absolute")
    before = figure(at, 1)["data"]
    at.main.selectbox(key="cell_from").set_value(STATES[2])
    at.main.selectbox(key="cell_into").set_value(STATES[3]).run()
    assert not at.exception
    assert figure(at, 1)["data"] != before
    assert f"Who drives {STATES[2]} → {STATES[3]}?" in words(at)
    assert len(figure(at, 1)["data"][2]["x"]["bdata"]) > 0
    assert "Leaving out one of the 40 persons" in words(at)
    assert "drivers_of_run(" in words(at)


@pytest.mark.slow
def test_no_pseudonym_leaves_the_store_until_the_identifiable_view(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "nme-crf-absolute")
    names = load_run(runs_folder / "nme-crf-absolute").persons()["person"].tolist()

    def sent() -> str:
        charts = "".join(str(element.proto) for element in at.get("plotly_chart"))
        return words(at) + charts + "".join(table.value.to_csv() for table in at.dataframe)

    assert not any(name in sent() for name in names)
    at.sidebar.toggle(key="identifiable").set_value(True).run()
    assert any(name in sent() for name in names)


@pytest.mark.slow
def test_network_and_small_maps_are_other_views_of_the_same(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "nme-crf-absolute")
    at.main.get("button_group")[0].set_value("Network").run()
    assert not at.exception
    titles = [note["text"] for note in figure(at)["layout"]["annotations"]]
    assert any("Difference" in title for title in titles)
    at.main.get("button_group")[0].set_value("Every person").run()
    assert not at.exception
    assert figure(at)["data"][0]["type"] == "heatmap"


@pytest.mark.slow
def test_a_shared_model_shows_what_was_observed(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "generic-crf-absolute")
    assert at.main.selectbox[0].options == ["Observed transitions"]
    assert figure(at)["data"]


@pytest.mark.slow
def test_families_are_left_out_whole(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "families")
    assert "Leaving out one of the 20 families" in words(at)
    at.sidebar.selectbox(key="unit_cluster").set_value("persons").run()
    assert "Leaving out one of the 40 persons" in words(at)


def test_one_group_shows_everybody_and_says_why_nobody_drives_anything(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-one", groups=("only", "only"), persons=20)
    at = opened(tmp_path, monkeypatch, "transitions")
    assert [trace["name"] for trace in figure(at)["data"]] == ["All persons (n = 20)"]
    assert "this study has one" in words(at)


def test_a_model_of_numbers_says_what_to_choose(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "transitions", "nme-mlp")
    assert "predicts happy, not states" in words(at)
    assert not at.get("plotly_chart")


@pytest.mark.slow
def test_nothing_that_describes_a_small_group_is_saved(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-small", persons=30)
    at = opened(tmp_path, monkeypatch, "transitions")
    assert "its average cannot be saved" in words(at)
    assert saving(at) == []


@pytest.mark.slow
def test_a_study_of_three_groups_offers_every_pair(tmp_path, monkeypatch) -> None:
    folder = write_example(tmp_path / "nme-crf-three", persons=40)
    persons = pd.read_parquet(folder / "persons.parquet")
    persons["group"] = ["a", "b", "c", "a"] * 10
    rewrite(folder, persons)
    at = opened(tmp_path, monkeypatch, "transitions")
    assert len(at.main.selectbox[1].options) == 6
    at.main.selectbox[1].set_value(1).run()
    assert not at.exception
    assert [trace["name"] for trace in figure(at)["data"]][:2] == ["c (n = 10)", "a (n = 20)"]


def rewrite(folder, persons: pd.DataFrame) -> None:
    import hashlib
    import json

    persons.to_parquet(folder / "persons.parquet", index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["persons.parquet"] = hashlib.sha256((folder / "persons.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
