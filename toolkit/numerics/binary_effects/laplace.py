"""Marginal log-likelihood of a logistic model with effects of several grouping factors, by Laplace's approximation.

``logit p = f + V u`` with ``V = Z L`` and ``u`` standard normal. At the mode of ``l(u) - u'u / 2`` the approximation is
``l - u'u / 2 - log|V'WV + I| / 2`` (Bates, Maechler, Bolker and Walker's ``glmer`` with one node). Its derivatives are
exact: the mode and the weights W move with the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.level_rows import probabilities
from toolkit.numerics.binary_effects.row_blocks import inverse_times_rows
from toolkit.numerics.binary_effects.weighted import Structure
from toolkit.numerics.mixed.halves import Halves

STEPS = 60
HALVINGS = 30
AT_MODE = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """Where all effects together are most likely.

    Attributes:
        first, rest: standardised effects of the first factor (levels, effects, 1) and of the others (rest, 1).
        penalised: ``l - u'u / 2``.
        probability: of each row.
        halves: ``V'WV + I``, factored.
        logdet: logarithm of its determinant.
    """

    first: np.ndarray
    rest: np.ndarray
    penalised: float
    probability: Float[np.ndarray, " rows"]
    halves: Halves
    logdet: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Approximation:
    """The approximate log-likelihood.

    Attributes:
        value: of the parameters.
        by_logit: derivative by each row's logit.
        by_factor: derivative by each relative factor, in the order of the structure.
        mode: at the parameters.
    """

    value: float
    by_logit: Float[np.ndarray, " rows"]
    by_factor: tuple[np.ndarray, ...]
    mode: Mode


def whitened(structure: Structure, relative: Sequence[np.ndarray]) -> Float[np.ndarray, "rows effects"]:
    """``Z L``: what standard normal effects of all factors are multiplied with in each row."""
    return np.concatenate(
        [factor.design @ own for factor, own in zip(structure.factors, relative, strict=True)], axis=1
    )


def find_mode(
    structure: Structure,
    target: Float[np.ndarray, " rows"],
    logits: Float[np.ndarray, " rows"],
    design: Float[np.ndarray, "rows effects"],
    begin: Mode | None,
) -> Mode:
    """Newton steps, halved where they would not climb, until the effects rest."""
    u: tuple[np.ndarray, np.ndarray] = _origin(structure) if begin is None else (begin.first, begin.rest)
    penalised, probability = _penalised(structure, target, logits, design, u)
    if begin is not None:  # effects of covariances far from these can be worse than none
        plain = _penalised(structure, target, logits, design, _origin(structure))
        if plain[0] > penalised:
            u, (penalised, probability) = _origin(structure), plain
    for number in range(STEPS):
        weight = probability * (1.0 - probability)
        halves, logdet = structure.halves(design, weight)
        slope = _slope(structure, design, target - probability, u)
        step = halves.solve(*slope)
        gain = sum(float((a * b).sum()) for a, b in zip(slope, step, strict=True))
        small = gain < AT_MODE * max(1.0, abs(penalised))
        for halving in range(HALVINGS):
            share = 0.5**halving
            tried = u[0] + share * step[0], u[1] + share * step[1]
            value, new_probability = _penalised(structure, target, logits, design, tried)
            if value >= penalised:
                u, penalised, probability = tried, value, new_probability
                break
        else:
            small = True
        if small or number == STEPS - 1:
            return Mode(
                first=u[0], rest=u[1], penalised=penalised, probability=probability, halves=halves, logdet=logdet
            )
    raise AssertionError  # the loop ends by returning


def approximate(
    structure: Structure,
    target: Float[np.ndarray, " rows"],
    logits: Float[np.ndarray, " rows"],
    relative: Sequence[np.ndarray],
    begin: Mode | None = None,
) -> Approximation:
    """The approximate log-likelihood and its derivatives.

    Args:
        structure: which effects meet in a row.
        target: zeros and ones.
        logits: of each row without the effects.
        relative: lower triangular factor of each grouping factor's covariance, in the order of the structure.
        begin: mode to start from.
    """
    design = whitened(structure, relative)
    mode = find_mode(structure, target, logits, design, begin)
    p = mode.probability
    residual, weight = target - p, p * (1.0 - p)
    turned = inverse_times_rows(structure, mode.halves, design)
    bent = 0.5 * (design * turned).sum(axis=1) * weight * (1.0 - 2.0 * p)
    t = mode.halves.solve(*structure.split(design * bent[:, None]))
    moved = structure.gather(*t)
    by_logit = residual - bent + weight * (design * moved).sum(axis=1)
    u = structure.gather(mode.first, mode.rest)
    inside = by_logit[:, None] * u - residual[:, None] * moved - weight[:, None] * turned
    by_factor, begin_column = list[np.ndarray](), 0
    for factor in structure.factors:
        by_factor.append(factor.design.T @ inside[:, begin_column : begin_column + factor.size])
        begin_column += factor.size
    value = mode.penalised - 0.5 * mode.logdet
    return Approximation(value=value, by_logit=by_logit, by_factor=tuple(by_factor), mode=mode)


def _origin(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Effects of zero."""
    return np.zeros((*structure.first_shape, 1)), np.zeros((structure.rest, 1))


def _penalised(
    structure: Structure, target: np.ndarray, logits: np.ndarray, design: np.ndarray, u: tuple[np.ndarray, np.ndarray]
) -> tuple[float, np.ndarray]:
    """``l - u'u / 2`` and the probabilities."""
    eta = logits + (design * structure.gather(*u)).sum(axis=1)
    probability, loss = probabilities(eta)
    prior = sum(float((own * own).sum()) for own in u)
    return float(((target - 1.0) * eta - loss).sum()) - 0.5 * prior, probability


def _slope(
    structure: Structure, design: np.ndarray, residual: np.ndarray, u: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of ``l - u'u / 2`` by the effects."""
    first, rest = structure.split(design * residual[:, None])
    return first - u[0], rest - u[1]
