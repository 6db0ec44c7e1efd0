"""Chains whose last layer and transitions are each person's own (Specific-CRF), and those without a prior (uNME)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.models.simulated import chains, fitted, rows_of, thirds
from toolkit import fit, load_run
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models import GenericCrf, NmeCrf, SpecificCrf


def days(persons: int = 3) -> GroupedDataset:
    return rows_of(chains(persons=persons, days=4, steps=6)[0], sequence="day")


@pytest.mark.slow
def test_a_person_of_ones_own_chain_is_fitted_by_their_rows_alone():
    data = days().as_classes()
    trained = fitted(SpecificCrf(hidden=(), lr=0.05, epochs=60), data)
    network = trained.network
    assert network.effects.layout.names == ("layers.0.weight", "layers.0.bias", "transitions")
    other = np.array(data.target)
    mine = np.asarray(data.person) == 0
    other[mine] = (other[mine] + 1) % 3
    moved = fitted(SpecificCrf(hidden=(), lr=0.05, epochs=60), replace(data, target=other)).network
    np.testing.assert_allclose(network.predict(data)[~mine], moved.predict(data)[~mine], atol=1e-9)
    assert np.abs(network.predict(data)[mine] - moved.predict(data)[mine]).max() > 0.1


def test_hidden_layers_and_ends_are_shared_and_trained():
    data = days()
    config = {"hidden": (3,), "learn_ends": True}
    early, late = (fitted(SpecificCrf(**config, epochs=epochs), data).network for epochs in (1, 15))
    for name in ("layers.0.weight", "start", "end"):
        assert not np.allclose(early.shared[name], late.shared[name])
    assert late.effects.layout.names == ("layers.1.weight", "layers.1.bias", "transitions")


@pytest.mark.slow
def test_persons_without_rows_get_the_mean_of_the_others():
    data = days(4)
    labels = thirds(data)
    labels[np.asarray(data.person) == 2] = "test"
    network = fitted(SpecificCrf(hidden=(3,), epochs=15, forbidden=()), data, labels).network
    mine = np.asarray(data.person) == 2
    data = data.as_classes()
    np.testing.assert_allclose(network.predict(data)[mine], network.predict(data, "population")[mine], rtol=1e-9)
    assert np.abs(network.predict(data) - network.predict(data, "population"))[~mine].max() > 1e-3


def test_a_run_folder_predicts_again(tmp_path):
    data = days()
    run = fit(SpecificCrf(hidden=(2,), epochs=5), data, seed=1, out=tmp_path / "run", progress=None)
    saved = load_run(tmp_path / "run")
    assert saved.model == "specific-crf"
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
    assert len(saved.transitions()) == 27
    with pytest.raises(ConfigError, match="E302"):
        SpecificCrf(transition_covariates=("age",))


@pytest.mark.slow
def test_without_a_prior_persons_differ_more_than_with_one():
    data = days(6)
    how = {"hidden": (), "epochs": 150, "lr": 0.05}
    fits = {
        update: fit(NmeCrf(effects="T", variance_update=update, **how), data, seed=1, split=None)
        for update in ("em", "unregularised")
    }
    spread = {name: run.random_effects()["estimate"].std() for name, run in fits.items()}
    assert spread["unregularised"] > 1.5 * spread["em"]
    plain = fit(GenericCrf(**how), data, seed=1, split=None)
    loss = {name: run.trace()["loss"].iloc[-1] for name, run in {**fits, "generic": plain}.items()}
    assert loss["unregularised"] < loss["em"] < loss["generic"]
