"""A run made again from its manifest: bit-equal here, said where and by how much it differs elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analyses.report.snippet_fit import fit_code
from tests.analysed_runs import analyse_runs, fit_runs, nme, write_study
from toolkit.runs.atomic import sha256
from toolkit.runs.folder import load_run
from toolkit.runs.number_comparison import compare_tables, compare_values


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = fit_runs(write_study(tmp_path_factory.mktemp("again")), "nme-crf", "nme-mlp")
    analyse_runs(folder)
    return folder


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """The same runs, the variances of the chain carried to their fixed point."""
    folder = fit_runs(write_study(tmp_path_factory.mktemp("settled")), "nme-crf", "nme-mlp", settled=True)
    analyse_runs(folder)
    return folder


@pytest.fixture
def study(runs):
    return runs.parent / "study.toml"


def reproduced(capsys, *words: object) -> tuple[int, dict]:
    capsys.readouterr()
    code = nme("reproduce", *words, "--json")
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


@pytest.mark.parametrize(
    ("made", "name"), [pytest.param("settled", "nme-crf", marks=pytest.mark.slow), ("runs", "nme-mlp")]
)
def test_a_run_and_its_analyses_come_out_equal_to_the_last_bit(request, capsys, made, name):
    runs = request.getfixturevalue(made)
    code, answer = reproduced(capsys, runs / name, "--study", runs.parent / "study.toml")
    assert code == 0
    assert answer["bit_equal"]
    names = {found["name"] for found in answer["comparisons"]}
    assert {
        "metrics",
        "random_effects",
        "variance_components",
        "analyses/drivers" if name == "nme-crf" else "analyses/variance",
    } <= names
    assert answer["versions"] == {}


def changed(runs, tmp_path, factor: float):
    """A copy of a run whose largest estimate is another, with fitting checksums."""
    folder = tmp_path / "changed"
    shutil.copytree(runs / "nme-mlp", folder)
    path = folder / "random_effects.parquet"
    table = pd.read_parquet(path)
    table.loc[table["estimate"].abs().idxmax(), "estimate"] *= factor
    table.to_parquet(path, index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["random_effects.parquet"] = sha256(path)
    manifest["versions"]["numpy"] = "1.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.slow
def test_a_difference_is_found_where_it_is(runs, study, tmp_path, capsys):
    code, answer = reproduced(capsys, changed(runs, tmp_path, 1.5), "--study", study, "--no-analyses")
    assert (code, answer["same"]) == (1, False)
    found = {entry["name"]: entry for entry in answer["comparisons"]}
    assert (found["random_effects"]["verdict"], found["random_effects"]["where"]) == ("differs", "estimate")
    assert found["metrics"]["verdict"] == "equal"
    assert answer["versions"]["numpy"]["then"] == "1.0"


@pytest.mark.slow
def test_a_tiny_difference_is_within_the_tolerance(runs, study, tmp_path, capsys):
    folder = changed(runs, tmp_path, 1 + 1e-9)
    code, answer = reproduced(capsys, folder, "--study", study, "--no-analyses")
    assert (code, answer["same"], answer["bit_equal"]) == (0, True, False)
    assert nme("reproduce", folder, "--study", study, "--no-analyses", "--tolerance", "1e-12") == 1
    assert "differs" in capsys.readouterr().out


@pytest.mark.slow
def test_a_manifest_alone_is_compared_by_checksums_and_the_run_kept(runs, study, tmp_path, capsys):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(runs / "nme-mlp" / "manifest.json", alone)
    code, answer = reproduced(capsys, alone / "manifest.json", "--study", study, "--out", tmp_path / "new")
    assert (code, answer["bit_equal"]) == (0, True)
    assert load_run(tmp_path / "new").verify() > 5
    assert nme("reproduce", alone, "--study", study, "--out", tmp_path / "new") == 2
    assert "E306" in capsys.readouterr().err


@pytest.mark.slow
def test_a_split_from_a_file_is_taken_from_the_run(runs, study, tmp_path, capsys):
    assert nme("split", study, "--design", "random", "--out", tmp_path / "parts.parquet", "--target", "mood") == 0
    words = ["--model", "nme-mlp", "--epochs", "8", "--set", "hidden=(3,)", "--split", tmp_path / "parts.parquet"]
    assert nme("fit", study, *words, "--out", tmp_path / "run") == 0
    code, answer = reproduced(capsys, tmp_path / "run", "--study", study)
    assert (code, answer["bit_equal"]) == (0, True)


def test_what_stands_in_the_way_is_said(runs, study, tmp_path, capsys):
    def refused(code: str, *words: object) -> None:
        capsys.readouterr()
        assert nme("reproduce", *words) == 2
        assert code in capsys.readouterr().err

    refused("E302", runs / "nme-mlp")
    refused("E302", runs / "nme-mlp", "--study", study, "--tolerance", "-1")
    other = write_study(tmp_path / "other", persons=28)
    refused("E407", runs / "nme-mlp", "--study", other)
    manifest = json.loads((runs / "nme-mlp" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    refused("E404", tmp_path / "manifest.json", "--study", study)
    refused("E401", tmp_path / "nowhere", "--study", study)


@pytest.mark.slow
def test_analyses_kept_before_settings_were_recorded_are_named(runs, study, tmp_path, capsys):
    folder = tmp_path / "old"
    shutil.copytree(runs / "nme-mlp", folder)
    (folder / "analyses" / "variance" / "made_with.json").unlink()
    code, answer = reproduced(capsys, folder, "--study", study)
    found = {entry["name"]: entry for entry in answer["comparisons"]}["analyses/variance"]
    assert (code, found["verdict"]) == (1, "differs")
    assert "recorded" in found["where"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nme-crf", "nme-mlp"])
def test_the_code_of_a_model_runs_in_a_fresh_interpreter(runs, name):
    run = load_run(runs / name)
    code = fit_code(run.manifest) + "run.metrics().to_parquet('again.parquet')\n"
    subprocess.run([sys.executable, "-c", code], cwd=runs.parent, check=True, capture_output=True)
    again = pd.read_parquet(runs.parent / "again.parquet")
    assert compare_tables("metrics", run.metrics(), again, tolerance=0.0).verdict == "equal"


def test_comparisons_say_what_is_other():
    table = pd.DataFrame({"name": ["a", "b"], "value": [1.0, np.nan]})

    def compared(now: pd.DataFrame) -> str:
        return compare_tables("table", table, now, tolerance=1e-6).text()

    assert compared(table) == "table: equal to the last bit (1 numbers)."
    assert "rows then" in compared(table.head(1))
    assert "columns" in compared(table.rename(columns={"value": "other"}))
    assert "words in name" in compared(table.assign(name=["a", "c"]))
    assert "undefined in value" in compared(table.assign(value=[1.0, 2.0]))
    assert "within the tolerance" in compared(table.assign(value=[1.0 + 1e-8, np.nan]))
    assert "differs (largest difference 5.0e-01" in compared(table.assign(value=[1.5, np.nan]))
    assert "differs" in compared(table.assign(value=[np.inf, np.nan]))
    assert compare_values("s", {"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2.0}]}, tolerance=0.0).verdict == "equal"
    assert "other entries" in compare_values("s", {"a": 1}, {"b": 1}, tolerance=0.0).text()
    assert "words in a" in compare_values("s", {"a": "x"}, {"a": "y"}, tolerance=0.0).text()
