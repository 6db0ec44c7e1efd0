"""The published update with simulated annealing, and the trace of every variance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.models.simulated import chains, fitted, numbers, rows_of, thirds
from toolkit.effects.variance import annealed_covariance
from toolkit.errors import ConfigError
from toolkit.models import NmeCrf, NmeMlp
from toolkit.models.tables import trace_table


def test_variances_fall_by_no_more_than_alpha():
    rng = np.random.default_rng(0)
    covariance, variances = np.eye(3), np.ones(3)
    for step in range(60):
        eta = rng.standard_normal((7, 3)) * [0.2, 0.9, 0.01] * (1 + 0.5 * np.sin(step))
        found = annealed_covariance(torch.as_tensor(covariance), torch.as_tensor(eta), 0.95).numpy()
        sample = np.array([[np.sum((eta[:, i] - eta[:, i].mean()) * (eta[:, j] - eta[:, j].mean())) / 6
                            for j in range(3)] for i in range(3)])  # fmt: skip
        for place in range(3):
            variances[place] = max(0.95 * variances[place], sample[place, place])
            sample[place, place] = variances[place]
        np.testing.assert_allclose(found, sample, rtol=1e-12)
        assert np.linalg.eigvalsh(found).min() > 0
        covariance = found
    assert variances[2] == pytest.approx(0.95**60)  # the sample variance of a coordinate that hardly varies is below


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_trace_follows_the_annealing(covariance):
    data = rows_of(numbers(persons=5, rows=10))
    config = NmeMlp(
        hidden=(3,), variance_update="paper_annealed", annealing_alpha=0.9, covariance=covariance, epochs=20
    )
    trained = fitted(config, data, thirds(data))
    trace = trace_table(trained)
    names = [f"variance[{label}]" for label in trained.network.effects.layout.labels]
    values = np.vstack([np.ones(len(names)), trace[names].to_numpy()])
    assert (values[1:] >= 0.9 * values[:-1] - 1e-9).all()
    np.testing.assert_allclose(trace["variance_mean"], values[1:].mean(axis=1))
    np.testing.assert_allclose(values[1], 0.9)  # effects have hardly moved in the first epoch


@pytest.mark.slow
def test_a_chain_anneals_as_a_loop_over_its_epochs_does():
    """After 1, 6 and 11 epochs: the update written out in numpy from the effects that the last epoch left."""
    data = rows_of(chains(persons=4, days=2, steps=6)[0], sequence="day")
    settings = {"hidden": (2,), "variance_update": "paper_annealed", "annealing_alpha": 0.9, "lr": 0.2}
    for epochs in (1, 6, 11):
        trained = fitted(NmeCrf(**settings, epochs=epochs), data)
        trace, layout = trace_table(trained), trained.network.effects.layout
        found = trace[[f"variance[{label}]" for label in layout.labels]].to_numpy()
        found = np.vstack([np.ones(layout.size), found])
        eta = trained.network.effects.eta.numpy()
        for place in range(layout.size):
            sample = np.sum((eta[:, place] - eta[:, place].mean()) ** 2) / (len(eta) - 1)
            assert found[-1, place] == pytest.approx(max(0.9 * found[-2, place], sample), rel=1e-9)
        assert (found[1:] >= 0.9 * found[:-1] - 1e-9).all()
        assert f"variance[{layout.labels[-1]}]" == "variance[transitions[tense,tense]]"


@pytest.mark.slow
def test_the_trace_has_every_variance_of_every_factor():
    frame = numbers(persons=6, rows=8)
    frame["family"] = frame["person"].map(lambda name: f"f{int(name[1:]) // 2}")
    data = rows_of(frame, groups=["person", "family"])
    trained = fitted(NmeMlp(hidden=(2,), effects={"person": "last", "family": "layers.1.bias"}, epochs=12), data)
    trace, labels = trace_table(trained), trained.network.effects.layout.labels
    names = [f"variance[{label}]" for label in labels] + ["variance[family: layers.1.bias]"]
    assert set(names) <= set(trace.columns)
    assert trace[names].notna().all(axis=None)
    assert (trace[names] > 0).all(axis=None)


def test_alpha_belongs_to_annealing():
    with pytest.raises(ConfigError, match="E302: annealing_alpha applies to variance_update='paper_annealed' only"):
        NmeCrf(annealing_alpha=0.9)
    with pytest.raises(ConfigError, match="E302: annealing_alpha applies to variance_update='paper_annealed' only"):
        NmeMlp(annealing_alpha=0.9)
    with pytest.raises(ConfigError, match="E302"):
        NmeMlp(variance_update="paper_annealed", annealing_alpha=1.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"task": "regression"},
        {"task": "binary", "variance_update": "paper"},
        {"task": "binary", "hidden": (3,), "effects": "first"},
    ],
)
def test_an_approximation_is_refused_where_there_is_no_choice(settings):
    frame = numbers(persons=4, rows=8)
    frame["y"] = pd.Categorical(np.where(frame["y"] > frame["y"].median(), "high", "low"), ["low", "high"])
    with pytest.raises(ConfigError, match="approximation applies") as caught:
        fitted(NmeMlp(approximation="laplace", epochs=2, **settings), rows_of(frame).as_classes())
    assert caught.value.code == "E302"
