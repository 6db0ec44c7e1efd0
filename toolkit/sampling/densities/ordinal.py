"""Density of an ordered class: cumulative logit with thresholds."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from toolkit.sampling.densities.density import Cumulants, RowDensity, of_probability


class Ordinal(RowDensity):
    """p(y = k | η) = σ(θ_{k+1} − η) − σ(θ_k − η) with θ_0 = −∞ and θ_K = ∞ (McCullagh, 1980).

    Args:
        target: class code of each row, 0 to the number of thresholds.
        thresholds: increasing.
    """

    def __init__(self, target: Int[Tensor, " rows"], thresholds: Float[Tensor, " cuts"]) -> None:
        """Keep codes and thresholds; both bounds of every row are looked up once."""
        self.target = target
        self.thresholds = thresholds
        edges = torch.cat([thresholds.new_tensor([-torch.inf]), thresholds, thresholds.new_tensor([torch.inf])])
        self.low, self.high = edges[target], edges[target + 1]

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """log(σ(high − η) − σ(low − η)) = log σ(high − η) + log σ(η − low) + log(1 − exp(low − high))."""
        gap = torch.log1p(-torch.exp(self.low - self.high))
        return functional.logsigmoid(self.high - logits[0]) + functional.logsigmoid(logits[0] - self.low) + gap

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """σ(low − η) − σ(η − high), the derivative of the form above."""
        return (torch.sigmoid(self.low - logits) - torch.sigmoid(logits - self.high)).to(logits)

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """Σ_k (∂p_k/∂η)² / p_k over all classes: with F_k = σ(θ_k − η), ∂p_k/∂η = p_k (F_{k+1} + F_k − 1)."""
        below = torch.sigmoid(self.thresholds[:, None] - logits)
        edge = torch.zeros_like(logits)
        cumulative = torch.cat([edge, below, edge + 1])
        p = cumulative[1:] - cumulative[:-1]
        return (p * (cumulative[1:] + cumulative[:-1] - 1).square()).sum(0)[None, None]

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """Of the two potentials log(1 + exp(η − high)) and log(1 + exp(low − η)), whose sum it is up to a constant."""
        logits = prepared + growth
        above = of_probability(torch.sigmoid(logits - self.high).to(logits))
        below = of_probability(torch.sigmoid(self.low - logits).to(logits))
        one, two, three, four = (
            up + sign * down for up, down, sign in zip(above, below, (-1.0, 1.0, -1.0, 1.0), strict=True)
        )
        return one, two, three, four

    def rows(self, part: slice) -> Ordinal:
        """The rows of `part`."""
        return Ordinal(self.target[part], self.thresholds)
