"""Layers that are each person's own (Specific-MLP)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.simulated import fitted, numbers, rows_of, thirds
from toolkit import fit, load_run
from toolkit.models import SpecificMlp


@pytest.mark.slow
def test_linear_layers_of_ones_own_are_every_persons_own_least_squares():
    frame = numbers(persons=5, rows=12)
    data = rows_of(frame)
    trained = fitted(SpecificMlp(hidden=(), effects="all", lr=0.05, epochs=800), data)
    found = trained.network.predict(data)
    for person, rows in frame.groupby("person", sort=False):
        design = np.column_stack([np.ones(len(rows)), rows[["a", "b"]]])
        own = design @ np.linalg.lstsq(design, rows["y"].to_numpy(), rcond=None)[0]
        np.testing.assert_allclose(found[rows.index], own, atol=0.02, err_msg=str(person))


def test_the_layers_below_are_shared_and_trained():
    data = rows_of(numbers(persons=4, rows=10))
    early, late = (fitted(SpecificMlp(hidden=(3,), epochs=epochs), data).network for epochs in (1, 20))
    assert not np.allclose(early.shared["layers.0.weight"], late.shared["layers.0.weight"])
    assert late.effects.layout.names == ("layers.1.weight", "layers.1.bias")


def test_persons_without_rows_get_the_mean_of_the_others():
    data = rows_of(numbers(persons=4, rows=10))
    labels = thirds(data)
    labels[np.asarray(data.person) == 2] = "test"
    network = fitted(SpecificMlp(hidden=(3,), epochs=20), data, labels).network
    mine = np.asarray(data.person) == 2
    np.testing.assert_allclose(network.predict(data)[mine], network.predict(data, "population")[mine], rtol=1e-9)
    np.testing.assert_allclose(network.effects.eta.mean(dim=0), 0.0, atol=1e-12)
    assert np.abs(network.predict(data) - network.predict(data, "population"))[~mine].max() > 1e-3


@pytest.mark.parametrize("effects", ["last", "all"])
def test_a_run_folder_predicts_again(tmp_path, effects):
    data = rows_of(numbers(persons=4, rows=10))
    run = fit(SpecificMlp(hidden=(2,), effects=effects, epochs=5), data, seed=1, out=tmp_path / "run", progress=None)
    saved = load_run(tmp_path / "run")
    assert saved.model == "specific-mlp"
    np.testing.assert_array_equal(saved.predict(data), run.predict(data))
