"""From data to a network with random effects fitted by Monte Carlo EM: training, variances settling, effects by draws.

A fitted one is a network to whose outputs effects are added (`toolkit.models.additive_network`); tables, pages and
adaptation to new persons are those of every model with random effects.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from toolkit.data.checks import check_further_factors, require_varying_target
from toolkit.data.grouped import GroupedDataset
from toolkit.data.scarce import warn_of_scarce_classes
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import EffectLayout, RandomEffects
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.errors import ToolkitWarning
from toolkit.models.additive_network import AdditiveMlp, AdditiveNetwork, additive_network, start_parameters
from toolkit.models.fit_state import Estimate
from toolkit.models.linear_design import FactorEffectsOf, check_enough, varying_effects
from toolkit.models.lmmnn_design import effect_columns, slope_columns, slope_names
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.mcgmenn_design import SIGMA2, SampledFactor, interleaved, outcome_rows, sampled_factor
from toolkit.models.mcgmenn_expectation import Expectation, row_information
from toolkit.models.mcgmenn_settling import EffectMoments, Settled, final_moments, settle
from toolkit.models.mcgmenn_training import (
    MonteCarloObjective,
    after_epochs,
    covariance_name,
    start_effects,
)
from toolkit.models.mcgmenn_validation import validation_levels, validation_loss
from toolkit.models.mixed_estimate import further_of
from toolkit.models.outcomes import start_at_frequencies
from toolkit.models.prepare import Scaler, Task, fit_scaler
from toolkit.models.training import Trained
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import BatchSettings, Stage, descend
from toolkit.sampling import Blocks, Hmc, Mala, Nuts, Sampler

PATIENCE = 10
# E-steps of a training at most: epochs of few steps share one, and those of much data (rows times outputs times
# factors) cost more than they bring, since the variances settle after training
MOST_E_STEPS, OF_MUCH, MUCH = 6, 3, 1_000_000
# grouping factors that a draw goes through as fast as through one, by and large
FEW_FACTORS = 3
# effects of a level up to which their whole covariance is kept
MOST_EFFECTS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedMcgmenn(Trained):
    """A network fitted by Monte Carlo EM.

    Attributes:
        drawn: draws that means and SDs are taken from.
        settled: rounds after training, None without.
        acceptance: of the sampler at the end, by grouping factor.
        draws: of the effects of each factor (draws, levels, effects), zero for levels without training rows, on the
            scale of the estimation.
    """

    drawn: int
    settled: Settled | None
    acceptance: tuple[float, ...]
    draws: tuple[Tensor, ...]

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        config = cast(McGmenn, self.network.config)
        return {
            "posterior": f"means over {self.drawn} draws",
            "method": f"Monte Carlo EM, sampler {config.sampler}",
            "acceptance": [round(rate, 4) for rate in self.acceptance],
            "variance_rounds": 0 if self.settled is None else self.settled.rounds,
        }


def train_mcgmenn(
    config: McGmenn,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TrainedMcgmenn:
    """Fit a network with random effects by Monte Carlo EM.

    Args:
        config: settings.
        data: the whole data set, with class codes where the outcome is a class.
        labels: ``train`` rows are fitted, ``validation`` rows decide which state of the network is kept.
        generator: start values, order of the rows, draws.
        device: where the network is trained and effects are drawn.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.

    Raises:
        ConfigError, DataError: see `toolkit.models.linear_design`; E121 for an outcome of one kind only.
    """
    check_further_factors(data)
    rows, validation = interleaved(np.flatnonzero(labels == "train")), np.flatnonzero(labels == "validation")
    target = np.asarray(data.target, dtype=np.float64)
    require_varying_target(target[rows], data.target_name or "target", is_classification=data.classes is not None)
    warn_of_scarce_classes(data, rows)
    task: Task = config.task
    factors = varying_effects(config.terms, data, powers=True)
    scaler = fit_scaler(data, rows, task=task)
    columns, names = slope_columns(factors, data, rows, scaler), slope_names(factors)
    for factor in factors:
        design = effect_columns(factor, columns, names, data)[rows]
        check_enough(factor, np.asarray(factor.grouping.codes)[rows], list(design.T))
    module = additive_network(task, len(scaler.names), config.hidden, columns, classes=len(data.classes or ()))
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    parameters = start_parameters(module, generator=generator, dtype=dtype, device=device)
    if task in ("ordinal", "count"):
        start_at_frequencies(task, parameters, data.take(rows), scaler)
    like = next(iter(parameters.values()))
    sampled = [
        sampled_factor(
            factor, data, rows, columns, names, outputs=module.outputs, covariance=config.covariance, like=like
        )
        for factor in factors
    ]
    layouts = [
        module.layout(
            factor.slopes, names, scale=scaler.target_scale, like=like,
            classes=data.classes if task == "multiclass" else None,
        )
        for factor in factors
    ]  # fmt: skip
    parameters |= start_effects(sampled, config.kept, len(rows), module.outputs, like=like)
    objective = MonteCarloObjective(
        module=module, parameters=parameters, task=task, population_weight=config.population_weight,
        dropout=config.dropout, generator=generator,
        rows=outcome_rows(data, rows, scaler, task=task, like=like),
    )  # fmt: skip
    numbers = np.asarray(data.row_numbers)[rows]
    expectation = Expectation(config, objective, sampled, layouts, sampler_of(config), generator, numbers)
    judged = None
    if len(validation):
        judged = validation_loss(objective, outcome_rows(data, validation, scaler, task=task, like=like), sampled, [
            validation_levels(factor, own, data, validation, columns, names, like)
            for factor, own in zip(factors, sampled, strict=True)
        ])  # fmt: skip
    outcome = _train(config, objective, expectation, judged, generator=generator, progress=progress, keeper=keeper)
    return _trained(config, data, factors, expectation, scaler, outcome)


def _numbers(expectation: Expectation) -> int:
    """Through how many numbers a draw goes: effects, and logits of the rows, once for up to three factors."""
    logits = len(expectation.objective.rows) * expectation.objective.module.outputs
    effects = sum(factor.size * factor.clusters.levels for factor in expectation.factors)
    return effects + logits * max(len(expectation.factors), FEW_FACTORS) // FEW_FACTORS


def sampler_of(config: McGmenn) -> Sampler:
    """The sampler of the settings."""
    if config.sampler == "blocks":
        # networks differ little from one E-step to the next, and proposals need not be aimed well to be exact
        return Blocks(rounds=1)
    if config.sampler == "nuts":
        return Nuts()
    return Hmc() if config.sampler == "hmc" else Mala()


def _train(
    config: McGmenn,
    objective: MonteCarloObjective,
    expectation: Expectation,
    judged: Callable[[], float] | None,
    *,
    generator: torch.Generator,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Outcome:
    """Train the network by mini-batches, with E-steps between epochs."""
    parameters, module = objective.parameters, objective.module
    epochs = config.epochs_for(len(objective.rows))
    much = len(objective.rows) * module.outputs * len(expectation.factors) > MUCH
    update = after_epochs(expectation, epochs, OF_MUCH if much else MOST_E_STEPS, at_the_end=not config.settle)
    stage = Stage(
        names=tuple(name for name, _ in module.named_parameters()),
        objective=objective,
        rows=len(objective.rows),
        epochs=epochs,
        validate=judged,
        update=update,
    )
    settings = BatchSettings(
        lr=config.lr, batch=config.batch, patience=config.patience or PATIENCE, weight_decay=config.weight_decay,
        optimiser="adamw", schedule=config.schedule,
    )  # fmt: skip
    return descend([stage], parameters, settings, generator=generator, progress=progress, keeper=keeper)


def _trained(
    config: McGmenn,
    data: GroupedDataset,
    factors: Sequence[FactorEffectsOf],
    expectation: Expectation,
    scaler: Scaler,
    outcome: Outcome,
) -> TrainedMcgmenn:
    """Variances settled, effects by draws, and the network with them."""
    objective = expectation.objective
    fixed, settled = objective.fixed_of_all(), None
    if config.settle:
        settled, fixed = settle(expectation, fixed)
    wide = [factor.size > MOST_EFFECTS for factor in expectation.factors]
    drawn = config.draws_for(_numbers(expectation))
    moments = final_moments(expectation, fixed, drawn, wide=wide)
    _warn_of_the_sampler(expectation)
    estimate = _estimate(expectation, moments, wide, fixed, outcome, rounds=0 if settled is None else settled.rounds)
    network = AdditiveNetwork(
        config=config, task=config.task, scaler=scaler, classes=data.classes, grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels, module=cpu_module(config, objective.module, scaler, data),
        shared=estimate.shared, effects=estimate.effects, further=further_of(factors, estimate),
    )  # fmt: skip
    units = [np.array(layout.units) for layout in expectation.layouts]
    scales = [own if flat else np.diag(own) for own, flat in zip(units, wide, strict=True)]
    diagnostics = expectation.diagnostics
    return TrainedMcgmenn(
        network=network,
        estimate=estimate,
        reported_scale=scales[0],
        training_rows=len(objective.rows),
        further_scales=tuple(scales[1:]),
        drawn=drawn,
        settled=settled,
        acceptance=diagnostics.acceptance if diagnostics is not None else (),
        draws=tuple(
            _of_all_levels(own.stored.movedim(1, 0), factor).movedim(0, 1)
            for own, factor in zip(moments, expectation.factors, strict=True)
        ),
    )


def _estimate(
    expectation: Expectation,
    moments: Sequence[EffectMoments],
    wide: Sequence[bool],
    fixed: Tensor,
    outcome: Outcome,
    *,
    rounds: int,
) -> Estimate:
    """Shared parameters, effects of each factor with their posterior, and variances, on the CPU."""
    objective = expectation.objective
    own, names = objective.parameters, {name for name, _ in objective.module.named_parameters()}
    information = _information(expectation, fixed)
    parts = [
        _effects_of(factor, layout, own[covariance_name(place)], moments[place], information[place], wide=wide[place])
        for place, (factor, layout) in enumerate(zip(expectation.factors, expectation.layouts, strict=True))
    ]
    (effects, posterior), *further = parts
    sigma2 = float(own[SIGMA2]) if objective.task == "regression" else 1.0
    return Estimate(
        shared={name: value.detach().double().cpu() for name, value in own.items() if name in names},
        effects=effects,
        posterior=posterior,
        sigma2=sigma2,
        outcome=outcome,
        polish_steps=rounds,
        exact=True,
        further=tuple(further),
        acting=_acting(expectation, information, wide, sigma2),
    )


def cpu_module(config: McGmenn, module: AdditiveMlp, scaler: Scaler, data: GroupedDataset) -> AdditiveMlp:
    """The structure alone, wherever the fit ran."""
    return additive_network(
        config.task, len(scaler.names), config.hidden, module.columns, classes=len(data.classes or ())
    )


def _warn_of_the_sampler(expectation: Expectation) -> None:
    """W237 where the sampler no longer moves."""
    diagnostics = expectation.diagnostics
    if diagnostics is not None and diagnostics.stopped:
        warnings.warn(ToolkitWarning(diagnostics.sentence, code="W237"), stacklevel=4)


@torch.no_grad()
def _information(expectation: Expectation, fixed: Tensor) -> list[Tensor]:
    """Information of each level's rows about each effect (effects, levels), at the last draw."""
    return row_information(expectation.density, expectation.factors, fixed + expectation.added())


def _acting(
    expectation: Expectation, information: Sequence[Tensor], wide: Sequence[bool], sigma2: float
) -> tuple[Tensor, ...]:
    """How strongly the effects act on a row: mean information; of numbers in units of the residual variance."""
    rows = len(expectation.objective.rows)
    factor = sigma2 if expectation.objective.task == "regression" else 1.0
    diagonals = [factor * own.double().sum(dim=1).cpu() / rows for own in information]
    return tuple(own if flat else torch.diag(own) for own, flat in zip(diagonals, wide, strict=True))


def _of_all_levels(values: Tensor, factor: SampledFactor, missing: Tensor | None = None) -> Tensor:
    """Values of the present levels at their places among all; zero, or what is given, for the others."""
    shape = (factor.levels, *values.shape[1:])
    found = values.new_zeros(shape) if missing is None else missing.to(values).expand(shape).clone()
    found[torch.as_tensor(factor.present, device=values.device)] = values
    return found.cpu()


def _effects_of(
    factor: SampledFactor,
    layout: EffectLayout,
    covariance: Tensor,
    moments: EffectMoments,
    information: Tensor,
    *,
    wide: bool,
) -> tuple[RandomEffects, Posterior]:
    """Effects of one factor and their posterior; levels without training rows have effects of zero and the prior."""
    layout = replace(layout, mixing=None if layout.mixing is None else layout.mixing.double().cpu())
    prior = covariance.detach().double()
    prior = torch.diagonal(prior).clone() if wide else prior
    eta = _of_all_levels(moments.mean, factor)
    spread = _of_all_levels(moments.covariance, factor, prior)
    effects = RandomEffects(layout=layout, eta=eta, covariance=prior.cpu())
    curvature = _of_all_levels(information.T.double(), factor)
    if wide:
        nothing = spread.new_zeros(len(spread))
        found = PosteriorVariances(curvature=curvature, covariance=spread, traces=nothing)
        return effects, cast(Posterior, found)
    return effects, Posterior(curvature=torch.diag_embed(curvature), covariance=spread)
