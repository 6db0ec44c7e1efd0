"""From a configuration and data to a fitted network: start values, problems, estimation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import CLASS_TASKS
from toolkit.data.sequences import cut_at_parts
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import FactorEffects
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.errors import ConfigError
from toolkit.models.chain_covariates import fit_covariates
from toolkit.models.chain_structure import chain_parts
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Config
from toolkit.models.estimate import estimate, validation_loss
from toolkit.models.fit_state import Estimate, State
from toolkit.models.fitted import FittedNetwork
from toolkit.models.joint_rounds import evidence_of
from toolkit.models.minibatches import check_batches, mini_batches, pieces_of
from toolkit.models.modules import is_linear
from toolkit.models.monitors import LOSS, watch
from toolkit.models.outcomes import criterion_of, fitted_criterion, task_of
from toolkit.models.pieces import Pieces
from toolkit.models.placement import effect_layout, held_names, of_factor, reported_scale
from toolkit.models.prepare import Scaler, problem
from toolkit.models.retraining import estimate_with_retraining, fresh_start
from toolkit.models.row_losses import Criterion
from toolkit.models.starting import (
    aim_at_maximum,
    covariate_columns,
    row_codes,
    start_effects,
    start_network,
    start_scaler,
    start_values,
)
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress, Settings
from toolkit.optimise.watching import Watch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A fitted network, how it was estimated, and on which scale its effects are reported.

    Attributes:
        network: the network with its person effects.
        estimate: how it was estimated.
        reported_scale: matrix (d, d) that takes effects from the estimation's scale to the reported one; of very many
            effects its diagonal (d,).
        training_rows: number of rows it was fitted to.
        further_scales: the same matrix of each further grouping factor.
    """

    network: FittedNetwork
    estimate: Estimate
    reported_scale: np.ndarray
    training_rows: int
    further_scales: tuple[np.ndarray, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """How training went."""
        return self.estimate.outcome

    @property
    def effect_names(self) -> tuple[str, ...]:
        """Parameters that vary by person."""
        return self.network.effects.layout.names

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        exact = "exact" if self.estimate.exact else "Laplace approximation where early stopping ended"
        if isinstance(self.estimate.posterior, PosteriorVariances):
            exact += "; variances without correlations are kept"
        return {"variance_rounds": self.estimate.polish_steps, "posterior": exact}


def train(
    config: Config,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """Fit a multilayer perceptron or chain, with or without person effects.

    Args:
        config: one of the configuration classes.
        data: the whole data set, with class codes where the outcome is a class.
        labels: ``train``, ``validation`` or ``test`` for each row.
        generator: random numbers of the initial weights.
        device: where the tensors live.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.
    """
    task = task_of(config)
    if config.mixed_precision and device.type != "cuda":
        raise ConfigError(
            "mixed_precision is for GPUs: on a CPU it saves nothing",
            code="E302",
            column="mixed_precision",
            remedy="leave it out, or use a GPU",
        )
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    fitted_rows = np.flatnonzero(labels == "train")
    cut = cut_at_parts(data, labels) if task == "sequence" else data
    covariates = fit_covariates(covariate_columns(config), cut, labels)
    scaler = start_scaler(config, data, fitted_rows)
    criterion = criterion_of(config, data, fitted_rows)
    module, shared = start_network(config, data, scaler, generator=generator, dtype=dtype, device=device)
    names = [grouping.name for grouping in data.groupings]
    layouts = [
        effect_layout(of_factor(config, name, names), module, shared, scaler, _named_outputs(data)) for name in names
    ]
    state = start_effects(config, data, module, shared, layouts)
    state.held = held_names(config, layouts[0], module)
    codes = row_codes(data) if state.further else np.asarray(data.person)
    parts = chain_parts(config, data.classes, covariates)
    judged = judged_by(criterion, state)

    def part(name: str) -> Problem:
        rows = np.flatnonzero(labels == name)
        return problem(
            cut.take(rows), codes[rows], scaler, module, task=task, dtype=dtype, device=device, parts=parts,
            criterion=judged[name],
        )  # fmt: skip

    if config.batch is not None:
        check_batches(config, module, state)
        first, second = pieces_of(cut, labels, scaler, module, state, task=task, parts=parts, judged=judged)
    else:
        first, second = part("train"), part("validation") if (labels == "validation").any() else None
    start_values(config, data, fitted_rows, scaler, first, shared)
    if second is None:
        aim_at_maximum(config, state, module, scaler)
    settings = Settings(
        lr=config.lr, epochs=config.epochs, patience=config.patience, weight_decay=config.weight_decay,
        schedule=config.schedule, clip=config.clip, mixed_precision=config.mixed_precision,
    )  # fmt: skip
    sweep = mini_batches(config, first.data, module, state, generator) if isinstance(first, Pieces) else None
    if isinstance(config, MlpLme):
        restart = fresh_start(config, module, shared, generator)
        found = estimate_with_retraining(
            first, second, state, settings, rounds=config.rounds, restart=restart, generator=generator,
            progress=progress, keeper=keeper,
        )  # fmt: skip
    else:
        live = replace(fitted_network(config, data, scaler, module, state, criterion), covariates=covariates)
        validate = _watched(config, live, cut.take(np.flatnonzero(labels == "validation")), second, state)
        found = estimate(
            first, second, state, settings, sweep=sweep, validate=validate, progress=progress, keeper=keeper
        )
    network = replace(fitted_network(config, data, scaler, module, found, criterion), covariates=covariates)
    scales = [
        reported_scale(layout, module, shared, scaler, linear=is_linear(config), wide=state.rule.wide)
        for layout in layouts
    ]
    return Trained(
        network=network,
        estimate=_with_evidence(found, first, state),
        reported_scale=scales[0],
        training_rows=len(fitted_rows),
        further_scales=tuple(scales[1:]) if state.further else (),
    )


def _named_outputs(data: GroupedDataset) -> tuple[str, ...] | None:
    """What the outputs of a network are of, where there are several."""
    return data.classes or (data.target_names if data.further_target_names else None)


def _with_evidence(found: Estimate, problem: ProblemParts, state: State) -> Estimate:
    """The estimate with what joint draws of the effects of several factors need."""
    if not state.further:
        return found
    return replace(found, evidence=evidence_of(problem, found.shared, state.factors, state.weight))


def judged_by(criterion: Criterion, state: State) -> dict[str, Criterion]:
    """How each part is judged: training rows of several targets with the residual variances being estimated.

    The validation loss counts the targets alike, so that it means the same in every epoch.
    """
    if state.residuals is None:
        return dict.fromkeys(("train", "validation"), criterion)
    return {
        "train": replace(criterion, residuals=state.residuals),
        "validation": replace(criterion, residuals=torch.ones_like(state.residuals)),
    }


def _watched(
    config: Config, live: FittedNetwork, rows: GroupedDataset, problem: ProblemParts | None, state: State
) -> Watch | None:
    """The metric that decides when to stop; None where it is the loss."""
    if config.monitor == LOSS:
        return None
    loss = validation_loss(problem, state)
    if loss is None:
        raise ConfigError(
            "monitor needs validation rows",
            code="E302",
            column="monitor",
            remedy="use a split that has some, or leave monitor out",
        )
    return watch(config.monitor, live.task, live, rows, loss)


def fitted_network(
    config: Config,
    data: GroupedDataset,
    scaler: Scaler,
    module: nn.Module,
    found: Estimate | State,
    criterion: Criterion,
) -> FittedNetwork:
    """The network with what was estimated, ready to predict."""
    task = task_of(config)
    return FittedNetwork(
        config=config,
        task=task,
        scaler=scaler,
        classes=data.classes if task in CLASS_TASKS else None,
        grouping=data.groupings[0].name,
        levels=tuple(data.persons),
        module=module,
        shared=found.shared,
        effects=found.effects,
        further=tuple(
            FactorEffects(grouping=grouping.name, levels=grouping.levels, effects=effects)
            for grouping, effects in zip(data.groupings[1:], found.further_effects, strict=False)
        ),
        criterion=fitted_criterion(config, criterion.class_weights, float(found.sigma2), found.residuals),
        target_names=data.target_names if data.further_target_names else (),
    )


def pick_device(device: str) -> torch.device:
    """``auto`` takes the GPU if there is one.

    Raises:
        ConfigError: E302 for a name torch does not know or a GPU that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(
            "device is not one torch knows", code="E302", column="device", remedy="use auto, cpu or cuda"
        ) from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no GPU was found", code="E302", column="device", remedy='use device="auto" or "cpu"')
    return chosen
