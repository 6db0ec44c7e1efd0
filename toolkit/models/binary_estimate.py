"""From the maximum of a logistic mixed model to effects, posteriors and variances as tensors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from toolkit.effects.joint import Factors
from toolkit.effects.joint_draws import LineEvidence
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import EffectLayout, RandomEffects
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models.fit_state import Estimate
from toolkit.models.mixed_estimate import floored
from toolkit.numerics.binary_effects.model import BinaryMaximum, has_single_effect
from toolkit.numerics.mixed.design import Design
from toolkit.optimise.minimise import Outcome
from toolkit.optimise.status import Status

# an SD of so many log-odds says that levels divide the classes
WIDE = 15.0


def nodes_for(nodes: int | None, design: Design, default: int) -> int:
    """Nodes of the quadrature: as set, or the default; Laplace's approximation (1) for several effects.

    Raises:
        ConfigError: E302 for more than one node with several factors or effects.
    """
    if has_single_effect(design):
        return default if nodes is None else nodes
    if nodes is not None and nodes > 1:
        raise ConfigError(
            "nodes: quadrature is for one grouping factor with a single effect; several are estimated by Laplace's "
            "approximation",
            code="E302",
            column="nodes",
            remedy="leave nodes out, or set it to 1",
        )
    return 1


def binary_estimate(
    design: Design,
    found: BinaryMaximum,
    layouts: Sequence[EffectLayout],
    shared: Mapping[str, Tensor],
    outcome: Outcome,
) -> Estimate:
    """Effects, their posteriors and the variances as tensors.

    Args:
        design: rows and factors.
        found: where the likelihood is largest.
        layouts: where the effects of each factor belong.
        shared: shared parameters by name.
        outcome: how training went.
    """
    parts: list[tuple[RandomEffects, Posterior]] = []
    for place, layout in enumerate(layouts):
        covariance = _tensor(floored(found.covariances[place]))
        effects = RandomEffects(layout=layout, eta=_tensor(found.effects[place]), covariance=covariance)
        posterior = Posterior(curvature=_tensor(found.curvatures[place]), covariance=_tensor(found.spreads[place]))
        parts.append((effects, posterior))
    first, *rest = parts
    return Estimate(
        shared=dict(shared),
        effects=first[0],
        posterior=first[1],
        sigma2=1.0,
        outcome=outcome,
        polish_steps=len(found.trace),
        exact=True,
        further=tuple(rest),
        evidence=_evidence(design, found, [own.covariance for own, _ in parts]) if rest else None,
    )


def warn_of_divided_levels(found: BinaryMaximum, design: Design, names: Sequence[str]) -> None:
    """W238 where levels (nearly) all have rows of one class alone: their variance has no maximum, or one far away."""
    wide = []
    for factor, covariance, name in zip(design.factors, found.covariances, names, strict=True):
        typical = np.sqrt(np.mean(factor.design**2, axis=0) * np.diagonal(covariance))
        if (typical > WIDE).any():
            wide.append(name)
    if wide:
        message = (
            f"nearly every level of {', '.join(wide)} has rows of one class alone: how far the levels differ cannot be "
            "estimated"
        )
        warnings.warn(ToolkitWarning(message, code="W238"), stacklevel=3)


def ascent_outcome(found: BinaryMaximum) -> Outcome:
    """How the search for the maximum went, as training."""
    status = Status.MAXIMUM if found.converged else Status.NO_MAXIMUM
    trace = tuple(
        {"epoch": float(number + 1), "objective": -2.0 * value, "sigma2": math.nan}
        for number, value in enumerate(found.trace)
    )
    return Outcome(trace=trace, best_epoch=len(trace), epochs=len(trace), status=status)


def _evidence(design: Design, found: BinaryMaximum, covariances: Sequence[Tensor]) -> LineEvidence:
    """What the rows say about the effects of all factors together; rows with the same levels are one line."""
    codes = np.column_stack([factor.codes for factor in design.factors])
    levels, line = np.unique(codes, axis=0, return_inverse=True)
    z = _tensor(np.concatenate([factor.design for factor in design.factors], axis=1))
    turned = z * _tensor(found.weight)[:, None]
    curvature = z.new_zeros((len(levels), z.shape[1], z.shape[1]))
    curvature.index_add_(0, torch.as_tensor(line.reshape(-1)), turned[:, :, None] * z[:, None])
    return LineEvidence(
        factors=Factors(
            codes=tuple(torch.as_tensor(np.ascontiguousarray(own)) for own in levels.T),
            levels=tuple(factor.levels for factor in design.factors),
            sizes=tuple(factor.size for factor in design.factors),
        ),
        curvature=curvature,
        covariances=tuple(covariances),
        weight=1.0,
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))
