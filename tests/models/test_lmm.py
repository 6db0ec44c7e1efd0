"""Linear mixed models against lme4, from data to run folder and back."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from toolkit import GroupedDataset, fit, load_run
from toolkit.effects.formula import RandomTerm
from toolkit.errors import ConfigError, DataError, RunFolderError, ToolkitWarning
from toolkit.models import GenericMlp, Lmm
from toolkit.optimise.status import Status
from toolkit.runs.adapting import adapt
from toolkit.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
INSTEVAL = Path(__file__).parents[3] / "shared" / "data" / "insteval.parquet"
BIAS = "layers.0.bias"
RANDOM = {
    "sleep_int": "(1 | Subject)",
    "sleep_corr": "(1 + Days | Subject)",
    "sleep_diag": "(1 + Days || Subject)",
    "dyestuff": "(1 | Batch)",
}


@cache
def golden() -> pd.Series:
    table = pd.read_csv(GOLDEN / "lmm_goldens.csv")
    table = table[table["source"] == "lme4"]
    return table.set_index(["case", "stat"])["value"]


@cache
def study(case: str) -> GroupedDataset:
    if case == "dyestuff":
        frame = pd.read_csv(GOLDEN / "dyestuff.csv")
        return GroupedDataset.from_frame(frame, target="Yield", features=[], groups="Batch")
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv")
    return GroupedDataset.from_frame(frame, target="Reaction", features=["Days"], groups="Subject")


@cache
def fitted(case: str, method: str) -> Run:
    return fit(Lmm(random=RANDOM[case], reml=method == "REML"), study(case), seed=1, split=None)


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("case", list(RANDOM))
def test_everything_is_lme4s(case, method):
    run, expected = fitted(case, method), golden()[f"{case}_{method}"]
    assert run.status is Status.MAXIMUM
    likelihood = run.likelihood().iloc[0]
    assert likelihood["deviance"] == pytest.approx(float(expected["minus2logLik_or_REMLcrit"]), abs=1e-6)
    assert likelihood["log_likelihood"] == pytest.approx(float(expected["logLik"]), abs=1e-6)
    assert likelihood["aic"] == pytest.approx(float(expected["AIC"]), abs=1e-6)
    assert likelihood["bic"] == pytest.approx(float(expected["BIC"]), abs=1e-6)
    fixed = run.fixed_effects().set_index("parameter")
    for name in fixed.index:
        assert fixed.loc[name, "estimate"] == pytest.approx(float(expected[f"beta[{name}]"]), rel=1e-6)
        assert fixed.loc[name, "se"] == pytest.approx(float(expected[f"se[{name}]"]), rel=1e-4)
    sds = expected[expected.index.str.startswith("sdcor[")]
    components = run.variance_components()
    found = components["sd"].tolist()
    wanted = [value for name, value in sds.items() if name.count(":") < 2]
    assert found == pytest.approx(wanted, rel=1e-4)
    correlation = [value for name, value in sds.items() if name.count(":") == 2]
    assert components["correlation"].dropna().tolist() == pytest.approx(correlation, abs=1e-4)
    assert not components["at_boundary"].any()


@pytest.mark.parametrize(("case", "name"), [("sleep_int", "int"), ("sleep_corr", "corr")])
def test_effects_and_their_sds_are_lme4s(case, name):
    run = fitted(case, "ML")
    table = pd.read_csv(GOLDEN / f"blup_sleep_{name}_ML_Subject.csv", dtype={"level": str}).set_index("level")
    sigma = float(golden()["sleep_int_ML", "sigma"])
    effects = run.random_effects().set_index(["parameter", "level"])
    names = {"(Intercept)": (BIAS, "condVar_11"), "Days": ("layers.0.weight[Days]", "condVar_22")}
    for column, (parameter, variance) in names.items():
        if column not in table:
            continue
        own = effects.loc[parameter].loc[table.index]
        assert own["estimate"].tolist() == pytest.approx(table[column].tolist(), abs=1e-4 * sigma)
        if variance in table:
            assert own["sd"].tolist() == pytest.approx(np.sqrt(table[variance]).tolist(), rel=1e-4)


@pytest.mark.parametrize("case", ["independent", "correlated"])
def test_nested_and_crossed_factors_are_lme4s(case):
    frame = pd.read_csv(GOLDEN / "nested_crossed.csv")
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["person", "family", "item"])
    bar = "||" if case == "independent" else "|"
    random = f"(1 | item) + (1 + x {bar} person) + (1 | family)"
    run = fit(Lmm(random=random), data, seed=1, split=None)
    table = pd.read_csv(GOLDEN / "nested_crossed_lme4.csv", dtype={"level": str})
    expected = table[table["case"] == case]
    value = expected.set_index("kind")["value"]
    assert run.likelihood().iloc[0]["log_likelihood"] == pytest.approx(float(value["logLik"]), abs=1e-5)
    names = {"(Intercept)": BIAS, "x": "layers.0.weight[x]"}
    for term in ("person", "family", "item"):
        effects = run.random_effects(term).set_index("level")
        for name, parameter in names.items():
            own = expected[expected["kind"] == f"blup:{term}:{name}"].set_index("level")
            mine = effects[effects["parameter"] == parameter]
            assert len(mine) == len(own)
            mine = mine.loc[own.index]
            np.testing.assert_allclose(mine["estimate"], own["value"], atol=2e-4)
            np.testing.assert_allclose(mine["sd"], own["sd"].astype(float), rtol=2e-4)


@pytest.mark.slow
def test_insteval_with_three_crossed_factors():
    if not INSTEVAL.exists():
        pytest.skip("the InstEval data are not at hand")
    frame = pd.read_parquet(INSTEVAL)
    data = GroupedDataset.from_frame(frame, target="y", features=[], groups=["s", "d", "dept"])
    run = fit(Lmm(random="(1 | s) + (1 | d) + (1 | dept)"), data, seed=1, split=None)
    value = pd.read_csv(GOLDEN / "insteval_goldens.csv").set_index(["case", "stat"])["value"]["insteval_ML"]
    assert run.likelihood().iloc[0]["deviance"] == pytest.approx(237769.572408, abs=1e-4)
    components = run.variance_components().set_index("term")["sd"]
    for term, name in (("s", "s"), ("d", "d"), ("dept", "dept"), ("residual", "Residual")):
        assert components[term] == pytest.approx(float(value[f"sd[{name}]"]), rel=1e-4)


def test_without_a_formula_the_level_differs_between_persons():
    data = study("sleep_corr")
    plain = fit(Lmm(), data, seed=1, split=None)
    assert plain.likelihood().equals(fitted("sleep_int", "ML").likelihood())
    objects = fit(Lmm(random=RandomTerm(grouping="Subject", slopes=("Days",))), data, seed=1, split=None)
    assert objects.random_effects().equals(fitted("sleep_corr", "ML").random_effects())


def test_likelihood_ratio_of_nested_models():
    larger, smaller = (fitted(case, "ML").likelihood().iloc[0] for case in ("sleep_corr", "sleep_diag"))
    ratio = smaller["deviance"] - larger["deviance"]
    assert larger["parameters"] - smaller["parameters"] == 1
    assert chi2.sf(ratio, 1) == pytest.approx(0.8004, abs=2e-3)  # lme4: anova of the two, .0639 on one degree


def test_units_of_the_data_change_nothing_but_units():
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv")
    scaled = frame.assign(Reaction=1e-3 * frame["Reaction"], Days=1440.0 * frame["Days"])
    data = GroupedDataset.from_frame(scaled, target="Reaction", features=["Days"], groups="Subject")
    run, known = (
        fit(Lmm(random="(1 + Days | Subject)", reml=True), data, seed=1, split=None),
        fitted("sleep_corr", "REML"),
    )
    sd = run.variance_components()["sd"].to_numpy() / known.variance_components()["sd"].to_numpy()
    assert sd == pytest.approx([1e-3, 1e-3 / 1440.0, 1e-3], rel=1e-4)
    # the density of an outcome in other units, and of other coefficients: 178 residual degrees, one scaled feature
    shift = 2.0 * 178 * np.log(1e-3) + 2.0 * np.log(1440.0)
    difference = run.likelihood().iloc[0]["deviance"] - known.likelihood().iloc[0]["deviance"]
    assert difference == pytest.approx(shift, abs=1e-5)


def test_predictions_are_those_of_the_coefficients():
    run, data = fitted("sleep_corr", "ML"), study("sleep_corr")
    fixed = run.fixed_effects()["estimate"].to_numpy()
    days = np.asarray(data.features)[:, 0]
    assert run.predict(data, "population") == pytest.approx(fixed[0] + fixed[1] * days)
    effects = run.random_effects().pivot_table(index="level", columns="parameter", values="estimate")
    own = effects.loc[[data.persons[code] for code in data.person]]
    expected = fixed[0] + fixed[1] * days + own[BIAS].to_numpy() + own["layers.0.weight[Days]"].to_numpy() * days
    assert run.predict(data) == pytest.approx(expected)


def test_a_run_folder_predicts_and_adapts_like_the_run(tmp_path):
    data, config = study("sleep_corr"), Lmm(random="(1 + Days | Subject)")
    run = fit(config, data, seed=1, split=None, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    assert saved.model == "lmm"
    assert saved.status == "The likelihood is at its maximum."
    assert saved.manifest["config"] == {"random": "(1 + Days | Subject)", "reml": False}
    assert np.array_equal(saved.predict(data), run.predict(data))
    for name in ("fixed_effects", "likelihood"):
        pd.testing.assert_frame_equal(getattr(saved, name)(), getattr(run, name)())
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv")
    new = GroupedDataset.from_frame(
        frame.assign(Subject=frame["Subject"] + 1000), target="Reaction", features=["Days"], groups="Subject"
    )
    adapted, known = adapt(saved, new, seed=1).random_effects(), run.random_effects()
    for column in ("estimate", "sd"):
        assert adapted[column].tolist() == pytest.approx(known[column].tolist(), rel=1e-8, abs=1e-8)


def test_new_levels_get_the_population():
    run = fitted("sleep_corr", "ML")
    new = GroupedDataset.from_frame(
        pd.DataFrame({"Subject": ["nobody"], "Days": [3.0]}), features=["Days"], groups="Subject"
    )
    assert run.predict(new) == pytest.approx(run.predict(new, "population"))
    assert not run.predict_frame(new)["person_known"].any()


def test_only_training_rows_are_fitted():
    frame = pd.read_csv(GOLDEN / "sleepstudy.csv")
    part = np.where(frame["Days"] < 8, "train", "test")
    run = fit(Lmm(random="(1 | Subject)"), study("sleep_int"), seed=1, split=part)
    early = GroupedDataset.from_frame(frame[frame["Days"] < 8], target="Reaction", features=["Days"], groups="Subject")
    alone = fit(Lmm(random="(1 | Subject)"), early, seed=1, split=None)
    assert run.likelihood().equals(alone.likelihood())
    assert run.random_effects()["estimate"].tolist() == pytest.approx(alone.random_effects()["estimate"].tolist())


def test_a_person_without_training_rows_keeps_the_prior():
    data = study("sleep_int")
    part = np.where(np.asarray(data.person) == 0, "test", "train")
    with pytest.warns(ToolkitWarning, match="W209"):
        run = fit(Lmm(), data, seed=1, split=part)
    first = run.random_effects().iloc[0]
    assert first["estimate"] == pytest.approx(0.0, abs=1e-12)
    assert first["reliability"] == pytest.approx(0.0, abs=1e-9)
    assert first["sd"] == pytest.approx(run.variance_components()["sd"].iloc[0])


def simulated(rng: np.random.Generator, **columns) -> pd.DataFrame:
    person = np.repeat(np.arange(20), 12)
    x = rng.normal(size=240)
    frame = pd.DataFrame({"person": person, "item": np.tile(np.arange(12), 20), "x": x, **columns})
    return frame.assign(y=0.5 * x + rng.normal(size=240))


def test_a_variance_of_zero_is_said():
    frame = simulated(np.random.default_rng(1))
    frame["y"] -= frame.groupby("person")["y"].transform("mean") - frame["x"]
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups="person")
    with pytest.warns(ToolkitWarning, match="the variance of the intercept by person is zero") as caught:
        run = fit(Lmm(), data, seed=1, split=None)
    assert caught[0].message.code == "W231"
    assert run.variance_components()["at_boundary"].tolist() == [True, False]
    assert any("boundary" in said for said in run.manifest["warnings"])
    assert np.abs(run.random_effects()["estimate"]).max() < 1e-3


def test_a_correlation_of_one_is_said():
    frame = simulated(np.random.default_rng(3))
    shared = np.random.default_rng(4).normal(size=20)[frame["person"]]
    frame["y"] += shared + shared * frame["x"]
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups="person")
    with pytest.warns(ToolkitWarning, match="perfectly correlated"):
        run = fit(Lmm(random="(1 + x | person)"), data, seed=1, split=None)
    assert abs(run.variance_components()["correlation"].iloc[1]) > 0.999


def test_collinear_features_are_left_out_with_a_word():
    frame = simulated(np.random.default_rng(4)).assign(z=lambda rows: 3.0 - 2.0 * rows["x"])
    personal = np.random.default_rng(5).normal(size=(20, 2))[frame["person"]]
    frame["y"] += personal[:, 0] + personal[:, 1] * frame["x"]
    data = GroupedDataset.from_frame(frame, target="y", features=["x", "z"], groups="person")
    with pytest.warns(ToolkitWarning, match="left out of the fixed effects: z") as caught:
        run = fit(Lmm(random="(1 + x || person)"), data, seed=1, split=None)
    assert "W232" in {warning.message.code for warning in caught}
    assert run.fixed_effects()["parameter"].tolist() == ["(Intercept)", "x"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        with pytest.raises(ConfigError, match="'z' was left out"):
            fit(Lmm(random="(1 + z || person)"), data, seed=1, split=None)


@pytest.mark.parametrize(
    ("random", "said"),
    [
        ("(1 | family)", "'family' is no grouping factor"),
        ("(1 + age | person)", "'age' is no feature"),
        ("(1 | item)", "nothing varies by 'person'"),
        ("(1 | person) + (1 + x | person)", "named twice"),
    ],
)
def test_names_that_the_data_do_not_have(random, said):
    frame = simulated(np.random.default_rng(5))
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["person", "item"])
    with pytest.raises(ConfigError, match=said) as caught:
        fit(Lmm(random=random), data, seed=1, split=None)
    assert caught.value.code == "E302"


def test_slopes_need_levels_with_several_values():
    frame = simulated(np.random.default_rng(6))
    frame["age"] = frame["person"].astype(float)
    data = GroupedDataset.from_frame(frame, target="y", features=["x", "age"], groups="person")
    with pytest.raises(DataError, match="'age' never varies within a level of 'person'") as caught:
        fit(Lmm(random="(1 + age | person)"), data, seed=1, split=None)
    assert caught.value.code == "E190"


def test_more_effects_than_rows_are_refused():
    frame = simulated(np.random.default_rng(7)).groupby("person").head(2)
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups="person")
    with pytest.raises(DataError, match="40 training rows for 40 effects") as caught:
        fit(Lmm(random="(1 + x | person)"), data, seed=1, split=None)
    assert caught.value.code == "E118"


def test_a_factor_with_one_level_is_refused():
    frame = simulated(np.random.default_rng(8)).assign(site="only")
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["person", "site"])
    with pytest.raises(DataError, match="single level") as caught:
        fit(Lmm(random="(1 | person) + (1 | site)"), data, seed=1, split=None)
    assert caught.value.code == "E138"


def test_classes_and_useless_settings_are_refused():
    frame = simulated(np.random.default_rng(9)).assign(y=lambda rows: np.where(rows["y"] > 0, "yes", "no"))
    data = GroupedDataset.from_frame(frame, target="y", features=["x"], groups="person")
    with pytest.raises(ConfigError, match="numeric target"):
        fit(Lmm(), data, seed=1, split=None)
    with pytest.raises(ConfigError, match="Lmm has no setting 'lr'"):
        Lmm(lr=0.1)


def test_other_models_have_no_such_tables(tmp_path):
    run = fit(GenericMlp(hidden=(), epochs=2), study("sleep_int"), seed=1, split=None, out=tmp_path / "run")
    with pytest.raises(DataError, match="only mixed models") as caught:
        run.fixed_effects()
    assert caught.value.code == "E406"
    with pytest.raises(RunFolderError, match="no such table"):
        load_run(tmp_path / "run").likelihood()
