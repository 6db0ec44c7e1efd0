"""Posterior variances of very many effects against the whole covariances of few."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.effects.problems import random_problem
from toolkit.effects import woodbury
from toolkit.effects.posterior import posterior
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.woodbury import posterior_variances

CASES = [
    *((task, "all") for task in ("regression", "binary", "multiclass", "ordinal", "count", "sequence")),
    ("sequence", "all+T"),
    ("sequence", "T"),
    ("multiclass", "first"),
]


def drawn(layout, persons: int) -> tuple[RandomEffects, RandomEffects]:
    """The same effects with a diagonal covariance, as a matrix and as variances."""
    generator = torch.Generator().manual_seed(3)
    eta = 0.5 * torch.randn((persons, layout.size), generator=generator, dtype=torch.float64)
    variances = torch.rand(layout.size, generator=generator, dtype=torch.float64) + 0.1
    whole = RandomEffects(layout=layout, eta=eta, covariance=torch.diag(variances))
    return whole, replace(whole, covariance=variances)


@pytest.mark.parametrize(("task", "effects"), CASES)
@pytest.mark.parametrize("at_once", [1, 8_000_000])
def test_variances_are_those_of_the_whole_covariance(task, effects, at_once, monkeypatch):
    monkeypatch.setattr(woodbury, "AT_ONCE", at_once)  # line by line, or all together
    problem, shared, layout, persons = random_problem(task, effects, hidden=(3,))
    whole, wide = drawn(layout, persons + 1)  # the last person has no rows
    wanted = posterior(problem, shared, whole, 0.7)
    found = posterior_variances(problem, shared, wide, 0.7, slopes=torch.ones_like(wide.eta))
    variances = torch.diagonal(wanted.covariance, dim1=1, dim2=2)
    torch.testing.assert_close(found.covariance, variances, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(found.curvature, torch.diagonal(wanted.curvature, dim1=1, dim2=2), rtol=1e-8, atol=1e-8)
    traces = (wanted.curvature * wanted.covariance).sum(dim=(1, 2))
    torch.testing.assert_close(found.traces, traces, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found.step, -wanted.covariance.sum(dim=2), rtol=1e-8, atol=1e-8)
