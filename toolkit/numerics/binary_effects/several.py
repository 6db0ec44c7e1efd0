"""Maximum likelihood of a logistic model with effects of several grouping factors, by Laplace's approximation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.ascent import STEPS, ascend, proper, second_derivative
from toolkit.numerics.binary_effects.laplace import Approximation, Mode, approximate, whitened
from toolkit.numerics.binary_effects.logistic import logistic_regression
from toolkit.numerics.binary_effects.weighted import Structure
from toolkit.numerics.mixed.design import parameters, relative_factors, start
from toolkit.numerics.mixed.posterior import blocks_of_inverse

CHANGE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSeveral:
    """The maximum of the approximate likelihood; factors in the order of the structure.

    Attributes:
        value: log-likelihood.
        beta: fixed effects.
        relative: lower triangular factor of each grouping factor's covariance (effects, effects), its diagonal not
            negative.
        theta: their free elements.
        information: minus the second derivative by theta, then beta.
        effects: mode of every level's effects (levels, effects).
        covariances: conditional covariances of these (levels, effects, effects).
        probability: of each row at the mode.
        trace: log-likelihood after every step.
        converged: whether the maximum was found.
    """

    value: float
    beta: Float[np.ndarray, " p"]
    relative: tuple[np.ndarray, ...]
    theta: Float[np.ndarray, " theta"]
    information: Float[np.ndarray, "size size"] | None
    effects: tuple[np.ndarray, ...]
    covariances: tuple[np.ndarray, ...]
    probability: Float[np.ndarray, " rows"]
    trace: tuple[float, ...]
    converged: bool


class _Likelihood:
    """The log-likelihood as a function of theta and beta; remembers the mode."""

    def __init__(self, structure: Structure, target: np.ndarray, offset: np.ndarray, fixed: np.ndarray) -> None:
        self.structure, self.target, self.offset, self.fixed = structure, target, offset, fixed
        self.free = len(start(structure.factors))
        self.mode: Mode | None = None

    def at(self, place: np.ndarray) -> Approximation:
        relative = relative_factors(place[: self.free], self.structure.factors)
        logits = self.offset + self.fixed @ place[self.free :]
        found = approximate(self.structure, self.target, logits, relative, self.mode)
        self.mode = found.mode
        return found

    def __call__(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.at(place)
        by_theta = parameters(found.by_factor, self.structure.factors)
        return found.value, np.concatenate([by_theta, found.by_logit @ self.fixed])


def maximise_several(
    structure: Structure,
    target: Float[np.ndarray, " rows"],
    offset: Float[np.ndarray, " rows"],
    fixed: Float[np.ndarray, "rows p"],
    *,
    begin: tuple[np.ndarray, np.ndarray] | None = None,
    curvature: bool = False,
    search: bool = True,
    watch: Callable[[float], None] | None = None,
) -> FittedSeveral:
    """Maximum likelihood of covariances and fixed effects.

    Args:
        structure: which effects meet in a row; its factors say which effects correlate.
        target: zeros and ones.
        offset: part of the logits that is held.
        fixed: columns of the fixed effects.
        begin: free elements of the relative factors, and fixed effects, to start from.
        curvature: whether the second derivative at the maximum is wanted.
        search: False stays where it begins.
        watch: called with the log-likelihood after every step.

    Raises:
        numpy.linalg.LinAlgError: numbers are not finite.
    """
    likelihood = _Likelihood(structure, target, offset, fixed)
    theta, beta = begin or (start(structure.factors), logistic_regression(target, offset, fixed))
    place = np.concatenate([theta, beta])
    most = STEPS if search else 0
    peak = ascend(likelihood, place, _information(likelihood, place), steps=most, watch=watch)
    information = None
    if curvature:
        information = second_derivative(likelihood, peak.place, _information(likelihood, peak.place))
    found = likelihood.at(peak.place)
    relative = [
        own * np.where(np.diagonal(own) < 0, -1.0, 1.0)
        for own in relative_factors(peak.place[: likelihood.free], structure.factors)
    ]
    effects, covariances = _posterior(
        structure, found, relative_factors(peak.place[: likelihood.free], structure.factors)
    )
    return FittedSeveral(
        value=found.value, beta=peak.place[likelihood.free :], relative=tuple(relative),
        theta=parameters(relative, structure.factors), information=information, effects=effects,
        covariances=covariances, probability=found.mode.probability, trace=peak.trace, converged=peak.converged,
    )  # fmt: skip


def _posterior(
    structure: Structure, found: Approximation, relative: list[np.ndarray]
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Modes of every level's effects and their conditional covariances, by factor."""
    blocks = blocks_of_inverse(structure.factors, found.mode.halves)
    spherical, begin = [found.mode.first[:, :, 0]], 0
    for factor in structure.factors[1:]:
        size = factor.levels * factor.size
        spherical.append(found.mode.rest[begin : begin + size].reshape(factor.levels, factor.size))
        begin += size
    effects = tuple(u @ own.T for u, own in zip(spherical, relative, strict=True))
    return effects, tuple(own @ block @ own.T for block, own in zip(blocks, relative, strict=True))


def _information(likelihood: _Likelihood, place: np.ndarray) -> np.ndarray:
    """Minus the second derivative nearly: by beta as if the posterior were normal, by theta from slopes."""
    free, structure = likelihood.free, likelihood.structure
    at = likelihood.at(place)
    design = whitened(structure, relative_factors(place[:free], structure.factors))
    weight = at.mode.probability * (1.0 - at.mode.probability)
    found = np.zeros((len(place), len(place)))
    columns = [structure.split(design * (weight * column)[:, None]) for column in likelihood.fixed.T]
    if columns:
        first, rest = (np.concatenate(parts, axis=-1) for parts in zip(*columns, strict=True))
        solved = at.mode.halves.solve(first, rest)
        lost = np.einsum("jap,jaq->pq", first, solved[0]) + rest.T @ solved[1]
        found[free:, free:] = (likelihood.fixed * weight[:, None]).T @ likelihood.fixed - lost
    for number in range(free):
        step = np.zeros(len(place))
        step[number] = CHANGE * max(abs(place[number]), 0.1)
        slopes = [likelihood(place + sign * step)[1] for sign in (-1.0, 1.0)]
        found[number] = (slopes[0] - slopes[1]) / (2.0 * step[number])
        found[free:, number] = found[number, free:]
    found[:free, :free] = 0.5 * (found[:free, :free] + found[:free, :free].T)
    return proper(found)
