"""Bernoulli density of a target 0 or 1 with a logit link."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from toolkit.sampling.densities.density import Cumulants, Gather, RowDensity, of_probability


class Bernoulli(RowDensity):
    """log p(y | η) = y η − log(1 + exp η).

    Args:
        target: 0 or 1 in each row, in the dtype of the logits.
    """

    def __init__(self, target: Float[Tensor, " rows"]) -> None:
        """Keep the target."""
        self.target = target

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """The log density y η − log(1 + exp η), without overflow."""
        return self.target * logits[0] - self.potential(logits)

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Residual y − p."""
        return self.target - torch.sigmoid(logits)

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """Variance p (1 − p)."""
        p = torch.sigmoid(logits)
        return (p * (1 - p))[None]

    def rows(self, part: slice) -> Bernoulli:
        """The rows of `part`."""
        return Bernoulli(self.target[part])

    def potential(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """Cumulant log(1 + exp η)."""
        return functional.softplus(logits[0], threshold=80.0)

    def slope(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Mean p."""
        return torch.sigmoid(logits)

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """Those of p."""
        return of_probability(torch.sigmoid(prepared + growth))

    def statistic(self, gather: Gather, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Sums of the ones."""
        return gather(self.target.to(like)[None])
