"""Normal density of a continuous target."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.density import Cumulants, Gather, RowDensity


class Gaussian(RowDensity):
    """log p(y | η) = −½ (y − η)² / σ² − ½ log 2πσ².

    Args:
        target: value of each row.
        sigma2: residual variance, in squared units of the target.
    """

    quadratic = True

    def __init__(self, target: Float[Tensor, " rows"], sigma2: float | Tensor) -> None:
        """Keep the target and the residual variance."""
        self.target = target
        self.sigma2 = float(sigma2)

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """Normal log density."""
        return -0.5 * (self.target - logits[0]).square() / self.sigma2 - 0.5 * math.log(2 * math.pi * self.sigma2)

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """(y − η) / σ²."""
        return (self.target - logits) / self.sigma2

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """1 / σ² of every row."""
        return logits.new_full((1, 1, logits.shape[1]), 1.0 / self.sigma2)

    def rows(self, part: slice) -> Gaussian:
        """The rows of `part`."""
        return Gaussian(self.target[part], self.sigma2)

    def potential(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """½ (η − y)² / σ²: kept around the target, because η² alone would lose digits far from zero."""
        return (self.target - logits[0]).square_().mul_(0.5 / self.sigma2)

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """(η − y) / σ², 1 / σ², and nothing else."""
        first = (prepared + growth - self.target) / self.sigma2
        return first, torch.full_like(first, 1.0 / self.sigma2), torch.zeros_like(first), torch.zeros_like(first)

    def statistic(self, gather: Gather, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Zero: the target is part of the potential."""
        return gather(like.new_zeros(like.shape))
