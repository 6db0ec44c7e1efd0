"""Prediction intervals and tests of random terms of mixed models, against dense normal algebra and lme4's numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from tests.models.test_lmmnn import study
from toolkit import GroupedDataset, fit
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models import GenericMlp, Lmm, Lmmnn
from toolkit.models.mixed_estimate import TrainedMixed
from toolkit.models.term_tests import mixture_pvalue
from toolkit.numerics.mixed.moments import indicator

RANDOM = "(1 + t | person) + (1 | family)"


def dense_variance(run, data: GroupedDataset) -> np.ndarray:
    """The oracle: ``z* (D - D Z' V^-1 Z D) z*'`` with matrices as long as the rows, in the units of the data."""
    assert isinstance(run.trained, TrainedMixed)
    mixed, network = run.trained.mixed, run.trained.network
    assert mixed is not None
    z = np.column_stack([indicator(factor).toarray() for factor in mixed.design.factors])
    blocks, rows = [], []
    codes = network.all_codes(data)
    codes = codes[:, None] if codes.ndim == 1 else codes
    extra = np.zeros(data.n_rows)
    for place, (factor, columns) in enumerate(zip(mixed.design.factors, mixed.columns(data), strict=True)):
        relative = mixed.solution.relative[mixed.sums.order.index(place)]
        covariance = mixed.solution.sigma2 * relative @ relative.T
        blocks.append(np.kron(np.eye(factor.levels), covariance))
        own = np.zeros((data.n_rows, factor.levels * factor.size))
        for row, code in enumerate(codes[:, place]):
            if code >= 0:
                own[row, code * factor.size : (code + 1) * factor.size] = columns[row]
            else:
                extra[row] += columns[row] @ covariance @ columns[row]
        rows.append(own)
    size = sum(len(block) for block in blocks)
    prior = np.zeros((size, size))
    start = 0
    for block in blocks:
        prior[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    covariance = z @ prior @ z.T + mixed.solution.sigma2 * np.eye(len(z))
    posterior = prior - prior @ z.T @ np.linalg.solve(covariance, z @ prior)
    new = np.column_stack(rows)
    return network.scaler.target_scale**2 * (np.einsum("ra,ab,rb->r", new, posterior, new) + extra)


@pytest.fixture(scope="module")
def data() -> GroupedDataset:
    return study(rows=300)


def newcomers() -> GroupedDataset:
    """Known persons, new persons of known families, and new ones of new families."""
    frame = pd.DataFrame(
        {
            "x": [0.1, -0.4, 1.0, 0.0], "t": [0.5, 1.9, 1.0, 0.3], "person": ["p00", "p11", "new", "newer"],
            "family": ["f0", "f1", "f3", "elsewhere"],
        }
    )  # fmt: skip
    return GroupedDataset.from_frame(frame, features=["x", "t"], groups=["person", "family"])


@pytest.mark.parametrize(
    "config",
    [Lmm(random=RANDOM), Lmm(random="(1 | person)", reml=True), Lmmnn(random=RANDOM, hidden=(4,), epochs=5, batch=64)],
    ids=["lmm", "intercepts, reml", "lmmnn"],
)
def test_intervals_have_the_dense_conditional_variance(data, config):
    chosen = data if config.random == RANDOM else data.of_persons()
    rows = newcomers() if config.random == RANDOM else newcomers().of_persons()
    run = fit(config, chosen, seed=1, split=None)
    found = run.predict_interval(rows)
    np.testing.assert_allclose(found["effect_sd"] ** 2, dense_variance(run, rows), rtol=1e-7)
    assert found["person_known"].tolist() == [True, True, False, False]
    residual = float(run.variance_components()["variance"].iloc[-1])
    np.testing.assert_allclose(found["sd"] ** 2 - found["effect_sd"] ** 2, residual, rtol=1e-6)
    np.testing.assert_allclose(found["high"] - found["prediction"], 1.959964 * found["sd"], rtol=1e-5)
    np.testing.assert_array_equal(found["prediction"], run.predict(rows))
    with pytest.raises(ConfigError, match="probability"):
        run.predict_interval(rows, level=95.0)


def test_intervals_cover_new_rows_of_known_and_unknown_persons():
    """Of outcomes drawn by the model itself, about as many lie inside as the level says."""
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(300), 8)
    y = rng.normal(0, 1.5, 300)[person] + rng.normal(size=len(person))
    frame = pd.DataFrame({"y": y, "x": rng.normal(size=len(y)), "p": person.astype(str)})
    whole = GroupedDataset.from_frame(frame, target="y", features=["x"], groups=["p"])
    labels = np.where((person < 200) & (np.arange(len(y)) % 8 < 5), "train", "test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(Lmm(), whole, seed=1, split=labels)
    found = run.predict_interval(whole, level=0.9)
    inside = (found["low"] <= y) & (y <= found["high"])
    known, unknown = (labels == "test") & (person < 200), person >= 200
    assert inside[known].mean() == pytest.approx(0.9, abs=0.04)
    assert inside[unknown].mean() == pytest.approx(0.9, abs=0.06)
    assert found["sd"][unknown].mean() > 1.3 * found["sd"][known].mean()


@pytest.mark.parametrize("reml", [False, True])
def test_a_term_left_out_is_the_smaller_model(data, reml):
    run = fit(Lmm(random=RANDOM, reml=reml), data, seed=1, split=None)
    found = {(row["term"], row["parameter"]): row for row in run.random_terms().to_dict("records")}
    smaller = {
        ("person", "layers.0.weight[t]"): fit(
            Lmm(random="(1 | person) + (1 | family)", reml=reml), data, seed=1, split=None
        ),
        ("family", "layers.0.bias"): fit(
            Lmm(random="(1 + t | person)", reml=reml), data.of_persons(), seed=1, split=None
        ),
    }
    for key, other in smaller.items():
        expected = -2.0 * other.log_likelihood()
        assert found[key]["deviance"] == pytest.approx(expected, abs=1e-5)
        assert found[key]["chi2"] == pytest.approx(expected + 2.0 * run.log_likelihood(), abs=1e-5)
    slope = found["person", "layers.0.weight[t]"]
    assert slope["df"] == 2
    assert slope["pvalue"] <= slope["pvalue_plain"]


def test_without_the_only_factor_it_is_least_squares(data):
    run = fit(Lmm(random="(1 | person)"), data.of_persons(), seed=1, split=None)
    found = run.random_terms()
    design = np.column_stack([np.ones(data.n_rows), np.asarray(data.features)])
    left = np.asarray(data.target) - design @ np.linalg.lstsq(design, np.asarray(data.target), rcond=None)[0]
    rows = data.n_rows
    assert found["deviance"][0] == pytest.approx(rows * (1 + np.log(2 * np.pi * np.mean(left**2))), abs=1e-6)


def test_pvalues_at_the_edge_are_mixtures():
    assert mixture_pvalue(0.0, 0) == 1.0
    assert mixture_pvalue(2.7055, 0) == pytest.approx(0.05, abs=1e-4)
    assert mixture_pvalue(5.0, 1) == pytest.approx(0.5 * chi2.sf(5.0, 1) + 0.5 * chi2.sf(5.0, 2))


def test_other_models_do_not_answer(data):
    run = fit(GenericMlp(hidden=(2,), epochs=2), data.of_persons(), seed=1)
    for ask in (run.random_terms, run.log_likelihood, lambda: run.predict_interval(data)):
        with pytest.raises(DataError) as refused:
            ask()
        assert refused.value.code == "E406"
