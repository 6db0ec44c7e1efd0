"""Person effects and variance components as tables, on the scale they are reported on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.models.tables import as_array
from toolkit.models.training import Trained
from toolkit.numerics.covariance import VARIANCE_FLOOR

LEVEL = 0.95
EFFECTS = {name: "string" for name in ("term", "level", "parameter")} | {
    name: "float64" for name in ("estimate", "sd", "low", "high", "reliability")
}
COMPONENTS = {"term": "string", "parameter": "string", "at_boundary": "bool"} | {
    name: "float64" for name in ("variance", "sd", "share", "correlation")
}
ORDER = ["term", "parameter", "variance", "sd", "share", "correlation", "at_boundary"]


def effects_table(trained: Trained, level: float = LEVEL) -> pd.DataFrame:
    """Person effects: estimate, posterior SD, interval, and reliability ``1 - Var(eta_i | data) / Var(eta)``.

    Effects of the last layer are in units of the target (a linear network's slopes per unit of their feature); all
    others on the standardised scale. SDs are given the shared parameters and variances, as lme4's conditional ones.
    """
    network, found = trained.network, trained.estimate
    labels, persons = network.effects.layout.labels, network.levels
    if not labels or found.posterior is None:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EFFECTS.items()})
    scale = trained.reported_scale
    eta = as_array(network.effects.eta) @ scale.T
    posterior = scale @ as_array(found.posterior.covariance) @ scale.T
    variance = np.maximum(np.diagonal(posterior, axis1=1, axis2=2), 0.0)
    reach = norm.ppf(0.5 + level / 2) * np.sqrt(variance)
    return pd.DataFrame(
        {
            "term": network.grouping,
            "level": np.repeat(np.array(persons, dtype=object), len(labels)),
            "parameter": list(labels) * len(persons),
            "estimate": eta.ravel(),
            "sd": np.sqrt(variance).ravel(),
            "low": (eta - reach).ravel(),
            "high": (eta + reach).ravel(),
            # Without a prior an estimate can be less certain than the persons differ.
            "reliability": np.maximum(1.0 - variance / np.diagonal(reported_covariance(trained)), 0.0).ravel(),
        }
    ).astype(EFFECTS)


def variance_table(trained: Trained) -> pd.DataFrame:
    """Variance components, one row per parameter that varies, and the residual row of a numeric target.

    ``share`` weighs each variance by how strongly its parameter acts on the outcome (its mean curvature per row), so
    that shares of different parameters can be compared. With a residual and independent effects they add up to one (for
    a random intercept the share is the intraclass correlation). Correlated effects of a linear network are weighed at
    the features' means; what is missing to one is their covariance.
    ``correlation`` is the correlation with the first parameter of the term, where correlations are estimated.
    """
    found, gaussian = trained.estimate, trained.network.task == "regression"
    labels = trained.network.effects.layout.labels
    rows: list[dict[str, Any]] = []
    residual = found.sigma2 if gaussian else 0.0
    total = residual
    if labels and found.posterior is not None:
        covariance = as_array(trained.network.effects.covariance)
        variance = np.diagonal(reported_covariance(trained))
        acting = _information(trained)
        total += float((covariance * acting).sum())
        correlation = correlations(trained)[0]
        floored = np.diagonal(covariance) <= 2.0 * VARIANCE_FLOOR
        estimated = bool(np.any(covariance - np.diag(np.diagonal(covariance))))
        for place, label in enumerate(labels):
            rows.append(
                {
                    "term": trained.network.grouping,
                    "parameter": label,
                    "variance": variance[place],
                    "share": covariance[place, place] * acting[place, place] / total if total > 0 else np.nan,
                    "correlation": correlation[place] if estimated and place else np.nan,
                    "at_boundary": floored[place],
                }
            )
    if gaussian:
        unit = trained.network.scaler.target_scale**2
        rows.append(
            {
                "term": "residual",
                "parameter": "residual",
                "variance": residual * unit,
                "share": residual / total,
                "correlation": np.nan,
                "at_boundary": residual <= 2.0 * VARIANCE_FLOOR,
            }
        )
    frame = pd.DataFrame(rows, columns=[name for name in ORDER if name != "sd"])
    return frame.assign(sd=np.sqrt(frame["variance"].astype("float64")))[ORDER].astype(COMPONENTS)


def reported_covariance(trained: Trained) -> np.ndarray:
    """Covariance of the person effects on the reported scale (d, d)."""
    scale = trained.reported_scale
    return scale @ as_array(trained.network.effects.covariance) @ scale.T


def correlations(trained: Trained) -> np.ndarray:
    """Correlations of the person effects on the reported scale (d, d)."""
    covariance = reported_covariance(trained)
    deviation = np.sqrt(np.diagonal(covariance))
    return covariance / np.outer(deviation, deviation)


def _information(trained: Trained) -> np.ndarray:
    """Mean curvature per training row (d, d), on the scale of the estimation; of half the loss for squared errors."""
    assert trained.estimate.posterior is not None
    curvature = as_array(trained.estimate.posterior.curvature).sum(axis=0) / trained.training_rows
    return curvature * (0.5 if trained.network.task == "regression" else 1.0)
