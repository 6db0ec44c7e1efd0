"""The published update with simulated annealing, and the trace of every variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.simulated import fitted, numbers, rows_of, thirds
from toolkit.effects.variance import annealed_covariance
from toolkit.errors import ConfigError
from toolkit.models import NmeMlp
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


def test_alpha_belongs_to_annealing():
    with pytest.raises(ConfigError, match="E302: annealing_alpha applies to variance_update='paper_annealed' only"):
        NmeMlp(annealing_alpha=0.9)
    with pytest.raises(ConfigError, match="E302"):
        NmeMlp(variance_update="paper_annealed", annealing_alpha=1.0)
