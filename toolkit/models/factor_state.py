"""Effects of one grouping factor while they are estimated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.random_effects import EffectLayout, RandomEffects
from toolkit.numerics.covariance import from_log_cholesky, to_log_cholesky, with_floor


@dataclass(slots=True, kw_only=True, eq=False)
class FactorState:
    """Effects of one grouping factor and their covariance; the tensors are changed in place.

    Attributes:
        name: of the factor.
        layout: what its effects are.
        eta: effects (levels, d).
        log_cholesky: their covariance, as `toolkit.numerics.covariance` keeps it.
        diagonal: effects are independent of each other.
    """

    name: str
    layout: EffectLayout
    eta: Tensor
    log_cholesky: Tensor
    diagonal: bool

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Covariance of the effects."""
        return from_log_cholesky(self.log_cholesky, self.layout.size, diagonal=self.diagonal)

    @property
    def variances(self) -> Tensor:
        """Variances of the effects (d,)."""
        return torch.exp(2.0 * self.log_cholesky) if self.diagonal else torch.diagonal(self.covariance)

    @property
    def effects(self) -> RandomEffects:
        """Effects, detached."""
        return RandomEffects(layout=self.layout, eta=self.eta.detach(), covariance=self.covariance)

    def precision(self) -> Tensor:
        """Inverse covariance of the effects: its diagonal where they are independent, else the matrix."""
        if self.diagonal:
            return torch.exp(-2.0 * self.log_cholesky)
        return torch.cholesky_inverse(torch.linalg.cholesky(self.covariance))

    def penalty(self) -> Float[Tensor, ""]:
        """``1/2 sum eta' Sigma^-1 eta``."""
        precision = torch.cholesky_inverse(torch.linalg.cholesky(self.covariance))
        return 0.5 * ((self.eta @ precision) * self.eta).sum()

    def set_covariance(self, covariance: Tensor) -> None:
        """Store a covariance, floored."""
        floored = with_floor(covariance, diagonal=self.diagonal)
        self.log_cholesky.copy_(to_log_cholesky(floored, diagonal=self.diagonal))


def start_factor(
    name: str, layout: EffectLayout, levels: int, like: Tensor, *, diagonal: bool, start: float
) -> FactorState:
    """Effects of zero with variances of ``start``."""
    identity = torch.eye(layout.size, dtype=like.dtype, device=like.device)
    return FactorState(
        name=name,
        layout=layout,
        eta=torch.zeros((levels, layout.size), dtype=like.dtype, device=like.device),
        log_cholesky=to_log_cholesky(start * identity, diagonal=diagonal),
        diagonal=diagonal,
    )
