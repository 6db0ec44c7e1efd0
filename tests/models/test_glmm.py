"""Logistic mixed models against lme4, from data to run folder and back."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from toolkit import GroupedDataset, fit, load_run
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import Glmm
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.quadrature import evaluate
from toolkit.optimise.status import Status
from toolkit.runs.adapting import adapt
from toolkit.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
BIAS = "layers.0.bias"
RANDOM = {
    "crossed": "(1 | person) + (1 | family) + (1 | item)",
    "crossed_slopes": "(1 | person) + (1 + x | item)",
    "quadrature": "(1 | person)",
    "single_slope": "(0 + x | person)",
}
CLASSES = ("0", "1")


@cache
def study(case: str) -> GroupedDataset:
    if case == "cbpp":
        frame = pd.read_csv(GOLDEN / "cbpp.csv")
        counts = np.column_stack([frame["incidence"], frame["size"] - frame["incidence"]]).ravel()
        long = frame.loc[np.repeat(np.arange(len(frame)), 2)].assign(ill=np.tile([1, 0], len(frame)))
        long = long.iloc[np.repeat(np.arange(len(long)), counts)].reset_index(drop=True)
        long = long.assign(**{f"period{own}": (long["period"] == own).astype(float) for own in (2, 3, 4)})
        features = ["period2", "period3", "period4"]
        return GroupedDataset.from_frame(long, target="ill", features=features, groups="herd").as_classes(CLASSES)
    if case in ("quadrature", "single_slope"):
        frame = pd.read_csv(GOLDEN / "binary_slopes.csv")
        return GroupedDataset.from_frame(frame, target="y", features=["x", "z"], groups="person").as_classes(CLASSES)
    frame = pd.read_csv(GOLDEN / "nested_crossed.csv")
    frame = frame.assign(high=(frame["y"] > frame["y"].median()).astype(int))
    data = GroupedDataset.from_frame(frame, target="high", features=["x"], groups=["person", "family", "item"])
    return data.as_classes(CLASSES)


@cache
def fitted(case: str, nodes: int | None = None) -> Run:
    return fit(Glmm(random=RANDOM.get(case), nodes=nodes), study(case), seed=1, split=None)


def expectations(case: str, file: str = "glmm_cases.csv") -> pd.Series:
    return pd.read_csv(GOLDEN / file).set_index(["case", "stat"])["value"].loc[case].astype(float)


@pytest.mark.parametrize(("case", "nodes"), [("cbpp_nAGQ1", 1), ("cbpp_nAGQ25", 25)])
def test_grouped_binomials_are_lme4s(case, nodes):
    run, expected = fitted("cbpp", nodes), expectations(case, "glmm_goldens.csv")
    fixed = run.fixed_effects().set_index("parameter")
    for name in fixed.index:
        assert fixed.loc[name, "estimate"] == pytest.approx(expected[f"beta[{name}]"], rel=1e-5)
        assert fixed.loc[name, "se"] == pytest.approx(expected[f"se[{name}]"], rel=1e-4)
    assert run.variance_components()["sd"].tolist() == pytest.approx([expected["sdcor[herd:(Intercept)]"]], rel=1e-5)


@pytest.mark.parametrize("case", list(RANDOM))
def test_everything_is_lme4s(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)  # a correlation of one in crossed_slopes
        run, expected = fitted(case, 15 if case == "quadrature" else 1), expectations(case)
    assert run.status is Status.MAXIMUM
    likelihood = run.likelihood().iloc[0]
    assert likelihood["log_likelihood"] == pytest.approx(expected["logLik"], abs=1e-5)
    assert likelihood["aic"] == pytest.approx(expected["AIC"], abs=1e-4)
    assert likelihood["bic"] == pytest.approx(expected["BIC"], abs=1e-4)
    fixed = run.fixed_effects().set_index("parameter")
    for name in fixed.index:
        assert fixed.loc[name, "estimate"] == pytest.approx(expected[f"beta[{name}]"], rel=2e-4)
        if case != "crossed_slopes":  # at a boundary its second derivative is no measure
            assert fixed.loc[name, "se"] == pytest.approx(expected[f"se[{name}]"], rel=1e-3)
    components = run.variance_components()
    sds = expected[[name for name in expected.index if name.startswith("sdcor[") and name.count(":") == 1]]
    for name, value in sds.items():
        term, parameter = str(name)[6:-1].split(":")
        own = BIAS if parameter == "(Intercept)" else f"layers.0.weight[{parameter}]"
        chosen = components[(components["term"] == term) & (components["parameter"] == own)]
        assert chosen["sd"].tolist() == pytest.approx([value], rel=2e-4)


@pytest.mark.parametrize("case", ["crossed", "single_slope"])
def test_effects_and_their_sds_are_lme4s(case):
    table = pd.read_csv(GOLDEN / "glmm_effects.csv", dtype={"level": str})
    for term, expected in table[table["case"] == case].groupby("term"):
        own = fitted(case, 1).random_effects(term).set_index("level").loc[expected["level"]]
        np.testing.assert_allclose(own["estimate"], expected["estimate"], atol=2e-4)
        np.testing.assert_allclose(own["sd"], expected["sd"], rtol=5e-4)


def test_effects_are_posterior_means_by_quadrature():
    run, data = fitted("quadrature"), study("quadrature")
    assert run.trained.status_details["posterior"] == "mean by quadrature"
    beta = run.fixed_effects()["estimate"].to_numpy()
    logits = beta[0] + np.asarray(data.features) @ beta[1:]
    rows = level_rows(np.asarray(data.target), np.asarray(data.person), data.n_persons)
    truth = evaluate(rows, logits, float(run.variance_components()["sd"].iloc[0]), nodes=51)
    effects = run.random_effects()
    np.testing.assert_allclose(effects["estimate"], truth.mean, atol=1e-5)
    np.testing.assert_allclose(effects["sd"], truth.sd, atol=1e-5)


def test_predictions_run_folder_and_draws(tmp_path):
    data = study("quadrature")
    run = fit(Glmm(), data, seed=1, split=None, out=tmp_path / "run")
    beta = run.fixed_effects()["estimate"].to_numpy()
    effects = run.random_effects().set_index("level")["estimate"]
    person = effects.loc[[data.persons[code] for code in np.asarray(data.person)]].to_numpy()
    expected = expit(beta[0] + np.asarray(data.features) @ beta[1:] + person)
    np.testing.assert_allclose(run.predict(data)[:, 1], expected, atol=1e-10)
    saved = load_run(tmp_path / "run")
    assert saved.model == "glmm"
    np.testing.assert_allclose(saved.predict(data)[:, 1], expected, atol=1e-10)
    pd.testing.assert_frame_equal(saved.likelihood(), run.likelihood())
    draws = run.draw_effects(400, rng=np.random.default_rng(0)).groupby("level")["value"].agg(["mean", "std"])
    own = run.random_effects().set_index("level").loc[draws.index]
    np.testing.assert_allclose(draws["mean"], own["estimate"], atol=0.15)
    np.testing.assert_allclose(draws["std"], own["sd"], rtol=0.2)
    several = fitted("crossed").draw_effects(200, rng=np.random.default_rng(0))
    assert set(several["term"]) == {"person", "family", "item"}


@pytest.mark.parametrize("case", ["quadrature", "crossed"])
def test_new_persons_with_the_same_rows_have_the_same_effects(case):
    run, data = fitted(case), study(case)
    person = data.groupings[0]
    strangers = replace(person, levels=tuple(f"new {name}" for name in person.levels))
    found = adapt(run, replace(data, groupings=(strangers, *data.groupings[1:])), seed=1).random_effects(person.name)
    known = run.random_effects(person.name)
    np.testing.assert_allclose(found["estimate"], known["estimate"], atol=1e-4)
    if case == "quadrature":  # families and items are given in the other case, and say more
        np.testing.assert_allclose(found["sd"], known["sd"], rtol=1e-3)


def test_levels_without_training_rows_keep_the_prior():
    data = study("quadrature")
    part = np.where(np.asarray(data.person) == 0, "test", "train")
    with pytest.warns(ToolkitWarning, match="no training rows"):
        run = fit(Glmm(), data, seed=1, split=part)
    first = run.random_effects().iloc[0]
    assert first["estimate"] == 0.0
    assert first["sd"] == pytest.approx(float(run.variance_components()["sd"].iloc[0]))


def classes(target, *columns, person):
    names = [f"x{place}" for place in range(len(columns))]
    frame = pd.DataFrame(dict(zip(names, columns, strict=True))).assign(y=target, person=person)
    return GroupedDataset.from_frame(frame, target="y", features=names, groups="person").as_classes(("0", "1"))


def test_a_variance_of_zero_is_said():
    person = np.repeat(np.arange(20), 30)
    target = np.tile(np.arange(30) % 3 == 0, 20).astype(int)
    with pytest.warns(ToolkitWarning, match="the variance of the intercept by person is zero"):
        run = fit(Glmm(), classes(target, person=person), seed=1, split=None)
    assert bool(run.variance_components()["at_boundary"].iloc[0])
    fixed = run.fixed_effects()
    assert fixed["estimate"].iloc[0] == pytest.approx(np.log(0.5), abs=1e-3)
    assert fixed["se"].iloc[0] == pytest.approx(np.sqrt(1 / (600 * 2 / 9)), rel=1e-2)


def test_a_feature_that_divides_the_classes_is_said():
    rng = np.random.default_rng(0)
    x, person = rng.normal(size=400), np.repeat(np.arange(20), 20)
    with pytest.warns(ToolkitWarning, match="divide the two classes: x0"):
        fit(Glmm(), classes((x > 0).astype(int), x, person=person), seed=1, split=None)


def test_levels_that_divide_the_classes_are_said():
    person = np.repeat(np.arange(20), 20)
    with pytest.warns(ToolkitWarning, match="nearly every level of person has rows of one class alone"):
        fit(Glmm(), classes(person % 2, person=person), seed=1, split=None)


@pytest.mark.parametrize("random", ["(1 + x | person)", "(1 | person) + (1 | item)"])
def test_nodes_are_for_one_effect(random):
    with pytest.raises(ConfigError, match="quadrature is for one grouping factor with a single effect"):
        fit(Glmm(random=random, nodes=9), study("crossed"), seed=1, split=None)


def test_other_outcomes_are_refused():
    data = study("quadrature")
    numbers = GroupedDataset.from_frame(
        pd.DataFrame({"y": [0.0, 1.5, 2.0, 3.0], "who": ["a", "a", "b", "b"]}), target="y", features=[], groups="who"
    )
    with pytest.raises((ConfigError, DataError)):
        fit(Glmm(), numbers, seed=1, split=None)
    part = np.where(np.asarray(data.target) == 0, "test", "train")
    with pytest.raises(DataError, match="one class only"):
        fit(Glmm(), data, seed=1, split=part)
    with pytest.raises(ConfigError, match="Glmm has no setting 'lr'"):
        Glmm(lr=0.1)
