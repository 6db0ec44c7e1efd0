"""`nme analyze hsic`: its options, what is kept, and what it says to input it cannot use."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.small_study import small_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.runs.folder import SavedRun

STUDY = """
title = "Small study"
[data]
file = "data.csv"
[roles]
person = "who"
group = "arm"
cluster = "family"
time = "t"
features = ["x"]
state = "state"
states = ["calm", "tense", "sad"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY)
    small_study(persons=24).to_csv(folder / "data.csv", index=False)
    words = ["fit", str(folder / "study.toml"), "--model", "nme-crf", "--out", str(folder / "run"), "--epochs", "5"]
    words += ["--set", "variance_update=paper"]
    assert plain_errors(lambda: app(words, standalone_mode=False)) == 0
    return folder / "run"


@pytest.fixture
def hsic(run, capsys):
    def call(*words: object) -> tuple[int, str, str]:
        line = ["analyze", "hsic", str(run), *(str(word) for word in words)]
        code = plain_errors(lambda: app(line, standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def persons(monkeypatch):
    """Change the persons table that the command reads."""
    original = SavedRun.persons

    def change(**columns):
        monkeypatch.setattr(SavedRun, "persons", lambda run: original(run).assign(**columns))

    return change


@pytest.fixture
def transitions(monkeypatch):
    """Change the transitions table that the command reads."""
    original = SavedRun.transitions

    def change(alter):
        monkeypatch.setattr(SavedRun, "transitions", lambda run: alter(original(run).copy()))

    return change


def answer(hsic, *words):
    code, out, err = hsic(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_kernels_and_bandwidth(hsic):
    plain = answer(hsic, "--permutations", 199)
    half = answer(hsic, "--permutations", 199, "--bandwidth-multiple", 0.5)
    assert half["bandwidth"] == pytest.approx(plain["bandwidth"] / 2)
    assert half["bandwidth_rule"] == "0.5 x median"
    for kernel in ("laplace", "linear", "discrete"):
        assert answer(hsic, "--permutations", 199, "--kernel", kernel)["kernel"] == kernel


def test_whole_clusters_are_dealt_exactly_where_few_ways_exist(hsic):
    found = answer(hsic, "--unit", "cluster")
    assert (found["method"], found["n_units"], found["permutations"]) == ("exact", 12, 924)
    code, out, _ = hsic("--unit", "cluster")
    assert (code, "of all 924 ways" in out, "exact, all 924" in out) == (0, True, True)
    drawn = answer(hsic, "--unit", "cluster", "--method", "permutation", "--permutations", 999)
    assert (drawn["method"], drawn["permutations"]) == ("permutation", 999)
    assert answer(hsic, "--unit", "cluster", "--match-sizes")["design"] == "sizes"


def test_within_clusters(hsic, persons):
    code, _, err = hsic("--within", "cluster")
    assert (code, "E124" in err) == (2, True)  # the arm belongs to the family: nothing varies inside
    persons(group=["0", "1"] * 12, cluster=[str(k // 4) for k in range(24)])
    found = answer(hsic, "--within", "cluster", "--permutations", 199)
    assert (found["design"], found["n_units"]) == ("strata", 24)
    code, _, err = hsic("--within", "cluster", "--unit", "cluster")
    assert (code, "--within cluster where it varies inside" in err) == (2, True)
    assert hsic("--within", "site")[0] == 2


def test_early_stop_and_gamma(hsic):
    stopped = answer(hsic, "--stop-after", 5)
    assert stopped["permutations"] <= stopped["requested"] == 9_999
    assert answer(hsic, "--method", "gamma", "--unit", "person")["method"] == "gamma"
    code, _, err = hsic("--method", "gamma", "--unit", "cluster")
    assert (code, "E302" in err) == (2, True)
    code, _, err = hsic("--method", "exact", "--unit", "person")
    assert (code, "too many" in err) == (2, True)


def test_effect_size_is_kept(hsic, run):
    found = answer(hsic, "--unit", "cluster", "--effect-size", "--value", "observed")
    effect = found["effect"]
    assert effect["alignment_low"] <= effect["alignment_high"]
    assert (effect["n_units"], effect["energy_name"]) == (12, "energy coefficient H")
    kept = run / "analyses" / "hsic-observed"
    assert "CKA" in (kept / "text.md").read_text()
    assert pd.read_parquet(kept / "table.parquet").loc[0, "method"] == "exact"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--permutations", 50], "E125", "smallest p is 1/(B+1)"),
        (["--permutations", 199, "--alpha", 0.001], "E125", "smallest p is 1/(B+1)"),
        (["--alpha", 2], "E302", "alpha"),
        (["--kernel", "sigmoid"], "E302", "gaussian, laplace"),
        (["--bandwidth-multiple", 0], "E302", "positive"),
        (["--method", "magic"], "E302", "permutation"),
        (["--value", "magic"], "E302", "probability"),
        (["--stop-after", 0], "E302", "stop_after"),
    ],
)
def test_bad_options(hsic, words, code, said):
    status, _, err = hsic(*words)
    assert (status, code in err, said in err) == (2, True, True)


def test_one_group_only(hsic, persons):
    persons(group=["0"] * 24)
    code, _, err = hsic()
    assert (code, "E124" in err, "one group only" in err) == (2, True, True)


def test_one_cluster_per_group(hsic, persons):
    persons(group=["0"] * 12 + ["1"] * 12, cluster=["a"] * 12 + ["b"] * 12)
    code, _, err = hsic("--unit", "cluster")
    assert (code, "E124" in err, "at least two" in err) == (2, True, True)


def test_a_person_in_the_wrong_cluster(hsic, persons):
    persons(group=["0", "1"] * 12, cluster=["a", "a"] * 12)
    code, _, err = hsic("--unit", "cluster")
    assert (code, "E126" in err) == (2, True)


def test_missing_values_and_rows_that_are_no_distribution(hsic, transitions):
    def no_mass(table):
        table.loc[0, "expected"] = np.nan
        return table

    transitions(no_mass)
    code, _, err = hsic("--value", "expected")
    assert (code, "E111" in err) == (2, True)
    transitions(lambda table: table.assign(probability=table["probability"] + 0.1))
    code, _, err = hsic("--value", "probability")
    assert (code, "E128" in err, "sum to one" in err) == (2, True, True)
    assert hsic("--value", "score", "--permutations", 99)[0] == 0


def test_equal_persons_give_zero_and_one(hsic, transitions):
    transitions(lambda table: table.assign(score=0.0))
    found = answer(hsic, "--permutations", 199, "--effect-size")
    assert (found["statistic"], found["pvalue"], found["effect"]["alignment"]) == (0.0, 1.0, 0.0)
    assert "All rows are equal" in found["notes"][0]


def test_families_stay_together_unless_told_otherwise(hsic):
    whole, alone = answer(hsic), answer(hsic, "--unit", "person")
    assert (whole["unit_name"], alone["unit_name"]) == ("families", "persons")
    assert whole["n_units"] < alone["n_units"]
