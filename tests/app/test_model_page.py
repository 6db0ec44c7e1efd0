"""The Model page on runs of every family: variances, fixed effects, experts, metrics, calibration, the fit."""

from __future__ import annotations

import json

import pytest
from example_run import write_example
from opened_pages import choose, figure, opened_at, sentences_of, views_of

SHARED = ["Prediction", "Person by person", "Calibration", "Fitting", "Settings"]
PERSONAL = ["Where persons differ", *SHARED]
SPREAD = ["Where persons differ", "Spread of effects"]


VIEWS = {
    "nme-crf": PERSONAL,
    "generic-crf": SHARED,
    "nme-mlp": [*SPREAD, *SHARED],
    "specific-mlp": [*SPREAD, *SHARED],
    "lmm": [*SPREAD, "Fixed effects", *SHARED],
    "pen": ["Experts", *SHARED],
}


@pytest.mark.parametrize("name", list(VIEWS))
def test_every_model_has_its_views_and_none_breaks_off(model_runs, monkeypatch, name):
    at = opened_at("model", model_runs, monkeypatch, name)
    assert views_of(at) == VIEWS[name]
    for view in VIEWS[name]:
        at = choose(at, view)
        assert at.get("plotly_chart") or at.dataframe or at.info or view == "Fitting"
    labels = [button.proto.label for button in at.get("download_button")]
    assert labels == ["HTML", "DOCX"] * 2


@pytest.mark.parametrize(
    "name",
    [
        "nme-crf-absolute",
        pytest.param("generic-crf-absolute", marks=pytest.mark.slow),
        pytest.param("nme-mlp", marks=pytest.mark.slow),
    ],
)
def test_every_view_of_the_examples(runs_folder, monkeypatch, name):
    at = opened_at("model", runs_folder, monkeypatch, name)
    for view in views_of(at):
        at = choose(at, view)
        assert at.get("plotly_chart") or at.dataframe or at.info


def test_the_code_beside_the_variances_gives_the_same_sentence(runs_folder, monkeypatch):
    at = opened_at("model", runs_folder, monkeypatch, "nme-mlp")
    code = next(block.value for block in at.code if "variance_of_run(" in block.value)
    space: dict = {}
    exec(compile(code, "snippet", "exec"), space)
    assert space["result"].apa() in [block.value for block in at.code]


def test_bars_of_the_variances_are_those_of_the_partition(model_runs, monkeypatch):
    from toolkit.runs.folder import load_run

    at = opened_at("model", model_runs, monkeypatch, "lmm")
    drawn = {trace["type"] for trace in figure(at)["data"]}
    assert drawn == {"bar"}
    assert "an intercept of their own" in sentences_of(at)
    table = load_run(model_runs / "lmm").fixed_effects()
    at = choose(at, "Fixed effects")
    assert at.dataframe[0].value["estimate"].tolist() == pytest.approx(table["estimate"].tolist())
    assert "AIC" in sentences_of(at)


def test_the_interval_level_reaches_the_variances(model_runs, monkeypatch):
    at = opened_at("model", model_runs, monkeypatch, "lmm")
    before = figure(at)["data"][0]["error_x"]
    at.sidebar.selectbox(key="level").set_value(0.99).run()
    assert figure(at)["data"][0]["error_x"] != before


@pytest.mark.slow
def test_persons_are_compared_with_and_without_their_effects(runs_folder, monkeypatch):
    at = choose(opened_at("model", runs_folder, monkeypatch, "nme-crf-absolute"), "Person by person")
    assert "with person effects" in sentences_of(at)
    assert "Pseudonym" not in str(at.dataframe[0].proto)
    before = figure(at)["data"]
    at.selectbox(key="metric pair").select_index(1).run()
    assert figure(at)["data"] != before
    at.sidebar.toggle(key="identifiable").set_value(True).run()
    assert any("person" in table.value.columns for table in at.dataframe)


def test_what_the_fit_remarked_on_is_said(tmp_path, monkeypatch):
    path = write_example(tmp_path / "nme-crf") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["warnings"] = ["W235: 3 of 16 variances cannot be told from zero"]
    path.write_text(json.dumps(manifest))
    at = choose(opened_at("model", tmp_path, monkeypatch, "nme-crf"), "Fitting")
    assert "3 of 16 variances cannot be told from zero" in sentences_of(at)
    assert "W235" not in sentences_of(at)
