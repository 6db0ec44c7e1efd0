"""Training of a network by the likelihood of mini-batches under a mixed model, the variances among its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from toolkit.models.additive_network import ADDED, AdditiveMlp
from toolkit.models.level_mapping import BatchEffect
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.lmmnn_design import FactorRows, MixedRows
from toolkit.models.lmmnn_whole import Refresh
from toolkit.models.whole_guard import WATCH, given_up, new_watch, warn_of_giving_up, watch_deviance
from toolkit.numerics.batch_likelihood import LOG_2_PI, BatchFactor, batch_nll, intercept_nll
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress
from toolkit.optimise.stages import Batches, BatchSettings, Stage, descend

SIGMA2 = "log_sigma2"
# of the second half of a training: what the effects add to each row, the residual variance (zero before it), and the
# other parameters of the random part
OFFSET, WHOLE, THETA = "offset", "whole", "theta"
# share of the epochs before it
FIRST = 0.5
# where variances start: a half of the outcome's is left over, and every effect varies as much
START = 0.5
PATIENCE = 10
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorParameters:
    """Where the free elements of a factor's relative matrix belong: ``D = L L'``, the diagonal of L in logarithms."""

    name: str
    levels: int
    size: int
    rows: Tensor
    columns: Tensor

    def relative(self, parameters: dict[str, Tensor]) -> Tensor:
        """``L`` (effects, effects)."""
        values = parameters[self.name]
        diagonal = torch.diag(torch.exp(values[: self.size]))
        if not len(self.rows):
            return diagonal
        return diagonal.index_put((self.rows, self.columns), values[self.size :])


def factor_parameters(place: int, factor: FactorEffectsOf, device: torch.device) -> FactorParameters:
    """The free elements: of each block of effects that correlate, those below the diagonal too."""
    rows, columns, start = list[int](), list[int](), 0
    for size in factor.blocks:
        below = np.tril_indices(size, -1)
        rows += (below[0] + start).tolist()
        columns += (below[1] + start).tolist()
        start += size
    return FactorParameters(
        name=f"log_cholesky.{place}",
        levels=len(factor.grouping.levels),
        size=start,
        rows=torch.tensor(rows, dtype=torch.int64, device=device),
        columns=torch.tensor(columns, dtype=torch.int64, device=device),
    )


def start_variances(factors: Sequence[FactorParameters], *, like: Tensor) -> dict[str, Tensor]:
    """Logarithms of the residual variance and of the effects' SDs, no correlations."""
    found = {SIGMA2: torch.log(like.new_tensor(START))}
    for factor in factors:
        values = like.new_zeros(factor.size + len(factor.rows))
        values[: factor.size] = 0.5 * torch.log(like.new_tensor(START))
        found[factor.name] = values
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedObjective:
    """Negative log-likelihood of a batch, per row.

    Attributes:
        module: the network's structure.
        parameters: network and variances by name; changed by training.
        rows: the rows that batches are made of.
        factors: where each factor's variances are.
        field: a spatial effect or mapped levels, if there are any.
        dropout: share of units left out after every hidden layer but the last.
        generator: which units.
        by_all_rows: whether the second half of the training goes by the likelihood of all rows.
    """

    module: AdditiveMlp
    parameters: dict[str, Tensor]
    rows: MixedRows
    factors: Sequence[FactorParameters]
    field: BatchEffect | None = None
    dropout: float = 0.0
    generator: torch.Generator | None = None
    by_all_rows: bool = False

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """Terms of one batch."""
        rows = self.rows
        residual = rows.target[batch] - self.fixed(rows.inputs[batch])
        whole = self.parameters.get(WHOLE)
        if self.by_all_rows and whole is not None and float(whole) > 0:
            squares = (residual - self.parameters[OFFSET][batch]).square().mean()
            return {"objective": 0.5 * (squares / whole + torch.log(whole) + LOG_2_PI), "sigma2": whole.detach()}
        return {"objective": self._nll(residual, batch), "sigma2": torch.exp(self.parameters[SIGMA2].detach())}

    def _nll(self, residual: Tensor, batch: Tensor) -> Tensor:
        """Negative log-likelihood of a batch per row."""
        rows = self.rows
        if self.field is None and len(rows.factors) == 1 and rows.factors[0].design is None:
            (own,), (factor,) = rows.factors, self.factors
            log_sd, log_sigma2 = self.parameters[factor.name], self.parameters[SIGMA2]
            return intercept_nll(residual, log_sigma2, log_sd, own.codes[batch], factor.levels)
        sigma2 = torch.exp(self.parameters[SIGMA2])
        factors = [
            _of_batch(own, batch, factor.relative(self.parameters))
            for own, factor in zip(rows.factors, self.factors, strict=True)
        ]
        if self.field is None:
            return batch_nll(residual, sigma2, factors) / len(batch)
        assert rows.places is not None
        return self.field.batch_nll(residual, sigma2, factors, rows.places[batch], self.parameters) / len(batch)

    def fixed(self, inputs: Tensor) -> Tensor:
        """Outputs of the network (rows,); slopes are no part of what is common."""
        last = len(self.module.layers) - 1
        for place in range(last):
            inputs = torch.relu(self._linear(inputs, place))
            if self.dropout and place < last - 1:
                kept = torch.rand(inputs.shape, generator=self.generator, dtype=inputs.dtype) >= self.dropout
                inputs = inputs * kept.to(inputs) / (1.0 - self.dropout)
        return self._linear(inputs, last)[:, 0]

    def _linear(self, inputs: Tensor, place: int) -> Tensor:
        return functional.linear(
            inputs, self.parameters[f"layers.{place}.weight"], self.parameters[f"layers.{place}.bias"]
        )


def _of_batch(own: FactorRows, batch: Tensor, relative: Tensor) -> BatchFactor:
    return BatchFactor(
        codes=own.codes[batch], design=None if own.design is None else own.design[batch], relative=relative
    )


@runtime_checkable
class RowsObjective(Protocol):
    """What says how likely some of its rows are."""

    @property
    def rows(self) -> MixedRows:
        """The rows that batches are made of."""
        ...

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """Terms of one batch."""
        ...


def validation_nll(objective: RowsObjective, batch: int, generator: torch.Generator) -> Callable[[], float]:
    """Negative log-likelihood of validation rows per row, always in the same batches."""
    order = torch.randperm(len(objective.rows), generator=generator) if batch < len(objective.rows) else None
    whole = torch.arange(len(objective.rows)) if order is None else order
    batches = [part.to(objective.rows.target.device) for part in whole.split(batch)]

    @torch.no_grad()
    def measure() -> float:
        return sum(float(objective(part)["objective"]) * len(part) for part in batches) / len(objective.rows)

    return measure


def batches_of(config: Lmmnn, codes: Tensor) -> Batches | None:
    """How the rows are dealt out; None leaves it to chance.

    Args:
        config: ``batch_by="persons"`` keeps the rows of a person together; ``as_published`` takes rows in the order of
            the persons, always the same.
        codes: person of each training row.
    """
    codes = codes.cpu()
    if config.as_published:
        fixed = torch.argsort(codes, stable=True).split(config.batch)
        return lambda generator: fixed
    if config.batch_by != "persons":
        return None
    levels = int(codes.max()) + 1

    def whole_persons(generator: torch.Generator) -> list[Tensor]:
        rank = torch.randperm(levels, generator=generator)[codes]
        order = torch.argsort(rank, stable=True)
        starts = torch.cat([torch.tensor([True]), torch.diff(rank[order]) > 0])
        number = torch.cumsum(starts, 0) - 1  # of the person among those in order
        first = torch.nonzero(starts)[:, 0]
        batch = (first // config.batch)[number]  # a person belongs where its first row would
        return list(order.split(torch.unique_consecutive(batch, return_counts=True)[1].tolist()))

    return whole_persons


def by_all_rows(config: Lmmnn, objective: MixedObjective, stage: Stage, refresh: Refresh) -> list[Stage]:
    """The same training with a second half by the likelihood of all rows; after early stopping a stage of its own."""
    parameters = objective.parameters
    parameters[WHOLE] = objective.rows.target.new_zeros(())
    parameters[OFFSET] = torch.zeros_like(objective.rows.target)
    parameters[THETA] = torch.zeros(refresh.size, dtype=torch.float64)
    watch = parameters[WATCH] = new_watch()

    def now() -> None:
        if given_up(watch):
            return
        before = parameters[THETA].numpy() if float(parameters[WHOLE]) > 0 else None
        found = refresh(left_over(objective), before)
        watch_deviance(watch, found.deviance, len(objective.rows))
        if given_up(watch):
            parameters[WHOLE].fill_(0.0)
            return
        parameters[OFFSET].copy_(torch.as_tensor(found.offset))
        parameters[WHOLE].fill_(found.sigma2)
        parameters[THETA].copy_(torch.as_tensor(found.theta))

    if config.schedule != "one-cycle":
        return [stage, replace(stage, begin=now, update=lambda number: now())]
    first = math.ceil(FIRST * stage.epochs)
    return [replace(stage, update=lambda number: now() if first <= number < stage.epochs else None)]


@torch.no_grad()
def left_over(objective: MixedObjective) -> Float[np.ndarray, " rows"]:
    """Outcome minus the network's output in every row, nothing dropped."""
    plain, rows = replace(objective, dropout=0.0), objective.rows
    pieces = zip(rows.inputs.split(ROWS_AT_ONCE), rows.target.double().split(ROWS_AT_ONCE), strict=True)
    return torch.cat([target - plain.fixed(inputs).double() for inputs, target in pieces]).cpu().numpy()


def train_network(
    config: Lmmnn,
    objective: MixedObjective,
    validation: MixedRows | None,
    *,
    refresh: Refresh | None = None,
    generator: torch.Generator,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Outcome:
    """Train network and variances in place.

    Args:
        config: settings.
        objective: of the training rows.
        validation: rows whose likelihood decides which state is kept; None keeps the last.
        refresh: what all rows say of the effects, for the second half of the training; None goes on by mini-batches.
        generator: order of the rows, units left out.
        progress: called after each epoch.
        keeper: keeps the state between epochs.
    """
    parameters = objective.parameters
    judged = None
    if validation is not None:
        own = replace(objective, rows=validation, dropout=0.0, generator=None, by_all_rows=False)
        judged = validation_nll(own, config.batch, torch.Generator().manual_seed(len(validation)))
    undecayed = {SIGMA2, *(factor.name for factor in objective.factors)}
    if objective.field is not None:
        undecayed |= set(objective.field.variances)
    trained = tuple(name for name in parameters if name not in (ADDED, OFFSET, WHOLE, THETA, WATCH))
    epochs = config.epochs_for(len(objective.rows))
    stage = Stage(
        names=trained,
        objective=objective,
        rows=len(objective.rows),
        epochs=epochs,
        validate=judged,
        batches=batches_of(config, objective.rows.persons),
        undecayed=frozenset(undecayed),
    )
    stages = [stage] if refresh is None else by_all_rows(config, objective, stage, refresh)
    settings = BatchSettings(
        lr=config.lr, batch=config.batch, patience=config.patience or PATIENCE, weight_decay=config.weight_decay,
        optimiser="adamw", schedule=config.schedule,
    )  # fmt: skip
    outcome = descend(stages, parameters, settings, generator=generator, progress=progress, keeper=keeper)
    warn_of_giving_up(parameters.get(WATCH))
    return outcome
