"""Rows of a network fitted by Monte Carlo EM: tensors for the network, levels for the sampler, densities by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import present_levels
from toolkit.effects.terms import GAPS
from toolkit.models.additive_network import AdditiveMlp, SlopeColumn
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.lmmnn_design import effect_columns
from toolkit.models.outcome_networks import thresholds
from toolkit.models.prepare import CODED, Scaler
from toolkit.sampling.densities import Bernoulli, Categorical, Gaussian, Ordinal, Poisson, RowDensity
from toolkit.sampling.target import Clusters

SIGMA2 = "sigma2"
STRANDS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledFactor:
    """One grouping factor as the sampler sees it: the levels that have training rows.

    Attributes:
        present: their codes among all levels (present,), in order.
        levels: number of all levels.
        clusters: level of each training row among the present ones, and what its effects are multiplied with.
        free: which covariances are estimated (effects, effects), effects ordered as in `toolkit.sampling.target`.
    """

    present: np.ndarray
    levels: int
    clusters: Clusters
    free: Bool[Tensor, "effects effects"]

    @property
    def size(self) -> int:
        """Effects of a level."""
        return self.free.shape[0]


def interleaved(rows: np.ndarray) -> np.ndarray:
    """The rows (rows,) in another order: in turn one of each of `STRANDS` stretches.

    Studies are mostly sorted by level. A processor that adds row after row to the same sum waits for each; sums over
    the rows of levels are several times faster where neighbours belong to different ones.
    """
    length = -(-len(rows) // STRANDS)
    order = np.arange(STRANDS * length).reshape(STRANDS, length).T.reshape(-1)
    return rows[order[order < len(rows)]]


def sampled_factor(
    factor: FactorEffectsOf,
    data: GroupedDataset,
    rows: np.ndarray,
    columns: Sequence[SlopeColumn],
    names: Sequence[str],
    *,
    outputs: int,
    covariance: Literal["diagonal", "full"] | None,
    like: Tensor,
) -> SampledFactor:
    """The levels of a factor that have training rows.

    Args:
        factor: what varies.
        data: the whole data set.
        rows: numbers of the training rows.
        columns: slopes, by ``names``.
        names: of the slopes.
        outputs: effects of each kind: 1, or as many as there are classes.
        covariance: None lets slopes correlate as the terms say, and classes not.
        like: type and device of the design.
    """
    codes = np.asarray(factor.grouping.codes)[rows]
    present, own = present_levels(codes, len(factor.grouping.levels))
    design = None
    if factor.slopes != (None,):
        values = effect_columns(factor, columns, names, data.take(rows))
        design = torch.as_tensor(np.ascontiguousarray(values.T)).to(like)
    clusters = Clusters(codes=torch.as_tensor(own, device=like.device), levels=len(present), design=design)
    free = free_covariances(factor.blocks, outputs, covariance).to(like.device)
    return SampledFactor(present=present, levels=len(factor.grouping.levels), clusters=clusters, free=free)


def free_covariances(
    blocks: Sequence[int], outputs: int, covariance: Literal["diagonal", "full"] | None
) -> Bool[Tensor, "effects effects"]:
    """Which covariances are estimated: all, the variances alone, or those within blocks of each output."""
    size = sum(blocks) * outputs
    if covariance == "full":
        return torch.ones((size, size), dtype=torch.bool)
    if covariance == "diagonal":
        return torch.eye(size, dtype=torch.bool)
    kinds = torch.block_diag(*(torch.ones((block, block)) for block in blocks))
    return torch.kron(kinds, torch.eye(outputs)).bool()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutcomeRows:
    """Rows as tensors: standardised features (rows, features); outcome or class codes (rows,)."""

    inputs: Float[Tensor, "rows features"]
    target: Tensor

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.target)


def outcome_rows(data: GroupedDataset, rows: np.ndarray, scaler: Scaler, *, task: str, like: Tensor) -> OutcomeRows:
    """The chosen rows as tensors of the type and on the device of ``like``; classes as whole numbers."""
    target = torch.as_tensor(np.ascontiguousarray(scaler.target(data)[rows]), device=like.device)
    inputs = torch.empty((len(rows), scaler.width), dtype=like.dtype)
    scaler.fill(inputs.numpy(), data, rows)  # nothing in float64 of the size of the rows is made
    return OutcomeRows(
        inputs=inputs.to(like),
        target=target.to(torch.int64) if task in CODED else target.to(like),
    )


def row_density(task: str, target: Tensor, parameters: dict[str, Tensor], module: AdditiveMlp) -> RowDensity:
    """How likely the outcomes are given what the network and the effects say.

    Args:
        task: kind of outcome.
        target: of the rows.
        parameters: of the network, with the residual variance and the gaps between thresholds.
        module: the network's structure.
    """
    if task == "regression":
        return Gaussian(target=target, sigma2=parameters[SIGMA2].detach())
    if task == "binary":
        return Bernoulli(target=target)
    if task == "multiclass":
        return Categorical(target=target, classes=module.outputs)
    if task == "ordinal":
        return Ordinal(target=target, thresholds=thresholds(parameters[GAPS].detach()))
    return Poisson(target=target)
