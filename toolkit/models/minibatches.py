"""Mini-batch training of a mixed effects network: its rows without padding, and the sweep over them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.flat_rows import Batch, FlatRows
from toolkit.effects.personal_module import PersonalModule
from toolkit.effects.personal_perceptron import PersonalNetwork, PersonalPerceptron
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.sweeping import DENSE, MiniBatches, Objective, SharedVector
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.errors import ConfigError
from toolkit.models.chain_covariates import ChainParts
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Config
from toolkit.models.fit_state import State
from toolkit.models.networks import Mlp
from toolkit.models.prepare import CODED, Scaler, Task
from toolkit.models.row_losses import DERIVATIVES, ChainLoss, Criterion, RowFunction, row_function
from toolkit.optimise.row_adam import Adam, RowAdam


def flat_rows(
    data: GroupedDataset,
    persons: int,
    scaler: Scaler,
    *,
    task: Task,
    like: Tensor,
    parts: ChainParts | None = None,
    criterion: Criterion | None = None,
) -> FlatRows:
    """Training rows as tensors like the given one, by person: those with few rows first.

    Args:
        data: the training rows; chains are cut where parts begin.
        persons: number of persons.
        scaler: standardisation.
        task: kind of outcome.
        like: a tensor of the network.
        parts: what a chain has beside its parameters.
        criterion: how the outcome is judged.
    """
    codes, lengths = np.asarray(data.person), None
    counts = np.bincount(codes, minlength=persons)
    if task == "sequence":
        sequences = SequenceBatch.from_grouped(data)
        mask, rows = np.asarray(sequences.mask), np.asarray(sequences.rows)
        units = _by_person(codes[rows[:, 0]], counts)
        lengths, order = mask[units].sum(axis=1), rows[units][mask[units]]
        loss = ChainLosses.of(data, sequences, units, parts or ChainParts(), like)
    else:
        order, loss = _by_person(codes, counts), RowLosses(row_function(task, criterion or Criterion()))
    target = np.asarray(data.target)[order] if task == "sequence" else np.asarray(scaler.target(data))[order]
    classes = task in {*CODED, "sequence"}
    if classes:
        target = np.nan_to_num(target, nan=-1.0).astype(np.int64)
    return FlatRows(
        inputs=torch.as_tensor(scaler.features(data)[order]).to(like),
        target=torch.as_tensor(np.ascontiguousarray(target)).to(like.device, torch.int64 if classes else like.dtype),
        persons=codes[order],
        counts=counts,
        lengths=lengths,
        loss=loss,
    )


def _by_person(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Order by person, those with few rows first, so that neighbours have about as many."""
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    return np.argsort(rank[codes], kind="stable")


class RowLosses:
    """The loss of the rows of a batch, by its derivative where that is written down, else by autograd."""

    def __init__(self, function: RowFunction) -> None:
        self._function, self._derivative = function, DERIVATIVES.get(function)

    def slopes(self, batch: Batch, outputs: Tensor, chain: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict]:
        """The summed loss of a batch and its gradient."""
        if self._derivative is not None:
            return *self._derivative(outputs, batch.target), {}
        with torch.enable_grad():
            free = outputs.detach()[:, None].requires_grad_(True)
            target = batch.target[:, None]
            loss = self._function(free, target, torch.ones_like(target, dtype=torch.bool)).sum()
            (gradient,) = torch.autograd.grad(loss, [free])
        return loss.detach(), gradient.squeeze(1), {}


class ChainLosses:
    """The loss of the sequences of a batch.

    Args:
        covariates: of the transitions, of each row (rows, covariates).
        forbidden: transitions that cannot occur (state, state).
        weights: factor of the loss of each person (persons,).
    """

    def __init__(
        self, covariates: Tensor | None = None, forbidden: Tensor | None = None, weights: Tensor | None = None
    ) -> None:
        self._covariates, self._forbidden, self._weights = covariates, forbidden, weights

    @classmethod
    def of(
        cls, data: GroupedDataset, sequences: SequenceBatch, units: np.ndarray, parts: ChainParts, like: Tensor
    ) -> ChainLosses:
        """The loss of sequences in the given order."""
        lengths = np.asarray(sequences.mask).sum(axis=1)[units]
        values = None if parts.covariates is None else parts.covariates.values(data, sequences)
        counts = np.bincount(np.asarray(data.person))
        return cls(
            covariates=None if values is None else torch.as_tensor(np.repeat(values[units], lengths, axis=0)).to(like),
            forbidden=None if parts.forbidden is None else torch.as_tensor(parts.forbidden, device=like.device),
            weights=torch.as_tensor(counts).to(like) if parts.by_rows else None,
        )

    def slopes(
        self, batch: Batch, outputs: Tensor, chain: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The summed loss of a batch and its gradients."""
        assert batch.starts is not None
        assert batch.lengths is not None
        step = torch.arange(int(batch.lengths.max()), device=outputs.device)
        steps = torch.where(step < batch.lengths[:, None], batch.starts[:, None] + step, -1)
        lines = batch.person_of_row.index_select(0, batch.starts)
        first = batch.rows.index_select(0, batch.starts)
        part = ChainLoss(
            steps=steps,
            states=torch.where(steps >= 0, batch.target[steps.clamp(min=0)], -1),
            lines=lines,
            covariates=None if self._covariates is None else self._covariates.index_select(0, first),
            forbidden=self._forbidden,
            weights=None if self._weights is None else self._weights[batch.persons.index_select(0, lines)],
        )
        with torch.enable_grad():
            free = outputs.detach().requires_grad_(True)
            own = {name: value.detach().requires_grad_(True) for name, value in chain.items()}
            loss = part(free[:, None], own).sum()
            gradient, *of_chain = torch.autograd.grad(loss, [free, *own.values()])
        return loss.detach(), gradient, dict(zip(own, of_chain, strict=True))


def mini_batches(
    config: Config, rows: FlatRows, module: nn.Module, state: State, generator: torch.Generator
) -> MiniBatches:
    """The sweep over mini-batches of a state; its shared parameters become views of one vector."""
    assert config.batch is not None
    if state.further:
        raise ConfigError(
            "mini-batches are for one grouping factor",
            code="E302",
            column="batch",
            remedy="leave batch out, or name one column in groups",
        )
    if isinstance(config, MlpLme) or state.held or not isinstance(module, Mlp):
        raise ConfigError(
            "mini-batches are for perceptrons and chains of which every parameter is trained",
            code="E302",
            column="batch",
            remedy="leave batch out",
        )
    objective = Objective(
        network=_network(module, state.layout),
        shared=SharedVector(state.shared),
        layout=state.layout,
        eta=state.eta,
        weight=lambda: state.weight,
        precision=state.precision,
    )
    effects = None
    if state.layout.size:
        effects = RowAdam(state.eta) if state.eta.numel() >= DENSE else Adam(state.eta)
    return MiniBatches(
        objective=objective,
        rows=rows,
        size=config.batch,
        by=config.batch_by or "persons",
        generator=generator,
        adam=Adam(objective.shared.vector, config.weight_decay),
        effects=effects,
        clip=config.clip,
    )


def _network(module: nn.Module, layout: EffectLayout) -> PersonalNetwork:
    """Perceptrons have a fast way of their own; any other module goes by autograd."""
    kept = [(name, shape) for name, shape, _ in _labelled(layout) if name not in CHAIN_NAMES]
    own = EffectLayout(
        names=tuple(name for name, _ in kept),
        shapes=tuple(shape for _, shape in kept),
        labels=tuple(label for name, shape, labels in _labelled(layout) if name not in CHAIN_NAMES for label in labels),
    )
    if type(module) is Mlp:  # thresholds and exposures are no layers
        layers = [(f"layers.{place}.weight", f"layers.{place}.bias") for place in range(len(module.layers))]
        return PersonalPerceptron(layers=layers, layout=own)
    return PersonalModule(module=module, layout=own)


def _labelled(layout: EffectLayout) -> list[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Name, shape and labels of each varying parameter."""
    found, start = [], 0
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        size = int(torch.Size(shape).numel())
        found.append((name, shape, layout.labels[start : start + size]))
        start += size
    return found
