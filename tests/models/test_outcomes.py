"""Ordered classes and counts: against statsmodels, against quadrature, and in their limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, gammaln, roots_hermitenorm

from tests.models.outcome_frames import outcomes
from tests.models.simulated import fitted, rows_of, thirds
from toolkit import fit
from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.errors import ConfigError, DataError
from toolkit.models import GenericMlp, NmeMlp
from toolkit.models.effect_tables import effects_table, variance_table
from toolkit.models.outcomes import criterion_of
from toolkit.models.row_losses import Criterion, row_loss
from toolkit.models.training import Trained
from toolkit.runs.folder import load_run

SETTLED = {"hidden": (), "patience": 50}
BIAS = "layers.0.bias"


def of_classes(frame: pd.DataFrame) -> GroupedDataset:
    return rows_of(frame)


def of_counts(frame: pd.DataFrame, **roles) -> GroupedDataset:
    return rows_of(frame, target="n", **roles)


def centred(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["a", "b"]] - frame[["a", "b"]].mean()


def slopes(trained: Trained) -> np.ndarray:
    network = trained.network
    return network.shared["layers.0.weight"].numpy()[0] / network.scaler.scale


def cuts_of(trained: Trained) -> np.ndarray:
    found = trained.network.thresholds
    assert found is not None
    return found


def logliks(probability: np.ndarray, truth: np.ndarray) -> float:
    return float(np.log(probability[np.arange(len(truth)), truth]).sum())


# ---- without person effects: the models of statsmodels


def test_ordered_classes_without_effects_are_the_proportional_odds_model():
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    frame = outcomes()
    trained = fitted(GenericMlp(task="ordinal", **SETTLED), of_classes(frame))
    model = OrderedModel(frame["y"], centred(frame), distr="logit")
    peer = model.fit(method="bfgs", disp=False, maxiter=500)
    np.testing.assert_allclose(slopes(trained), peer.params.iloc[:2], atol=2e-3)
    cuts = model.transform_threshold_params(peer.params.to_numpy())[1:-1]
    np.testing.assert_allclose(cuts_of(trained), cuts, atol=2e-3)
    found = logliks(trained.network.predict(of_classes(frame).as_classes()), frame["y"].to_numpy())
    assert found == pytest.approx(peer.llf, abs=1e-3)


@pytest.mark.parametrize("exposure", [None, "minutes"])
def test_counts_without_effects_are_the_poisson_model(exposure):
    import statsmodels.api as sm

    frame = outcomes()
    data = of_counts(frame, features=["a", "b", "minutes"] if exposure else ["a", "b"])
    trained = fitted(GenericMlp(task="count", exposure=exposure, **SETTLED), data)
    offset = np.log(frame["minutes"]) if exposure else None
    peer = sm.GLM(frame["n"], sm.add_constant(centred(frame)), family=sm.families.Poisson(), offset=offset).fit()
    np.testing.assert_allclose(slopes(trained), peer.params.iloc[1:], atol=1e-3)
    np.testing.assert_allclose(trained.network.predict(data), peer.fittedvalues, rtol=5e-3)
    assert -trained.estimate.outcome.trace[-1]["loss"] * len(frame) == pytest.approx(peer.llf, abs=1e-2)


# ---- a random intercept by quadrature

NODES, WEIGHTS = roots_hermitenorm(240)


def row_logliks(task: str, latent: np.ndarray, truth: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Log-likelihood of each row (rows, nodes) at latent scores (rows, nodes)."""
    if task == "count":
        return truth[:, None] * latent - np.exp(latent) - gammaln(truth + 1)[:, None]
    bounds = np.concatenate([[-np.inf], cuts, [np.inf]])
    upper, lower = bounds[truth.astype(int) + 1][:, None], bounds[truth.astype(int)][:, None]
    return np.log(np.maximum(expit(upper - latent) - expit(lower - latent), 1e-300))


def by_person(frame: pd.DataFrame, task: str, line: np.ndarray, cuts: np.ndarray, sd: float) -> np.ndarray:
    """Log joint density of each person's rows at every node of the intercept (persons, nodes)."""
    truth = frame["y" if task == "ordinal" else "n"].to_numpy()
    each = row_logliks(task, line[:, None] + sd * NODES, truth, cuts)
    return pd.DataFrame(each).groupby(frame["person"].to_numpy()).sum().to_numpy()


def config(task: Literal["ordinal", "count"]) -> NmeMlp:
    return NmeMlp(task=task, effects=BIAS, **SETTLED)


def random_intercepts(task: Literal["ordinal", "count"], frame: pd.DataFrame) -> Trained:
    return fitted(config(task), of_classes(frame) if task == "ordinal" else of_counts(frame))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ordinal", "count"])
def test_posterior_of_a_random_intercept_is_that_of_quadrature(task):
    frame = outcomes(persons=25, rows=30)
    trained = random_intercepts(task, frame)
    network = trained.network
    bias = float(network.shared[BIAS])
    line = centred(frame).to_numpy() @ slopes(trained) + bias
    cuts = cuts_of(trained) + bias if task == "ordinal" else np.zeros(0)
    sd = float(variance_table(trained)["sd"].iloc[0])
    joint = by_person(frame, task, line, cuts, sd)
    mass = np.exp(joint - joint.max(axis=1, keepdims=True)) * WEIGHTS
    mass /= mass.sum(axis=1, keepdims=True)
    mean = mass @ (sd * NODES)
    spread = np.sqrt(mass @ np.square(sd * NODES) - mean**2)
    table = effects_table(trained)
    np.testing.assert_allclose(table["estimate"], mean, atol=0.15 * spread.max())  # the mode is not quite the mean
    np.testing.assert_allclose(table["sd"], spread, rtol=0.05)
    assert trained.estimate.exact


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ordinal", "count"])
def test_variance_of_a_random_intercept_is_near_the_maximum_of_the_marginal_likelihood(task):
    frame = outcomes(persons=40, rows=25, seed=1)
    trained = random_intercepts(task, frame)
    bias = float(trained.network.shared[BIAS])
    first = cuts_of(trained) + bias if task == "ordinal" else np.zeros(0)

    def minus_loglik(values: np.ndarray) -> float:
        line = centred(frame).to_numpy() @ values[:2] + values[2]
        cuts = np.concatenate([[0.0], np.cumsum(np.exp(values[4:]))]) if task == "ordinal" else first
        joint = by_person(frame, task, line, cuts, float(np.exp(values[3])))
        top = joint.max(axis=1)
        return -float((top + np.log(np.exp(joint - top[:, None]) @ WEIGHTS)).sum())

    start = [*slopes(trained), bias, np.log(0.5), *(np.log(np.diff(first)) if task == "ordinal" else ())]
    best = minimize(minus_loglik, start, method="BFGS").x
    assert float(variance_table(trained)["sd"].iloc[0]) == pytest.approx(np.exp(best[3]), rel=0.02)


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.slow
def test_a_binary_random_intercept_is_that_of_glmer():
    cases = pd.read_csv(GOLDEN / "cbpp.csv")
    frame = cases.loc[cases.index.repeat(cases["size"])].reset_index(drop=True)
    frame["y"] = (frame.groupby(["herd", "period"]).cumcount() < frame["incidence"]).astype(int)
    periods = {f"p{k}": (frame["period"] == k).astype(float) for k in (2, 3, 4)}
    data = rows_of(frame.assign(t=range(len(frame)), **periods), features=list(periods), groups="herd")
    trained = fitted(NmeMlp(task="binary", hidden=(), effects=BIAS, epochs=600, patience=100), data)
    golden = pd.read_csv(GOLDEN / "glmm_goldens.csv").set_index(["case", "stat"])["value"]
    found = float(variance_table(trained)["sd"].iloc[0])
    assert found == pytest.approx(golden["cbpp_nAGQ25", "sdcor[herd:(Intercept)]"], rel=0.01)
    wanted = [golden["cbpp_nAGQ25", f"beta[period{k}]"] for k in (2, 3, 4)]
    np.testing.assert_allclose(slopes(trained), wanted, rtol=0.03)


# ---- limits


@pytest.mark.slow
def test_two_ordered_classes_are_the_logistic_model():
    frame = outcomes().assign(y=lambda given: (given["y"] > 1).astype(int))
    settings = {"hidden": (), "effects": "last", "epochs": 120}
    ordinal, binary = (fitted(NmeMlp(task=task, **settings), of_classes(frame)) for task in ("ordinal", "binary"))
    data = of_classes(frame).as_classes()
    assert len(cuts_of(ordinal)) == 1
    for level in ("person", "population"):
        np.testing.assert_allclose(ordinal.network.predict(data, level), binary.network.predict(data, level), atol=1e-4)


@pytest.mark.slow
def test_probabilities_of_ordered_classes_add_up_and_move_with_the_person():
    frame = outcomes()
    trained = fitted(NmeMlp(task="ordinal", hidden=(4,)), of_classes(frame), thirds(of_classes(frame)))
    probability = trained.network.predict(of_classes(frame))
    assert probability.shape == (len(frame), 4)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert (probability >= 0).all()
    assert (np.diff(cuts_of(trained)) > 0).all()


# ---- what a task asks of the data


def test_counts_are_whole_numbers_from_zero():
    frame = outcomes(persons=4, rows=5)
    frame.loc[[1, 7], "n"] = [-1.0, 2.5]
    with pytest.raises(DataError, match="E135") as caught:
        fit(NmeMlp(task="count"), of_counts(frame), seed=1)
    assert caught.value.rows == (3, 9)


def test_an_exposure_is_above_zero_and_a_feature():
    frame = outcomes(persons=4, rows=5)
    with pytest.raises(ConfigError, match="exposure"):
        fit(NmeMlp(task="count", exposure="minutes"), of_counts(frame), seed=1)
    frame.loc[2, "minutes"] = 0.0
    with pytest.raises(DataError, match="E139") as caught:
        fit(NmeMlp(task="count", exposure="minutes"), of_counts(frame, features=["a", "minutes"]), seed=1)
    assert caught.value.rows == (4,)


@pytest.mark.slow
def test_words_need_an_order():
    names = np.array(["never", "seldom", "often", "always"])
    frame = outcomes(persons=6, rows=12).assign(y=lambda given: names[given["y"]])
    with pytest.raises(ConfigError, match="order"):
        fit(NmeMlp(task="ordinal"), of_classes(frame), seed=1)
    column = pd.Categorical(frame["y"], categories=list(names), ordered=True)
    for data in (rows_of(frame, classes=list(names)), of_classes(frame.assign(y=column))):
        run = fit(NmeMlp(task="ordinal", hidden=(), epochs=20), data, seed=1)
        assert run.trained.network.classes == tuple(names)


@pytest.mark.parametrize(("task", "target"), [("ordinal", "y"), pytest.param("count", "n", marks=pytest.mark.slow)])
def test_a_run_folder_predicts_as_the_run_did(tmp_path, task, target):
    frame = outcomes(persons=8, rows=15)
    exposure = "minutes" if task == "count" else None
    data = rows_of(frame, target=target, features=["a", "b", "minutes"])
    run = fit(NmeMlp(task=task, exposure=exposure, epochs=30), data, seed=1, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    np.testing.assert_allclose(saved.predict(data), run.predict(data))
    assert saved.manifest["task"] == task
    wanted = {"count": "poisson_deviance", "ordinal": "ranked_probability_score"}[task]
    assert wanted in set(saved.metrics()["metric"])
    if task == "ordinal":
        np.testing.assert_allclose(saved.manifest["network"]["thresholds"], cuts_of(run.trained))


# ---- weights of classes


def test_a_weight_counts_rows_of_its_class_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn((2, 5, 3), generator=generator, dtype=torch.float64)
    target = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 0, 0, 0]])
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    weights = (0.5, 2.0, 1.25)
    for task, used in (("multiclass", outputs), ("ordinal", -outputs[..., :2].abs().cumsum(dim=-1))):
        found = row_loss(task, Criterion(class_weights=weights), target, mask)(used, {})
        each = [row_loss(task, Criterion(), target, mask & (target == code))(used, {}) for code in range(3)]
        torch.testing.assert_close(found, sum(w * part for w, part in zip(weights, each, strict=True)))


def test_balanced_weights_give_every_class_the_same_sum_in_the_training_rows():
    data = of_classes(outcomes(persons=6, rows=12)).as_classes()
    training = np.flatnonzero(thirds(data) == "train")
    weights = criterion_of(GenericMlp(task="ordinal", class_weights="balanced"), data, training).class_weights
    counts = np.bincount(np.asarray(data.target)[training].astype(int))
    np.testing.assert_allclose(np.asarray(weights) * counts, len(training) / 4)


@pytest.mark.slow
def test_weights_move_predictions_towards_their_class_and_are_kept(tmp_path):
    data = of_classes(outcomes(persons=8, rows=12).assign(y=lambda given: (given["y"] > 2).astype(int)))
    plain = fit(NmeMlp(task="binary", hidden=(), epochs=40), data, seed=1)
    weighted = NmeMlp(task="binary", hidden=(), epochs=40, class_weights={"0": 1.0, "1": 5.0})
    run = fit(weighted, data, seed=1, out=tmp_path / "run")
    assert run.predict(data)[:, 1].mean() > plain.predict(data)[:, 1].mean() + 0.05
    assert load_run(tmp_path / "run").manifest["network"]["class_weights"] == [1.0, 5.0]
    np.testing.assert_allclose(load_run(tmp_path / "run").predict(data), run.predict(data))


@pytest.mark.slow
def test_weights_of_one_change_nothing():
    data = of_classes(outcomes(persons=8, rows=12).assign(y=lambda given: (given["y"] > 2).astype(int)))
    settings = {"task": "binary", "hidden": (2,), "epochs": 30}
    plain = fit(NmeMlp(**settings), data, seed=1)
    weighted = fit(NmeMlp(class_weights={"0": 1.0, "1": 1.0}, **settings), data, seed=1)
    np.testing.assert_array_equal(weighted.predict(data), plain.predict(data))
    np.testing.assert_array_equal(weighted.random_effects()["sd"], plain.random_effects()["sd"])


@pytest.mark.slow
def test_a_weight_of_two_is_a_row_that_stands_twice():
    frame = outcomes(persons=8, rows=12).assign(y=lambda given: (given["y"] > 2).astype(int))
    twice = pd.concat([frame, frame[frame["y"] == 1]], ignore_index=True)
    settings = {"task": "binary", "hidden": (), "effects": "last", "epochs": 300}
    weighted = fit(NmeMlp(class_weights={"0": 1.0, "1": 2.0}, **settings), of_classes(frame), seed=1, split=None)
    repeated = fit(NmeMlp(**settings), of_classes(twice), seed=1, split=None)
    # features are standardised by other rows, the model is the same
    np.testing.assert_allclose(weighted.predict(of_classes(frame)), repeated.predict(of_classes(frame)), atol=0.02)


def test_weights_name_every_class():
    data = of_classes(outcomes(persons=4, rows=8))
    with pytest.raises(ConfigError, match="every class") as caught:
        fit(NmeMlp(task="ordinal", class_weights={"0": 1.0, "9": 2.0}), data, seed=1)
    assert caught.value.remedy == "the classes are 0, 1, 2, 3"


# ---- by mini-batches


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ordinal", "count"])
def test_mini_batches_find_what_the_full_batch_finds(task):
    frame = outcomes(persons=12, rows=20)
    exposure = "minutes" if task == "count" else None
    data = rows_of(frame, target="y" if task == "ordinal" else "n", features=["a", "b", "minutes"])
    settings = {"task": task, "exposure": exposure, "effects": BIAS, "hidden": (), "epochs": 150, "patience": 50}
    full, batched = (fitted(NmeMlp(batch=batch, **settings), data) for batch in (None, 60))
    np.testing.assert_allclose(variance_table(batched)["sd"], variance_table(full)["sd"], rtol=0.03)
    coded = rows_for(task, data)
    np.testing.assert_allclose(batched.network.predict(coded), full.network.predict(coded), rtol=0.05, atol=0.02)
