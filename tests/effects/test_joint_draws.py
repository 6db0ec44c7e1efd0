"""Draws of the effects of several grouping factors against the dense posterior."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.effects.test_joint import by_factor, dense, random_case
from toolkit.effects import joint_draws as module
from toolkit.effects.joint_draws import LineEvidence, joint_draws

DRAWS = 60_000


def case(seed: int = 2, lines: int = 25) -> tuple[LineEvidence, torch.Tensor]:
    factors, curvature, covariances, weight = random_case((5, 3, 2), (2, 1, 2), lines, seed)
    evidence = LineEvidence(factors=factors, curvature=curvature, covariances=tuple(covariances), weight=weight)
    return evidence, dense(factors, curvature, covariances, weight)[0]


def flat(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([part.reshape(-1, part.shape[2]) for part in parts])


@pytest.mark.parametrize(
    "most", [2_000, pytest.param(-1, marks=pytest.mark.slow)], ids=["direct", "conjugate gradients"]
)
def test_the_covariance_of_draws_is_the_dense_posteriors(most, monkeypatch):
    monkeypatch.setattr(module, "MOST_DIRECT", most)
    monkeypatch.setattr(module, "AT_ONCE", 400_000)  # several portions
    evidence, covariance = case()
    drawn = flat(joint_draws(evidence, DRAWS, rng=np.random.default_rng(1)))
    assert drawn.shape == (len(covariance), DRAWS)
    sd = torch.diagonal(covariance).sqrt()
    found = drawn @ drawn.T / DRAWS / sd[:, None] / sd
    # standard error of a correlation of known variances is at most sqrt(2 / n)
    torch.testing.assert_close(found, covariance / sd[:, None] / sd, rtol=0, atol=5 * (2 / DRAWS) ** 0.5)
    assert float((drawn.mean(dim=1) / sd).abs().max()) < 5 / DRAWS**0.5


def test_conjugate_gradients_solve_what_the_schur_complement_solves():
    evidence, covariance = case(lines=40)
    right = by_factor(evidence.factors, torch.randn((len(covariance), 7), dtype=torch.float64))
    direct, conjugate = module._direct(evidence), module._Conjugate(evidence)
    for one, other in zip(direct.solve(right), conjugate.solve(right), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
    root = torch.block_diag(
        *(own for own, count in zip(evidence.roots, evidence.factors.levels, strict=True) for _ in range(count))
    )
    system = torch.linalg.inv(torch.linalg.inv(root) @ covariance @ torch.linalg.inv(root).T)
    torch.testing.assert_close(flat(conjugate.times(right)), system @ flat(right))


def test_without_lines_the_prior_is_drawn():
    evidence, _ = case(lines=25)
    nothing = LineEvidence(
        factors=evidence.factors, curvature=0.0 * evidence.curvature, covariances=evidence.covariances, weight=1.0
    )
    drawn = joint_draws(nothing, DRAWS, rng=np.random.default_rng(1))
    for own, covariance in zip(drawn, evidence.covariances, strict=True):
        found = torch.einsum("ldn,len->lde", own, own) / DRAWS
        sd = torch.diagonal(covariance).sqrt()
        torch.testing.assert_close(found / sd[:, None] / sd, (covariance / sd[:, None] / sd).expand_as(found),
                                   rtol=0, atol=5 * (2 / DRAWS) ** 0.5)  # fmt: skip


def test_a_vanishing_variance_is_drawn_as_one():
    evidence, _ = case()
    tiny = LineEvidence(
        factors=evidence.factors, curvature=evidence.curvature, weight=evidence.weight,
        covariances=(*evidence.covariances[:2], 1e-12 * evidence.covariances[2]),
    )  # fmt: skip
    drawn = joint_draws(tiny, 200, rng=np.random.default_rng(1))
    assert float(drawn[2].abs().max()) < 1e-4
    assert torch.isfinite(drawn[0]).all()
