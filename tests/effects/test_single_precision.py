"""Variance algebra in single precision: what the data do not say must not be made up by rounding."""

from __future__ import annotations

import torch

from toolkit.effects.posterior import posterior_covariance
from toolkit.effects.variance import mean_shift, scored_variances


def test_variances_without_data_stand_still():
    prior = torch.tensor([0.7, 1e-6, 3.0])
    eta, curvature = torch.zeros((6, 3)), torch.zeros((6, 3, 3))
    spread = posterior_covariance(curvature, torch.diag(prior), 1.0)
    assert spread.dtype == torch.float64
    for _ in range(50):
        prior = scored_variances(prior, eta, posterior_covariance(curvature, torch.diag(prior), 1.0)).float()
    torch.testing.assert_close(prior, torch.tensor([0.7, 1e-6, 3.0]), rtol=1e-4, atol=0)


def test_the_mean_does_not_run_along_what_a_softmax_cannot_see():
    generator = torch.Generator().manual_seed(0)
    chances = torch.softmax(torch.randn((8, 3), generator=generator), dim=1)

    def curvature(p: torch.Tensor) -> torch.Tensor:
        return 20 * (torch.diag_embed(p) - p[:, :, None] * p[:, None, :])

    covariance = torch.diag(torch.tensor([0.5, 1.0, 2.0]))
    eta = torch.randn((8, 3), generator=generator)
    spread = posterior_covariance(curvature(chances), covariance, 1.0)
    delta, moved = mean_shift(covariance, eta, spread)
    assert delta.dtype == moved.dtype == torch.float32
    wide = torch.softmax(chances.double().log(), dim=1)
    exact, _ = mean_shift(
        covariance.double(), eta.double(), posterior_covariance(curvature(wide), covariance.double(), 1.0)
    )
    torch.testing.assert_close(delta.double(), exact, rtol=1e-3, atol=1e-3)
