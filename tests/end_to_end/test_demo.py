"""``nme demo --quick`` from the data file to the report."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from analyses.report.rerun import run_code
from app.launcher import MAIN, RUNS_VARIABLE
from toolkit.cli.demo import run_demo
from toolkit.errors import RunFolderError
from toolkit.runs.folder import find_runs, load_run
from toolkit.runs.kept import kept_analyses
from toolkit.runs.number_comparison import compare_tables, compare_values

TOLERANCE = (
    1e-6  # other threads than the command move last digits, and intervals of cells that hardly vary enlarge that
)
RUNS = {
    "generic-crf-absolute",
    "generic-crf-person_centred",
    "generic-mlp",
    "nme-crf-absolute",
    "nme-crf-person_centred",
    "nme-mlp",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    words = [sys.executable, "-m", "toolkit.cli", "demo", "--quick", "--no-app", "--json", "--out", str(out / "d")]
    first = subprocess.run(words, check=True, capture_output=True, text=True)
    second = subprocess.run(words, check=True, capture_output=True, text=True)
    return out / "d", json.loads(first.stdout), json.loads(second.stdout)


@pytest.mark.slow
def test_every_run_is_there_and_intact(demo):
    out, _, _ = demo
    runs = [load_run(path) for path in find_runs(out / "runs")]
    assert {run.name for run in runs} == RUNS
    assert all(run.verify() for run in runs)
    assert {run.manifest["data"]["rows"] for run in runs} == {8702}
    assert {run.manifest["data"]["persons"] for run in runs} == {100}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nme-crf-absolute", "nme-crf-person_centred", "nme-mlp"])
def test_the_code_of_every_kept_analysis_gives_its_numbers(demo, name):
    run = load_run(demo[0] / "runs" / name)
    kept = kept_analyses(run)
    assert kept
    for found in kept:
        result, summary = run_code(found, run.path)
        same = compare_tables(found.name, found.frame, result.to_frame(), tolerance=TOLERANCE)
        assert same.verdict != "differs", same.text()
        plain = json.loads(json.dumps(summary, default=float))
        same = compare_values(found.name, found.summary, plain, tolerance=TOLERANCE)
        assert same.verdict != "differs", same.text()


@pytest.mark.slow
def test_second_start_opens_the_finished_demonstration(demo):
    _, first, second = demo
    assert first["fitted"] is True
    assert second["fitted"] is False


def test_somebody_elses_runs_are_not_replaced(tmp_path):
    (tmp_path / "runs" / "nme-mlp").mkdir(parents=True)
    (tmp_path / "runs" / "nme-mlp" / "mine.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="E306"):
        run_demo(tmp_path, seed=1, quick=True, again=True, quiet=True)
    assert (tmp_path / "runs" / "nme-mlp" / "mine.txt").exists()


@pytest.mark.slow
def test_report_states_the_agreed_numbers_from_the_run_folders(demo):
    out, _, _ = demo
    report = (out / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", " ", report)
    for variant in ("absolute", "person_centred"):
        run = load_run(out / "runs" / f"nme-crf-{variant}")
        metrics = run.metrics()
        alpha = metrics[(metrics["metric"] == "krippendorff_alpha") & (metrics["split"] == "test")]
        for level in ("forecast", "previous state"):
            for scope in ("pooled", "mean"):
                value = alpha.loc[(alpha["level"] == level) & (alpha["scope"] == scope), "value"].item()
                assert f"{value:.2f}".replace("-", "\N{MINUS SIGN}") in text
        for name in ("hsic-model", "hsic-observed"):
            kept = json.loads((run.path / "analyses" / name / "result.json").read_text())
            assert f"{kept['statistic']:.2f}" in text
    assert "not for diagnosis" in text


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start", "persons", "one_person", "group_test"])
def test_dashboard_opens_the_demonstration(demo, monkeypatch, page):
    out, _, _ = demo
    monkeypatch.setenv(RUNS_VARIABLE, str(out / "runs"))
    at = AppTest.from_file(str(MAIN), default_timeout=60).run()
    at.switch_page(f"../pages/{page}.py").run()
    assert not at.exception
    assert not at.error
    assert any("100 persons" in element.value for element in at.markdown)


@pytest.mark.slow
def test_report_stands_alone(demo):
    out, _, _ = demo
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in report
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", report)


@pytest.mark.slow
def test_no_study_number_of_a_person_is_in_the_tables(demo):
    out, _, _ = demo
    persons = load_run(out / "runs" / "nme-mlp").persons()
    assert persons["person"].str.fullmatch(r"P\d{3}").all()
