"""Poisson density of a count with a log link."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.sampling.densities.density import Cumulants, Gather, RowDensity


class Poisson(RowDensity):
    """log p(y | η) = y η − exp η − log y!.

    Args:
        target: count of each row, in the dtype of the logits.
    """

    def __init__(self, target: Float[Tensor, " rows"]) -> None:
        """Keep the target."""
        self.target = target

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """The log density y η − exp η − log y!."""
        return self.target * logits[0] - logits[0].exp() - torch.lgamma(self.target + 1)

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Residual y − exp η."""
        return self.target - logits.exp()

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """Variance exp η."""
        return logits.exp()[None]

    def rows(self, part: slice) -> Poisson:
        """The rows of `part`."""
        return Poisson(self.target[part])

    def potential(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """Cumulant exp η."""
        return logits[0].exp()

    def slope(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Mean exp η."""
        return logits.exp()

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """All are the mean."""
        mean = (prepared + growth).exp_()
        return mean, mean, mean, mean

    def statistic(self, gather: Gather, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Sums of the counts."""
        return gather(self.target.to(like)[None])
