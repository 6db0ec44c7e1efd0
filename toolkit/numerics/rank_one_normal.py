"""Normal distributions whose covariance is diagonal plus rank one, and the natural gradient of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

_solve = cast(Callable[[Tensor, Tensor], Tensor], torch.linalg.solve)  # pyright: ignore[reportUnknownMemberType]

Vector = Float[Tensor, " d"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankOneNormal:
    """``N(mean, factor factor' + diag(scale^2))`` (Ong, Nott and Smith, 2018, with one factor)."""

    mean: Vector
    factor: Vector
    scale: Vector

    def at(self, common: Tensor, own: Vector) -> Vector:
        """The value that standard normal numbers make: one common (), one for each coordinate."""
        return self.mean + self.factor * common + self.scale * own

    def score(self, value: Vector) -> Vector:
        """Gradient of the log density in the value: ``-Sigma^-1 (value - mean)``."""
        diagonal, away = self.scale.square(), value - self.mean
        inner = (self.factor * away / diagonal).sum() / (1.0 + (self.factor.square() / diagonal).sum())
        return -(away - self.factor * inner) / diagonal

    @property
    def variances(self) -> Vector:
        """Of each coordinate."""
        return self.factor.square() + self.scale.square()

    def moved(self, step: RankOneNormal) -> RankOneNormal:
        """Parameters plus those of a step."""
        return RankOneNormal(
            mean=self.mean + step.mean, factor=self.factor + step.factor, scale=self.scale + step.scale
        )


def natural_gradient(normal: RankOneNormal, gradient: RankOneNormal, damping: float = 0.0) -> RankOneNormal:
    """The inverse Fisher information times a gradient, both in the parameters of the distribution.

    ``Sigma`` times the mean's part; for the others the information of a normal, ``tr(P dSigma_i P dSigma_j) / 2`` with
    ``P = Sigma^-1``: ``(b'Pb) P + P b b' P`` of the factor b, ``2 c_i c_j P_ij^2`` of the scale c, and ``2 c_j P_ij
    (Pb)_j`` between them.

    Args:
        normal: where.
        gradient: of the objective.
        damping: of factor and scale: added to the information in units of ``1 / c^2``. That of the factor vanishes
            with it, so that steps without damping have no bound.
    """
    b, c = normal.factor, normal.scale
    covariance = torch.outer(b, b) + torch.diag(c.square())
    whitened = b / c.square()
    precision = torch.diag(1.0 / c.square()) - torch.outer(whitened, whitened) / (1.0 + (b * whitened).sum())
    information = spread_information(b, c, precision)
    information.diagonal().add_(damping / torch.cat([c, c]).square())
    spread = _solve(information, torch.cat([gradient.factor, gradient.scale]))
    return RankOneNormal(mean=covariance @ gradient.mean, factor=spread[: len(b)], scale=spread[len(b) :])


def spread_information(b: Vector, c: Vector, precision: Float[Tensor, "d d"]) -> Float[Tensor, "e e"]:
    """Fisher information of factor and scale, in this order (2 d, 2 d)."""
    pulled = precision @ b
    factor = (b * pulled).sum() * precision + torch.outer(pulled, pulled)
    scale = 2.0 * torch.outer(c, c) * precision.square()
    between = 2.0 * precision * (pulled * c)[None, :]
    return torch.cat([torch.cat([factor, between], dim=1), torch.cat([between.mT, scale], dim=1)])
