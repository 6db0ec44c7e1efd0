"""From data to a fitted linear mixed model: its exact maximum, as the network it amounts to.

A linear mixed model is a perceptron without hidden layers whose coefficients vary, which is what `FittedNetwork` holds.
So predictions, tables, pages and adaptation to new persons are those of every other model.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.checks import check_further_factors
from toolkit.data.grouped import GroupedDataset
from toolkit.effects.joint import Factors
from toolkit.effects.joint_draws import LineEvidence
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import FactorEffects, RandomEffects
from toolkit.errors import ToolkitWarning
from toolkit.models.fit_state import Estimate
from toolkit.models.fitted import FittedNetwork
from toolkit.models.linear_design import (
    FactorEffectsOf,
    design_of,
    independent_columns,
    layout_of,
    varying_effects,
)
from toolkit.models.lmm import Lmm
from toolkit.models.networks import Mlp
from toolkit.models.placement import BIAS, WEIGHT
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.models.training import Trained
from toolkit.numerics.covariance import VARIANCE_FLOOR
from toolkit.numerics.mixed.design import Design
from toolkit.numerics.mixed.maximise import Maximum, maximise
from toolkit.numerics.mixed.moments import Moments, moments
from toolkit.numerics.mixed.posterior import blups, conditional_covariances
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.status import Status

# a correlation this far from one is one, for the eye and for what is to be inverted
ALMOST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FixedEffects:
    """Fixed effects in the units of the data, the intercept first.

    Attributes:
        names: of the coefficients.
        estimate: their values.
        covariance: of the estimates.
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedLmm(Trained):
    """A fitted linear mixed model.

    Attributes:
        fixed: fixed effects.
        deviance: minus twice the log-likelihood, or the restricted one, in the units of the data.
        parameters: how many were estimated: coefficients, variances and correlations, residual variance.
    """

    fixed: FixedEffects
    deviance: float
    parameters: int

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        assert isinstance(self.network.config, Lmm)
        method = "restricted maximum likelihood" if self.network.config.reml else "maximum likelihood"
        return {"posterior": "exact", "method": method, "evaluations": self.outcome.epochs}


def train_lmm(config: Lmm, data: GroupedDataset, labels: np.ndarray, *, progress: Progress | None = None) -> TrainedLmm:
    """Fit a linear mixed model to the training rows.

    Args:
        config: settings.
        data: the whole data set.
        labels: ``train`` rows are fitted; a likelihood needs no validation rows.
        progress: called after each evaluation of the likelihood.

    Raises:
        ConfigError, DataError: see `toolkit.models.linear_design`.
    """
    rows = np.flatnonzero(labels == "train")
    factors = varying_effects(config.terms, data)
    check_further_factors(data)
    scaler = independent_columns(data, rows, fit_scaler(data, rows, task="regression"))
    design = design_of(data, rows, scaler, factors)
    sums = moments(design)
    watch = None if progress is None else lambda count, deviance: progress(count, count, deviance)
    found = maximise(sums, reml=config.reml, watch=watch)
    estimate = _estimate(sums, found, factors, scaler)
    if estimate.further:
        estimate = replace(estimate, evidence=_evidence(design, estimate))
    _warn_of_boundary(estimate, factors)
    further = tuple(
        FactorEffects(grouping=factor.grouping.name, levels=factor.grouping.levels, effects=effects)
        for factor, (effects, _) in zip(factors[1:], estimate.further, strict=True)
    )
    network = FittedNetwork(
        config=config,
        task="regression",
        scaler=scaler,
        classes=None,
        grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels,
        module=Mlp(len(scaler.names), (), 1),
        shared=estimate.shared,
        effects=estimate.effects,
        further=further,
    )
    scales = [np.diag(effects.layout.units or ()) for effects in (network.effects, *(own.effects for own in further))]
    return TrainedLmm(
        network=network,
        estimate=estimate,
        reported_scale=scales[0],
        training_rows=len(rows),
        further_scales=tuple(scales[1:]),
        fixed=fixed_effects(found, scaler),
        deviance=raw_deviance(found, scaler, rows=len(rows), reml=config.reml),
        parameters=len(found.solution.beta) + len(found.theta) + 1,
    )


def _estimate(sums: Moments, found: Maximum, factors: Sequence[FactorEffectsOf], scaler: Scaler) -> Estimate:
    """Effects, their posteriors and the variances as tensors, the factors in the caller's order."""
    solution = found.solution
    effects: list[tuple[RandomEffects, Posterior] | None] = [None] * len(factors)
    means, spreads = blups(sums, solution), conditional_covariances(sums, solution)
    squares = _squares(sums)
    for place, order in enumerate(sums.order):
        relative = solution.relative[place]
        covariance = _floored(solution.sigma2 * relative @ relative.T)
        own = RandomEffects(
            layout=layout_of(factors[order], scaler), eta=_tensor(means[place]), covariance=_tensor(covariance)
        )
        posterior = Posterior(curvature=_tensor(2.0 * squares[place]), covariance=_tensor(spreads[place]))
        effects[order] = own, posterior
    first, *rest = [entry for entry in effects if entry is not None]
    beta = solution.beta
    status = Status.MAXIMUM if found.converged else Status.NO_MAXIMUM
    trace = tuple(
        {"epoch": float(number + 1), "objective": value, "sigma2": math.nan} for number, value in enumerate(found.trace)
    )
    count = len(found.trace)
    return Estimate(
        shared={WEIGHT: _tensor(beta[None, 1:]), BIAS: _tensor(beta[:1])},
        effects=first[0],
        posterior=first[1],
        sigma2=solution.sigma2,
        outcome=Outcome(trace=trace, best_epoch=count, epochs=count, status=status),
        polish_steps=0,
        exact=True,
        further=tuple(rest),
    )


def _evidence(design: Design, estimate: Estimate) -> LineEvidence:
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


def _squares(sums: Moments) -> list[np.ndarray]:
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


def _floored(covariance: np.ndarray) -> np.ndarray:
    """A covariance that can be inverted: no variance below the floor, no correlation of one."""
    diagonal = np.diagonal(covariance)
    if len(covariance) == 1:
        return np.maximum(covariance, VARIANCE_FLOOR)
    return covariance + np.diag(np.maximum(VARIANCE_FLOOR - diagonal, ALMOST**2 * diagonal))


def _warn_of_boundary(estimate: Estimate, factors: Sequence[FactorEffectsOf]) -> None:
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


def fixed_effects(found: Maximum, scaler: Scaler) -> FixedEffects:
    """Fixed effects in the units of the data."""
    solution, unit = found.solution, scaler.target_scale
    turned = np.zeros((len(solution.beta), len(solution.beta)))
    turned[0, 0] = unit
    turned[0, 1:] = -unit * scaler.mean / scaler.scale
    turned[1:, 1:] = np.diag(unit / scaler.scale)
    estimate = turned @ solution.beta
    estimate[0] += scaler.target_mean
    covariance = solution.sigma2 * turned @ np.linalg.inv(solution.information) @ turned.T
    return FixedEffects(names=("(Intercept)", *scaler.names), estimate=estimate, covariance=covariance)


def raw_deviance(found: Maximum, scaler: Scaler, *, rows: int, reml: bool) -> float:
    """The deviance in the units of the data rather than in standard deviations."""
    solution = found.solution
    deviance = solution.deviance + 2.0 * solution.degrees * math.log(scaler.target_scale)
    return deviance + 2.0 * float(np.log(scaler.scale).sum()) if reml else deviance


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))
