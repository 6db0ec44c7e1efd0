"""Several grouping factors, nested and crossed: lme4's estimates, new levels, adaptation, run folders."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from toolkit import fit
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericMlp, NmeCrf, NmeMlp
from toolkit.models.fitted import FittedNetwork
from toolkit.runs.adapting import adapt
from toolkit.runs.folder import load_run
from toolkit.runs.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
FACTORS = ["person", "family", "item"]
BIAS, SLOPE = "layers.0.bias", "layers.0.weight[x]"
NAMES = {"(Intercept)": BIAS, "x": SLOPE}


@cache
def frame() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "nested_crossed.csv")


def data(rows: pd.DataFrame | None = None, groups: list[str] | None = None, **roles) -> GroupedDataset:
    given = {"target": "y", "features": ["x"], "groups": groups or FACTORS} | roles
    return GroupedDataset.from_frame(frame() if rows is None else rows, **given)


@cache
def fitted(case: str) -> Run:
    effects = {"person": "last", "family": BIAS, "item": BIAS}
    config = NmeMlp(hidden=(), effects=effects)
    if case == "correlated":
        covariance = {"person": "full", "family": "diagonal", "item": "diagonal"}
        config = config.model_copy(update={"covariance": covariance})
    return fit(config, data(), seed=1, split=None)


def golden(case: str) -> pd.DataFrame:
    table = pd.read_csv(GOLDEN / "nested_crossed_lme4.csv", dtype={"level": str})
    return table[table["case"] == case]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["independent", pytest.param("correlated", marks=pytest.mark.slow)])
def test_variances_and_effects_are_lme4s(case):
    run, expected = fitted(case), golden(case)
    tolerance = 1e-3 if case == "independent" else 0.02
    components = run.variance_components().set_index(["term", "parameter"])
    sds = expected[expected["kind"].str.startswith("sd:")]
    assert len(sds) == 5
    for kind, value in zip(sds["kind"], sds["value"], strict=True):
        _, term, name = kind.split(":")
        place = ("residual", "residual") if term == "Residual" else (term.removesuffix(".1"), NAMES[name])
        assert components.loc[place, "sd"] == pytest.approx(value, rel=tolerance)
    for term in FACTORS:
        effects = run.random_effects(term).set_index("level")
        for name, parameter in NAMES.items():
            blups = expected[expected["kind"].isin([f"blup:{term}:{name}"])].set_index("level")
            mine = effects[effects["parameter"] == parameter]
            assert len(blups) == len(mine)
            if not len(mine):
                continue
            mine = mine.loc[blups.index]
            assert np.corrcoef(mine["estimate"], blups["value"])[0, 1] >= 0.999
            np.testing.assert_allclose(mine["estimate"], blups["value"], atol=2 * tolerance)
            # lme4's conditional SDs hold the other effects: ours are those of the joint posterior, checked below
            assert (mine["sd"] >= 0.999 * blups["sd"]).all() or case == "correlated"


def dense_posterior(run: Run) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str, str]]]:
    """Mean and covariance of all effects by Henderson's equations at the run's variances, on the raw scale."""
    rows, components = frame(), run.variance_components().set_index(["term", "parameter"])["variance"]
    columns, names, prior = [], [], []
    for term in FACTORS:
        parameters = [name for name in (BIAS, SLOPE) if (term, name) in components.index]
        for level in sorted(rows[term].unique()):
            for name in parameters:
                columns.append((rows[term] == level).to_numpy(float) * (rows["x"] if name == SLOPE else 1.0))
                names.append((term, level, name))
                prior.append(components[(term, name)])
    z, sigma2 = np.column_stack(columns), components[("residual", "residual")]
    covariance = np.linalg.inv(z.T @ z / sigma2 + np.diag(1.0 / np.array(prior)))
    residual = rows["y"].to_numpy() - run.predict(data(), "population")
    return covariance @ z.T @ residual / sigma2, covariance, names


def test_effects_and_their_sds_are_hendersons():
    run = fitted("independent")
    mean, covariance, names = dense_posterior(run)
    table = pd.concat([run.random_effects(term) for term in FACTORS]).set_index(["term", "level", "parameter"])
    mine = table.loc[pd.MultiIndex.from_tuples(names)]
    np.testing.assert_allclose(mine["estimate"], mean, atol=1e-6)
    np.testing.assert_allclose(mine["sd"], np.sqrt(np.diag(covariance)), rtol=1e-6)


def test_levels_of_prediction_leave_factors_out():
    run, rows = fitted("independent"), data()
    effects = {term: run.random_effects(term).set_index(["level", "parameter"])["estimate"] for term in FACTORS}
    table = frame()
    base = run.predict(rows, "population")
    item = effects["item"].loc[[(level, BIAS) for level in table["item"]]].to_numpy()
    family = effects["family"].loc[[(level, BIAS) for level in table["family"]]].to_numpy()
    bias = effects["person"].loc[[(level, BIAS) for level in table["person"]]].to_numpy()
    slope = effects["person"].loc[[(level, SLOPE) for level in table["person"]]].to_numpy()
    np.testing.assert_allclose(run.predict(rows, "item"), base + item, atol=1e-9)
    np.testing.assert_allclose(run.predict(rows, "family"), base + item + family, atol=1e-9)
    whole = base + item + family + bias + slope * table["x"].to_numpy()
    np.testing.assert_allclose(run.predict(rows), whole, atol=1e-9)
    new = data(table.assign(person="somebody"))
    np.testing.assert_allclose(run.predict(new), base + item + family, atol=1e-9)
    with pytest.raises(DataError, match="nor one of family, item"):
        run.predict(rows, "culture")
    with pytest.raises(DataError, match="E405"):
        run.predict(data(groups=["person", "family"]))


@pytest.mark.slow
def test_a_run_folder_keeps_every_factor(tmp_path):
    effects = {"person": "last", "family": BIAS, "item": BIAS}
    config = NmeMlp(hidden=(), effects=effects, epochs=30)
    run = fit(config, data(cluster="family"), seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    np.testing.assert_allclose(saved.predict(data()), run.predict(data()), atol=1e-12)
    np.testing.assert_allclose(saved.predict(data(), "family"), run.predict(data(), "family"), atol=1e-12)
    assert set(saved.random_effects()["term"]) == {"person"}
    assert set(saved.random_effects("family")["level"]) == set(saved.persons()["cluster"])
    own, kept = run.random_effects("item"), saved.random_effects("item")
    np.testing.assert_array_equal(np.sort(own["estimate"]), np.sort(kept["estimate"]))
    assert not set(kept["level"]) & set(frame()["item"])  # pseudonyms, as persons have
    assert list(saved.variance_components()["term"]) == ["person", "person", "family", "item", "residual"]
    with pytest.raises(DataError, match="no effects of 'culture'"):
        saved.random_effects("culture")


def test_new_persons_are_adapted_beside_known_and_new_levels():
    run = fitted("independent")
    rng = np.random.default_rng(3)
    rows = frame().head(40).assign(
        person=np.repeat(["n1", "n2"], 20), family=np.repeat(["f01", "new"], 20), y=lambda f: f["y"] + 1.5
    )  # fmt: skip
    rows["x"] += 0.01 * rng.normal(size=40)
    found = adapt(run, data(rows), seed=1)
    table = pd.concat([found.random_effects(term) for term in ("person", "family")])
    table = table.set_index(["term", "level", "parameter"])
    components = run.variance_components().set_index(["term", "parameter"])["variance"]
    base = run.predict(data(rows), "item")  # known items
    known = run.random_effects("family").set_index("level")["estimate"]
    base = base + np.where(rows["family"] == "f01", known["f01"], 0.0)
    columns, prior, names = [], [], []
    for term, level in (("person", "n1"), ("person", "n2"), ("family", "new")):
        for name in (BIAS, SLOPE) if term == "person" else (BIAS,):
            columns.append((rows[term] == level).to_numpy(float) * (rows["x"] if name == SLOPE else 1.0))
            prior.append(components[(term, name)])
            names.append((term, level, name))
    z, sigma2 = np.column_stack(columns), components[("residual", "residual")]
    covariance = np.linalg.inv(z.T @ z / sigma2 + np.diag(1.0 / np.array(prior)))
    mean = covariance @ z.T @ (rows["y"].to_numpy() - base) / sigma2
    mine = table.loc[pd.MultiIndex.from_tuples(names)]
    np.testing.assert_allclose(mine["estimate"], mean, atol=1e-6)
    np.testing.assert_allclose(mine["sd"], np.sqrt(np.diag(covariance)), rtol=1e-6)
    assert table.loc[("family", "f01", BIAS), "estimate"] == pytest.approx(known["f01"])
    assert table["sd"].isna().loc[("family", "f01", BIAS)]
    np.testing.assert_allclose(found.predict(data(rows)), base + z @ mean, atol=1e-6)


@pytest.mark.parametrize("update", [pytest.param("em", marks=pytest.mark.slow), "paper"])
def test_hidden_layers_and_classes(update):
    rows = frame().assign(z=np.where(frame()["y"] > frame()["y"].median(), "high", "low"))
    config = NmeMlp(task="binary", hidden=(4,), effects="last", variance_update=update, epochs=60)
    run = fit(config, data(rows, target="z"), seed=2)
    assert set(run.variance_components()["term"]) == set(FACTORS)
    assert np.isfinite(run.variance_components()["variance"]).all()
    assert run.predict(data(rows, target="z")).shape == (600, 2)
    everywhere = NmeMlp(
        task="binary", hidden=(3,), effects={"person": "all", "family": "first", "item": "last"}, epochs=20
    )
    assert np.isfinite(fit(everywhere, data(rows, target="z"), seed=2).random_effects("family")["sd"]).all()


def chain_rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    person = np.repeat(np.arange(24), 20)
    state = rng.integers(0, 3, size=480)
    for row in range(1, 480):
        stays = 0.75 if (person[row] // 3) % 2 else 0.2
        if row % 20 and rng.random() < stays:
            state[row] = state[row - 1]
    rows = pd.DataFrame({"x": rng.normal(size=480), "t": np.tile(np.arange(20), 24)})
    return rows.assign(
        who=[f"p{k}" for k in person], family=[f"f{k // 3}" for k in person], state=[*map("abc".__getitem__, state)]
    )


@pytest.mark.slow
def test_families_have_transitions_of_their_own():
    rows = chain_rows()
    study = GroupedDataset.from_frame(
        rows, target="state", features=["x"], groups=["who", "family"], time="t", cluster="family"
    )
    run = fit(NmeCrf(hidden=(), effects="T", epochs=150), study, seed=1, split=None)
    variances = run.variance_components().set_index(["term", "parameter"])["variance"]
    # a row's scores may rise on the diagonal or fall beside it: only their sum tells
    assert variances["family"].sum() > 3 * variances["who"].sum()
    table = run.transitions().set_index(["person", "from_state", "to_state"])["probability"]
    sticky = table.loc[[(f"p{k}", "a", "a") for k in range(24) if (k // 3) % 2]]
    others = table.loc[[(f"p{k}", "a", "a") for k in range(24) if not (k // 3) % 2]]
    assert sticky.min() > others.max()
    network = run.trained.network
    assert isinstance(network, FittedNetwork)
    both = network.shared["transitions"] + network.effects.layout.unflatten(network.effects.eta)["transitions"][0]
    family = network.further[0]
    level = family.levels.index("f0")
    both = both + family.effects.layout.unflatten(family.effects.eta)["transitions"][level]
    assert network.levels[0] == "p0"
    expected = float(torch.softmax(both, dim=1)[0, 0])
    assert expected == pytest.approx(table.loc[("p0", "a", "a")])


def test_what_cannot_be_estimated_is_refused():
    rows = frame()
    with pytest.raises(ConfigError, match="'culture' is no grouping factor"):
        fit(NmeMlp(effects={"person": "last", "family": "last", "item": "last", "culture": "last"}), data(), seed=1)
    with pytest.raises(ConfigError, match="none for 'item'"):
        fit(NmeMlp(effects={"person": "last", "family": "last"}), data(), seed=1)
    with pytest.raises(ConfigError, match="one grouping factor"):
        fit(NmeMlp(variance_update="unregularised"), data(), seed=1)
    with pytest.raises(DataError, match="single level"):
        fit(NmeMlp(), data(rows.assign(family="all")), seed=1)
    with pytest.raises(DataError, match="same rows"):
        fit(NmeMlp(), data(rows.assign(family=rows["person"] + "x")), seed=1)
    chain = chain_rows()
    chain["family"] = np.where(chain["t"] < 10, "early", "late")
    study = GroupedDataset.from_frame(chain, target="state", features=["x"], groups=["who", "family"], time="t")
    with pytest.raises(DataError, match="changes inside a sequence"):
        fit(NmeCrf(), study, seed=1, split=None)


@pytest.mark.slow
def test_a_generic_model_does_not_mind_further_factors():
    one = fit(GenericMlp(hidden=(3,), epochs=20), data(), seed=1)
    other = fit(GenericMlp(hidden=(3,), epochs=20), data(groups=["person"]), seed=1)
    np.testing.assert_array_equal(one.predict(data()), other.predict(data()))


@pytest.mark.slow
def test_crossed_intercepts_of_a_large_study_are_lme4s():
    """InstEval: 73,421 ratings, 2,972 students, 1,128 lecturers, 14 departments, all crossed."""
    path = Path(__file__).parents[3] / "shared" / "data" / "insteval.parquet"
    if not path.is_file():
        pytest.skip("the InstEval study is not on this machine")
    rows = pd.read_parquet(path)
    rows = rows.assign(y=rows["y"].astype(float), **{name: rows[name].astype(str) for name in ("s", "d", "dept")})
    study = GroupedDataset.from_frame(rows, target="y", features=[], groups=["s", "d", "dept"])
    run = fit(NmeMlp(hidden=(), effects="last"), study, seed=1, split=None)
    sds = run.variance_components().set_index("term")["sd"]
    expected = {"s": 0.326419950182, "d": 0.517286169244, "dept": 0.0773402546791, "residual": 1.17774207587}
    for term, value in expected.items():
        assert sds[term] == pytest.approx(value, rel=2e-3)
