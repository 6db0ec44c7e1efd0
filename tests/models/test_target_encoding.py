"""Target encoding and networks of several classes: what a row may know of itself, and what the levels bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from toolkit import fit, load_run
from toolkit.data.simulate import multiclass
from toolkit.data.split_designs import random_rows
from toolkit.metrics import auc_one_vs_one
from toolkit.models import EmbeddingMlp, OneHotMlp, TargetEncodingMlp
from toolkit.models.comparators.target_encoding import EncodingNetwork, cross_fitted, encodings
from toolkit.models.plain_training import outputs_of

QUICK: dict[str, Any] = {"hidden": (6,), "epochs": 4, "batch": 32, "lr": 0.01, "task": "multiclass"}
MODELS = [OneHotMlp, EmbeddingMlp, TargetEncodingMlp]


def simulated(seed: int = 0, **settings):
    small = {"rows": 400, "classes": 3, "levels": (8, 10), "variances": (1.0, 4.0)}
    return multiclass(rng=np.random.default_rng(seed), **(small | settings)).data


def split_of(data):
    return random_rows(data, (0.6, 0.2, 0.2), rng=np.random.default_rng(1))


def outcome_table(seed: int = 0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 7, size=60)
    return rng.normal(size=(60, 2)), np.where(codes == 5, 4, codes), np.arange(60) % 5


def test_an_encoding_is_a_smoothed_mean():
    outcomes, codes, _ = outcome_table()
    found = encodings(outcomes, codes, 7, 3.0)
    for level in range(7):
        rows, prior = outcomes[codes == level], outcomes.mean(axis=0)
        expected = (rows.sum(axis=0) + 3.0 * prior) / (len(rows) + 3.0) - prior if len(rows) else np.zeros(2)
        np.testing.assert_allclose(found[level], expected, atol=1e-12)
    assert (found[5] == 0).all()


def test_a_row_is_read_from_other_folds_only():
    outcomes, codes, fold = outcome_table()
    before = cross_fitted(outcomes, codes, 7, fold, 3.0)
    for row in range(0, 60, 7):
        changed = outcomes.copy()
        changed[row] += 100.0
        after = cross_fitted(changed, codes, 7, fold, 3.0)
        np.testing.assert_array_equal(after[fold == fold[row]], before[fold == fold[row]])
        others = (codes == codes[row]) & (fold != fold[row])
        assert not others.any() or (after[others] != before[others]).all()
    other = fold != 2
    alone = encodings(outcomes[other], codes[other], 7, 3.0)
    np.testing.assert_allclose(before[fold == 2], alone[codes[fold == 2]])


def test_what_the_network_learns_from_is_cross_fitted_and_what_it_keeps_is_not():
    data = simulated()
    config = TargetEncodingMlp(**QUICK)
    reading = config.read(data, np.arange(data.n_rows))
    assert outputs_of(config, data.classes) == 3
    reading = type(reading)(scaler=reading.scaler, factors=reading.factors, outputs=3)
    module = config.build(reading).double()
    assert isinstance(module, EncodingNetwork)
    units = config.training_units(module, reading, data, torch.Generator().manual_seed(0))
    shown = units.arrays[2]
    assert shown.shape == (400, 6)
    outcomes = np.eye(3)[np.asarray(data.target).astype(int)]
    for place, factor in enumerate(data.groupings):
        kept = module.tables[place].numpy()
        np.testing.assert_allclose(kept, encodings(outcomes, factor.codes, len(kept), 10.0) / outcomes.std(axis=0))
        own = shown[:, 3 * place : 3 * place + 3]
        assert 0.0 < np.abs(own - kept[factor.codes]).max() < 0.5
    no_level = module(torch.zeros(1, 10).double(), torch.tensor([[-1, -1]]), None)
    assert no_level.shape == (1, 3)


@pytest.mark.parametrize("model", MODELS)
def test_several_classes(model, tmp_path):
    data = simulated()
    run = fit(model(**QUICK), data, seed=1, split=split_of(data), out=tmp_path / "run")
    chances = run.predict(data)
    assert chances.shape == (400, 3)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    saved = load_run(tmp_path / "run")
    for level in ("person", "population"):
        np.testing.assert_allclose(saved.predict(data, level), run.predict(data, level), rtol=1e-5)
    assert set(run.predict_frame(data)["prediction"]) <= set(data.classes or ())
    assert len(run.variance_components()) == 0


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_levels_help_with_several_classes(model):
    data = simulated(rows=4000, levels=(20, 10), variances=(2.0, 2.0))
    split = split_of(data)
    run = fit(model(hidden=(20,), epochs=15, lr=0.01, batch=64, task="multiclass"), data, seed=1, split=split)
    test, truth = split.labels == "test", np.asarray(data.target)
    known = auc_one_vs_one(truth[test], run.predict(data)[test])
    assert known > auc_one_vs_one(truth[test], run.predict(data, "population")[test]) + 0.05
