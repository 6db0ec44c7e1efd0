"""Linear mixed models against lme4 on unbalanced, singular and interacting cases (`tests/golden/lme4_cases.R`)."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit import GroupedDataset, fit
from toolkit.errors import ToolkitWarning
from toolkit.models import Lmm
from toolkit.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
RANDOM = {
    "sleep_diag": "(1 + Days || Subject)",
    "sleep_unbal_int": "(1 | Subject)",
    "sleep_unbal_diag": "(1 + Days || Subject)",
    "sleep_unbal_corr": "(1 + Days | Subject)",
    "orthodont_corr": "(1 + age | Subject)",
    "orthodont_sexes": "(1 + age | Subject)",
    "dyestuff2": "(1 | Batch)",
}
# what lme4 calls what the data call otherwise
NAMES = {"SexMale": "male", "age:SexMale": "age_male"}


def study(case: str) -> GroupedDataset:
    if case == "dyestuff2":
        frame = pd.read_csv(GOLDEN / "dyestuff2.csv")
        return GroupedDataset.from_frame(frame, target="Yield", features=[], groups="Batch")
    if case.startswith("orthodont"):
        frame = pd.read_csv(GOLDEN / "orthodont.csv")
        male = (frame["Sex"] == "Male").astype(float)
        frame = frame.assign(male=male, age_male=male * frame["age"])
        features = ["age", "male", "age_male"] if case.endswith("sexes") else ["age"]
        return GroupedDataset.from_frame(frame, target="distance", features=features, groups="Subject")
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    if "unbal" in case:  # person number s keeps the days up to s modulo 10
        frame = frame[frame["Days"] <= pd.factorize(frame["Subject"])[0] % 10]
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days"], groups="Subject")


def fitted(case: str) -> Run:
    with warnings.catch_warnings():  # persons with a single row; a variance of zero in Dyestuff2
        warnings.simplefilter("ignore", ToolkitWarning)
        return fit(Lmm(random=RANDOM[case]), study(case), seed=1, split=None)


@pytest.mark.parametrize("case", list(RANDOM))
def test_estimates_and_effects_are_lme4s(case):
    run = fitted(case)
    table = pd.read_csv(GOLDEN / "lme4_cases.csv")
    expected = table[table["case"] == case].set_index("stat")["value"]
    assert run.likelihood()["log_likelihood"].iloc[0] == pytest.approx(expected["logLik"], abs=1e-6)
    fixed = run.fixed_effects().set_index("parameter")["estimate"]
    betas = expected[expected.index.str.startswith("beta[")]
    names = [NAMES.get(stat[5:-1], stat[5:-1]) for stat in betas.index]
    assert sorted(names) == sorted(fixed.index)
    # coefficients of Orthodont's sexes hang together: small ones have the error of large ones
    assert fixed[names].to_numpy() == pytest.approx(betas.to_numpy(), rel=1e-6, abs=1e-6)
    components = run.variance_components().set_index("parameter")
    assert components.loc["residual", "sd"] == pytest.approx(expected["sigma"], rel=1e-5)
    sigma = float(expected["sigma"])
    for stat, value in expected[expected.index.str.startswith("sdcor[")].items():
        words = stat[6:-1].split(" ")
        if len(words) == 2:
            assert components["correlation"].dropna().iloc[0] == pytest.approx(value, abs=1e-4)
            continue
        name = "layers.0.bias" if words[0] == "(Intercept)" else f"layers.0.weight[{words[0]}]"
        if value < 1e-3 * sigma:
            assert components.loc[name, "at_boundary"]
        else:
            assert components.loc[name, "sd"] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("case", [case for case in RANDOM if case != "dyestuff2"])
def test_effects_and_conditional_sds_are_lme4s(case):
    run = fitted(case)
    table = pd.read_csv(GOLDEN / "lme4_effects.csv", dtype={"level": str})
    expected = table[table["case"] == case]
    sigma = run.variance_components().set_index("term").loc["residual", "sd"]
    effects = run.random_effects().set_index(["parameter", "level"])
    for name, own in expected.groupby("parameter"):
        place = "layers.0.bias" if name == "(Intercept)" else f"layers.0.weight[{name}]"
        mine = effects.loc[place].loc[own["level"]]
        np.testing.assert_allclose(mine["estimate"], own["estimate"], atol=1e-4 * sigma)
        np.testing.assert_allclose(mine["sd"], own["sd"], rtol=1e-4)
