"""A logistic mixed model from its design to its maximum, by quadrature or Laplace's approximation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.ascent import proper
from toolkit.numerics.binary_effects.level_rows import level_rows, probabilities
from toolkit.numerics.binary_effects.one_factor import maximise
from toolkit.numerics.binary_effects.several import maximise_several
from toolkit.numerics.binary_effects.weighted import structure_of
from toolkit.numerics.mixed.design import Design, Factor

Begin = tuple[Sequence[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BinaryMaximum:
    """Where the likelihood of a logistic mixed model is largest; factors in the order of the design.

    Attributes:
        value: log-likelihood.
        beta: fixed effects.
        covariance_of_beta: of their estimates; None where it was not asked for.
        covariances: of each factor's effects (effects, effects).
        effects: posterior mean (by quadrature) or mode of every level (levels, effects).
        spreads: posterior covariance of every level (levels, effects, effects).
        curvatures: ``Z_j'W Z_j`` of every level at its effects (levels, effects, effects).
        weight: ``p (1 - p)`` of each row there.
        variances: free elements of the covariances.
        trace: log-likelihood after every step.
        converged: whether the maximum was found.
    """

    value: float
    beta: Float[np.ndarray, " p"]
    covariance_of_beta: Float[np.ndarray, "p p"] | None
    covariances: tuple[np.ndarray, ...]
    effects: tuple[np.ndarray, ...]
    spreads: tuple[np.ndarray, ...]
    curvatures: tuple[np.ndarray, ...]
    weight: Float[np.ndarray, " rows"]
    variances: int
    trace: tuple[float, ...]
    converged: bool


def has_single_effect(design: Design) -> bool:
    """Whether quadrature can be had: one factor, whose levels have one effect each."""
    return len(design.factors) == 1 and design.factors[0].size == 1


def maximise_binary(
    design: Design,
    offset: Float[np.ndarray, " rows"],
    *,
    nodes: int,
    begin: Begin | None = None,
    curvature: bool = False,
    search: bool = True,
    watch: Callable[[float], None] | None = None,
) -> BinaryMaximum:
    """Maximum likelihood of variances and fixed effects.

    Args:
        design: outcome of zeros and ones, fixed effects, factors.
        offset: part of the logits that is held.
        nodes: of the quadrature, for one factor with a single effect; 1 is Laplace's approximation.
        begin: relative factors in the order of the design, and fixed effects, to start from.
        curvature: whether the covariance of the fixed effects is wanted.
        search: False stays where it begins.
        watch: called with the log-likelihood after every step.

    Raises:
        ValueError: several nodes for several effects.
        numpy.linalg.LinAlgError: numbers are not finite.
    """
    if has_single_effect(design):
        options: dict[str, Any] = {"curvature": curvature, "search": search, "watch": watch}
        return _by_quadrature(design, offset, nodes, begin, options)
    if nodes > 1:
        raise ValueError("quadrature is for one factor with a single effect")
    structure = structure_of(design.factors)
    first = None if begin is None else (_theta([begin[0][k] for k in structure.order], structure.factors), begin[1])
    found = maximise_several(
        structure, design.outcome, offset, design.fixed, begin=first, curvature=curvature, search=search, watch=watch
    )
    place = [structure.order.index(k) for k in range(len(design.factors))]
    effects = tuple(found.effects[k] for k in place)
    weight = _weight(design, offset, found.beta, effects)
    return BinaryMaximum(
        value=found.value,
        beta=found.beta,
        covariance_of_beta=_of_beta(found.information, len(found.beta)),
        covariances=tuple(found.relative[k] @ found.relative[k].T for k in place),
        effects=effects,
        spreads=tuple(found.covariances[k] for k in place),
        curvatures=tuple(level_curvature(factor, weight) for factor in design.factors),
        weight=weight,
        variances=len(found.theta),
        trace=found.trace,
        converged=found.converged,
    )


def _by_quadrature(
    design: Design,
    offset: np.ndarray,
    nodes: int,
    begin: Begin | None,
    options: dict[str, Any],
) -> BinaryMaximum:
    """One factor with a single effect."""
    factor = design.factors[0]
    rows = level_rows(design.outcome, factor.codes, factor.levels, factor.design[:, 0])
    first = None if begin is None else (float(begin[0][0][0, 0]), begin[1])
    found = maximise(rows, offset, design.fixed, nodes=nodes, begin=first, **options)
    effects = (found.evaluation.mean[:, None],)
    weight = _weight(design, offset, found.beta, effects)
    return BinaryMaximum(
        value=found.value,
        beta=found.beta,
        covariance_of_beta=_of_beta(found.information, len(found.beta)),
        covariances=(np.array([[found.theta**2]]),),
        effects=effects,
        spreads=(found.evaluation.sd[:, None, None] ** 2,),
        curvatures=(level_curvature(factor, weight),),
        weight=weight,
        variances=1,
        trace=found.trace,
        converged=found.converged,
    )


def level_curvature(factor: Factor, weight: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "levels effects effects"]:
    """``Z_j'W Z_j`` of every level of a factor."""
    size, found = factor.size, np.empty((factor.levels, factor.size, factor.size))
    for a in range(size):
        for b in range(a + 1):
            terms = weight * factor.design[:, a] * factor.design[:, b]
            found[:, a, b] = found[:, b, a] = np.bincount(factor.codes, weights=terms, minlength=factor.levels)
    return found


def _weight(design: Design, offset: np.ndarray, beta: np.ndarray, effects: Sequence[np.ndarray]) -> np.ndarray:
    """``p (1 - p)`` of each row at the effects."""
    logits = offset + design.fixed @ beta
    for factor, own in zip(design.factors, effects, strict=True):
        logits = logits + (factor.design * own[factor.codes]).sum(axis=1)
    p, _ = probabilities(logits)
    return p * (1.0 - p)


def _of_beta(information: np.ndarray | None, size: int) -> np.ndarray | None:
    """Covariance of the fixed effects: of those and the variances together, or of those alone at a boundary."""
    if information is None:
        return None
    try:
        np.linalg.cholesky(information)
    except np.linalg.LinAlgError:
        information = proper(information[-size:, -size:]) if size else information[:0, :0]
    return np.linalg.inv(information)[-size:, -size:] if size else np.zeros((0, 0))


def _theta(relative: Sequence[np.ndarray], factors: Sequence[Factor]) -> np.ndarray:
    """Free elements of relative factors."""
    return np.concatenate([own[factor.free] for own, factor in zip(relative, factors, strict=True)])
