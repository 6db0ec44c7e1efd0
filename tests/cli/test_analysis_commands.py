"""Commands around a finding, on a small study: kept in the run folder, text and JSON, exit codes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from analyses.stability import stable_parameters
from tests.small_study import small_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.runs.folder import load_run

STUDY = """
title = "Small study"
[data]
file = "data.csv"
[roles]
person = "who"
group = "arm"
cluster = "family"
time = "t"
targets = ["mood", "state"]
features = ["x"]
state = "state"
states = ["calm", "tense", "sad"]
"""
FITS = {
    "nme-mlp": ("nme-mlp", 1),
    "nme-mlp-2": ("nme-mlp", 2),
    "nme-mlp-same": ("nme-mlp", 1),
    "generic-mlp": ("generic-mlp", 1),
    "nme-crf": ("nme-crf", 1),
    "generic-crf": ("generic-crf", 1),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    small_study(persons=24).to_csv(folder / "data.csv", index=False)
    return folder / "study.toml"


@pytest.fixture(scope="module")
def runs(study):
    folder = study.parent / "runs"
    for name, (model, seed) in FITS.items():
        words = ["fit", str(study), "--model", model, "--out", str(folder / name), "--seed", str(seed), "--epochs", "8"]
        words += ["--set", "hidden=(3,)"] + (["--set", "variance_update=paper"] if model.startswith("nme") else [])
        assert plain_errors(lambda words=words: app(words, standalone_mode=False)) == 0
    return folder


@pytest.fixture
def nme(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def table(runs, name, analysis):
    return pd.read_parquet(runs / name / "analyses" / analysis / "table.parquet")


def test_variance_of_numbers_and_of_states(nme, runs):
    code, out, _ = nme("analyze", "variance", runs / "nme-mlp", "--resamples", "99", "--unit", "cluster", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["n_units"], found["method"], found["resamples"]) == (12, "jackknife", 0)
    words = ["--method", "percentile", "--resamples", "99", "--json"]
    code, out, _ = nme("analyze", "variance", runs / "nme-mlp", *words)
    assert (code, json.loads(out)["method"], json.loads(out)["resamples"]) == (0, "percentile", 99)
    code, _, err = nme("analyze", "variance", runs / "nme-mlp", "--method", "bca")
    assert (code, "E302" in err) == (2, True)
    code, out, _ = nme("analyze", "variance", runs / "nme-crf")
    assert (code, "no residual variance" in out) == (0, True)
    assert set(table(runs, "nme-crf", "variance")["kind"]) == {"share"}
    code, _, err = nme("analyze", "variance", runs / "generic-mlp")
    assert (code, "E124" in err) == (2, True)


def test_compare_marks_and_checks_the_rows(nme, runs):
    code, out, _ = nme("compare", runs / "generic-mlp", runs / "nme-mlp", "--resamples", "199", "--holm")
    assert code == 0
    assert "generic-mlp" in out
    assert {"difference", "pvalue_holm"} <= set(table(runs, "generic-mlp", "comparison").columns)
    code, _, err = nme("compare", runs / "nme-mlp")
    assert (code, "E124" in err) == (2, True)
    code, _, err = nme("compare", runs / "nme-mlp", runs / "nme-crf")
    assert (code, "E407" in err) == (2, True)
    code, _, err = nme("compare", runs / "generic-mlp", runs / "nme-mlp", "--metric", "alpha")
    assert (code, "E124" in err) == (2, True)


def test_stability_of_several_runs(nme, runs):
    words = ["--method", "percentile", "--resamples", "99", "--json"]
    code, out, _ = nme("analyze", "stability", runs / "nme-mlp", runs / "nme-mlp-2", *words)
    assert (code, json.loads(out)["method"]) == (0, "percentile")
    code, out, _ = nme("analyze", "stability", runs / "nme-mlp", runs / "nme-mlp-2", "--json")
    assert (code, json.loads(out)["method"]) == (0, "jackknife")
    assert json.loads(out)["n_runs"] == 2
    kept = table(runs, "nme-mlp", "stability")
    assert {"parameter", "stable"} <= set(kept.columns)
    assert list(kept["parameter"]) == ["layers.1.bias"]
    assert set(stable_parameters(load_run(runs / "nme-mlp"))) == {"layers.1.bias"}
    assert stable_parameters(load_run(runs / "nme-mlp-2")) is None
    for others, code_of in ((["nme-mlp-same"], "E407"), (["generic-mlp"], "E407"), (["nme-crf"], "E407"), ([], "E124")):
        code, _, err = nme("analyze", "stability", runs / "nme-mlp", *(runs / name for name in others))
        assert (code, code_of in err) == (2, True)


@pytest.mark.slow
def test_stability_by_fitting_again(nme, runs, study):
    words = ["--study", study, "--refits", "2", "--repeats", "1", "--resamples", "99", "--json"]
    code, out, _ = nme("analyze", "stability", runs / "nme-mlp", *words)
    assert code == 0
    answer = json.loads(out)
    assert (answer["n_runs"], answer["n_refits"], len(answer["curve"])) == (2, 4, 4)
    other = study.parent / "other.toml"
    other.write_text(STUDY.replace('features = ["x"]', 'features = ["x", "t"]'))
    code, _, err = nme("analyze", "stability", runs / "nme-mlp", "--study", other)
    assert (code, "E407" in err) == (2, True)


@pytest.mark.slow
def test_less_data_compares_two_models(nme, runs, study):
    words = ["--study", study, "--metric", "rmse", "--resamples", "99"]
    code, out, _ = nme("analyze", "less-data", runs / "generic-mlp", runs / "nme-mlp", *words)
    assert (code, "25%" in out) == (0, True)
    assert len(table(runs, "generic-mlp", "less-data")) == 8


def test_multiverse_over_choices(nme, runs):
    words = ["--permutations", "99", "--unit", "cluster", "--json"]
    code, out, _ = nme("analyze", "multiverse", runs / "nme-crf", *words)
    assert code == 0
    assert json.loads(out)["n_specifications"] == 4 * 7 * 2 * 2
    code, _, err = nme("analyze", "multiverse", runs / "nme-mlp")
    assert (code, "E406" in err) == (2, True)
    code, _, err = nme("analyze", "multiverse", runs / "nme-crf", "--permutations", "9")
    assert (code, "E125" in err) == (2, True)


def test_power_from_a_run(nme, runs):
    words = ["--cell", "calm,sad", "--clusters", "5,10", "--transitions", "20", "--simulations", "99", "--no-hsic"]
    code, out, _ = nme("analyze", "power", runs / "nme-crf", *words)
    assert (code, "from calm to sad" in out) == (0, True)
    assert len(table(runs, "nme-crf", "power")) == 2
    code, _, err = nme("analyze", "power", runs / "nme-crf", "--cell", "calm,nowhere")
    assert (code, "E302" in err) == (2, True)
    code, _, err = nme("analyze", "power", runs / "generic-crf", "--cell", "calm,sad")
    assert (code, "E124" in err) == (2, True)
    code, _, err = nme("analyze", "power", runs / "nme-crf", *words, "--clusters", "a")
    assert (code, "E302" in err) == (2, True)
