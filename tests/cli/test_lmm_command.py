"""A linear mixed model from a study file to tables, report and dashboard."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.launcher import MAIN
from tests.analysed_runs import nme
from tests.family_study import write_family_study
from toolkit.runs.folder import SavedRun, load_run

LABELS = ("Smith", "Anna", "Question")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a linear mixed model of every factor, and one of persons with a slope."""
    file = write_family_study(tmp_path_factory.mktemp("families"))
    runs = file.parent / "runs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("fit", file, "--model", "lmm", "--out", runs / "lmm") == 0
        chosen = ["--set", "random=(1 | who) + (1 | family)", "--set", "reml=True"]
        assert nme("fit", file, "--model", "lmm", *chosen, "--out", runs / "families") == 0
    return file


def run_of(study: Path, name: str) -> SavedRun:
    return load_run(study.parent / "runs" / name)


def test_the_level_differs_by_every_factor_of_the_study(study):
    run = run_of(study, "lmm")
    assert run.manifest["config"]["random"] == "(1 | who) + (1 | family) + (1 | item)"
    assert list(run.variance_components()["term"]) == ["who", "family", "item", "residual"]
    assert run.fixed_effects()["parameter"].iloc[0] == "(Intercept)"
    assert run.status == "The likelihood is at its maximum."


def test_a_random_part_of_ones_own(study):
    run = run_of(study, "families")
    assert run.manifest["config"] == {"random": "(1 | who) + (1 | family)", "reml": True}
    assert list(run.variance_components()["term"]) == ["who", "family", "residual"]
    assert bool(run.likelihood()["restricted"].iloc[0])


def test_no_file_holds_a_label(study):
    for path in (study.parent / "runs" / "lmm").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(label.encode() in content for label in LABELS), path.name


def test_sentences_of_methods(study, capsys):
    assert nme("methods", study.parent / "runs" / "families") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "was modelled by a linear mixed model (LMM; Bates et al., 2015)" in said
    assert "random effects (1 | who) + (1 | family)" in said
    assert "exact restricted maximum likelihood on the training rows alone" in said
    assert "The likelihood is at its maximum." in said
    assert "Bates et al. (2015)" in said
    assert "Kingma" not in said  # nothing was trained by its gradient


@pytest.mark.slow
def test_report(study, tmp_path):
    run = study.parent / "runs" / "lmm"
    assert nme("report", run, "--out", tmp_path / "out", "--study", study, "--format", "html") == 0
    text = next((tmp_path / "out").glob("*.html")).read_text(encoding="utf-8")
    assert "LMM" in text
    assert "linear mixed model" in text
    assert "Fixed Effects on Mood" in text
    assert "The 95% interval leaves out zero for x (b = " in text
    assert "average level" in text
    assert nme("table", "fixed-effects", run, "--format", "csv", "--out", tmp_path) == 0
    assert (tmp_path / "fixed-effects-lmm.csv").exists()


@pytest.mark.parametrize("page", ["", "persons", "one_person"])
def test_the_dashboard_opens_it(study, monkeypatch, page):
    monkeypatch.setenv("NME_RUNS", str(study.parent / "runs"))
    app = AppTest.from_file(str(MAIN), default_timeout=30).run()
    app.sidebar.selectbox(key="run").set_value("lmm").run()
    app = app.switch_page(f"../pages/{page}.py").run() if page else app
    assert not app.exception
    assert not app.error
