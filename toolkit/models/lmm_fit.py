"""From data to a fitted linear mixed model: its exact maximum, as the network it amounts to.

A linear mixed model is a perceptron without hidden layers whose coefficients vary, which is what `FittedNetwork` holds.
So predictions, tables, pages and adaptation to new persons are those of every other model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from toolkit.data.checks import check_further_factors
from toolkit.data.grouped import GroupedDataset
from toolkit.models.fitted import FittedNetwork
from toolkit.models.linear_design import (
    design_of,
    independent_columns,
    layout_of,
    linear_columns,
    varying_effects,
)
from toolkit.models.lmm import Lmm
from toolkit.models.mixed_estimate import (
    MixedSolution,
    TrainedMixed,
    estimate_of,
    evidence_of,
    further_of,
    search_outcome,
    warn_of_boundary,
)
from toolkit.models.networks import Mlp
from toolkit.models.placement import BIAS, WEIGHT
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.numerics.mixed.maximise import Maximum, maximise
from toolkit.numerics.mixed.moments import moments
from toolkit.optimise.minimise import Progress


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
class TrainedLmm(TrainedMixed):
    """A fitted linear mixed model.

    Attributes:
        fixed: fixed effects.
    """

    fixed: FixedEffects

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        method = "restricted maximum likelihood" if self.restricted else "maximum likelihood"
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
    beta = torch.as_tensor(found.solution.beta)
    layouts = [layout_of(factor, scaler) for factor in factors]
    estimate = estimate_of(sums, found, layouts, {WEIGHT: beta[None, 1:], BIAS: beta[:1]}, search_outcome(found))
    estimate = replace(estimate, polish_steps=0)
    if estimate.further:
        estimate = replace(estimate, evidence=evidence_of(design, estimate))
    warn_of_boundary(estimate, factors)
    further = further_of(factors, estimate)
    network = FittedNetwork(
        config=config, task="regression", scaler=scaler, classes=None, grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels, module=Mlp(len(scaler.names), (), 1), shared=estimate.shared,
        effects=estimate.effects, further=further,
    )  # fmt: skip
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
        restricted=config.reml,
        mixed=MixedSolution(
            design=design,
            sums=sums,
            solution=found.solution,
            columns=lambda rows: [linear_columns(factor, rows, scaler) for factor in factors],
        ),
    )


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
