"""Mini-batch training of a mixed effects network: its rows without padding, and the sweep over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import SequenceBatch
from toolkit.effects.flat_rows import FlatRows
from toolkit.effects.joint_sweeping import FactorInBatches, JointBatches, joined_layout
from toolkit.effects.personal_module import PersonalModule
from toolkit.effects.personal_perceptron import PersonalNetwork, PersonalPerceptron
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.sweeping import DENSE, MiniBatches, Objective, SharedVector
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.errors import ConfigError
from toolkit.models.batch_losses import ChainLosses, RowLosses
from toolkit.models.chain_covariates import ChainParts
from toolkit.models.config import Config
from toolkit.models.fit_state import State
from toolkit.models.networks import Mlp
from toolkit.models.pieces import Pieces
from toolkit.models.prepare import CODED, Scaler, Task, refuse_changing
from toolkit.models.row_losses import Criterion, row_function
from toolkit.models.starting import row_codes
from toolkit.optimise.row_adam import Adam, RowAdam


def flat_rows(
    data: GroupedDataset,
    rows: np.ndarray,
    scaler: Scaler,
    *,
    task: Task,
    like: Tensor,
    parts: ChainParts | None = None,
    criterion: Criterion | None = None,
    levels: np.ndarray | None = None,
) -> tuple[FlatRows, RowLosses | ChainLosses]:
    """Some rows as tensors like the given one, by person: those with few rows first; and their loss.

    With several grouping factors the rows are put together that agree in all of them.

    Args:
        data: all rows; chains are cut where parts begin.
        rows: numbers of the rows to take.
        scaler: standardisation.
        task: kind of outcome.
        like: a tensor of the network.
        parts: what a chain has beside its parameters.
        criterion: how the outcome is judged.
        levels: of several grouping factors, the level of each row in each (all rows, factors).
    """
    codes, lengths, chain, of_codes = np.asarray(data.person), None, task == "sequence", None
    counts = np.bincount(codes[rows], minlength=data.n_persons)
    if levels is not None:
        of_codes, own = np.unique(levels[rows], axis=0, return_inverse=True)
        codes = np.full(data.n_rows, -1, dtype=np.int64)
        codes[rows], counts = own.reshape(-1), np.bincount(own.reshape(-1))
    if chain:
        taken = data.take(rows)
        sequences = SequenceBatch.from_grouped(taken)
        mask, places = np.asarray(sequences.mask), rows[np.asarray(sequences.rows)]
        refuse_changing(data, np.where(mask, places, -1), codes)
        units = _by_person(codes[places[:, 0]], counts)
        lengths, order = mask[units].sum(axis=1), places[units][mask[units]]
        loss = ChainLosses.of(taken, sequences, units, parts or ChainParts(), like)
    else:
        order = rows[_by_person(codes[rows], counts)]
        loss = RowLosses(row_function(task, criterion or Criterion()))
    if task in {*CODED, "sequence"}:
        target = np.nan_to_num(np.asarray(data.target)[order], nan=-1.0).astype(np.int64)
    else:
        target = scaler.target(data)[order]
    inputs = np.empty((len(order), scaler.width), dtype=np.float32 if like.dtype == torch.float32 else np.float64)
    scaler.fill(inputs, data, order)
    found = FlatRows(
        inputs=torch.from_numpy(inputs).to(like.device),
        target=torch.from_numpy(target).to(like.device, None if target.dtype == np.int64 else like.dtype),
        persons=codes[order],
        counts=counts,
        lengths=lengths,
        loss=loss,
        levels=of_codes,
    )
    return found, loss


def _by_person(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Order by person, those with few rows first, so that neighbours have about as many."""
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    return np.argsort(rank[codes], kind="stable")


def pieces_of(
    data: GroupedDataset, labels: np.ndarray, scaler: Scaler, module: nn.Module, state: State, *, task: Task,
    parts: ChainParts, judged: Mapping[str, Criterion],
) -> tuple[Pieces, Pieces | None]:  # fmt: skip
    """Training and validation rows without padding, and how each are judged; see `flat_rows`."""
    found: list[Pieces] = []
    for name in ("train", "validation"):
        rows = np.flatnonzero(labels == name)
        if len(rows):
            flat, loss = flat_rows(
                data, rows, scaler, task=task, like=state.eta, parts=parts, criterion=judged[name],
                levels=row_codes(data) if state.further else None,
            )  # fmt: skip
            found.append(Pieces(module=module, data=flat, loss=loss, size=state.line_layout.size))
    return found[0], found[1] if len(found) > 1 else None


def check_batches(config: Config, module: nn.Module, state: State) -> None:
    """Refuse what has no mini-batches (E302)."""
    if state.rule.noise is not None and state.rule.noise.density == "laplace" and state.layout.size:
        raise ConfigError(
            "absolute errors with person effects have no mini-batches",
            code="E302",
            column="batch",
            remedy="leave batch out, or use loss='huber'",
        )
    if config.compile and type(module) is Mlp:
        raise ConfigError(
            "compile has nothing to do for a perceptron, whose steps are written out by hand",
            code="E302",
            column="compile",
            remedy="leave it out",
        )


def mini_batches(
    config: Config, rows: FlatRows, module: nn.Module, state: State, generator: torch.Generator
) -> MiniBatches:
    """The sweep over mini-batches of a state; its shared parameters become views of one vector."""
    assert config.batch is not None
    layout = joined_layout([factor.layout for factor in state.factors]) if state.further else state.layout
    objective = Objective(
        network=_network(config, module, layout, state.held),
        shared=SharedVector(state.shared, state.held),
        layout=layout,
        eta=state.eta,
        weight=lambda: state.weight,
        precision=state.precision,
    )
    settings: dict[str, Any] = {
        "objective": objective,
        "rows": rows,
        "size": config.batch,
        "by": config.batch_by or "persons",
        "generator": generator,
        "adam": Adam(objective.shared.vector, config.weight_decay),
        "clip": config.clip,
    }
    if state.further:
        return JointBatches(**settings, effects=None, factors=_factors(state, layout, rows))
    return MiniBatches(**settings, effects=_adam(state.eta) if state.layout.size else None)


def _adam(eta: Tensor) -> RowAdam | Adam:
    """What moves the effects: row by row where they are many."""
    return RowAdam(eta) if eta.numel() >= DENSE else Adam(eta)


def _factors(state: State, joined: EffectLayout, rows: FlatRows) -> tuple[FactorInBatches, ...]:
    """Every grouping factor, as batches of combinations of levels move its effects."""
    assert rows.levels is not None
    counts = torch.as_tensor(rows.counts).to(state.eta)
    return tuple(
        FactorInBatches(
            name=factor.name,
            layout=factor.layout,
            eta=factor.eta,
            precision=factor.precision,
            levels=torch.as_tensor(np.ascontiguousarray(own), device=state.eta.device),
            rows=counts,
            joined=joined,
            adam=_adam(factor.eta),
        )
        for factor, own in zip(state.factors, rows.levels.T, strict=True)
    )


def _network(config: Config, module: nn.Module, layout: EffectLayout, held: frozenset[str]) -> PersonalNetwork:
    """Perceptrons have a fast way of their own; any other module goes by autograd."""
    kept = [(name, shape) for name, shape, _ in _labelled(layout) if name not in CHAIN_NAMES]
    own = EffectLayout(
        names=tuple(name for name, _ in kept),
        shapes=tuple(shape for _, shape in kept),
        labels=tuple(label for name, shape, labels in _labelled(layout) if name not in CHAIN_NAMES for label in labels),
    )
    # thresholds and exposures are no layers; by hand there are no two precisions
    if isinstance(module, Mlp) and type(module) is Mlp and not config.mixed_precision:
        layers = [(f"layers.{place}.weight", f"layers.{place}.bias") for place in range(len(module.layers))]
        return PersonalPerceptron(layers=layers, layout=own)
    return PersonalModule(module=module, layout=own, held=held, mixed=config.mixed_precision, compiled=config.compile)


def _labelled(layout: EffectLayout) -> list[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Name, shape and labels of each varying parameter."""
    found, start = [], 0
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        size = int(torch.Size(shape).numel())
        found.append((name, shape, layout.labels[start : start + size]))
        start += size
    return found
