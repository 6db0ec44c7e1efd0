"""Compare: means and differences of the runs' own metrics, refusals with a reason, kept curves, why not."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example_run import write_example
from page_checks import figure, numbers, opened, saving, words
from streamlit.testing.v1 import AppTest

from analyses.learning_curve import learning_curve
from analyses.report.snippets import keep_analysis
from analyses.run_comparison import compare_runs
from toolkit.runs.folder import load_run
from toolkit.runs.kept import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of one study, one of the same study with other rows, and one of another study."""
    home = tmp_path_factory.mktemp("compared")
    for name, model in (("nme-crf", "nme-crf"), ("generic-crf", "generic-crf"), ("worse-crf", "generic-crf")):
        write_example(home / name, model=model, clusters=True)
    lowered(home / "worse-crf", by=0.3)
    write_example(home / "other-rows", model="generic-crf", clusters=True)
    changed(home / "other-rows", lambda manifest: manifest["data"].update(hash="1" * 64))
    write_example(home / "other-study", model="generic-crf", clusters=True)
    changed(home / "other-study", lambda manifest: manifest["study"].update(name="another"))
    write_example(home / "nme-mlp", model="nme-mlp", clusters=True)
    return home


def changed(run: Path, change) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))


def lowered(run: Path, by: float) -> None:
    import hashlib

    metrics = pd.read_parquet(run / "metrics.parquet")
    metrics["value"] = metrics["value"] - by
    metrics.to_parquet(run / "metrics.parquet", index=False)
    digest = hashlib.sha256((run / "metrics.parquet").read_bytes()).hexdigest()
    changed(run, lambda manifest: manifest["files"].update({"metrics.parquet": digest}))


def among(at: AppTest, folder: Path) -> AppTest:
    return at.main.multiselect(key=f"compared {folder / 'nme-crf'}")


def result(folder: Path, **more):
    runs = [load_run(folder / name) for name in ("nme-crf", "generic-crf", "worse-crf")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compare_runs(runs, unit="cluster", rng=np.random.default_rng(1), **more)


def test_runs_of_the_same_rows_are_offered_and_compared(folder, monkeypatch) -> None:
    at = opened(folder, monkeypatch, "compare", "nme-crf")
    assert among(at, folder).value == ["generic-crf", "worse-crf"]
    found = result(folder)
    marks = [trace for trace in figure(at)["data"] if trace.get("mode") == "markers"]
    drawn = np.concatenate([numbers(trace["x"]) for trace in marks])
    assert set(np.round(found.means[0], 6)) <= set(np.round(drawn[np.isfinite(drawn)], 6))
    table = next(t.value for t in at.dataframe if "letter" in t.value)
    assert table["model"].tolist() == ["nme-crf", "generic-crf", "worse-crf"]
    assert "ᵃ" in table["krippendorff_alpha"].iloc[2]
    assert "resamples of families" in words(at)
    assert {"SVG", "CSV", "DOCX", "TEX"} <= set(saving(at))
    code = next(block.value for block in at.code if "compare_runs(" in block.value)
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "snippet", "exec"), space)
    np.testing.assert_array_equal(space["result"].low, found.low)


@pytest.mark.slow
def test_a_baseline_changes_what_differences_are_taken_from(folder, monkeypatch) -> None:
    at = opened(folder, monkeypatch, "compare", "nme-crf")
    at.main.selectbox(key=f"compare baseline {folder / 'nme-crf'}").set_value("worse-crf").run()
    assert not at.exception
    pairs = next(t.value for t in at.dataframe if "pvalue_holm" in t.value)
    assert pairs["second"].tolist() == ["worse-crf", "worse-crf"]
    assert "Model minus worse-crf" in str(figure(at)["layout"])


@pytest.mark.slow
def test_what_cannot_be_compared_is_refused_with_a_reason(folder, monkeypatch) -> None:
    at = opened(folder, monkeypatch, "compare", "nme-crf")
    among(at, folder).set_value(["generic-crf", "other-rows", "other-study", "nme-mlp"]).run()
    said = words(at)
    assert "other-rows was fitted to other data" in said
    assert "other-study is a run of another study" in said
    assert "nme-mlp predicts happy and this run state" in said
    table = next(t.value for t in at.dataframe if "letter" in t.value)
    assert table["model"].tolist() == ["nme-crf", "generic-crf"]
    among(at, folder).set_value([]).run()
    assert "Choose at least one run" in words(at)


def test_another_kind_of_prediction(folder, monkeypatch) -> None:
    at = opened(folder, monkeypatch, "compare", "nme-crf")
    before = figure(at)["data"]
    at.main.selectbox(key="compare level").set_value("previous state").run()
    assert not at.exception
    assert figure(at)["data"] != before


@pytest.mark.slow
def test_one_run_alone_says_what_to_do(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf")
    at = opened(tmp_path, monkeypatch, "compare")
    assert "There is only one run" in words(at)
    at.main.get("button_group")[0].set_value("Less data").run()
    assert "no other run to compare with" in words(at)
    write_example(tmp_path / "generic-crf", model="generic-crf")
    at = opened(tmp_path, monkeypatch, "compare", "nme-crf")
    at.main.get("button_group")[0].set_value("Less data").run()
    assert f'nme analyze less-data "{tmp_path / "nme-crf"}" "{tmp_path / "generic-crf"}"' in words(at)
    at.main.get("button_group")[0].set_value("New persons").run()
    assert "nme analyze adaptation" in words(at)


@pytest.mark.slow
def test_a_kept_curve_is_found_with_any_run_of_the_same_rows(folder, tmp_path, monkeypatch) -> None:
    home = tmp_path / "runs"
    shutil.copytree(folder, home)
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        [
            {"share": share, "model": model, "person": f"P{person}", "metric": "accuracy",
             "value": 0.5 + 0.1 * (model == "nme-crf") * share + rng.normal(0, 0.05)}
            for share in (1.0, 0.5) for model in ("nme-crf", "generic-crf") for person in range(20)
        ]
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curve = learning_curve(table, "accuracy", resamples=199, rng=rng)
    recipe = Recipe(
        command="less-data", options={"metric": "accuracy", "resamples": 199, "seed": 1}, runs=("../nme-crf",),
        study="../study.toml",
    )  # fmt: skip
    keep_analysis(load_run(home / "generic-crf"), "less-data", curve, recipe)
    at = opened(home, monkeypatch, "compare", "nme-crf")
    at.main.get("button_group")[0].set_value("Less data").run()
    assert not at.exception
    drawn = np.sort(np.concatenate([numbers(t["y"]) for t in figure(at)["data"] if t.get("showlegend") is not False]))
    assert set(np.round(curve.to_frame()["mean"], 6)) <= set(np.round(drawn[np.isfinite(drawn)], 6))


@pytest.mark.slow
def test_a_damaged_other_run_is_refused_not_fatal(folder, tmp_path, monkeypatch) -> None:
    home = tmp_path / "runs"
    shutil.copytree(folder, home)
    (home / "worse-crf" / "persons.parquet").write_bytes(b"PAR1 secret-name")
    at = opened(home, monkeypatch, "compare", "nme-crf")
    among(at, home).set_value(["generic-crf", "worse-crf"]).run()
    said = words(at)
    assert "worse-crf cannot be opened" in said
    assert "secret-name" not in said
    assert at.get("plotly_chart")
