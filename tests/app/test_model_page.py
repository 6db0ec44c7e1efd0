"""The Model page on runs of every family: variances, fixed effects, experts, metrics, calibration, the fit."""

from __future__ import annotations

import json

import pytest
from example_run import write_example
from opened_pages import choose, figure, opened_at, sentences_of, views_of

from tests.models.experts_study import rows_of, study
from toolkit import fit
from toolkit.models import Lmm, NmeMlp, Pen, SpecificMlp

SHARED = ["Prediction", "Person by person", "Calibration", "Fitting", "Settings"]
PERSONAL = ["Where persons differ", *SHARED]
QUICK = {"head_epochs": 3, "gate_epochs": 3, "epochs": 3, "lr": 0.02, "batch": 64}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Real fits of a small study, and examples of chains."""
    home, frame = tmp_path_factory.mktemp("runs"), study(persons=12, rows=20)
    rows = rows_of(frame, target="valence", cluster="family", group="arm")
    configs = {
        "lmm": Lmm(random="(1 | who)"),
        "pen": Pen(**QUICK),
        "nme-mlp": NmeMlp(epochs=4, hidden=(4,)),
        "specific-mlp": SpecificMlp(epochs=4, hidden=(4,)),
    }
    for name, config in configs.items():
        fit(config, rows, seed=1, out=home / name, progress=None)
    write_example(home / "nme-crf")
    write_example(home / "generic-crf", model="generic-crf")
    return home


VIEWS = {
    "nme-crf": PERSONAL,
    "generic-crf": SHARED,
    "nme-mlp": PERSONAL,
    "specific-mlp": PERSONAL,
    "lmm": ["Where persons differ", "Fixed effects", *SHARED],
    "pen": ["Experts", *SHARED],
}


@pytest.mark.parametrize("name", list(VIEWS))
def test_every_model_has_its_views_and_none_breaks_off(runs, monkeypatch, name):
    at = opened_at("model", runs, monkeypatch, name)
    assert views_of(at) == VIEWS[name]
    for view in VIEWS[name]:
        at = choose(at, view)
        assert at.get("plotly_chart") or at.dataframe or at.info or view == "Fitting"
    labels = [button.proto.label for button in at.get("download_button")]
    assert labels == ["HTML", "DOCX"] * 2


def test_bars_of_the_variances_are_those_of_the_partition(runs, monkeypatch):
    from toolkit.runs.folder import load_run

    at = opened_at("model", runs, monkeypatch, "lmm")
    drawn = {trace["type"] for trace in figure(at)["data"]}
    assert drawn == {"bar"}
    assert "an intercept of their own" in sentences_of(at)
    table = load_run(runs / "lmm").fixed_effects()
    at = choose(at, "Fixed effects")
    assert at.dataframe[0].value["estimate"].tolist() == pytest.approx(table["estimate"].tolist())
    assert "AIC" in sentences_of(at)


def test_the_interval_level_reaches_the_variances(runs, monkeypatch):
    at = opened_at("model", runs, monkeypatch, "lmm")
    before = figure(at)["data"][0]["error_x"]
    at.sidebar.selectbox(key="level").set_value(0.99).run()
    assert figure(at)["data"][0]["error_x"] != before


def test_persons_are_compared_with_and_without_their_effects(runs, monkeypatch):
    at = choose(opened_at("model", runs, monkeypatch, "nme-crf"), "Person by person")
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
