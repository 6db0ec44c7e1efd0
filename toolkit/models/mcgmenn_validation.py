"""How well validation rows are predicted while a network is trained by Monte Carlo EM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.models.linear_design import FactorEffectsOf
from toolkit.models.lmmnn_design import effect_columns
from toolkit.models.mcgmenn_design import OutcomeRows, SampledFactor
from toolkit.models.mcgmenn_training import (
    OFFSETS,
    MonteCarloObjective,
    draws_name,
)

Levels = tuple[Tensor, Tensor | None]


def validation_levels(
    factor: FactorEffectsOf,
    own: SampledFactor,
    data: GroupedDataset,
    rows: np.ndarray,
    columns: Sequence[Any],
    names: Sequence[str],
    like: Tensor,
) -> Levels:
    """Place of each row's level among those with training rows (-1 for others), and what its effects multiply."""
    places = np.full(own.levels, -1)
    places[own.present] = np.arange(len(own.present))
    codes = torch.as_tensor(places[np.asarray(factor.grouping.codes)[rows]], device=like.device)
    if factor.slopes == (None,):
        return codes, None
    design = effect_columns(factor, columns, names, data.take(rows))
    return codes, torch.as_tensor(np.ascontiguousarray(design.T)).to(like)


def validation_loss(
    objective: MonteCarloObjective, rows: OutcomeRows, factors: Sequence[SampledFactor], levels: Sequence[Levels]
) -> Callable[[], float]:
    """Negative log-likelihood of validation rows per row, their levels' effects as drawn last (Eq. 5a)."""
    own, outputs = objective.parameters, objective.module.outputs
    plain = replace(objective, rows=rows, dropout=0.0)

    @torch.no_grad()
    def measure() -> float:
        fixed = plain.fixed_of_all()
        total = fixed.new_zeros((own[OFFSETS].shape[0], *fixed.shape))
        for place, (codes, design) in enumerate(levels):
            chosen = own[draws_name(place)][:, :, codes.clamp(min=0)] * (codes >= 0)
            if design is not None:
                kinds = chosen.reshape(len(chosen), len(design), outputs, -1)
                chosen = (kinds * design[:, None]).sum(dim=1)
            total += chosen
        losses = [plain.loss((fixed + own_total).T, rows.target) for own_total in total]
        return float(sum(losses)) / len(losses)

    return measure
