"""Ordered classes, counts and two classes from study.toml to the report and the dashboard's pages."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.baseline_levels import are_shares, baseline_levels, bias_parameters
from analyses.report.methods_text import methods_paragraphs
from tests.analysed_runs import nme
from tests.app.opened_pages import opened_at
from tests.family_study import family_frame
from toolkit.runs.folder import load_run

STUDY = """
name = "kinds"
title = "Kinds of outcomes"
[data]
file = "data.csv"
[roles]
person = "who"
cluster = "family"
group = "arm"
time = "t"
targets = ["level", "times", "yes", "mood", "stress"]
features = ["x", "minutes"]
[orders]
level = ["low", "some", "high", "most"]
[group_labels]
0 = "Controls"
1 = "Patients"
"""
SETTINGS = {
    "ordinal": ["--target", "level", "--set", "task=ordinal"],
    "count": ["--target", "times", "--set", "task=count", "--set", "exposure=minutes"],
    "binary": ["--target", "yes", "--set", "task=binary", "--set", "class_weights=balanced"],
    "robust": ["--target", "mood", "--set", "loss=huber"],
    "two": ["--target", "mood,stress"],
}
METRICS = {
    "ordinal": {"ordinal_alpha", "kendall", "accuracy", "ranked_probability_score"},
    "count": {"poisson_deviance", "pearson", "rmse"},
    "binary": {"krippendorff_alpha", "accuracy"},
    "robust": {"pearson", "ccc", "rmse", "nrmse"},
    "two": {"pearson", "ccc", "rmse", "nrmse"},
}
PAGES = ["start", "data", "model", "persons", "one_person", "compare", "transitions", "baseline", "group_test"]
PAGES += ["robustness", "report", "about"]
QUICK = {("ordinal", "model"), ("ordinal", "persons"), ("count", "model"), ("count", "one_person"), ("two", "model")}


def slow(*given: object) -> object:
    return pytest.param(*given, marks=pytest.mark.slow)


def made() -> pd.DataFrame:
    frame = family_frame(families=8, persons=2, rows=20)
    rng = np.random.default_rng(1)
    score = (frame["mood"] - frame["mood"].mean()) / frame["mood"].std()
    words = np.array(["low", "some", "high", "most"])
    minutes = rng.uniform(1, 3, len(frame)).round(2)
    return frame.assign(
        level=words[np.digitize(score, [-0.8, 0.0, 0.9])],
        minutes=minutes,
        times=rng.poisson(np.exp(0.5 + 0.4 * score) * minutes),
        yes=np.where(score + rng.normal(size=len(frame)) > 0.7, "yes", "no"),
        stress=(20 - 3 * score + rng.normal(size=len(frame))).round(2),
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    made().to_csv(folder / "data.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


def fitted(study: Path, name: str) -> Path:
    """A run, fitted for a few epochs at its first use."""
    out = study.parent / "runs" / name
    few = ["--model", "nme-mlp", "--set", "hidden=(3,)", "--set", "variance_update=paper", "--epochs", "12"]
    if not out.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert nme("fit", study, *SETTINGS[name], *few, "--out", out) == 0
    return out


@pytest.mark.parametrize("name", SETTINGS)
def test_runs_say_what_they_are_about(study, name):
    run = load_run(fitted(study, name))
    assert set(run.metrics()["metric"]) == METRICS[name]
    assert run.metrics().query("scope == 'mean' and split == 'test'")["value"].notna().all()
    text = " ".join(methods_paragraphs(run.manifest))
    said = {
        "ordinal": "cumulative logits", "count": "per unit of “minutes”", "binary": "weighted by their class",
        "robust": "“mood”", "two": "“mood” and “stress”",
    }  # fmt: skip
    assert said[name] in text


@pytest.mark.parametrize("name", ["ordinal", "count", slow("binary"), slow("robust"), slow("two")])
def test_commands_predict_and_report(study, tmp_path, capsys, name):
    run = fitted(study, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("predict", run, study, "--out", tmp_path / "new.csv") == 0
        assert nme("report", run, "--format", "html", "--out", tmp_path / "report") == 0
        assert nme("table", "variance", run, "--format", "csv", "--out", tmp_path) == 0
    rows = pd.read_csv(tmp_path / "new.csv")
    assert len(rows) == len(made())
    if name == "ordinal":
        assert set(rows["prediction"]) <= {"low", "some", "high", "most"}
        chances = rows[[f"probability_{word}" for word in ("low", "some", "high", "most")]]
        np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-4)
    if name == "count":
        assert (rows["prediction"] > 0).all()
    page = next((tmp_path / "report").rglob("*.html")).read_text()
    assert {"two": "mood", "robust": "mood", "ordinal": "level", "count": "times", "binary": "yes"}[name] in page
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "page"), [(n, p) if (n, p) in QUICK else slow(n, p) for n in SETTINGS for p in PAGES]
)  # fmt: skip
def test_pages_open(study, monkeypatch, name, page):
    at = opened_at(page, fitted(study, name).parent, monkeypatch, name)
    assert at.markdown or at.info or at.caption
    assert "Anna" not in "".join(str(element.value) for element in (*at.markdown, *at.caption, *at.info))


@pytest.mark.parametrize("name", ["ordinal", "count", "binary"])
def test_levels_of_persons_are_what_they_are_called(study, name):
    run, frame = load_run(fitted(study, name)), made()
    levels = baseline_levels(run, "all").set_index("person")["baseline"]
    known = run.predictions().groupby("person")["truth"]
    if name == "count":
        wanted = known.mean()
    elif name == "binary":
        wanted = 100.0 * known.agg(lambda truth: (truth == "yes").mean())
        assert set(baseline_levels(run)["target"]) == {"yes"}
    else:
        place = {"low": 1, "some": 2, "high": 3, "most": 4}
        wanted = known.agg(lambda truth: truth.map(place).mean())
    np.testing.assert_allclose(levels.sort_index(), wanted.sort_index().astype(float))
    assert bias_parameters(run) == {"layers.1.bias": {"count": "times", "binary": "yes", "ordinal": "level"}[name]}
    assert are_shares(run) == (name == "binary")
    assert len(levels) == frame["who"].nunique()
