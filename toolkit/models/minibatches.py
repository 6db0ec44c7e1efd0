"""Mini-batch training of a mixed effects network: its rows without padding, and the sweep over them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.batches import Batch, FlatRows
from toolkit.effects.personal_module import PersonalModule
from toolkit.effects.personal_perceptron import PersonalNetwork, PersonalPerceptron
from toolkit.effects.problem import PersonLoss
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.sweeping import DENSE, MiniBatches, Objective, SharedVector
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.errors import ConfigError
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Config
from toolkit.models.fit_state import State
from toolkit.models.networks import Mlp
from toolkit.models.prepare import Scaler, Task
from toolkit.models.row_losses import ROW_FUNCTIONS, ChainLoss, RowLoss
from toolkit.optimise.row_adam import RowAdam


def flat_rows(data: GroupedDataset, persons: int, scaler: Scaler, *, task: Task, like: Tensor) -> FlatRows:
    """Training rows as tensors like the given one, in the order of the rows, or of the sequences.

    Args:
        data: the training rows; chains are cut where parts begin.
        persons: number of persons.
        scaler: standardisation.
        task: kind of outcome.
        like: a tensor of the network.
    """
    codes, features, lengths = np.asarray(data.person), scaler.features(data), None
    if task == "sequence":
        sequences = SequenceBatch.from_grouped(data)
        mask = np.asarray(sequences.mask)
        order, lengths = np.asarray(sequences.rows)[mask], mask.sum(axis=1)
        codes, features = codes[order], features[order]
        states = torch.as_tensor(np.asarray(sequences.states)[mask]).to(like.device)
        loss = _ChainLosses(states=states, lengths=torch.as_tensor(lengths).to(like.device))
    else:
        target = torch.as_tensor(np.array(scaler.target(data))).to(
            like.device, torch.int64 if task == "multiclass" else like.dtype
        )
        loss = _RowLosses(task=task, target=target)
    return FlatRows(
        inputs=torch.as_tensor(features).to(like),
        persons=codes,
        counts=np.bincount(codes, minlength=persons),
        lengths=lengths,
        loss=loss,
    )


class _RowLosses:
    """The loss of the rows of a batch, each row a line of its own."""

    def __init__(self, *, task: Task, target: Tensor) -> None:
        self._function, self._target = ROW_FUNCTIONS[task], target[:, None]

    def __call__(self, batch: Batch) -> PersonLoss:
        target = self._target.index_select(0, batch.rows)
        return RowLoss(function=self._function, target=target, mask=torch.ones_like(target, dtype=torch.bool))


class _ChainLosses:
    """The loss of the sequences of a batch."""

    def __init__(self, *, states: Tensor, lengths: Tensor) -> None:
        self._states, self._lengths = states, lengths

    def __call__(self, batch: Batch) -> PersonLoss:
        assert batch.units is not None
        assert batch.starts is not None
        lengths = self._lengths.index_select(0, batch.units)
        step = torch.arange(int(lengths.max()), device=lengths.device)
        present = step < lengths[:, None]
        steps = torch.where(present, batch.starts[:, None] + step, -1)
        states = self._states.index_select(0, batch.rows)[steps.clamp(min=0)]
        return ChainLoss(
            steps=steps,
            states=torch.where(present, states, -1),
            lines=batch.person_of_row.index_select(0, batch.starts),
        )


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
    lazy = bool(state.layout.size) and state.eta.numel() >= DENSE
    return MiniBatches(
        objective=objective,
        rows=rows,
        size=config.batch,
        by=config.batch_by or "persons",
        generator=generator,
        clip=config.clip,
        adam=RowAdam(state.eta) if lazy else None,
    )


def _network(module: nn.Module, layout: EffectLayout) -> PersonalNetwork:
    """Perceptrons have a fast way of their own; any other module goes by autograd."""
    kept = [(name, shape) for name, shape, _ in _labelled(layout) if name not in CHAIN_NAMES]
    own = EffectLayout(
        names=tuple(name for name, _ in kept),
        shapes=tuple(shape for _, shape in kept),
        labels=tuple(label for name, shape, labels in _labelled(layout) if name not in CHAIN_NAMES for label in labels),
    )
    if isinstance(module, Mlp):
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
