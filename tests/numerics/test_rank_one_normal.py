"""Diagonal plus rank one covariances against dense normals, and the Fisher information by automatic derivatives."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal

from toolkit.numerics.rank_one_normal import RankOneNormal, natural_gradient, spread_information


def drawn(seed: int = 0, d: int = 4) -> RankOneNormal:
    generator = torch.Generator().manual_seed(seed)
    mean, factor, scale = torch.randn((3, d), generator=generator, dtype=torch.float64)
    return RankOneNormal(mean=mean, factor=factor, scale=scale.abs() + 0.3)


def covariance(normal: RankOneNormal) -> torch.Tensor:
    return torch.outer(normal.factor, normal.factor) + torch.diag(normal.scale.square())


def test_score_and_variances_of_the_dense_normal():
    normal = drawn()
    value = torch.tensor([0.3, -1.0, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    MultivariateNormal(normal.mean, covariance(normal)).log_prob(value).backward()
    torch.testing.assert_close(normal.score(value.detach()), value.grad)
    torch.testing.assert_close(normal.variances, covariance(normal).diagonal())


def test_what_is_drawn_has_the_covariance():
    normal = drawn()
    generator = torch.Generator().manual_seed(3)
    draws = torch.stack([
        normal.at(*torch.randn(5, generator=generator, dtype=torch.float64).split([1, 4])) for _ in range(20_000)
    ])  # fmt: skip
    torch.testing.assert_close(draws.T.cov(), covariance(normal), atol=0.12, rtol=0.05)


def test_the_information_is_the_curvature_of_the_divergence():
    normal = drawn()
    dense = covariance(normal)

    def divergence(parameters: torch.Tensor) -> torch.Tensor:
        b, c = parameters.split(4)
        other = MultivariateNormal(normal.mean, torch.outer(b, b) + torch.diag(c.square()))
        return torch.distributions.kl_divergence(MultivariateNormal(normal.mean, dense), other)

    at = torch.cat([normal.factor, normal.scale])
    curvature = torch.autograd.functional.hessian(divergence, at)
    found = spread_information(normal.factor, normal.scale, torch.linalg.inv(dense))
    torch.testing.assert_close(found, curvature)


def test_natural_gradient_undoes_the_information():
    normal, step = drawn(), drawn(1)
    dense = covariance(normal)
    information = spread_information(normal.factor, normal.scale, torch.linalg.inv(dense))
    spread = information @ torch.cat([step.factor, step.scale])
    gradient = RankOneNormal(mean=torch.linalg.solve(dense, step.mean), factor=spread[:4], scale=spread[4:])
    found = natural_gradient(normal, gradient)
    torch.testing.assert_close(found.mean, step.mean)
    torch.testing.assert_close(found.factor, step.factor, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.scale, step.scale, rtol=1e-5, atol=1e-6)
    damped = natural_gradient(normal, gradient, damping=10.0)
    assert damped.factor.norm() + damped.scale.norm() < found.factor.norm() + found.scale.norm()
