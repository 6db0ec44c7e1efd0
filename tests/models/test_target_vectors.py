"""Several numeric targets of one network: separate fits as the limit, lme4 by target, missing values, run folders."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

from tests.models.simulated import fitted
from toolkit import fit, load_run
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError, ToolkitError
from toolkit.models import GenericMlp, Lmm, MlpLme, NmeCrf, NmeMlp, Pen, SpecificMlp
from toolkit.models.effect_tables import effects_table, variance_table
from toolkit.models.several_targets import SquaredErrors
from toolkit.models.training import Trained
from toolkit.runs.adapting import adapt

GOLDEN = Path(__file__).parents[1] / "golden"
LME4 = pd.read_csv(GOLDEN / "lme4_cases.csv").set_index(["case", "stat"])["value"]
TARGETS = ["mood", "stress"]


@cache
def frame(persons: int = 20, rows: int = 12) -> pd.DataFrame:
    """Two targets whose intercepts correlate between persons, and whose slopes on ``x`` vary."""
    rng = np.random.default_rng(5)
    code = np.repeat(np.arange(persons), rows)
    x = 2.0 + rng.standard_normal(len(code))
    shared = rng.standard_normal(persons)
    made = pd.DataFrame({"x": x, "person": [f"p{c:02d}" for c in code], "t": np.tile(np.arange(rows), persons)})
    for name, unit, residual in (("mood", 1.0, 0.6), ("stress", 5.0, 1.1)):
        level = 0.8 * shared + 0.6 * rng.standard_normal(persons)
        slope = 0.7 + 0.5 * rng.standard_normal(persons)
        made[name] = unit * (3.0 + level[code] + slope[code] * x + residual * rng.standard_normal(len(code)))
    return made


def data(target: str | list[str], rows: pd.DataFrame | None = None, **roles) -> GroupedDataset:
    given = {"target": target, "features": ["x"], "groups": "person", "time": "t"} | roles
    return GroupedDataset.from_frame(frame() if rows is None else rows, **given)


def of_one(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows of a target's parameters, called as they are in a model of that target alone."""
    own = table[table["parameter"].str.contains(target, regex=False)]
    names = own["parameter"].str.replace(rf"\[{target}\]$", "", regex=True)
    return own.assign(parameter=names.str.replace(f"[{target},", "[", regex=False)).reset_index(drop=True)


def assert_same_fit(joint: Trained, alone: Trained, target: str, *, tolerance: float = 1e-5) -> None:
    mine = of_one(variance_table(joint), target).sort_values("parameter")
    theirs = variance_table(alone).sort_values("parameter")
    assert mine["parameter"].tolist() == theirs["parameter"].tolist()
    np.testing.assert_allclose(mine["sd"], theirs["sd"], rtol=tolerance, atol=tolerance)
    keys = ["level", "parameter"]
    effects, other = of_one(effects_table(joint), target).sort_values(keys), effects_table(alone).sort_values(keys)
    assert effects[keys].to_numpy().tolist() == other[keys].to_numpy().tolist()
    unit = float(other["estimate"].std())
    np.testing.assert_allclose(effects["estimate"], other["estimate"], atol=5 * tolerance * unit)
    np.testing.assert_allclose(effects["sd"], other["sd"], rtol=5 * tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 48])
def test_without_shared_parts_the_joint_fit_is_that_of_each_target_alone(batch):
    config = NmeMlp(hidden=(), epochs=40 if batch is None else 60, batch=batch)
    joint = fitted(config, data(TARGETS))
    for target in TARGETS:
        alone = fitted(NmeMlp(hidden=(), epochs=40), data(target))
        assert_same_fit(joint, alone, target, tolerance=1e-5 if batch is None else 0.02)


@pytest.mark.slow
def test_copies_of_a_target_are_fitted_as_the_target():
    rows = frame().assign(again=frame()["mood"])
    joint = fitted(NmeMlp(hidden=()), data(["mood", "again"], rows))
    alone = fitted(NmeMlp(hidden=()), data("mood"))
    for target in ("mood", "again"):
        assert_same_fit(joint, alone, target)


@pytest.mark.slow
def test_a_row_without_one_target_counts_for_the_others():
    rows, gone = frame().copy(), np.random.default_rng(2).random(len(frame())) < 0.3
    rows.loc[gone, "stress"] = np.nan
    config = NmeMlp(hidden=(), epochs=40)
    joint = fitted(config, data(TARGETS, rows, allow_missing_target=True))
    assert_same_fit(joint, fitted(config, data("mood")), "mood")
    assert_same_fit(joint, fitted(config, data("stress", rows[~gone])), "stress")


@pytest.mark.slow
def test_sleepstudy_by_target_is_lme4s():
    """Reaction, and the same on another scale and upside down: lme4's SDs, each in its units."""
    rows = pd.read_csv(GOLDEN / "sleepstudy.csv", dtype={"Subject": str})
    rows["Speed"] = 100.0 - rows["Reaction"] / 4.0
    roles = {"target": ["Speed", "Reaction"], "features": ["Days"], "groups": "Subject", "time": "Days"}
    table = variance_table(fitted(NmeMlp(hidden=(), epochs=60), GroupedDataset.from_frame(rows, **roles)))
    sds = table.set_index("parameter")["sd"]
    for target, unit in (("Reaction", 1.0), ("Speed", 0.25)):
        expected = {
            f"layers.0.bias[{target}]": "sdcor[(Intercept)]", f"layers.0.weight[{target},Days]": "sdcor[Days]",
            f"residual[{target}]": "sigma",
        }  # fmt: skip
        for name, stat in expected.items():
            assert sds[name] == pytest.approx(unit * LME4["sleep_diag", stat], rel=0.02), name


@pytest.mark.slow
def test_shares_add_up_and_residuals_have_names():
    table = variance_table(fitted(NmeMlp(hidden=(), effects="layers.0.bias", epochs=40), data(TARGETS)))
    assert table["share"].sum() == pytest.approx(1.0, abs=1e-6)
    residual = table[table["term"] == "residual"]
    assert residual["parameter"].tolist() == ["residual[mood]", "residual[stress]"]
    assert (residual["sd"] > 0.4).all()
    generic = variance_table(fitted(GenericMlp(hidden=(), epochs=50), data(TARGETS)))
    wanted = [frame()[name].var() for name in TARGETS]
    assert (generic["variance"] < wanted).all(), "what the network explains is not left"


def dense_deviance(parameters: np.ndarray, rows: pd.DataFrame) -> float:
    """Minus twice the log-likelihood of two correlated random intercepts: one normal density a person."""
    chol = np.array([[parameters[0], 0.0], [parameters[1], parameters[2]]])
    between, residual = chol @ chol.T, np.square(parameters[3:5])
    total = 0.0
    for _, own in rows.groupby("person"):
        count = len(own)
        mean = np.stack([parameters[5 + k] + parameters[7 + k] * own["x"] for k in range(2)]).ravel()
        noise = np.diag(np.repeat(residual, count))
        spread = np.kron(between, np.ones((count, count))) + noise
        total += multivariate_normal(mean, spread).logpdf(np.concatenate([own[name] for name in TARGETS]))
    return -2.0 * total


@pytest.mark.slow
def test_correlated_intercepts_of_two_targets_maximise_the_dense_likelihood():
    """The covariance between targets is found: no small change of a variance raises the likelihood."""
    found = fitted(NmeMlp(hidden=(), effects="layers.0.bias", covariance="full", epochs=60), data(TARGETS))
    table = variance_table(found).set_index("parameter")
    sd = [table.loc[f"layers.0.bias[{name}]", "sd"] for name in TARGETS]
    r = table.loc["layers.0.bias[stress]", "correlation"]
    assert abs(r) > 0.05
    scale, shared = found.network.scaler.targets, found.network.shared
    slope = shared["layers.0.weight"].numpy()[:, 0] * scale.scale / found.network.scaler.scale[0]
    level = shared["layers.0.bias"].numpy() * scale.scale + scale.mean - slope * found.network.scaler.mean[0]
    residual = [table.loc[f"residual[{name}]", "sd"] for name in TARGETS]
    point = np.array([sd[0], r * sd[1], sd[1] * np.sqrt(1 - r**2), *residual, *level, *slope])
    best = dense_deviance(point, frame())
    for place in range(5):
        for factor in (0.97, 1.03):
            moved = point.copy()
            moved[place] *= factor
            assert dense_deviance(moved, frame()) > best - 1e-3


def test_the_loss_and_its_derivative():
    generator = torch.Generator().manual_seed(0)
    outputs, target = (torch.randn((3, 4, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    target[1, 2, 0] = torch.nan
    weight = torch.ones((3, 4), dtype=torch.bool)
    weight[2, 3] = False
    loss = SquaredErrors(variances=torch.tensor([0.5, 2.0], dtype=torch.float64))
    slow = torch.zeros(3, dtype=torch.float64)
    for line in range(3):
        for row in range(4):
            for k, variance in enumerate((0.5, 2.0)):
                if weight[line, row] and not torch.isnan(target[line, row, k]):
                    slow[line] += (outputs[line, row, k] - target[line, row, k]) ** 2 / variance
    torch.testing.assert_close(loss(outputs, target, weight), slow)
    alone = sum(loss.alone(k)(outputs, target, weight) / v for k, v in enumerate((0.5, 2.0)))
    torch.testing.assert_close(alone, slow)
    free = outputs[0].clone().requires_grad_(True)
    (wanted,) = torch.autograd.grad(loss(free[None], target[:1], weight[:1]).sum(), [free])
    total, slopes = loss.slopes(outputs[0], target[0])
    torch.testing.assert_close(slopes, wanted)
    torch.testing.assert_close(total, slow[0])


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(NmeMlp(hidden=(4,), effects="all", epochs=12, monitor="ccc_by_person"), marks=pytest.mark.slow),
        NmeMlp(hidden=(4,), epochs=12, batch=32, variance_update="paper"),
        NmeMlp(hidden=(3,), epochs=12, variance_update="unregularised"),
        GenericMlp(hidden=(4,), epochs=12),
        SpecificMlp(hidden=(3,), epochs=12),
        pytest.param(MlpLme(hidden=(2,), epochs=8, rounds=1), marks=pytest.mark.slow),
    ],
    ids=lambda config: f"{type(config).__name__} {getattr(config, 'effects', '')}",
)
def test_run_folders_hold_every_target(config, tmp_path):
    rows = data(TARGETS)
    run = fit(config, rows, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    assert saved.targets == tuple(TARGETS)
    values = run.predict(rows)
    assert values.shape == (rows.n_rows, 2)
    np.testing.assert_array_equal(saved.predict(rows), values)
    shown = saved.predict_frame(rows)
    np.testing.assert_array_equal(shown["prediction_stress"], values[:, 1])
    np.testing.assert_array_equal(shown["prediction"], values[:, 0])
    for place, name in enumerate(TARGETS):
        table = saved.predictions(name)
        np.testing.assert_array_equal(table["prediction"], values[:, place])
        np.testing.assert_array_equal(table["truth"], frame()[name])
        metrics = saved.metrics(name).query("scope == 'pooled' and split == 'test' and metric == 'rmse'")
        error = (table["truth"] - table["prediction"])[table["split"] == "test"]
        own = metrics.loc[metrics["level"] == "person", "value"].item()
        assert own == pytest.approx(np.sqrt((error**2).mean()))
    pd.testing.assert_frame_equal(saved.variance_components(), run.variance_components())


@pytest.mark.slow
def test_new_persons_are_adapted_by_all_their_targets(tmp_path):
    """As by each target alone, where effects of the targets are independent and nothing is shared."""
    old, new = (frame()[frame()["person"].isin(who)] for who in (PERSONS[:15], PERSONS[15:]))
    run = fit(NmeMlp(hidden=(), epochs=60), data(TARGETS, old), seed=1, split=None, out=tmp_path / "run")
    adapted = adapt(load_run(tmp_path / "run"), data(TARGETS, new), seed=1)
    in_memory = adapt(run, data(TARGETS, new), seed=1)
    pd.testing.assert_frame_equal(adapted.random_effects(), in_memory.random_effects())
    for target in TARGETS:
        alone = fit(NmeMlp(hidden=(), epochs=60), data(target, old), seed=1, split=None)
        expected = adapt(alone, data(target, new), seed=1).random_effects()
        found = of_one(adapted.random_effects(), target)
        keys = ["level", "parameter"]
        found, expected = found.sort_values(keys), expected.sort_values(keys)
        np.testing.assert_allclose(found["estimate"], expected["estimate"], atol=0.02 * expected["estimate"].std())
    with pytest.raises(DataError, match="target"):
        adapt(run, data("mood", new), seed=1)


PERSONS = sorted(frame()["person"].unique())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (NmeMlp(loss="huber"), "loss 'huber' takes one target"),
        (NmeMlp(loss="l1"), "loss 'l1' takes one target"),
        (NmeMlp(task="count"), "task 'count' takes one target"),
        (NmeMlp(task="binary"), "several targets have to be numbers"),
        (Lmm(random="(1 | person)"), "this model takes one target"),
        (NmeCrf(), "several targets have to be numbers"),
    ],
)
def test_models_of_one_target_say_so(config, words):
    with pytest.raises(ToolkitError, match=words) as caught:
        fit(config, data(TARGETS), seed=1)
    assert caught.value.code == "E302"


def test_rows_without_any_target_are_refused():
    rows = frame().copy()
    rows.loc[3, TARGETS] = np.nan
    with pytest.raises(DataError, match=r"1 row\(s\) without a known target") as caught:
        fit(NmeMlp(hidden=()), data(TARGETS, rows, allow_missing_target=True), seed=1)
    assert (caught.value.code, caught.value.rows) == ("E111", (5,))
    rows.loc[3, "mood"] = 1.0
    with pytest.raises(DataError, match="experts need all targets"):
        fit(Pen(), data(TARGETS, rows, allow_missing_target=True), seed=1)
    with pytest.raises(DataError, match="constant"):
        fit(NmeMlp(), data(["mood", "flat"], frame().assign(flat=1.0)), seed=1)
    with pytest.raises(ConfigError, match="no metric"):
        NmeMlp(monitor="auc")


@pytest.mark.slow
def test_several_factors_and_several_targets():
    """Persons and items, two targets: as each target alone, and new persons' effects are found."""
    item = np.random.default_rng(1).integers(0, 6, len(frame()))
    shift = np.random.default_rng(2).standard_normal(6)
    rows = frame().assign(item=[f"i{k}" for k in item], mood=frame()["mood"] + shift[item])
    bias, roles = "layers.0.bias", {"groups": ["person", "item"]}
    train = rows[rows["person"] < "p15"]
    config = NmeMlp(hidden=(), effects=bias, epochs=100)
    run = fit(config, data(TARGETS, train, **roles), seed=1, split=None)
    joint = run.variance_components().set_index(["term", "parameter"])
    for target in TARGETS:
        alone = fit(config, data(target, train, **roles), seed=1, split=None).variance_components()
        for term, name in (("person", bias), ("item", bias), ("residual", "residual")):
            mine = joint.loc[(term, f"{name}[{target}]"), "sd"]
            theirs = alone.set_index(["term", "parameter"]).loc[(term, name), "sd"]
            assert mine == pytest.approx(theirs, rel=2e-3, abs=2e-3)
    assert joint["share"].sum() == pytest.approx(1.0, abs=1e-6)
    new = adapt(run, data(TARGETS, rows[rows["person"] >= "p15"], **roles), seed=1)
    assert (new.random_effects()["reliability"] > 0.5).all()
    assert new.variance_components()["share"].notna().all()
