"""Runs of a small study with kept analyses, made once for the tests of reports, exports and reproduction."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from tests.small_study import small_study
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app

STUDY = """
name = "small"
title = "Small study"
citation = "Nobody et al. (2020); made up"
unit = "prompt"
[data]
file = "data.csv"
[roles]
person = "who"
group = "arm"
time = "t"
targets = ["mood", "state"]
features = ["x"]
state = "state"
states = ["calm", "tense", "sad"]
[group_labels]
0 = "Controls"
1 = "Patients"
"""
FEW = ("--permutations", "99")


def nme(*words: object) -> int:
    """Run a command; returns its exit code."""
    return plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))


def write_study(folder: Path, *, persons: int = 30, patients: int = 15) -> Path:
    """A study with `patients` persons in the arm 1; returns study.toml."""
    frame: pd.DataFrame = small_study(persons=persons)
    number = frame["who"].str.removeprefix("Anna-").astype(int)
    frame = frame.assign(arm=(number < patients).astype(int).astype(str))
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "data.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


def fit_runs(study: Path, *models: str, settled: bool = False) -> Path:
    """Fit models for a few epochs; returns the folder of the runs.

    Unless ``settled``, variances of chains stop with the epochs: carrying them to their fixed point takes most of the
    time of a fit, and changes nothing that reports, tables and exports are about.
    """
    runs = study.parent / "runs"
    for model in models:
        words = ["--model", model, "--epochs", "8", "--set", "hidden=(3,)", "--out", runs / model]
        words += ["--set", "variance_update=paper"] if model == "nme-crf" and not settled else []
        assert nme("fit", study, *words) == 0
    return runs


def analyse_runs(runs: Path) -> None:
    """A few analyses of the chain and of the perceptron."""
    chain = runs / "nme-crf"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nme("analyze", "hsic", chain, *FEW) == 0
        assert nme("analyze", "hsic", chain, "--value", "observed", *FEW) == 0
        assert nme("analyze", "differences", chain, "--resamples", "99") == 0
        assert nme("analyze", "base-rates", chain, *FEW) == 0
        assert nme("analyze", "drivers", chain, "--cell", "calm,sad") == 0
        assert nme("analyze", "variance", runs / "nme-mlp") == 0
