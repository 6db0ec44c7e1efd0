"""``nme analyze differences`` with every option, on a small study of two and of three groups."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
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
features = ["x"]
state = "state"
states = ["calm", "tense", "sad"]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for name, groups in (("two", 2), ("three", 3)):
        data = small_study(persons=24)
        if groups == 3:
            person = data["who"].astype("category").cat.codes
            data["arm"] = np.array(["a", "b", "c"])[person % 3]
        (folder / f"{name}.toml").write_text(STUDY.replace("data.csv", f"{name}.csv"))
        data.to_csv(folder / f"{name}.csv", index=False)
        words = ["fit", str(folder / f"{name}.toml"), "--model", "nme-crf", "--out", str(folder / name)]
        words += ["--epochs", "8", "--set", "hidden=(3,)", "--set", "variance_update=paper"]
        assert plain_errors(lambda words=words: app(words, standalone_mode=False)) == 0
    return folder


@pytest.fixture
def nme(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        command = ["analyze", "differences", *map(str, words)]
        code = plain_errors(lambda: app(command, standalone_mode=False))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def table(runs, name, analysis):
    return pd.read_parquet(runs / name / "analyses" / analysis / "table.parquet")


def test_two_groups_with_permutations_and_structural_zeros(nme, runs):
    code, out, _ = nme(runs / "two", "--resamples", 199, "--permutations", 199, "--structural", "drop", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["method"] == "symmetric-t"
    assert len(found["pvalue_permutation"]) == 3
    assert len(table(runs, "two", "differences-probability")) == 9


def test_method_and_scale_are_used(nme, runs):
    found = [
        json.loads(nme(runs / "two", "--resamples", 199, "--json", *words)[1])
        for words in (
            (),
            ("--method", "percentile"),
            ("--scale", "logit"),
            ("--value", "observed", "--adjust-base-rates"),
        )
    ]
    assert [one["method"] for one in found[:2]] == ["symmetric-t", "percentile"]
    assert [one["scale"] for one in found] == ["probability", "probability", "logit", "excess"]
    assert len({json.dumps(one["difference"]) for one in found[1:]}) == 3


def test_three_groups_are_compared_in_pairs_or_two_of_them(nme, runs):
    code, out, _ = nme(runs / "three", "--resamples", 199)
    assert code == 0
    assert "3 pairs of groups" in out
    assert len(table(runs, "three", "differences-probability")) == 27
    found = json.loads(nme(runs / "three", "--between", "c,a", "--resamples", 199, "--json")[1])
    assert found["group_names"] == ["c", "a"]


def test_plausible_values_stand_beside_the_estimates(nme, runs):
    code, out, _ = nme(runs / "two", "--plausible", 5, "--resamples", 199)
    assert code == 0
    assert "at face value" in out
    found = table(runs, "two", "plausible-probability")
    assert (found["high"] - found["low"] > 0).any()
    assert np.isfinite(found["plug_in_difference"]).all()


def test_slopes_on_a_number_per_person(nme, runs, tmp_path):
    persons = load_run(runs / "two").persons()
    status, _, told = nme(runs / "two", "--covariate", "rows_train", "--resamples", 199)
    assert status == 2
    assert "E124" in told
    assert "does not vary" in told
    ages = pd.DataFrame({"person": persons["person"], "age": np.linspace(20, 60, len(persons))}).iloc[2:]
    ages.to_csv(tmp_path / "ages.csv", index=False)
    code, out, _ = nme(
        runs / "two", "--covariate", "age", "--persons", tmp_path / "ages.csv", "--per", 10, "--resamples", 199
    )
    assert code == 0
    assert "10 units more of age" in out
    assert "2 persons have no value and are left out" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--between", "a,z"), "E302"),
        (("--covariate", "nothing"), "E103"),
        (("--covariate", "rows_train", "--plausible", "5"), "E302"),
        (("--plausible", "5", "--permutations", "99"), "E302"),
        (("--plausible", "5", "--method", "bca"), "E302"),
        (("--plausible", "2"), "E125"),
        (("--per", "10"), "E302"),
        (("--value", "score", "--adjust-base-rates"), "E302"),
        (("--value", "mood"), "E302"),
        (("--resamples", "9"), "E125"),
        (("--covariate", "rows_train", "--method", "bca"), "E302"),
    ],
)
def test_what_cannot_be_done_is_said(nme, runs, words, code):
    status, _, told = nme(runs / "two", *words)
    assert status == 2
    assert code in told


def test_permutations_of_three_groups_ask_for_two(nme, runs):
    status, _, told = nme(runs / "three", "--permutations", 99)
    assert status == 2
    assert "--between" in told
