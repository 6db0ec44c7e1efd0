"""What a sampler asks of the density of one row's target given its logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Gather = Callable[[Tensor], Tensor]
Cumulants = tuple[Tensor, Tensor, Tensor, Tensor]


class RowDensity:
    """log p(y | η) of every row, with derivatives in the logits; base of the densities here.

    A density is split as log p(y_i | η_i) = t(y_i)ᵀη_i − potential_i(η_i) + const. In exponential families with the
    canonical link t is the statistic and the potential is the cumulant: sums of t over the rows of a level are taken
    once, and a proposal costs one evaluation of the cumulant. Other densities keep t = 0, potential = −log p.

    Attributes:
        outputs: logits of a row.
        shift_free: adding one number to all logits of a row leaves the density as it is (softmax).
        quadratic: log p is quadratic in the logits, so that effects have exactly normal conditionals.
    """

    outputs: int = 1
    shift_free: bool = False
    quadratic: bool = False

    def log_density(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """The log density log p(y_i | η_i), with all constants."""
        raise NotImplementedError

    def score(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """∂ log p / ∂η."""
        raise NotImplementedError

    def information(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs outputs rows"]:
        """Fisher information of the logits, positive semidefinite."""
        raise NotImplementedError

    def information_triangle(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "pairs rows"]:
        """Lower triangle of the information, in the order of `torch.tril_indices`."""
        first, second = torch.tril_indices(len(logits), len(logits), device=logits.device)
        return self.information(logits)[first, second]

    def potential(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, " rows"]:
        """tᵀη − log p(y | η), up to a constant of each row."""
        return -self.log_density(logits)

    def slope(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """∂ potential / ∂η."""
        return -self.score(logits)

    def first_order(self, logits: Float[Tensor, "outputs rows"]) -> tuple[Tensor, Tensor]:
        """Potential (rows,) with slope (outputs, rows), which may share work."""
        return self.potential(logits), self.slope(logits)

    def prepared(self, logits: Float[Tensor, "outputs rows"]) -> Float[Tensor, "outputs rows"]:
        """What `cumulants` takes for logits: these, or what it would make of them for every shift anew."""
        return logits

    def growth(self, shift: Tensor) -> Tensor:
        """What `cumulants` takes for shifts of logits, element by element."""
        return shift

    def cumulants(self, prepared: Float[Tensor, "outputs rows"], growth: Float[Tensor, "outputs rows"]) -> Cumulants:
        """First four derivatives of the potential in each logit, shifted by itself, all others as they are."""
        raise NotImplementedError

    def statistic(self, gather: Gather, like: Float[Tensor, "outputs rows"]) -> Float[Tensor, "stacked levels"]:
        """Sums of t(y) over the rows of each level; `gather` sums an (outputs, rows) tensor, `like` gives the dtype."""
        return gather(torch.zeros_like(like))

    def rows(self, part: slice) -> RowDensity:
        """The same density for some of the rows, so that long data can go through in pieces."""
        raise NotImplementedError


def of_probability(p: Float[Tensor, "outputs rows"]) -> Cumulants:
    """Cumulants of a variable that is 1 with probability p, else 0: p, p (1 − p), and their derivatives in logit p."""
    variance = torch.addcmul(p, p, p, value=-1.0)
    return p, variance, (1.0 - 2.0 * p).mul_(variance), (1.0 - 6.0 * variance).mul_(variance)
