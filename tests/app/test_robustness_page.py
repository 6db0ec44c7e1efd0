"""Robustness: other choices, families against persons, kept stability, power; kept, found again, saved, refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example_run import write_example
from page_checks import figure, numbers, opened, saving, words
from streamlit.testing.v1 import AppTest

from analyses.multiverse_runs import multiverse_of_runs
from analyses.report.robustness_appendix import robustness_appendix
from app import jobs, processes
from toolkit import fit
from toolkit.data.demo import BUNDLED
from toolkit.data.study import Study
from toolkit.models import NmeMlp
from toolkit.runs.folder import load_run
from toolkit.runs.kept import kept_analyses
from toolkit.runs.number_comparison import compare_values


def part(at: AppTest, name: str) -> AppTest:
    at.main.get("button_group")[0].set_value(name).run()
    assert not at.exception
    return at


def run(at: AppTest) -> AppTest:
    next(button for button in at.button if button.label == "Run").click().run()
    assert not at.exception
    assert not at.error
    return at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("robust")
    write_example(home / "nme-crf-families", clusters=True, persons=60)
    return home


def few_choices(at: AppTest) -> AppTest:
    at.main.multiselect(key="mv_values").set_value(["probability", "observed"])
    at.main.multiselect(key="mv_kernels").set_value(["gaussian", "linear"])
    at.main.multiselect(key="mv_multiples").set_value([1.0])
    return at


def executed(at: AppTest, call: str) -> dict:
    code = next(block.value for block in at.code if call in block.value)
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "snippet", "exec"), space)
    return space


@pytest.mark.slow
def test_the_curve_draws_the_choices_that_were_made(folder, monkeypatch) -> None:
    at = run(few_choices(opened(folder, monkeypatch, "robustness")))
    expected = multiverse_of_runs(
        [load_run(folder / "nme-crf-families")], values=("probability", "observed"), kernels=("gaussian", "linear"),
        multiples=(1.0,), unit="cluster", rng=np.random.default_rng(1),
    )  # fmt: skip
    drawn = [trace for trace in figure(at)["data"] if trace.get("name", "").startswith("p ")]
    found = np.sort(np.concatenate([numbers(trace["y"]) for trace in drawn]))
    np.testing.assert_allclose(found, np.sort(expected.effect))
    assert "Of 8 ways to make this comparison" in words(at)
    kept = next(one for one in kept_analyses(load_run(folder / "nme-crf-families")) if one.name.startswith("multiv"))
    space = executed(at, "multiverse_of_runs(")
    assert compare_values("curve", kept.summary, space["result"].summary(), tolerance=0.0).verdict == "equal"
    assert {"DOCX", "HTML"} <= set(saving(at))
    again = opened(folder, monkeypatch, "robustness")
    assert "Of 8 ways to make this comparison" in words(again)


def test_families_and_persons_stand_beside_each_other(folder, monkeypatch) -> None:
    at = part(opened(folder, monkeypatch, "robustness"), "Families or persons")
    assert "whole families" in words(at)
    table = next(t.value for t in at.dataframe if "pvalue" in t.value)
    assert table["unit"].tolist() == ["persons", "families"] * 4
    space = executed(at, "naive_against_block(")
    kept = next(one for one in kept_analyses(load_run(folder / "nme-crf-families")) if one.name == "naive-block")
    assert compare_values("both", kept.summary, space["result"].summary(), tolerance=0.0).verdict == "equal"


def test_power_follows_the_form(folder, monkeypatch) -> None:
    at = part(opened(folder, monkeypatch, "robustness"), "How many persons")
    at.main.selectbox(key="power_count").set_value(200)
    at.main.multiselect(key="pg").set_value([10, 20])
    at.main.multiselect(key="power_moves").set_value([50])
    at.main.checkbox(key="power_hsic").set_value(False)
    at.main.number_input(key="power_points").set_value(10.0)
    run(at)
    assert "difference of 10.0 percentage points" in words(at)
    kept = next(one for one in kept_analyses(load_run(folder / "nme-crf-families")) if one.name.startswith("power"))
    lines = [trace for trace in figure(at)["data"] if trace.get("name") == "50"]
    np.testing.assert_allclose(numbers(lines[0]["y"]), kept.frame["cell_power"])


@pytest.mark.slow
def test_stability_is_shown_where_it_is_kept_and_else_how_to_make_it(runs_folder, tmp_path, monkeypatch) -> None:
    at = part(opened(runs_folder, monkeypatch, "robustness", "nme-mlp"), "Fitted again")
    assert "nme analyze stability" in words(at)
    run_folder = write_example(tmp_path / "nme-mlp", model="nme-mlp")
    place = run_folder / "analyses" / "stability"
    place.mkdir(parents=True)
    names = ["layers.2.weight[0]", "layers.2.bias"]
    columns = {"icc": [0.4, 0.95], "icc_low": [0.2, 0.9], "icc_high": [0.6, 0.97], "cs": [0.25, 0.75]}
    frame = pd.DataFrame({"parameter": names, "stable": [False, True], **columns, "reason": ["", ""]})
    frame.to_parquet(place / "table.parquet")
    (place / "result.json").write_text(json.dumps({"notes": ["A note."]}))
    (place / "text.md").write_text("One of two parameters is stable. A note.\n\nStability was assessed.\n")
    made = {"format": 1, "command": "stability", "options": {"method": "jackknife", "resamples": 99, "seed": 1}}
    (place / "made_with.json").write_text(json.dumps(made | {"runs": ["../other"], "study": ""}))
    at = part(opened(tmp_path, monkeypatch, "robustness"), "Fitted again")
    shown = np.concatenate([numbers(trace["x"]) for trace in figure(at)["data"] if trace.get("mode") == "markers"])
    assert {0.4, 0.95} <= set(np.round(shown[np.isfinite(shown)], 3))
    assert "One of two parameters is stable." in words(at)


def test_damaged_kept_results_are_named(folder, tmp_path, monkeypatch) -> None:
    run_folder = write_example(tmp_path / "nme-crf-broken")
    place = run_folder / "analyses" / "multiverse"
    place.mkdir(parents=True)
    (place / "result.json").write_text("{")
    at = opened(tmp_path, monkeypatch, "robustness")
    assert "cannot be read" in words(at)
    assert "secret" not in words(at)


@pytest.mark.slow
def test_why_not(runs_folder, tmp_path, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "robustness", "generic-crf-absolute")
    assert "no families or sites" in words(part(at, "Families or persons"))
    assert "same parameters for everybody" in words(part(at, "Fitted again"))
    assert "same parameters for everybody" in words(part(at, "How many persons"))
    at = opened(runs_folder, monkeypatch, "robustness", "nme-mlp")
    assert "not states" in words(part(at, "Other choices"))
    write_example(tmp_path / "nme-crf-one", groups=("only", "only"), persons=20)
    assert "this study has one" in words(opened(tmp_path, monkeypatch, "robustness"))


@pytest.mark.slow
def test_other_definitions_need_the_same_persons(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-a")
    write_example(tmp_path / "nme-crf-b")
    write_example(tmp_path / "nme-crf-c", persons=30)
    write_example(tmp_path / "nme-mlp", model="nme-mlp")
    at = few_choices(opened(tmp_path, monkeypatch, "robustness", "nme-crf-a"))
    runs = at.main.multiselect(key=f"mv_runs {tmp_path / 'nme-crf-a'}")
    runs.set_value(runs.options)
    said = words(run(at))
    assert "nme-crf-c holds other persons or other groups" in said
    assert "nme-mlp has no states" in said
    assert "Of 16 ways" in said


@pytest.mark.slow
def test_the_appendix_holds_every_kind(folder, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 30.0)
    run_ = load_run(folder / "nme-crf-families")
    report = robustness_appendix(run_, list(reversed(kept_analyses(run_))))
    assert len(report.blocks) >= 1
    from analyses.report.document import render
    from analyses.report.word import docx_bytes

    page = render(report)
    assert "<script" not in page
    assert all(block.title in page for block in report.blocks)
    assert docx_bytes(report)[:2] == b"PK"


@pytest.mark.slow
def test_a_model_is_fitted_again_from_the_page(tmp_path, monkeypatch) -> None:
    """Where the study is open the page runs the command itself, and finds what it keeps."""
    study = Study.read(next(iter(BUNDLED.values())))
    data = study.grouped(target="happy")
    fit(NmeMlp(hidden=(), epochs=2), data, seed=1, out=tmp_path / "runs" / "nme-mlp", study=study)
    at = part(opened(tmp_path / "runs", monkeypatch, "robustness"), "Fitted again")
    started = []
    monkeypatch.setattr(processes, "start", lambda key, arguments, label: started.append(list(arguments)))
    next(button for button in at.button if button.label == "Fit again here").click().run()
    assert started[0][:3] == ["analyze", "stability", str(tmp_path / "runs" / "nme-mlp")]
    assert started[0][3] == "--study"
    assert Path(started[0][4]).exists()
