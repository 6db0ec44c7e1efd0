"""Maximum likelihood of a field beside grouping factors, its effects, and the field at any coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed.arrays import linalg
from toolkit.numerics.mixed.design import lower_bounds
from toolkit.numerics.spatial.beside import PIECE, FieldMoments, FieldSolution, solve_with_field
from toolkit.numerics.spatial.beside_slopes import (
    Inverse,
    field_gradient,
    field_information,
    inverse_of,
    spherical_parts,
)
from toolkit.numerics.spatial.carriers import KernelCarrier
from toolkit.numerics.spatial.climbing import lowest_deviance
from toolkit.numerics.spatial.exact import Evaluation
from toolkit.numerics.spatial.fields import Covariance
from toolkit.numerics.spatial.kernels import correlation, squared_distances

# the least relative SD, and what counts as none
LEAST = 1e-5
NONE = 1e-4
MOST = 1e4
ENOUGH = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldMaximum:
    """Where the likelihood is largest.

    Attributes:
        solution: the model solved there.
        theta: free elements of the relative factors, the field's relative SD, its log range.
        trace: deviance at every evaluation.
        converged: whether a further step would gain nothing.
    """

    solution: FieldSolution
    theta: np.ndarray
    trace: tuple[float, ...]
    converged: bool


def maximise_with_field(
    moments: FieldMoments, begin: Float[np.ndarray, " theta"], reaches: tuple[float, float]
) -> FieldMaximum:
    """Maximum likelihood from start values.

    Args:
        moments: of factors and places.
        begin: free elements of the relative factors, the field's relative SD, its log range if there is one.
        reaches: lowest and highest log range.
    """
    factors = moments.factors.factors
    diagonal = np.isfinite(lower_bounds(factors))
    low = np.concatenate([np.where(diagonal, LEAST, -MOST), [LEAST], [reaches[0]]])[: len(begin)]
    high = np.concatenate([np.full(len(diagonal) + 1, MOST), [reaches[1]]])[: len(begin)]
    deviations = np.concatenate([diagonal, [True], [False]])[: len(begin)]
    solutions = dict[bytes, FieldSolution]()

    def evaluate(theta: np.ndarray) -> Evaluation:
        solution = solve_with_field(moments, theta)
        solutions.clear()
        solutions[theta.tobytes()] = solution
        return Evaluation(
            deviance=solution.deviance,
            gradient=field_gradient(moments, solution),
            information=field_information(moments, solution),
            sigma2=solution.sigma2,
        )

    found = lowest_deviance(evaluate, begin, (low, high), enough=ENOUGH, deviations=deviations)
    solution = solutions.get(found.theta.tobytes()) or solve_with_field(moments, found.theta)
    return FieldMaximum(solution=solution, theta=found.theta, trace=found.trace, converged=found.converged)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """Best linear unbiased predictions and conditional covariances, by factor in the order of the moments."""

    means: list[np.ndarray]
    covariances: list[np.ndarray]


def effects_beside(moments: FieldMoments, solution: FieldSolution, inverse: Inverse | None = None) -> Effects:
    """Effects of the grouping factors given data, fixed effects and variances."""
    inverse = inverse_of(solution) if inverse is None else inverse
    first, rest, _ = spherical_parts(solution)
    means, blocks = [first @ solution.relative[0].T], [_first_blocks(solution, inverse)]
    begin = 0
    for factor, relative in zip(moments.factors.factors[1:], solution.relative[1:], strict=True):
        places = begin + np.arange(factor.levels * factor.size).reshape(factor.levels, factor.size)
        means.append(rest[places] @ relative.T)
        blocks.append(inverse.others[places[:, :, None], places[:, None, :]])
        begin += places.size
    covariances = [
        solution.sigma2 * relative @ block @ relative.T
        for relative, block in zip(solution.relative, blocks, strict=True)
    ]
    return Effects(means=means, covariances=covariances)


def _first_blocks(solution: FieldSolution, inverse: Inverse) -> Float[np.ndarray, "levels effects effects"]:
    """Diagonal blocks of ``M^-1`` of the first factor, some levels at a time."""
    levels, size, _ = solution.inverse.shape
    inner = np.empty((levels, size, size))
    loadings = solution.loadings
    step = max(PIECE // (size * len(inverse.whole)), 1)
    for begin in range(0, levels, step):
        end = min(begin + step, levels)
        piece = slice(begin * size, end * size)
        rows = np.concatenate(
            [solution.between[piece].toarray(), np.asarray(solution.crossed[piece] @ loadings)], axis=1
        )
        turned = (rows @ inverse.whole).reshape(end - begin, size, -1)
        inner[begin:end] = turned @ np.swapaxes(rows.reshape(turned.shape), 1, 2)
    return np.swapaxes(solution.inverse, 1, 2) @ (inner + np.eye(size)) @ solution.inverse


class CarriedField:
    """A field given data, carried by inducing places."""

    def __init__(
        self, inducing: np.ndarray, covariance: Covariance, lower: np.ndarray, mean: np.ndarray, spread: np.ndarray
    ) -> None:
        """Keep what conditions it.

        Args:
            inducing: coordinates of the inducing places.
            covariance: parameters of the field.
            lower: Cholesky factor of the correlations between them.
            mean: of what the loadings of a field of variance one are multiplied with, given the data.
            spread: its covariance.
        """
        self.inducing, self.covariance, self.lower = inducing, covariance, lower
        self.mean, self.spread = mean, spread

    def loadings(self, coordinates: np.ndarray) -> Float[np.ndarray, "points columns"]:
        """What a field of variance one is carried by at coordinates; the rest of its variance is not."""
        values = correlation(
            self.covariance.kernel, squared_distances(coordinates, self.inducing), self.covariance.reach
        )
        return linalg.solve_triangular(self.lower, values.T, lower=True, check_finite=False).T

    def predict(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means and variances at coordinates."""
        own = self.covariance
        means, left = np.empty(len(coordinates)), np.empty(len(coordinates))
        step = max(PIECE // len(self.inducing), 1)
        for begin in range(0, len(coordinates), step):
            piece = slice(begin, begin + step)
            loadings = self.loadings(coordinates[piece])
            means[piece] = loadings @ self.mean
            carried = ((loadings @ self.spread) * loadings).sum(axis=1)
            left[piece] = carried + own.variance * (1.0 - (loadings**2).sum(axis=1))
        return means, np.maximum(left, 0.0)


def carried_field(moments: FieldMoments, solution: FieldSolution, log_reach: float) -> CarriedField:
    """The field at the solution."""
    assert isinstance(moments.carrier, KernelCarrier)
    kernel, sigma2, scale = moments.carrier.kernel, solution.sigma2, solution.scale
    covariance = Covariance(kernel=kernel, variance=sigma2 * scale**2, reach=float(np.exp(log_reach)), sigma2=sigma2)
    spread = sigma2 * scale**2 * inverse_of(solution).field
    return CarriedField(
        moments.carrier.inducing, covariance, solution.carried.lower, scale * spherical_parts(solution)[2], spread
    )
