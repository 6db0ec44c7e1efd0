"""Linear and logistic networks with person effects against lme4 on further cases; see golden/lme4_cases.R."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.models.simulated import chains, fitted, problem_of, rows_of
from toolkit import fit
from toolkit.data.grouped import GroupedDataset
from toolkit.models import Module, NmeCrf, NmeMlp
from toolkit.models.climbing import laplace_log_likelihood, to_mode
from toolkit.models.effect_tables import boundary_notes, boundary_sentences, effects_table, variance_table
from toolkit.models.training import Trained

GOLDEN = Path(__file__).parents[1] / "golden"
LME4 = pd.read_csv(GOLDEN / "lme4_cases.csv").set_index(["case", "stat"])["value"]
EFFECTS = pd.read_csv(GOLDEN / "lme4_effects.csv", dtype={"level": str})
FIXED = pd.read_csv(GOLDEN / "nme_linear_fixed_points.csv").set_index(["case", "algorithm", "stat"])["value"]
GLMM = pd.read_csv(GOLDEN / "glmm_goldens.csv").set_index(["case", "stat"])["value"]
INTERCEPT = "layers.0.bias"
LOGISTIC = {"task": "binary", "hidden": (), "approximation": "laplace"}


def unbalanced() -> GroupedDataset:
    """Person number s of the sleep study keeps the days up to s modulo 10."""
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    kept = frame[frame["Days"] <= frame.groupby("Subject", sort=False).ngroup() % 10]
    return GroupedDataset.from_frame(kept, target="Reaction", features=["Days"], groups="Subject", time="Days")


def binary(features: list[str]) -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "binary_slopes.csv")
    frame["y"] = pd.Categorical(np.where(frame["y"] == 1, "yes", "no"), ["no", "yes"])
    return GroupedDataset.from_frame(frame, target="y", features=features, groups="person")


def orthodont(features: list[str]) -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "orthodont.csv")
    male = (frame["Sex"] == "Male").astype(float)
    frame = frame.assign(male=male, age_male=frame["age"] * male)
    return GroupedDataset.from_frame(frame, target="distance", features=features, groups="Subject", time="age")


def sleep() -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days"], groups="Subject", time="Days")


CASES = {
    "sleep_diag": (sleep, {"hidden": (), "effects": "last"}),
    "sleep_unbal_int": (unbalanced, {"hidden": (), "effects": INTERCEPT}),
    "sleep_unbal_diag": (unbalanced, {"hidden": (), "effects": "last"}),
    "sleep_unbal_corr": (unbalanced, {"hidden": (), "effects": "last", "covariance": "full"}),
    "orthodont_corr": (lambda: orthodont(["age"]), {"hidden": (), "effects": "last", "covariance": "full"}),
    "binary_int": (lambda: binary(["x", "z"]), LOGISTIC | {"effects": INTERCEPT}),
    "binary_diag": (lambda: binary(["x", "z"]), LOGISTIC | {"effects": "last"}),
    "binary_corr": (lambda: binary(["x"]), LOGISTIC | {"effects": "last", "covariance": "full"}),
}


def run(case: str, **settings: str) -> tuple[Trained, GroupedDataset]:
    make, chosen = CASES[case]
    data = make()
    data = data.as_classes() if chosen.get("task") else data
    return fitted(NmeMlp(**chosen | settings), data), data


def named(parameter: str) -> str:
    """R's name of a parameter of a linear network."""
    return "(Intercept)" if parameter == INTERCEPT else parameter.split("[")[1][:-1] if "[" in parameter else "x"


def sds(trained: Trained) -> dict[str, float]:
    table = variance_table(trained)
    return {
        "residual" if term == "residual" else named(parameter): sd
        for term, parameter, sd in zip(table["term"], table["parameter"], table["sd"], strict=True)
    }


def fixed_effects(trained: Trained) -> dict[str, float]:
    """Intercept and slopes on the raw scale."""
    network = trained.network
    scaler = network.scaler
    weight = network.shared["layers.0.weight"].numpy()[0] / scaler.scale * scaler.target_scale
    bias = float(network.shared[INTERCEPT]) * scaler.target_scale + scaler.target_mean - float(weight @ scaler.mean)
    return {"(Intercept)": bias} | dict(zip(scaler.names, weight.tolist(), strict=True))


def check_against(golden: pd.Series, trained: Trained, rel: float) -> None:
    found = sds(trained)
    largest = max(value for name, value in found.items() if name != "residual")
    for name, value in found.items():
        wanted = golden["sigma"] if name == "residual" else golden[f"sdcor[{name}]"]
        assert value == pytest.approx(wanted, rel=rel, abs=5e-3 * largest if wanted < 1e-6 else 0), name
    for name, value in fixed_effects(trained).items():
        assert value == pytest.approx(golden[f"beta[{name}]"], rel=rel, abs=rel), name
    correlation = [key for key in golden.index if key.startswith("sdcor") and " " in key]
    for key in correlation:
        table = variance_table(trained)
        assert float(table["correlation"].dropna().item()) == pytest.approx(golden[key], abs=2 * rel)


def check_effects(case: str, trained: Trained, rel: float) -> None:
    golden = EFFECTS[EFFECTS["case"] == case].set_index(["parameter", "level"])
    for parameter, own in effects_table(trained).groupby("parameter"):
        here, there = own.set_index("level"), golden.loc[named(str(parameter))]
        there = there.loc[here.index]
        if there["sd"].max() < 1e-6:
            continue  # at the boundary: nobody differs
        assert np.corrcoef(here["estimate"], there["estimate"])[0, 1] > 1 - 1e-8
        np.testing.assert_allclose(here["estimate"], there["estimate"], atol=rel * there["estimate"].abs().max())
        np.testing.assert_allclose(here["sd"], there["sd"], rtol=rel)
        reach = 1.959963984540054 * here["sd"]
        np.testing.assert_allclose(here["low"], here["estimate"] - reach, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(here["high"], here["estimate"] + reach, rtol=1e-12, atol=1e-12)
        deviation = sds(trained)[named(str(parameter))]
        np.testing.assert_allclose(here["reliability"], 1 - here["sd"] ** 2 / deviation**2, atol=1e-12)


QUICK = {"sleep_unbal_int"}


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_em_ends_where_lme4_does(case):
    trained, _ = run(case)
    check_against(LME4[case], trained, rel=2e-5)
    check_effects(case, trained, rel=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sleep_unbal_corr", "orthodont_corr", "binary_diag"])
def test_the_log_likelihood_is_lme4s(case):
    """At the end, by the approximation that the last rounds climb (for classes) or lead to (for numbers)."""
    trained, data = run(case)
    rows, state = problem_of(trained, data)
    assert trained.estimate.posterior is not None
    value = laplace_log_likelihood(rows, state, trained.estimate.posterior)
    network = trained.network
    if network.task == "regression":
        value -= data.n_rows * np.log(network.scaler.target_scale)
    assert value == pytest.approx(LME4[case]["logLik"], abs=1e-4 if case == "binary_diag" else 1e-6)


@pytest.mark.slow
def test_a_linear_chain_ends_at_a_maximum():
    """No small change of a variance or of a shared transition raises the approximate likelihood."""
    data = rows_of(chains(persons=8, days=4, steps=8)[0], sequence="day")
    trained = fitted(NmeCrf(hidden=(), effects="T", epochs=100, lr=0.05), data)
    rows, state = problem_of(trained, data)

    def likelihood() -> float:
        state.cached = None
        return laplace_log_likelihood(rows, state, to_mode(rows, state))

    best = likelihood()
    inside = torch.tensor([not at for at in variance_table(trained)["at_boundary"]])
    assert int(inside.sum()) >= 3
    transitions = state.shared["transitions"].view(-1)
    moving = [(state.log_cholesky, inside.nonzero().ravel().tolist()), (transitions, range(0, len(transitions), 2))]
    for tensor, places in moving:
        for place in places:
            around = []
            for step in (1e-2, -1e-2):
                tensor[place] += step
                around.append(likelihood())
                tensor[place] -= step
            assert max(around) <= best + 1e-7
            assert abs(around[0] - around[1]) / 2e-2 < 5e-3


@pytest.mark.slow
def test_a_logistic_network_ends_where_glmer_does_on_cbpp():
    frame = pd.read_csv(GOLDEN / "cbpp.csv", dtype={"herd": str, "period": str})
    rows = frame.loc[frame.index.repeat(frame["size"])]
    ill = rows.groupby(level=0).cumcount() < rows["incidence"]
    rows = rows.assign(y=pd.Categorical(np.where(ill, "ill", "well"), ["well", "ill"]))
    periods = {f"period{p}": (rows["period"] == p).astype(float) for p in "234"}
    data = GroupedDataset.from_frame(
        rows.assign(**periods).reset_index(drop=True), target="y", features=list(periods), groups="herd"
    )
    model = fit(NmeMlp(**LOGISTIC, effects=INTERCEPT), data, seed=1, split=None, device="cpu", progress=None)
    golden = GLMM["cbpp_nAGQ1"]
    assert model.variance_components()["sd"].item() == pytest.approx(golden["sdcor[herd:(Intercept)]"], rel=1e-5)
    assert isinstance(model.trained, Trained)
    for name, value in fixed_effects(model.trained).items():
        assert value == pytest.approx(golden[f"beta[{name}]"], rel=1e-5)


@pytest.mark.slow
def test_the_published_update_on_unbalanced_rows():
    trained, _ = run("sleep_unbal_int", variance_update="paper")
    golden = FIXED["sleep_unbal_int"]["nme"]
    assert sds(trained)["(Intercept)"] == pytest.approx(golden["sd0"], rel=1e-3)
    assert sds(trained)["residual"] == pytest.approx(golden["sigma"], rel=1e-3)
    found = fixed_effects(trained)
    assert found["(Intercept)"] == pytest.approx(golden["beta0"], rel=1e-4)
    assert found["Days"] == pytest.approx(golden["beta1"], rel=1e-3)


@pytest.mark.slow
def test_the_correlated_published_fixed_point_does_not_depend_on_the_learning_rate():
    config = {"hidden": (), "effects": "last", "covariance": "full", "variance_update": "paper"}
    golden = FIXED["sleep_corr"]["nme"]
    for lr in (0.003, 0.05):
        found = sds(fitted(NmeMlp(**config, lr=lr), sleep()))
        assert found["(Intercept)"] == pytest.approx(golden["sd0"], rel=1e-3)
        assert found["Days"] == pytest.approx(golden["sd1"], rel=1e-3)
        assert found["residual"] == pytest.approx(golden["sigma"], rel=1e-3)


class Growth(nn.Module):
    """Intercept and slope that vary by child, and what boys differ from girls, which does not."""

    def __init__(self) -> None:
        super().__init__()
        self.growth = nn.Linear(1, 1)
        self.boys = nn.Linear(2, 1, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.growth(rows[..., :1]) + self.boys(rows[..., 1:])


@pytest.mark.slow
def test_growth_of_girls_and_boys_with_all_correlations():
    data = orthodont(["age", "male", "age_male"])
    module = Module(module=Growth(), shape=(3,))
    model = fit(
        NmeMlp(module=module, effects="growth.*", covariance="full"), data, seed=1, split=None, device="cpu",
        progress=None,
    )  # fmt: skip
    golden = LME4["orthodont_sexes"]
    components = model.variance_components()
    sd = dict(zip(components["parameter"], components["sd"], strict=True))
    assert sd["growth.bias"] == pytest.approx(golden["sdcor[(Intercept)]"], rel=1e-4)
    assert sd["growth.weight"] == pytest.approx(golden["sdcor[age]"], rel=1e-4)
    assert sd["residual"] == pytest.approx(golden["sigma"], rel=1e-4)
    assert float(components["correlation"].dropna().item()) == pytest.approx(golden["sdcor[(Intercept) age]"], abs=1e-4)
    shared, scale = model.trained.network.shared, model.trained.network.scaler.target_scale
    slope, boys = float(shared["growth.weight"]), shared["boys.weight"].numpy()[0] * scale
    assert slope * scale == pytest.approx(golden["beta[age]"], rel=1e-4)
    np.testing.assert_allclose(boys, golden[["beta[SexMale]", "beta[age:SexMale]"]], rtol=1e-4)


@pytest.mark.slow
def test_a_variance_of_zero_is_at_the_boundary():
    data = GroupedDataset.from_frame(pd.read_csv(GOLDEN / "dyestuff2.csv"), target="Yield", features=[], groups="Batch")
    trained = fitted(NmeMlp(hidden=()), data)
    table = variance_table(trained)
    assert table["at_boundary"].tolist() == [True, False]
    assert table["sd"].iloc[1] == pytest.approx(LME4["dyestuff2"]["sigma"], rel=1e-5)
    assert table["share"].iloc[0] < 1e-5
    assert boundary_notes(table) == [
        "W235: 1 of 1 variances of 'Batch' cannot be told from zero (layers.0.bias): their effects are the average for "
        "everybody"
    ]
    settled = table.assign(at_boundary=False)
    assert boundary_notes(settled) == []
    model = fit(NmeMlp(hidden=(), epochs=30), data, seed=1, split=None, device="cpu", progress=None)
    assert model.manifest["warnings"][-1].startswith("W235: 1 of 1")
    assert model.manifest["status"]["sentence"].endswith(" 1 of 1 variances of 'Batch' cannot be told from zero.")
    assert boundary_sentences(settled) == []
