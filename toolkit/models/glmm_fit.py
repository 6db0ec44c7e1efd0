"""From data to a fitted logistic mixed model, as the network it amounts to; see `toolkit.models.lmm_fit`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from toolkit.data.checks import check_further_factors, require_varying_target
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models.binary_estimate import ascent_outcome, binary_estimate, nodes_for, warn_of_divided_levels
from toolkit.models.fitted import FittedNetwork
from toolkit.models.glmm import NODES, Glmm
from toolkit.models.linear_design import design_of, independent_columns, layout_of, varying_effects
from toolkit.models.lmm_fit import FixedEffects
from toolkit.models.mixed_estimate import TrainedMixed, further_of, warn_of_boundary
from toolkit.models.networks import Mlp
from toolkit.models.placement import BIAS, WEIGHT
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.numerics.binary_effects.model import BinaryMaximum, maximise_binary
from toolkit.optimise.minimise import Progress

# a coefficient of this many log-odds per SD divides the classes
DIVIDES = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedGlmm(TrainedMixed):
    """A fitted logistic mixed model.

    Attributes:
        fixed: fixed effects, in log-odds per unit of the data.
        nodes: of the quadrature; 1 is Laplace's approximation.
    """

    fixed: FixedEffects
    nodes: int

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        how = "Laplace's approximation" if self.nodes == 1 else f"adaptive quadrature with {self.nodes} nodes"
        return {
            "posterior": "mode" if self.nodes == 1 else "mean by quadrature",
            "method": f"maximum likelihood by {how}",
            "evaluations": self.outcome.epochs,
        }


def train_glmm(
    config: Glmm, data: GroupedDataset, labels: np.ndarray, *, progress: Progress | None = None
) -> TrainedGlmm:
    """Fit a logistic mixed model to the training rows.

    Args:
        config: settings.
        data: the whole data set, with two classes.
        labels: ``train`` rows are fitted; a likelihood needs no validation rows.
        progress: called after each step.

    Raises:
        ConfigError: E302 for nodes that do not apply; see `toolkit.models.linear_design` for others.
        DataError: E121 for one class among the training rows; see there as well.
    """
    rows = np.flatnonzero(labels == "train")
    factors = varying_effects(config.terms, data)
    check_further_factors(data)
    require_varying_target(np.asarray(data.target)[rows], data.target_name or "target", is_classification=True)
    scaler = independent_columns(data, rows, fit_scaler(data, rows, task="binary"))
    design = design_of(data, rows, scaler, factors)
    nodes = nodes_for(config.nodes, design, NODES)
    watch = None if progress is None else _Counter(progress)
    found = maximise_binary(design, np.zeros(len(rows)), nodes=nodes, curvature=True, watch=watch)
    _warn_of_division(found, scaler)
    warn_of_divided_levels(found, design, [factor.grouping.name for factor in factors])
    beta = torch.as_tensor(found.beta)
    layouts = [layout_of(factor, scaler) for factor in factors]
    shared = {WEIGHT: beta[None, 1:], BIAS: beta[:1]}
    estimate = binary_estimate(design, found, layouts, shared, ascent_outcome(found))
    warn_of_boundary(estimate, factors)
    further = further_of(factors, estimate)
    network = FittedNetwork(
        config=config,
        task="binary",
        scaler=scaler,
        classes=data.classes,
        grouping=factors[0].grouping.name,
        levels=factors[0].grouping.levels,
        module=Mlp(len(scaler.names), (), 1),
        shared=estimate.shared,
        effects=estimate.effects,
        further=further,
    )
    scales = [np.diag(layout.units or ()) for layout in layouts]
    return TrainedGlmm(
        network=network,
        estimate=estimate,
        reported_scale=scales[0],
        training_rows=len(rows),
        further_scales=tuple(scales[1:]),
        fixed=_fixed_effects(found, scaler),
        deviance=-2.0 * found.value,
        parameters=len(found.beta) + found.variances,
        restricted=False,
        nodes=nodes,
    )


class _Counter:
    """Tells how many steps were taken."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.count = progress, 0

    def __call__(self, value: float) -> None:
        self.count += 1
        self.progress(self.count, self.count, -2.0 * value)


def _fixed_effects(found: BinaryMaximum, scaler: Scaler) -> FixedEffects:
    """Fixed effects in the units of the data."""
    assert found.covariance_of_beta is not None
    turned = np.zeros((len(found.beta), len(found.beta)))
    turned[0, 0] = 1.0
    turned[0, 1:] = -scaler.mean / scaler.scale
    turned[1:, 1:] = np.diag(1.0 / scaler.scale)
    return FixedEffects(
        names=("(Intercept)", *scaler.names),
        estimate=turned @ found.beta,
        covariance=turned @ found.covariance_of_beta @ turned.T,
    )


def _warn_of_division(found: BinaryMaximum, scaler: Scaler) -> None:
    """W237 for features that divide the classes: their coefficients have no maximum, or one far away."""
    large = [name for name, value in zip(scaler.names, found.beta[1:], strict=True) if abs(value) > DIVIDES]
    if large:
        message = (
            f"features that (nearly) divide the two classes: {', '.join(large)}. Their coefficients and standard "
            "errors are no estimates; leave them out, or predict with a model that has weight decay"
        )
        warnings.warn(ToolkitWarning(message, code="W237"), stacklevel=3)
