"""The nme command on a small study: every command, text and JSON, exit codes, quick help."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

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
[group_labels]
0 = "waiting list"
1 = "treated"
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    small_study(persons=16).to_csv(folder / "data.csv", index=False)
    return folder / "study.toml"


@pytest.fixture
def nme(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def runs(study):
    folder = study.parent / "runs"
    for model in ("nme-crf", "nme-mlp"):
        arguments = ["fit", str(study), "--model", model, "--out", str(folder / model), "--epochs", "30"]
        arguments += ["--set", "variance_update=paper"] if model == "nme-crf" else []
        assert plain_errors(lambda words=arguments: app(words, standalone_mode=False)) == 0
    return folder


def test_check_counts_and_names_the_groups(nme, study):
    code, out, _ = nme("check", study)
    assert code == 0
    assert "16 persons, 240 rows" in out
    assert "treated 8" in out


def test_fit_writes_a_run_and_takes_settings(nme, study, runs):
    assert load_run(runs / "nme-crf").manifest["config"]["effects"] == "last+T"
    code, out, _ = nme(
        "fit", study, "--model", "nme-mlp", "--out", runs / "x", "--epochs", "5", "--set", "hidden=(4,)", "--json"
    )
    assert code == 0
    answer = json.loads(out)
    assert set(answer["test"]) == {"pearson", "ccc", "rmse", "nrmse"}
    assert load_run(answer["run"]).manifest["config"]["hidden"] == [4]


def test_unknown_words_are_answered_with_the_nearest(nme, study, tmp_path):
    code, _, err = nme("fit", study, "--model", "nme-crv", "--out", tmp_path / "r")
    assert (code, "nme-crf" in err) == (2, True)
    code, _, err = nme("fit", study, "--out", tmp_path / "r", "--set", "hiden=(4,)")
    assert (code, "'hidden'" in err) == (2, True)


def test_hsic_is_kept_in_the_run(nme, runs):
    code, out, _ = nme("analyze", "hsic", runs / "nme-crf", "--permutations", "199", "--json")
    assert code == 0
    kept = json.loads((runs / "nme-crf" / "analyses" / "hsic-score" / "result.json").read_text())
    assert json.loads(out)["pvalue"] == kept["pvalue"]
    code, again, _ = nme("analyze", "hsic", runs / "nme-crf", "--permutations", "199", "--json")
    assert again == out  # the same seed, the same numbers


def test_families_are_permuted_when_asked(nme, runs, study):
    code, out, _ = nme("analyze", "hsic", runs / "nme-crf", "--permutations", "199", "--unit", "cluster", "--json")
    assert code == 0
    assert json.loads(out)["n_units"] == 8


def test_differences_and_baseline(nme, runs):
    code, out, err = nme("analyze", "differences", runs / "nme-crf", "--resamples", "999")
    assert (code, "treated" in out) == (0, True)
    assert "W301" in err  # 16 persons: the intervals are too narrow, and it says so
    code, out, _ = nme("analyze", "baseline", runs / "nme-mlp", "--resamples", "999", "--json")
    assert code == 0
    assert -1 <= json.loads(out)["r"] <= 1


def test_verify_finds_a_changed_file(nme, runs, tmp_path):
    assert nme("verify", runs / "nme-mlp")[0] == 0
    code, _, err = nme("verify", tmp_path)
    assert (code, "E401" in err) == (2, True)


def test_a_bug_shows_no_data(capsys):
    def fail() -> None:
        raise ValueError("cell of Anna")

    assert plain_errors(fail) == 1
    assert "Anna" not in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from toolkit.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'scipy', 'streamlit', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_observed_counts_reach_the_test(nme, runs):
    run = load_run(runs / "nme-crf")
    counted = run.transitions()["observed"].sum()
    assert counted == 16 * 14
    assert nme("analyze", "hsic", runs / "nme-crf", "--value", "observed", "--permutations", "199")[0] == 0
    assert np.isfinite(run.transitions()["probability"]).all()
