"""Classes and levels of which the training rows say little: named, and no obstacle."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from toolkit import fit
from toolkit.data.groupings import Grouping
from toolkit.data.simulate import multiclass
from toolkit.errors import DataError, ToolkitWarning
from toolkit.models import Armed, EmbeddingMlp, McGmenn, OneHotMlp, TargetEncodingMlp
from toolkit.models.mcgmenn_training import MonteCarloObjective

QUICK: dict[str, Any] = {"hidden": (4,), "epochs": 2, "batch": 32, "task": "multiclass"}
FACTORS = [OneHotMlp, EmbeddingMlp, TargetEncodingMlp]


def simulated(levels=(8, 6), **settings):
    found = multiclass(
        rng=np.random.default_rng(0), rows=200, classes=3, levels=levels, variances=(1.0,) * len(levels), **settings
    )
    return found.data


def labels_of(data, *, without: np.ndarray | None = None) -> np.ndarray:
    labels = np.where(np.arange(data.n_rows) % 4 == 0, "test", "train")
    return labels if without is None else np.where(without, "test", labels)


def configuration(model):
    if model is McGmenn:
        return McGmenn(random=["group1", "group2"], hidden=(4,), epochs=2, draws=4, settle=False, task="multiclass")
    return model(**QUICK)


@pytest.mark.parametrize("model", [*FACTORS, McGmenn])
@pytest.mark.parametrize("left", [0, 1])
def test_a_class_that_is_missing_or_alone_in_training(model, left):
    data = simulated()
    own = np.flatnonzero(np.asarray(data.target) == 2)
    lost = np.isin(np.arange(200), own[left:])
    labels = labels_of(data, without=lost)
    labels[own[:left]] = "train"
    words = "no training row" if left == 0 else "a single training row"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(configuration(model), data, seed=1, split=labels)
    said = [str(entry.message) for entry in caught if "W244" in str(entry.message)]
    assert len(said) == 1
    assert "'class-3'" in said[0]
    assert words in said[0]
    assert any("W244" in note for note in run.manifest["warnings"])
    chances = run.predict(data)
    assert chances.shape == (200, 3)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("model", [*FACTORS, McGmenn])
def test_one_class_in_training_is_refused(model):
    data = simulated()
    with pytest.raises(DataError, match="E121"):
        fit(configuration(model), data, seed=1, split=labels_of(data, without=np.asarray(data.target) != 1))


@pytest.mark.parametrize("model", FACTORS)
def test_a_level_for_every_row(model):
    data = simulated()
    rows = Grouping(name="row", codes=np.arange(200), levels=tuple(f"r{k}" for k in range(200)))
    data = replace(data, groupings=(data.groupings[0], rows))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(model(**QUICK), data, seed=1, split=labels_of(data))
    said = " ".join(str(entry.message) for entry in caught)
    assert "W245" in said
    assert "'row'" in said
    assert "W246" in said
    assert "50 of 200 levels" in said
    assert np.isfinite(run.predict(data)).all()


def test_mcgmenn_refuses_a_level_for_every_row():
    data = simulated()
    rows = Grouping(name="group2", codes=np.arange(200), levels=tuple(f"r{k}" for k in range(200)))
    data = replace(data, groupings=(data.groupings[0], rows))
    with pytest.raises(DataError, match="E118"):
        fit(configuration(McGmenn), data, seed=1, split=labels_of(data))


@pytest.mark.parametrize("model", FACTORS)
def test_levels_without_training_rows_are_counted(model):
    data = simulated()
    new = np.asarray(data.groupings[1].codes) == 4
    with pytest.warns(ToolkitWarning, match="W246.*1 of 6 levels of 'group2'|1 of 6 levels of 'group2'"):
        run = fit(model(**QUICK), data, seed=1, split=labels_of(data, without=new))
    assert np.isfinite(run.predict(data)[new]).all()


def test_unknown_persons_of_armed_are_predicted():
    data = simulated(levels=(8,))
    new = np.asarray(data.person) == 3
    with pytest.warns(ToolkitWarning, match="W209"):
        run = fit(Armed(**QUICK), data, seed=1, split=labels_of(data, without=new))
    assert np.isfinite(run.predict(data)).all()
    with pytest.raises(DataError, match="E119"):
        run.predict(data, strict=True)


def test_rows_in_which_the_network_gives_no_number_are_those_of_the_study(monkeypatch):
    data, plain = simulated(), MonteCarloObjective.fixed_of_all
    labels = labels_of(data)
    row = 150
    value = float(np.asarray(data.features)[row, 0])

    def broken(objective):
        inputs = objective.rows.inputs[:, 0]
        features = np.asarray(data.features)[labels == "train", 0]
        place = int((inputs - (value - features.mean()) / features.std()).abs().argmin())
        found = plain(objective).clone()
        found[1, place] = torch.inf
        return found

    monkeypatch.setattr(MonteCarloObjective, "fixed_of_all", broken)
    with pytest.raises(DataError, match=rf"E170.*row {row + 2}\b"):
        fit(configuration(McGmenn), data, seed=1, split=labels)
