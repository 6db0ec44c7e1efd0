"""Categorical density of a class code with a softmax link."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.sampling.densities.density import Cumulants, Gather, RowDensity, of_probability

# shift of a logit beyond which a probability is 0 or 1 anyway, and products stay in the range of single precision
FARTHEST = 40.0


class Categorical(RowDensity):
    """log p(y | η) = η_y − log Σ_c exp η_c.

    Args:
        target: class code of each row, 0 to `classes` - 1.
        classes: number of classes.
    """

    shift_free = True

    def __init__(self, target: Int[Tensor, " rows"], classes: int) -> None:
        """Keep the codes."""
        self.target = target
        self.outputs = classes

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """η_y − log Σ exp η."""
        return logits.gather(0, self.target[None])[0] - self.potential(logits)

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """1[c = y] − p_c."""
        score = -torch.softmax(logits, 0)
        return score.scatter_add_(0, self.target[None], torch.ones_like(score[:1]))

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """diag(p) − p pᵀ."""
        p = torch.softmax(logits, 0)
        found = -(p[:, None] * p[None, :])
        torch.diagonal(found, dim1=0, dim2=1).add_(p.T)
        return found

    def information_triangle(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "pairs rows"]:
        """−p_c p_d, and p_c (1 − p_c) on the diagonal, without the other half."""
        return probability_triangle(torch.softmax(logits, 0))

    def rows(self, part: slice) -> Categorical:
        """The rows of `part`."""
        return Categorical(self.target[part], self.outputs)

    def potential(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """Cumulant log Σ_c exp η_c, shifted by the largest logit of the row."""
        top = logits.amax(0)
        return (logits - top).exp_().sum(0).log_().add_(top)

    def slope(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Mean p."""
        return torch.softmax(logits, 0)

    def first_order(self, logits: Float[Tensor, "outputs rows"]) -> tuple[Tensor, Tensor]:
        """Cumulant with its slope from one exponential."""
        top = logits.amax(0)
        grown = (logits - top).exp_()
        total = grown.sum(0)
        return total.log().add_(top), grown.div_(total)

    def prepared(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """Probabilities."""
        return torch.softmax(logits, 0)

    def growth(self, shift: Tensor) -> Tensor:
        """By which share odds grow."""
        return shift.clamp(-FARTHEST, FARTHEST).expm1_()

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """Those of p with greater odds."""
        added = prepared * growth
        return of_probability((prepared + added).div_(added.add_(1.0)))

    def statistic(self, gather: Gather, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Rows of each class in each level; a class at a time, so that no (classes, rows) table is needed."""
        parts = [gather((self.target == code).to(like)[None]) for code in range(self.outputs)]
        return torch.stack(parts, 1).flatten(0, 1)


def probability_triangle(p: Float[Tensor, "outputs rows"]) -> Float[Tensor, "pairs rows"]:
    """Lower triangle of diag(p) − p pᵀ, in the order of `torch.tril_indices`; p may be some of the classes."""
    size = len(p)
    found = p.new_empty((size * (size + 1) // 2, p.shape[1]))
    for last, others in enumerate(-p):
        first = last * (last + 1) // 2
        torch.mul(p[: last + 1], others, out=found[first : first + last + 1])
        found[first + last] += p[last]
    return found
