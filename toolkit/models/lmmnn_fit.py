"""From data to a fitted network with random effects: training by mini-batches, then the exact maximum of its variances.

A fitted LMMNN is a network to whose output effects are added (`toolkit.models.additive_network`); tables, pages and
adaptation to new persons are those of every model with random effects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from toolkit.data.checks import check_further_factors
from toolkit.data.grouped import GroupedDataset
from toolkit.models.additive_network import ADDED, AdditiveMlp, AdditiveNetwork, start_parameters
from toolkit.models.linear_design import FactorEffectsOf, varying_effects
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.lmmnn_design import effect_columns, mixed_design, mixed_rows, slope_columns, slope_names
from toolkit.models.lmmnn_training import (
    SIGMA2,
    MixedObjective,
    factor_parameters,
    left_over,
    start_variances,
    train_network,
)
from toolkit.models.lmmnn_whole import EffectsOfAllRows
from toolkit.models.mixed_estimate import (
    MixedSolution,
    TrainedMixed,
    estimate_of,
    evidence_of,
    further_of,
    warn_of_boundary,
)
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.numerics.mixed.design import Design
from toolkit.numerics.mixed.deviance import solve
from toolkit.numerics.mixed.maximise import Maximum, maximise
from toolkit.numerics.mixed.moments import Moments, moments
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress

TAIL = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedLmmnn(TrainedMixed):
    """A fitted network with random effects.

    Attributes:
        batch_variances: residual variance, then the variances of the effects, that mini-batches led to, in the units of
            the data.
    """

    batch_variances: tuple[float, ...]

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        method = "exact maximum likelihood of the variances" if self.estimate.polish_steps else "mini-batches"
        return {"posterior": "exact", "method": method, "evaluations": self.estimate.polish_steps}


def train_lmmnn(
    config: Lmmnn,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TrainedLmmnn:
    """Fit a network with random effects.

    Args:
        config: settings.
        data: the whole data set.
        labels: ``train`` rows are fitted, ``validation`` rows decide which state of the network is kept.
        generator: start values, order of the rows.
        device: where the network is trained.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.

    Raises:
        ConfigError, DataError: see `toolkit.models.linear_design`.
    """
    check_further_factors(data)
    rows, validation = parts_of(config, data, labels)
    factors = varying_effects(config.terms, data, powers=True)
    scaler = fit_scaler(data, rows, task="regression")
    columns = slope_columns(factors, data, rows, scaler)
    design = mixed_design(np.zeros(len(rows)), data, rows, factors, columns)
    module = AdditiveMlp(len(scaler.names), config.hidden, columns)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    shared = start_parameters(module, generator=generator, dtype=dtype, device=device)
    like = next(iter(shared.values()))
    own = [factor_parameters(place, factor, device) for place, factor in enumerate(factors)]
    objective = MixedObjective(
        module=module, parameters=shared | start_variances(own, like=like), factors=own, dropout=config.dropout,
        rows=mixed_rows(data, rows, scaler, factors, module, like=like), generator=generator,
    )  # fmt: skip
    judged = mixed_rows(data, validation, scaler, factors, module, like=like) if len(validation) else None
    whole = config.likelihood == "all"
    refresh = EffectsOfAllRows(design, lambda sums: start_theta(sums, objective)) if whole else None
    outcome = train_network(
        config, replace(objective, by_all_rows=whole), judged, refresh=refresh, generator=generator, progress=progress,
        keeper=keeper,
    )  # fmt: skip
    design = replace(design, outcome=left_over(objective))
    return _trained(config, data, factors, objective, scaler, design, outcome)


def parts_of(config: Lmmnn, data: GroupedDataset, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation rows; as published the last tenth of both together, sorted by person, validates."""
    rows, validation = np.flatnonzero(labels == "train"), np.flatnonzero(labels == "validation")
    if not config.as_published:
        return rows, validation
    both = np.concatenate([rows, validation])
    ordered = both[np.argsort(np.asarray(data.person)[both], kind="stable")]
    cut = len(ordered) - max(int(TAIL * len(ordered)), 1)
    return ordered[:cut], ordered[cut:]


def _trained(
    config: Lmmnn,
    data: GroupedDataset,
    factors: Sequence[FactorEffectsOf],
    objective: MixedObjective,
    scaler: Scaler,
    design: Design,
    outcome: Outcome,
) -> TrainedLmmnn:
    """Variances, effects, and the network with them."""
    module, names = objective.module, slope_names(factors)
    own = dict(module.named_parameters())
    shared = {name: value.detach().double().cpu() for name, value in objective.parameters.items() if name in own}
    like = shared[module.level_name]
    sums = moments(design)
    found = _maximum(config, sums, objective)
    shared[module.level_name] = shared[module.level_name] + found.solution.beta[0]
    layouts = [module.layout(factor.slopes, names, scale=scaler.target_scale, like=like) for factor in factors]
    estimate = estimate_of(sums, found, layouts, shared, outcome)
    if not config.polish:
        estimate = replace(estimate, polish_steps=0)
    if estimate.further:
        estimate = replace(estimate, evidence=evidence_of(design, estimate))
    warn_of_boundary(estimate, factors)
    further = further_of(factors, estimate)
    network = AdditiveNetwork(
        config=config, task=config.task, scaler=scaler, classes=None, grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels, module=module, shared=shared, effects=estimate.effects, further=further,
    )  # fmt: skip
    scales = [np.diag(layout.units or ()) for layout in layouts]
    rows = len(design.outcome)
    return TrainedLmmnn(
        network=network,
        estimate=estimate,
        reported_scale=scales[0],
        training_rows=rows,
        further_scales=tuple(scales[1:]),
        deviance=found.solution.deviance + 2.0 * rows * math.log(scaler.target_scale),
        parameters=sum(value.numel() for name, value in shared.items() if name != ADDED) + len(found.theta) + 1,
        restricted=False,
        mixed=MixedSolution(
            design=design,
            sums=sums,
            solution=found.solution,
            columns=lambda own: [effect_columns(factor, module.columns, names, own) for factor in factors],
        ),
        batch_variances=_batch_variances(objective, layouts, scaler),
    )


def _maximum(config: Lmmnn, sums: Moments, objective: MixedObjective) -> Maximum:
    """The maximum over the variances, begun where mini-batches led; or that point itself, if nothing is polished."""
    begin = start_theta(sums, objective)
    if config.polish:
        return maximise(sums, reml=False, begin=begin)
    solution = solve(sums, begin, reml=False)
    return Maximum(solution=solution, theta=begin, trace=(solution.deviance,), converged=False)


def start_theta(sums: Moments, objective: MixedObjective) -> np.ndarray:
    """Free elements of the relative factors as mini-batches say, in the order of the sums."""
    sigma2 = float(torch.exp(objective.parameters[SIGMA2].detach()))
    relative = [factor.relative(objective.parameters).detach().double().cpu().numpy() for factor in objective.factors]
    own = [relative[order][sums.factors[place].free] for place, order in enumerate(sums.order)]
    return np.concatenate(own) / math.sqrt(sigma2)


def _batch_variances(objective: MixedObjective, layouts: Sequence[Any], scaler: Scaler) -> tuple[float, ...]:
    """What mini-batches say of the variances, in the units of the data."""
    found = [float(torch.exp(objective.parameters[SIGMA2])) * scaler.target_scale**2]
    for factor, layout in zip(objective.factors, layouts, strict=True):
        relative = factor.relative(objective.parameters).double().cpu().numpy()
        found += (np.diagonal(relative @ relative.T) * np.square(layout.units)).tolist()
    return tuple(found)
