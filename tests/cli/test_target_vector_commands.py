"""A study with two targets, one of them missing in some rows: from study.toml to the report."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analyses.baseline_levels import baseline_levels, bias_parameters
from analyses.report.methods_text import methods_paragraphs
from tests.analysed_runs import nme
from toolkit.data.study import Study
from toolkit.errors import ConfigError
from toolkit.runs.folder import load_run

STUDY = """
name = "two"
title = "Two targets"
[data]
file = "data.csv"
empty_targets = "keep"
empty_cells = "drop"
[roles]
person = "who"
group = "arm"
time = "t"
targets = ["mood", "stress"]
features = ["x"]
"""


def made() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    code = np.repeat(np.arange(12), 25)
    x, level = rng.standard_normal(300), rng.standard_normal((12, 2))
    frame = pd.DataFrame({"who": [f"Anna-{c}" for c in code], "arm": code % 2, "t": np.tile(np.arange(25), 12), "x": x})
    for place, name in enumerate(("mood", "stress")):
        frame[name] = level[code, place] + x * (1 - place) + 0.5 * rng.standard_normal(300)
    frame.loc[rng.random(300) < 0.2, "stress"] = np.nan
    frame.loc[7, ["mood", "stress"]] = np.nan
    return frame


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    made().to_csv(folder / "data.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in ("nme-mlp", "generic-mlp"):
            words = ["--model", model, "--target", "mood,stress", "--set", "hidden=()", "--epochs", "30"]
            assert nme("fit", folder / "study.toml", *words, "--out", folder / "runs" / model) == 0
    return folder / "study.toml"


def test_rows_count_for_the_targets_that_are_filled(study):
    run, frame = load_run(study.parent / "runs" / "nme-mlp"), made().drop(index=7)
    assert run.manifest["data"]["rows"] == len(frame) == 299
    assert run.targets == ("mood", "stress")
    assert run.predictions("mood")["truth"].notna().all()
    assert run.predictions("stress")["truth"].isna().sum() == frame["stress"].isna().sum()
    assert run.predictions("stress")["prediction"].notna().all()
    components = run.variance_components()
    assert {"layers.0.bias[mood]", "layers.0.bias[stress]", "residual[mood]", "residual[stress]"} <= set(
        components["parameter"]
    )


def test_the_study_file_says_what_empty_targets_mean(study, tmp_path):
    read = Study.read(study)
    assert read.keeps_empty_targets
    with pytest.warns(UserWarning, match="W223"):
        assert read.grouped(["mood", "stress"]).n_rows == 299
    with pytest.warns(UserWarning, match="W223"):
        assert read.grouped("stress").n_rows == made()["stress"].notna().sum()
    file = tmp_path / "study.toml"
    file.write_text(STUDY.replace('"keep"', '"maybe"'))
    with pytest.raises(ConfigError, match=r"'empty_targets' in \[data\] must be"):
        Study.read(file)


@pytest.mark.slow
def test_commands_know_every_target(study, capsys, tmp_path):
    run = study.parent / "runs" / "nme-mlp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("check", study) == 0
        assert nme("predict", run, study, "--out", tmp_path / "new.csv") == 0
        assert nme("compare", run, study.parent / "runs" / "generic-mlp", "--resamples", "99") == 0
        assert nme("analyze", "baseline", run, "--resamples", "99") == 0
        assert nme("table", "variance", run, "--format", "csv", "--out", tmp_path) == 0
    assert {"prediction_mood", "prediction_stress"} <= set(pd.read_csv(tmp_path / "new.csv").columns)
    told = capsys.readouterr().out
    assert "Residual of mood" in told
    assert "The person effect layers.0.bias[stress] and mean stress" in told


@pytest.mark.slow
def test_a_fit_is_told_by_target_exported_and_reproduced(study, capsys, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = ["--target", "stress,mood", "--epochs", "3", "--set", "hidden=()", "--groupings", "none"]
        assert nme("fit", study, *words, "--out", tmp_path / "run") == 0
        said = capsys.readouterr().out
        assert "on the test rows (stress): " in said
        assert "on the test rows (mood): " in said
        assert nme("verify", tmp_path / "run") == 0
        assert nme("export", tmp_path / "run", "--without-persons", "--out", tmp_path / "shared") == 0
        assert nme("reproduce", tmp_path / "run", "--study", study) == 0
    shared = load_run(tmp_path / "shared")
    assert {"residual[mood]", "residual[stress]"} <= set(shared.variance_components()["parameter"])
    with pytest.warns(UserWarning, match="W223"):
        read = Study.read(study).grouped(["stress", "mood"])
    assert shared.predict(read, "population").shape == (read.n_rows, 2)


def test_levels_belong_to_their_targets(study):
    run = load_run(study.parent / "runs" / "nme-mlp")
    assert bias_parameters(run) == {"layers.0.bias[mood]": "mood", "layers.0.bias[stress]": "stress"}
    levels = baseline_levels(run)
    assert set(levels["target"]) == {"mood", "stress"}
    rows = run.predictions("stress").query("split == 'train'").dropna(subset=["truth"])
    wanted = rows.groupby("person")["truth"].mean()
    own = levels[levels["target"] == "stress"].set_index("person")["baseline"]
    np.testing.assert_allclose(own.sort_index().to_numpy(), wanted.sort_index().to_numpy())


def test_methods_name_every_target(study):
    text = " ".join(methods_paragraphs(load_run(study.parent / "runs" / "nme-mlp").manifest))
    assert "“mood” and “stress”" in text
    assert "each with a residual variance of its own" in text


@pytest.mark.slow
def test_the_report_says_what_it_is_about(study, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = study.parent / "runs" / "nme-mlp"
        assert nme("report", run, "--format", "html", "--out", tmp_path) == 0
    page = next(tmp_path.rglob("*.html")).read_text()
    assert "predicts mood and stress together" in page
    assert "How well can “mood” and “stress” be predicted" in page
    assert "Outcome" in page
