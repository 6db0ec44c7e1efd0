"""From the maximum of a mixed model's likelihood to effects, posteriors and variances as tensors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.joint import Factors
from toolkit.effects.joint_draws import LineEvidence
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import EffectLayout, FactorEffects, RandomEffects
from toolkit.errors import ToolkitWarning
from toolkit.models.fit_state import Estimate
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.training import Trained
from toolkit.numerics.covariance import VARIANCE_FLOOR
from toolkit.numerics.mixed.design import Design
from toolkit.numerics.mixed.deviance import Solution
from toolkit.numerics.mixed.maximise import Maximum
from toolkit.numerics.mixed.moments import Moments
from toolkit.numerics.mixed.posterior import blups, conditional_covariances
from toolkit.optimise.minimise import Outcome
from toolkit.optimise.status import Status

# a correlation this far from one is one, for the eye and for what is to be inverted
ALMOST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedSolution:
    """The mixed model behind a fitted one, in memory: what further questions are answered from.

    Attributes:
        design: of the training rows, on the scale of the estimation; of a network what it leaves over is the outcome.
        sums: its cross products.
        solution: its likelihood at the estimated variances.
        columns: what the effects of each factor are multiplied with, of any data (rows, effects).
    """

    design: Design
    sums: Moments
    solution: Solution
    columns: Callable[[GroupedDataset], list[np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedMixed(Trained):
    """A model fitted by the likelihood of normal random effects.

    Attributes:
        deviance: minus twice the log-likelihood of the training rows, or the restricted one, in the units of the data.
        parameters: how many were estimated: shared parameters, variances and correlations, residual variance.
        restricted: whether the likelihood is the restricted one.
        mixed: the mixed model itself; None where there is more to it than grouping factors.
    """

    deviance: float
    parameters: int
    restricted: bool
    mixed: MixedSolution | None = None


def estimate_of(
    sums: Moments,
    found: Maximum,
    layouts: Sequence[EffectLayout],
    shared: Mapping[str, Tensor],
    outcome: Outcome,
) -> Estimate:
    """Effects, their posteriors and the variances as tensors, the factors in the caller's order.

    Args:
        sums: cross products of the design.
        found: where the likelihood is largest.
        layouts: where the effects of each factor belong.
        shared: shared parameters by name.
        outcome: how training went.
    """
    solution = found.solution
    effects: list[tuple[RandomEffects, Posterior] | None] = [None] * len(layouts)
    means, spreads = blups(sums, solution), conditional_covariances(sums, solution)
    squares = squares_of(sums)
    for place, order in enumerate(sums.order):
        relative = solution.relative[place]
        covariance = floored(solution.sigma2 * relative @ relative.T)
        own = RandomEffects(layout=layouts[order], eta=_tensor(means[place]), covariance=_tensor(covariance))
        posterior = Posterior(curvature=_tensor(2.0 * squares[place]), covariance=_tensor(spreads[place]))
        effects[order] = own, posterior
    first, *rest = [entry for entry in effects if entry is not None]
    return Estimate(
        shared=dict(shared),
        effects=first[0],
        posterior=first[1],
        sigma2=solution.sigma2,
        outcome=outcome,
        polish_steps=len(found.trace),
        exact=True,
        further=tuple(rest),
    )


def further_of(factors: Sequence[FactorEffectsOf], estimate: Estimate) -> tuple[FactorEffects, ...]:
    """Effects of the grouping factors after the first, by name and level."""
    return tuple(
        FactorEffects(grouping=factor.grouping.name, levels=factor.grouping.levels, effects=effects)
        for factor, (effects, _) in zip(factors[1:], estimate.further, strict=True)
    )


def search_outcome(found: Maximum) -> Outcome:
    """How the search for the maximum went, as training."""
    status = Status.MAXIMUM if found.converged else Status.NO_MAXIMUM
    trace = tuple(
        {"epoch": float(number + 1), "objective": value, "sigma2": math.nan} for number, value in enumerate(found.trace)
    )
    count = len(found.trace)
    return Outcome(trace=trace, best_epoch=count, epochs=count, status=status)


def evidence_of(design: Design, estimate: Estimate) -> LineEvidence:
    """What the rows say about the effects of all factors together; rows with the same levels are one line."""
    codes = np.column_stack([factor.codes for factor in design.factors])
    levels, line = np.unique(codes, axis=0, return_inverse=True)
    z = _tensor(np.concatenate([factor.design for factor in design.factors], axis=1))
    curvature = z.new_zeros((len(levels), z.shape[1], z.shape[1]))
    curvature.index_add_(0, torch.as_tensor(line.reshape(-1)), 2.0 * z[:, :, None] * z[:, None])
    effects = [estimate.effects, *(own for own, _ in estimate.further)]
    return LineEvidence(
        factors=Factors(
            codes=tuple(torch.as_tensor(np.ascontiguousarray(own)) for own in levels.T),
            levels=tuple(factor.levels for factor in design.factors),
            sizes=tuple(factor.design.shape[1] for factor in design.factors),
        ),
        curvature=curvature,
        covariances=tuple(own.covariance for own in effects),
        weight=0.5 / estimate.sigma2,
    )


def squares_of(sums: Moments) -> list[np.ndarray]:
    """``Z_k'Z_k`` of every level, by factor in the order of the moments."""
    found, begin = [sums.first], 0
    for factor in sums.factors[1:]:
        size = factor.levels * factor.size
        block = sums.rest[begin : begin + size, begin : begin + size].tocoo()
        own = np.zeros((factor.levels, factor.size, factor.size))
        row, column = block.coords
        inside = row // factor.size == column // factor.size
        own[row[inside] // factor.size, row[inside] % factor.size, column[inside] % factor.size] = block.data[inside]
        found.append(own)
        begin += size
    return found


def floored(covariance: np.ndarray) -> np.ndarray:
    """A covariance that can be inverted: no variance below the floor, no correlation of one."""
    diagonal = np.diagonal(covariance)
    if len(covariance) == 1:
        return np.maximum(covariance, VARIANCE_FLOOR)
    return covariance + np.diag(np.maximum(VARIANCE_FLOOR - diagonal, ALMOST**2 * diagonal))


def warn_of_boundary(estimate: Estimate, factors: Sequence[FactorEffectsOf]) -> None:
    """W231 where a variance is zero or a correlation one at the maximum."""
    at: list[str] = []
    for factor, effects in zip(factors, [estimate.effects, *(own for own, _ in estimate.further)], strict=True):
        covariance = effects.covariance.numpy()
        deviation = np.sqrt(np.diagonal(covariance))
        zero = deviation**2 <= 2.0 * VARIANCE_FLOOR
        words = ["the intercept" if name is None else f"the slope of {name}" for name in factor.slopes]
        at += [
            f"the variance of {word} by {factor.grouping.name} is zero"
            for word, flat in zip(words, zero, strict=True)
            if flat
        ]
        correlation = covariance / np.outer(deviation, deviation)
        np.fill_diagonal(correlation, 0.0)
        if (np.abs(correlation[np.ix_(~zero, ~zero)]) > 1.0 - 1e-4).any():
            at.append(f"effects of {factor.grouping.name} are perfectly correlated")
    if at:
        message = (
            f"the maximum lies at a boundary: {'; '.join(at)}. The data do not support so many variances; a simpler "
            "random part predicts the same"
        )
        warnings.warn(ToolkitWarning(message, code="W231"), stacklevel=4)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))
