"""Networks with random effects for an outcome with two classes: ``logit P(y = 1) = f(X) + Z b``.

Trained by the marginal likelihood of mini-batches (adaptive quadrature for one effect a level, Laplace's approximation
for several); then the network is held, and variances, effects and the level of the logits are those of the maximum of
the likelihood of all rows. As published (Simchoni and Rosset, 2023, Section 6) the nodes are where the prior puts them,
which large groups slip through: one reason for variances that are too small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.checks import check_further_factors, require_varying_target
from toolkit.data.grouped import GroupedDataset
from toolkit.models.additive_network import (
    ADDED,
    ROWS_AT_ONCE,
    AdditiveMlp,
    AdditiveNetwork,
    SlopeColumn,
    start_parameters,
)
from toolkit.models.binary_estimate import binary_estimate, nodes_for, warn_of_divided_levels
from toolkit.models.glmm import NODES
from toolkit.models.linear_design import FactorEffectsOf, varying_effects
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.lmmnn_binary_whole import ADDED_MEAN, ADDED_SD, ADDED_THETA, AddedToRows, expected_cross_entropy
from toolkit.models.lmmnn_design import MixedRows, effect_columns, mixed_design, mixed_rows, slope_columns, slope_names
from toolkit.models.lmmnn_fit import parts_of
from toolkit.models.lmmnn_training import (
    FIRST,
    PATIENCE,
    SIGMA2,
    MixedObjective,
    batches_of,
    factor_parameters,
    start_variances,
    validation_nll,
)
from toolkit.models.mixed_estimate import TrainedMixed, further_of, warn_of_boundary
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.models.whole_guard import WATCH, given_up, new_watch, warn_of_giving_up, watch_deviance
from toolkit.numerics.binary_effects.batch import batch_loss, batch_loss_of_several
from toolkit.numerics.binary_effects.model import BinaryMaximum, has_single_effect, maximise_binary
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import BatchSettings, Stage, descend

# nodes in a mini-batch, whose levels have few rows
BATCH_NODES = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedBinaryLmmnn(TrainedMixed):
    """A fitted network with random effects for two classes.

    Attributes:
        nodes: of the quadrature; 1 is Laplace's approximation.
        batch_variances: variances of the effects that mini-batches led to, in the units of the data.
    """

    nodes: int
    batch_variances: tuple[float, ...]

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        how = "Laplace's approximation" if self.nodes == 1 else f"adaptive quadrature with {self.nodes} nodes"
        polished = self.estimate.polish_steps > 0
        return {
            "posterior": "mode" if self.nodes == 1 else "mean by quadrature",
            "method": f"maximum likelihood of the variances by {how}" if polished else "mini-batches",
            "evaluations": self.estimate.polish_steps,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BinaryObjective:
    """Negative log-likelihood of a batch, per row.

    Attributes:
        mixed: network, variances and rows as tensors.
        design: the same rows as arrays.
        nodes: of the quadrature.
        by_all_rows: whether the second half of the training goes by the likelihood of all rows.
    """

    mixed: MixedObjective
    design: Design
    nodes: int
    by_all_rows: bool = False

    @property
    def rows(self) -> MixedRows:
        """The rows that batches are made of."""
        return self.mixed.rows

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """Terms of one batch."""
        rows, parameters = self.mixed.rows, self.mixed.parameters
        logits = self.mixed.fixed(rows.inputs[batch])
        mean, sd = parameters.get(ADDED_MEAN), parameters.get(ADDED_SD)
        if self.by_all_rows and mean is not None and sd is not None and bool(sd[0] > 0):
            return {"objective": expected_cross_entropy(logits, rows.target[batch], mean[batch], sd[batch])}
        chosen, design = batch.cpu().numpy(), self.design
        relative = [factor.relative(parameters) for factor in self.mixed.factors]
        target = design.outcome[chosen]
        if has_single_effect(design):
            own = design.factors[0]
            loss = batch_loss(
                logits, relative[0][0, 0], target, own.codes[chosen], nodes=self.nodes, design=own.design[chosen, 0]
            )
        else:
            factors = [replace(own, codes=own.codes[chosen], design=own.design[chosen]) for own in design.factors]
            loss = batch_loss_of_several(logits, relative, target, factors)
        return {"objective": loss / len(batch)}

    def relative(self) -> list[np.ndarray]:
        """Lower triangular factors of the covariances as mini-batches have them."""
        own = self.mixed.parameters
        return [factor.relative(own).detach().double().cpu().numpy() for factor in self.mixed.factors]

    @torch.no_grad()
    def logits(self) -> np.ndarray:
        """The network's output in every row, nothing dropped (rows,)."""
        plain = replace(self.mixed, dropout=0.0)
        parts = [plain.fixed(inputs).double() for inputs in plain.rows.inputs.split(ROWS_AT_ONCE)]
        return torch.cat(parts).cpu().numpy()


def train_binary_lmmnn(
    config: Lmmnn,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TrainedBinaryLmmnn:
    """Fit a network with random effects to two classes; arguments as `toolkit.models.lmmnn_fit.train_lmmnn`.

    Raises:
        ConfigError: E302 for nodes that do not apply; see `toolkit.models.linear_design` for others.
        DataError: E121 for one class among the training rows; see there as well.
    """
    check_further_factors(data)
    rows, validation = parts_of(config, data, labels)
    target = np.asarray(data.target, dtype=np.float64)
    require_varying_target(target[rows], data.target_name or "target", is_classification=True)
    factors = varying_effects(config.terms, data, powers=True)
    scaler = fit_scaler(data, rows, task="binary")
    columns = slope_columns(factors, data, rows, scaler)
    design = mixed_design(target[rows], data, rows, factors, columns)
    nodes = nodes_for(config.nodes, design, NODES)
    module = AdditiveMlp(len(scaler.names), config.hidden, columns)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    parameters = start_parameters(module, generator=generator, dtype=dtype, device=device)
    like = next(iter(parameters.values()))
    own = [factor_parameters(place, factor, device) for place, factor in enumerate(factors)]
    parameters |= {name: value for name, value in start_variances(own, like=like).items() if name != SIGMA2}
    mixed = MixedObjective(
        module=module, parameters=parameters, factors=own, dropout=config.dropout, generator=generator,
        rows=mixed_rows(data, rows, scaler, factors, module, like=like),
    )  # fmt: skip
    objective = BinaryObjective(mixed=mixed, design=design, nodes=min(nodes, config.nodes or BATCH_NODES))
    judged = None
    if len(validation):
        other = replace(mixed, rows=mixed_rows(data, validation, scaler, factors, module, like=like), dropout=0.0)
        judged = replace(objective, mixed=other, design=_held_out(target, data, validation, factors, columns))
    objective = replace(objective, by_all_rows=config.likelihood == "all")
    outcome = _train(config, objective, judged, generator=generator, progress=progress, keeper=keeper)
    return _trained(config, data, factors, objective, scaler, nodes, outcome)


def _held_out(
    target: np.ndarray,
    data: GroupedDataset,
    rows: np.ndarray,
    factors: Sequence[FactorEffectsOf],
    columns: Sequence[SlopeColumn],
) -> Design:
    """Rows that are judged, however few."""
    names = slope_names(factors)
    own = [
        Factor(
            codes=np.asarray(factor.grouping.codes)[rows],
            levels=len(factor.grouping.levels),
            design=effect_columns(factor, columns, names, data)[rows],
            blocks=factor.blocks,
        )
        for factor in factors
    ]
    return Design(outcome=target[rows], fixed=np.ones((len(rows), 1)), factors=tuple(own))


def _train(
    config: Lmmnn,
    objective: BinaryObjective,
    judged: BinaryObjective | None,
    *,
    generator: torch.Generator,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Outcome:
    """Train network and variances in place."""
    validate = None
    if judged is not None:
        validate = validation_nll(judged, config.batch, torch.Generator().manual_seed(len(judged.rows)))
    parameters = objective.mixed.parameters
    stage = Stage(
        names=tuple(name for name in parameters if name != ADDED),
        objective=objective,
        rows=len(objective.rows),
        epochs=config.epochs_for(len(objective.rows)),
        validate=validate,
        batches=batches_of(config, objective.rows.factors[0].codes),
        undecayed=frozenset(factor.name for factor in objective.mixed.factors),
    )
    stages = _by_all_rows(config, objective, stage) if objective.by_all_rows else [stage]
    settings = BatchSettings(
        lr=config.lr, batch=config.batch, patience=config.patience or PATIENCE, weight_decay=config.weight_decay,
        optimiser="adamw", schedule=config.schedule,
    )  # fmt: skip
    outcome = descend(stages, parameters, settings, generator=generator, progress=progress, keeper=keeper)
    warn_of_giving_up(parameters.get(WATCH))
    return outcome


def _by_all_rows(config: Lmmnn, objective: BinaryObjective, stage: Stage) -> list[Stage]:
    """The same training with a second half by the likelihood of all rows; after early stopping a stage of its own."""
    parameters = objective.mixed.parameters
    for name in (ADDED_MEAN, ADDED_SD):
        parameters[name] = torch.zeros_like(objective.rows.target)
    added = AddedToRows(objective.design, objective.relative, objective.nodes)
    parameters[ADDED_THETA] = torch.zeros(added.size, dtype=torch.float64)
    watch = parameters[WATCH] = new_watch()

    def now() -> None:
        if given_up(watch):
            return
        before = parameters[ADDED_THETA].numpy().copy() if bool(parameters[ADDED_SD][0] > 0) else None
        found, deviance = added(objective.logits(), before)
        watch_deviance(watch, deviance, len(objective.rows))
        if given_up(watch):
            parameters[ADDED_SD].fill_(0.0)
            return
        for name, values in zip((ADDED_MEAN, ADDED_SD, ADDED_THETA), found, strict=True):
            parameters[name].copy_(torch.as_tensor(values))

    if config.schedule != "one-cycle":
        return [stage, replace(stage, begin=now, update=lambda number: now())]
    first = math.ceil(FIRST * stage.epochs)
    return [replace(stage, update=lambda number: now() if first <= number < stage.epochs else None)]


def _trained(
    config: Lmmnn,
    data: GroupedDataset,
    factors: Sequence[FactorEffectsOf],
    objective: BinaryObjective,
    scaler: Scaler,
    nodes: int,
    outcome: Outcome,
) -> TrainedBinaryLmmnn:
    """Variances, effects, and the network with them."""
    mixed, names = objective.mixed, slope_names(factors)
    module, own = mixed.module, dict(mixed.module.named_parameters())
    shared = {name: value.detach().double().cpu() for name, value in mixed.parameters.items() if name in own}
    like = shared[module.level_name]
    relative = objective.relative()
    found = maximise_binary(
        objective.design, objective.logits(), nodes=nodes, begin=(relative, np.zeros(1)), search=config.polish
    )
    warn_of_divided_levels(found, objective.design, [factor.grouping.name for factor in factors])
    shared[module.level_name] = shared[module.level_name] + found.beta[0]
    layouts = [module.layout(factor.slopes, names, scale=1.0, like=like) for factor in factors]
    estimate = binary_estimate(objective.design, found, layouts, shared, outcome)
    if not config.polish:
        estimate = replace(estimate, polish_steps=0)
    warn_of_boundary(estimate, factors)
    further = further_of(factors, estimate)
    network = AdditiveNetwork(
        config=config,
        task="binary",
        scaler=scaler,
        classes=data.classes,
        grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels,
        module=module,
        shared=shared,
        effects=estimate.effects,
        further=further,
    )
    scales = [np.diag(layout.units or ()) for layout in layouts]
    return TrainedBinaryLmmnn(
        network=network,
        estimate=estimate,
        reported_scale=scales[0],
        training_rows=len(objective.design.outcome),
        further_scales=tuple(scales[1:]),
        deviance=-2.0 * found.value,
        parameters=_count(shared, found),
        restricted=False,
        nodes=nodes,
        batch_variances=_batch_variances(relative, scales),
    )


def _count(shared: dict[str, Tensor], found: BinaryMaximum) -> int:
    """How many parameters were estimated."""
    return sum(value.numel() for name, value in shared.items() if name != ADDED) + found.variances


def _batch_variances(relative: Sequence[np.ndarray], scales: Sequence[np.ndarray]) -> tuple[float, ...]:
    """What mini-batches say of the variances, in the units of the data."""
    pairs = zip(relative, scales, strict=True)
    return tuple(float(value) for own, unit in pairs for value in np.diagonal(unit @ own @ own.T @ unit))
