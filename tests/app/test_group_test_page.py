"""Group test: run from the form, drawn as asked, kept in the run folder and found again, and why not."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
from example_run import write_example
from page_checks import figure, numbers, opened, saving, words
from streamlit.testing.v1 import AppTest

from analyses.report.snippets import HERE
from app import jobs, keeping
from toolkit.runs.kept import read_kept
from toolkit.runs.number_comparison import compare_values


def pressed(at: AppTest, permutations: int = 999) -> AppTest:
    at.main.selectbox(key="permutations").set_value(permutations)
    at.button[0].click().run()
    assert not at.exception
    assert not at.error
    return at


@pytest.fixture(scope="module")
def tested_folder(tmp_path_factory: pytest.TempPathFactory):
    """A run in whose folder a test of 999 permutations is kept."""
    home = tmp_path_factory.mktemp("tested")
    write_example(home / "nme-crf-absolute")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "PATIENCE", 30.0)
        pressed(opened(home, patch, "group_test"))
    return home


def test_a_run_is_drawn_said_and_kept_with_code_that_repeats_it(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-absolute")
    at = opened(tmp_path, monkeypatch, "group_test")
    assert not at.get("plotly_chart")
    said = words(pressed(at))
    assert "n x HSIC" in said
    assert "999 permutations of persons" in said
    assert "normalised HSIC (CKA)" in said
    assert sum(numbers(trace["y"]).sum() for trace in figure(at)["data"]) == 999
    assert figure(at, 1)["data"][-1]["name"] == "difference"
    kept = list((tmp_path / "nme-crf-absolute" / "analyses").glob("group-test-*/text.md"))
    assert len(kept) == 1
    assert "n x HSIC" in kept[0].read_text()
    code = next(block.value for block in at.code if "hsic_test(" in block.value)
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "snippet", "exec"), space)
    found = read_kept(kept[0].parent)
    assert compare_values("group test", found.summary, space["summary"], tolerance=0.0).verdict == "equal"
    assert f"RUN = {HERE}" in (kept[0].parent / "snippet.py").read_text()


def test_a_kept_test_is_shown_again_without_computing(tested_folder, monkeypatch) -> None:
    def never(*args, **more):
        raise AssertionError("computed again")

    monkeypatch.setattr(jobs, "_start", never)
    at = opened(tested_folder, monkeypatch, "group_test")
    assert "999 permutations of persons" in words(at)
    assert "Shown is an earlier test" in words(at)
    assert sum(numbers(trace["y"]).sum() for trace in figure(at)["data"]) == 999


@pytest.mark.slow
def test_other_settings_are_another_test(tested_folder, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(tested_folder, folder)
    at = opened(folder, monkeypatch, "group_test")
    before = figure(at)["data"]
    at.main.selectbox(key="kernel").set_value("laplace")
    at.main.selectbox(key="bandwidth").set_value(2.0)
    said = words(pressed(at))
    assert "Laplace kernel with 2 x median bandwidth" in said
    assert figure(at)["data"] != before
    at.main.selectbox(key="test_value").set_value("observed")
    assert "observed transitions" in words(pressed(at)).lower()
    assert len(list((folder / "nme-crf-absolute" / "analyses").iterdir())) == 3


@pytest.mark.slow
def test_correction_and_view_change_the_drawing_and_no_number(tested_folder, monkeypatch) -> None:
    at = opened(tested_folder, monkeypatch, "group_test")
    yellow = {}
    for correction in ("raw", "simultaneous"):
        at.main.selectbox(key="correction").set_value(correction)
        pressed(at)
        shapes = figure(at, 1)["layout"]["shapes"]
        yellow[correction] = sum(shape.get("fillcolor") == "#FFF3C4" for shape in shapes)
    assert yellow["raw"] > yellow["simultaneous"]
    table = next(t.value for t in at.dataframe if "pvalue_fdr" in t.value)
    before = figure(at, 1)["data"]
    group = next(group for group in at.main.get("button_group") if "Forest plot" in group.options)
    group.set_value("Forest plot").run()
    assert figure(at, 1)["data"] != before
    diamonds = figure(at, 1)["data"][-1]
    np.testing.assert_allclose(np.round(numbers(diamonds["x"]), 1), np.round(table["difference"], 1), atol=0.11)


def test_files_are_offered_for_a_paper(tested_folder, monkeypatch) -> None:
    at = opened(tested_folder, monkeypatch, "group_test")
    labels = saving(at)
    assert {"SVG", "PNG", "PDF", "CSV", "TXT", "DOCX", "TEX"} <= set(labels)


@pytest.mark.slow
def test_families_are_shuffled_whole_and_the_naive_p_stands_beside(runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "group_test", "families")
    assert at.sidebar.selectbox(key="unit_cluster").value == "family"
    said = words(pressed(at))
    assert "permutations of families" in said
    assert "treats relatives as strangers" in said


@pytest.mark.slow
def test_a_group_that_varies_inside_families_is_shuffled_inside_them(tmp_path, monkeypatch) -> None:
    folder = write_example(tmp_path / "nme-crf-couples", clusters=True)
    persons = pd_read(folder)
    persons["group"] = ["patient", "partner"] * 20
    rewrite(folder, persons)
    at = pressed(opened(tmp_path, monkeypatch, "group_test"))
    assert "shuffled inside them only" in words(at)
    code = next(block.value for block in at.code if "hsic_test(" in block.value)
    space: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, "snippet", "exec"), space)
    found = read_kept(next((folder / "analyses").iterdir()))
    assert compare_values("group test", found.summary, space["summary"], tolerance=0.0).verdict == "equal"


@pytest.mark.slow
def test_three_groups_are_compared_two_at_a_time(tmp_path, monkeypatch) -> None:
    folder = write_example(tmp_path / "nme-crf-three", persons=45)
    persons = pd_read(folder)
    persons["group"] = ["a", "b", "c"] * 15
    rewrite(folder, persons)
    at = opened(tmp_path, monkeypatch, "group_test")
    assert len(at.main.selectbox(key="test_direction").options) == 6
    at.main.selectbox(key="test_direction").set_value(1)
    assert "Differences are c minus a" in words(pressed(at))


@pytest.mark.slow
def test_other_runs_say_why_not(tmp_path, runs_folder, monkeypatch) -> None:
    at = opened(runs_folder, monkeypatch, "group_test", "nme-mlp")
    assert "no transitions" in words(at)
    write_example(tmp_path / "one-group", groups=("only", "only"), persons=20)
    assert "this study has one" in words(opened(tmp_path, monkeypatch, "group_test"))


@pytest.mark.slow
def test_a_small_group_is_tested_but_not_saved(tmp_path, monkeypatch) -> None:
    write_example(tmp_path / "nme-crf-absolute", persons=30)
    said = words(pressed(opened(tmp_path, monkeypatch, "group_test")))
    assert "its differences cannot be saved" in said
    assert "its average matrix cannot be saved" in said


@pytest.mark.slow
def test_a_damaged_kept_result_is_named_and_stops_nothing(tested_folder, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(tested_folder, folder)
    kept = next((folder / "nme-crf-absolute" / "analyses").iterdir())
    (kept / "result.json").write_text("{")
    (kept / keeping.kept_records.RECORD).write_text("secret-name")
    broken = kept.parent / "hsic-broken"
    broken.mkdir()
    (broken / "result.json").write_text(json.dumps({}))
    (broken / "text.md").write_bytes(b"\xff\xfe")
    at = opened(folder, monkeypatch, "group_test")
    said = words(at)
    assert "cannot be read" in said
    assert "secret-name" not in said
    assert "n x HSIC" in words(pressed(at))


def pd_read(folder):
    import pandas as pd

    return pd.read_parquet(folder / "persons.parquet")


def rewrite(folder, persons) -> None:
    import hashlib

    persons.to_parquet(folder / "persons.parquet", index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["persons.parquet"] = hashlib.sha256((folder / "persons.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
