"""Probabilities of two classes averaged over what is not known of the effects.

The plug-in ``sigmoid(f + b)`` is too sure of itself where few rows speak for a level. Averaged over the posterior,
taken as normal, it is what a level's next row has for its probability; a level nobody has seen is averaged over the
whole of its factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import DataError
from toolkit.models.effect_tables import ReportedFactor, reported_factors
from toolkit.models.glmm_fit import TrainedGlmm
from toolkit.models.lmmnn_binary import TrainedBinaryLmmnn
from toolkit.models.tables import as_array

NODES = 21


def averaged_probabilities(trained: Any, data: GroupedDataset) -> Float[np.ndarray, "rows classes"]:
    """Probability of both classes in every row, averaged over the posterior of the effects.

    Covariances between the effects of several factors are left out.

    Args:
        trained: a fitted `Glmm`, or `Lmmnn` for two classes.
        data: rows to predict.

    Raises:
        DataError: E406 for another model.
    """
    if not isinstance(trained, TrainedGlmm | TrainedBinaryLmmnn):
        raise DataError(
            "only mixed models of two classes are averaged", code="E406", remedy="fit Glmm or Lmmnn(task='binary')"
        )
    network = trained.network
    level = logit(np.clip(network.predict(data)[:, 1], 1e-15, 1.0 - 1e-15))
    codes = network.all_codes(data)
    codes = codes[:, None] if codes.ndim == 1 else codes
    variance = np.zeros(data.n_rows)
    for factor, own in zip(reported_factors(trained), codes.T, strict=True):
        columns = _columns(factor, data)
        known = as_array(factor.posterior.covariance)
        spread = factor.scale @ np.concatenate([known, as_array(factor.effects.covariance)[None]]) @ factor.scale.T
        variance += np.einsum("ra,rab,rb->r", columns, spread[own], columns)  # unknown levels (-1) have the prior
    x, weights = np.polynomial.hermite_e.hermegauss(NODES)
    points = expit(level[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * x)
    second = points @ (weights / weights.sum())
    return np.column_stack([1.0 - second, second])


def _columns(factor: ReportedFactor, data: GroupedDataset) -> Float[np.ndarray, "rows effects"]:
    """What the effects are multiplied with, in the units of the data: ones, features and their powers."""
    features, found = np.asarray(data.features), []
    for label in factor.effects.layout.labels:
        if label.endswith("bias"):
            found.append(np.ones(data.n_rows))
            continue
        name, _, power = label.partition("[")[2].rstrip("]").partition("^")
        found.append(features[:, data.feature_names.index(name)] ** int(power or 1))
    return np.column_stack(found)
