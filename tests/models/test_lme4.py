"""Linear networks with person effects against lme4 (maximum likelihood) and the published update's fixed points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.models.simulated import fitted
from toolkit import fit
from toolkit.data.grouped import GroupedDataset
from toolkit.models import NmeMlp
from toolkit.models.effect_tables import effects_table, variance_table
from toolkit.models.training import Trained

GOLDEN = Path(__file__).parents[1] / "golden"
LME4 = pd.read_csv(GOLDEN / "lmm_goldens.csv").query("source == 'lme4'").set_index(["case", "stat"])["value"]
FIXED = pd.read_csv(GOLDEN / "nme_linear_fixed_points.csv").set_index(["case", "algorithm", "stat"])["value"]

INTERCEPT, SLOPE = "layers.0.bias", "layers.0.weight[Days]"


def sleepstudy() -> GroupedDataset:
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days"], groups="Subject", time="Days")


def dyestuff() -> GroupedDataset:
    return GroupedDataset.from_frame(pd.read_csv(GOLDEN / "dyestuff.csv"), target="Yield", features=[], groups="Batch")


def config(case: str, update: str = "em") -> NmeMlp:
    chosen = {
        "sleep_int": {"effects": INTERCEPT},
        "sleep_diag": {"effects": "last"},
        "sleep_corr": {"effects": "last", "covariance": "full"},
        "dyestuff": {"effects": "last"},
    }[case]
    return NmeMlp(hidden=(), variance_update=update, **chosen)


def run(case: str, update: str = "em") -> Trained:
    return fitted(config(case, update), dyestuff() if case == "dyestuff" else sleepstudy())


def sds(trained: Trained) -> dict[str, float]:
    table = variance_table(trained)
    return dict(zip(table["parameter"].fillna("residual"), table["sd"], strict=True)) | {
        "residual": float(table.loc[table["term"] == "residual", "sd"].item())
    }


@pytest.mark.parametrize(
    ("case", "group", "slope"),
    [
        ("sleep_int", "Subject", None),
        pytest.param("sleep_diag", "Subject", "Subject.1", marks=pytest.mark.slow),
        pytest.param("sleep_corr", "Subject", "Subject", marks=pytest.mark.slow),
        ("dyestuff", "Batch", None),
    ],
)
def test_em_agrees_with_lme4(case, group, slope):
    trained = run(case)
    assert trained.estimate.outcome.status.converged
    found, golden = sds(trained), LME4[f"{case}_ML"]
    assert found[INTERCEPT] == pytest.approx(golden[f"sdcor[{group}:(Intercept)]"], rel=1e-5)
    assert found["residual"] == pytest.approx(golden["sigma"], rel=1e-5)
    if slope:
        assert found[SLOPE] == pytest.approx(golden[f"sdcor[{slope}:Days]"], rel=1e-5)
    if case == "sleep_corr":
        table = variance_table(trained).set_index("parameter")
        correlation = table["correlation"].dropna()
        assert float(correlation.iloc[0]) == pytest.approx(golden["sdcor[Subject:(Intercept):Days]"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sleep_int", "sleep_diag", "sleep_corr"])
def test_fixed_effects_agree_with_lme4(case):
    trained = run(case)
    at = sleepstudy()
    network = trained.network
    days = np.asarray(at.features)[:, 0]
    found = np.polyfit(days, network.predict(at, "population"), 1)
    np.testing.assert_allclose(found, LME4[f"{case}_ML"][["beta[Days]", "beta[(Intercept)]"]], rtol=1e-3)


@pytest.mark.parametrize("case", ["sleep_int", pytest.param("sleep_corr", marks=pytest.mark.slow)])
def test_person_effects_agree_with_blups(case):
    table = effects_table(run(case))
    golden = pd.read_csv(GOLDEN / f"blup_{case}_ML_Subject.csv", dtype={"level": str}).set_index("level")
    for parameter, column, spread in ((INTERCEPT, "(Intercept)", "condVar_11"), (SLOPE, "Days", "condVar_22")):
        if column not in golden:
            continue
        here = table[table["parameter"] == parameter].set_index("level").loc[golden.index]
        assert np.corrcoef(here["estimate"], golden[column])[0, 1] >= 0.9999
        largest = golden[column].abs().max()
        np.testing.assert_allclose(here["estimate"], golden[column], atol=1e-5 * largest)
        np.testing.assert_allclose(here["sd"], np.sqrt(golden[spread]), rtol=5e-6)
        np.testing.assert_allclose((here["high"] - here["low"]) / here["sd"], 2 * 1.959964, rtol=1e-5)


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("sleep_int", ["sd0"]),
        pytest.param("sleep_diag", ["sd0", "sd1"], marks=pytest.mark.slow),
        pytest.param("sleep_corr", ["sd0", "sd1"], marks=pytest.mark.slow),
    ],
)
def test_the_published_update_ends_at_its_own_fixed_point(case, names):
    trained = run(case, "paper")
    found, golden = sds(trained), FIXED[case]["nme"]
    for parameter, name in zip((INTERCEPT, SLOPE), names, strict=False):
        assert found[parameter] == pytest.approx(golden[name], rel=1e-3)
    assert found["residual"] == pytest.approx(golden["sigma"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["sleep_int", "sleep_diag", "sleep_corr"])
def test_the_published_update_stands_still_at_the_end(case):
    """Another round changes nothing: variances are the sample (co)variance of the ridge estimates they imply."""
    trained = run(case, "paper")
    data, network = sleepstudy(), trained.network
    table = effects_table(trained)
    names = list(dict.fromkeys(table["parameter"]))
    eta = table.pivot(index="level", columns="parameter", values="estimate")[names]
    reported = trained.reported_scale
    covariance = reported @ network.effects.covariance.numpy() @ reported.T
    sample = np.cov(eta.to_numpy(), rowvar=False).reshape(covariance.shape)
    if case != "sleep_corr":
        sample = np.diag(np.diag(sample))
        if network.effects.layout.mixing is not None:
            covariance = np.diag(np.diag(covariance))
    np.testing.assert_allclose(sample, covariance, rtol=0.01, atol=0.01 * covariance.max())
    residual = np.asarray(data.target) - network.predict(data)
    assert np.sqrt(np.mean(residual**2)) == pytest.approx(sds(trained)["residual"], rel=0.005)
    # ridge: the effects are posterior modes at these variances
    mean = np.asarray(data.target) - network.predict(data, "population")
    days = np.asarray(data.features)[:, 0]
    sigma2 = sds(trained)["residual"] ** 2
    for code, level in enumerate(data.persons):
        rows = np.asarray(data.person) == code
        design = np.column_stack([days[rows] if name == SLOPE else np.ones(rows.sum()) for name in names])
        left = design.T @ design / sigma2 + np.linalg.inv(covariance)
        ridge = np.linalg.solve(left, design.T @ mean[rows] / sigma2)
        assert np.all(np.abs(eta.loc[level] - ridge) < 0.01 * eta.abs().max())


@pytest.mark.slow
def test_the_published_update_is_biased_low():
    published, corrected = sds(run("sleep_diag", "paper")), sds(run("sleep_diag"))
    for parameter in (INTERCEPT, SLOPE, "residual"):
        assert published[parameter] < corrected[parameter]


@pytest.mark.slow
def test_the_public_call_gives_the_same():
    model = fit(config("sleep_diag"), sleepstudy(), seed=1, device="cpu", split=None, progress=None)
    components = model.variance_components().set_index("parameter")["sd"]
    assert components[INTERCEPT] == pytest.approx(LME4["sleep_diag_ML"]["sdcor[Subject:(Intercept)]"], rel=1e-3)
    effects = model.random_effects()
    assert {"term", "level", "parameter", "estimate", "sd", "low", "high"} <= set(effects.columns)
    assert len(effects) == 2 * 18
