"""Mixed models of two classes from a study file to tables, report and dashboard."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from tests.analysed_runs import nme
from tests.family_study import STUDY, family_frame, write_family_study
from toolkit.runs.folder import load_run

MODELS = ["glmm", "lmmnn"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with two states, a logistic mixed model of every factor, and a network of persons."""
    frame = family_frame(families=8, rows=15)
    high = frame["mood"] > frame["mood"].median()
    frame["state"] = high.map({True: "tense", False: "calm"})
    words = STUDY.replace(', "sad"]', "]")
    file = write_family_study(tmp_path_factory.mktemp("families"), words, frame)
    runs = file.parent / "runs"
    few = ["--set", "task=binary", "--set", "epochs=2", "--set", "batch=64", "--set", "hidden=(4,)"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, "--model", "glmm", "--target", "state", "--out", runs / "glmm") == 0
        assert nme("fit", file, "--model", "lmmnn", "--target", "state", *few, "--out", runs / "lmmnn") == 0
    return file


def test_the_level_differs_by_every_factor_of_the_study(study):
    run = load_run(study.parent / "runs" / "glmm")
    assert run.manifest["config"] == {"random": "(1 | who) + (1 | family) + (1 | item)", "nodes": None}
    assert list(run.variance_components()["term"]) == ["who", "family", "item"]
    assert run.fixed_effects()["parameter"].tolist() == ["(Intercept)", "x"]


def test_sentences_of_methods(study, capsys):
    assert nme("methods", study.parent / "runs" / "glmm") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "was modelled by a logistic mixed model (GLMM; Bates et al., 2015)" in said
    assert "estimated by maximum likelihood by Laplace's approximation on the training rows alone" in said


@pytest.mark.parametrize("model", MODELS)
def test_report(study, tmp_path, model):
    run = study.parent / "runs" / model
    assert nme("report", run, "--out", tmp_path / "out", "--study", study, "--format", "html") == 0
    text = next((tmp_path / "out").glob("*.html")).read_text(encoding="utf-8")
    assert model.upper() in text
    if model == "glmm":
        assert "b in units of the log-odds of state" in text
        assert nme("table", "fixed-effects", run, "--format", "csv", "--out", tmp_path) == 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("page", ["", "data", "model", "persons", "one_person", "baseline", "compare"])
def test_the_dashboard_opens_it(study, monkeypatch, page, model):
    monkeypatch.setenv("NME_RUNS", str(study.parent / "runs"))
    app = AppTest.from_file(str(MAIN), default_timeout=30).run()
    app.sidebar.selectbox(key="run").set_value(model).run()
    app = app.switch_page(f"../pages/{page}.py").run() if page else app
    assert not app.exception
    assert not app.error
