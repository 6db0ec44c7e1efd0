"""Covariance matrices held as log-Cholesky parameters, with a floor.

``Sigma = L L'`` with ``L`` lower triangular; stored are the logarithms of L's diagonal and its entries below the
diagonal, so that every parameter vector is a positive definite matrix (Pinheiro and Bates, 1996). A diagonal
covariance stores the log standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

# torch.linalg carries no types
_cholesky = cast(Callable[[Tensor], Tensor], torch.linalg.cholesky)  # pyright: ignore[reportUnknownMemberType]
_eigh = cast(Callable[[Tensor], tuple[Tensor, Tensor]], torch.linalg.eigh)  # pyright: ignore[reportUnknownMemberType]

# Variance (on the standardised scale) under which a component counts as collapsed: its SD is then below a thousandth
# of the outcome's.
VARIANCE_FLOOR = 1e-6


Covariance = Float[Tensor, "d d"] | Float[Tensor, " d"]  # a matrix, or the variances of independent effects


def variances_of(covariance: Covariance) -> Float[Tensor, " d"]:
    """The variances in a covariance."""
    return covariance if covariance.dim() == 1 else torch.diagonal(covariance)


def precision_of(covariance: Covariance) -> Covariance:
    """Its inverse, in the same form."""
    return 1.0 / covariance if covariance.dim() == 1 else torch.cholesky_inverse(_cholesky(covariance))


def times(values: Float[Tensor, "rows d"], matrix: Covariance) -> Float[Tensor, "rows d"]:
    """Rows times a covariance or precision, in either form."""
    return values * matrix if matrix.dim() == 1 else values @ matrix


def to_log_cholesky(covariance: Covariance, *, diagonal: bool) -> Float[Tensor, " parameters"]:
    """Log SDs if diagonal (d), else log diagonal of L, then its rows below (d (d + 1) / 2)."""
    if diagonal:
        return 0.5 * torch.log(variances_of(covariance))
    lower = _cholesky(covariance)
    rows, columns = _below(covariance.shape[0], covariance.device)
    return torch.cat([torch.log(torch.diagonal(lower)), lower[rows, columns]])


def from_log_cholesky(parameters: Float[Tensor, " parameters"], size: int, *, diagonal: bool) -> Float[Tensor, "d d"]:
    """Covariance of a parameter vector; the inverse of `to_log_cholesky`."""
    if diagonal:
        return torch.diag(torch.exp(2.0 * parameters))
    rows, columns = _below(size, parameters.device)
    lower = torch.diag(torch.exp(parameters[:size]))
    lower = lower.index_put((rows, columns), parameters[size:])
    return lower @ lower.T


def with_floor(covariance: Covariance, *, diagonal: bool, floor: float = VARIANCE_FLOOR) -> Covariance:
    """Nearest covariance whose eigenvalues (variances, if diagonal) are at least ``floor``."""
    if covariance.dim() == 1:
        return covariance.clamp(min=floor)
    if diagonal:
        return torch.diag(torch.diagonal(covariance).clamp(min=floor))
    values, vectors = _eigh(0.5 * (covariance + covariance.T))
    return (vectors * values.clamp(min=floor)) @ vectors.T


def _below(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column numbers of the entries below the diagonal."""
    index = torch.tril_indices(size, size, offset=-1, device=device)
    return index[0], index[1]
