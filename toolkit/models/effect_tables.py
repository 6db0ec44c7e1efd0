"""Effects and variance components as tables, on the scale they are reported on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.errors import DataError
from toolkit.models.outcomes import noise_of
from toolkit.models.tables import as_array
from toolkit.models.training import Trained
from toolkit.numerics.covariance import VARIANCE_FLOOR

LEVEL = 0.95
SHOWN = 3  # names in a note
EFFECTS = {name: "string" for name in ("term", "level", "parameter")} | {
    name: "float64" for name in ("estimate", "sd", "low", "high", "reliability")
}
COMPONENTS = {"term": "string", "parameter": "string", "at_boundary": "bool"} | {
    name: "float64" for name in ("variance", "sd", "share", "correlation")
}
ORDER = ["term", "parameter", "variance", "sd", "share", "correlation", "at_boundary"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportedFactor:
    """One grouping factor of a fitted network, as the tables need it."""

    grouping: str
    levels: tuple[str, ...]
    effects: RandomEffects
    posterior: Posterior | PosteriorVariances
    scale: np.ndarray

    @property
    def wide(self) -> bool:
        """Very many effects: covariances, posterior, curvature and scale are kept as their diagonals."""
        return self.scale.ndim == 1

    @property
    def variances(self) -> np.ndarray:
        """Variances of the effects on the reported scale (d,)."""
        if self.wide:
            return self.scale**2 * as_array(self.effects.covariance)
        return np.diagonal(_on_reported_scale(self.effects, self.scale))

    @property
    def reported(self) -> np.ndarray:
        """Effects on the reported scale (levels, d)."""
        eta = as_array(self.effects.eta)
        return eta * self.scale if self.wide else eta @ self.scale.T

    @property
    def posterior_variances(self) -> np.ndarray:
        """Posterior variances on the reported scale (levels, d)."""
        if self.wide:
            return self.scale**2 * as_array(self.posterior.covariance)
        whole = self.scale @ as_array(self.posterior.covariance) @ self.scale.T
        return np.maximum(np.diagonal(whole, axis1=1, axis2=2), 0.0)


def reported_factors(trained: Trained) -> list[ReportedFactor]:
    """The grouping factors whose effects have a posterior, the person first."""
    network, found = trained.network, trained.estimate
    if found.posterior is None or not (network.effects.layout.size or found.further):
        return []
    person = ReportedFactor(
        grouping=network.grouping,
        levels=network.levels,
        effects=network.effects,
        posterior=found.posterior,
        scale=trained.reported_scale,
    )
    further = [
        ReportedFactor(
            grouping=factor.grouping, levels=factor.levels, effects=factor.effects, posterior=posterior, scale=scale
        )
        for factor, (_, posterior), scale in zip(network.further, found.further, trained.further_scales, strict=True)
    ]
    return [factor for factor in (person, *further) if factor.effects.layout.size]


def effects_table(trained: Trained, level: float = LEVEL) -> pd.DataFrame:
    """Person effects: estimate, posterior SD, interval, and reliability ``1 - Var(eta_i | data) / Var(eta)``.

    With several grouping factors the effects of every factor (``term``), one after the other. Effects of the last
    layer are in units of the target (a linear network's slopes per unit of their feature); all others on the
    standardised scale. SDs are given the shared parameters and variances, as lme4's conditional ones.
    """
    parts = [_effects_of(factor, level) for factor in reported_factors(trained)]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EFFECTS.items()})
    return pd.concat(parts, ignore_index=True)


def _effects_of(factor: ReportedFactor, level: float) -> pd.DataFrame:
    """Effects of one grouping factor."""
    labels, eta, variance = factor.effects.layout.labels, factor.reported, factor.posterior_variances
    reach = norm.ppf(0.5 + level / 2) * np.sqrt(variance)
    return pd.DataFrame(
        {
            "term": factor.grouping,
            "level": np.repeat(np.array(factor.levels, dtype=object), len(labels)),
            "parameter": list(labels) * len(factor.levels),
            "estimate": eta.ravel(),
            "sd": np.sqrt(variance).ravel(),
            "low": (eta - reach).ravel(),
            "high": (eta + reach).ravel(),
            # Without a prior an estimate can be less certain than the persons differ.
            "reliability": np.maximum(1.0 - variance / factor.variances, 0.0).ravel(),
        }
    ).astype(EFFECTS)


def variance_table(trained: Trained) -> pd.DataFrame:
    """Variance components, one row per parameter that varies, and the residual row of a numeric target.

    ``share`` weighs each variance by how strongly its parameter acts on the outcome (its mean curvature per row), so
    that shares of different parameters can be compared. With a residual and independent effects they add up to one (for
    a random intercept the share is the intraclass correlation). Correlated effects of a linear network are weighed at
    the features' means; what is missing to one is their covariance. Several targets are counted in SDs of each, and
    have one residual row each, ``residual[target]``; all shares together add up to one.
    ``correlation`` is the correlation with the first parameter of the term, where correlations are estimated.
    """
    gaussian, factors = trained.network.task == "regression", reported_factors(trained)
    acting = [_information(factor, trained, place) for place, factor in enumerate(factors)]
    residuals = _residuals(trained) if gaussian else np.zeros(1)
    total = residuals.sum() + sum(
        float((as_array(factor.effects.covariance) * own).sum()) for factor, own in zip(factors, acting, strict=True)
    )
    rows: list[dict[str, Any]] = []
    for factor, own in zip(factors, acting, strict=True):
        rows += _components_of(factor, own, total)
    names = [f"residual[{name}]" for name in trained.network.target_names] or ["residual"]
    scales = trained.network.scaler.targets.scale
    for name, residual, scale in zip(names, residuals, scales, strict=True) if gaussian else ():
        rows.append(
            {
                "term": "residual",
                "parameter": name,
                "variance": residual * scale**2,
                "share": residual / total,
                "correlation": np.nan,
                "at_boundary": residual <= 2.0 * VARIANCE_FLOOR,
            }
        )
    frame = pd.DataFrame(rows, columns=[name for name in ORDER if name != "sd"])
    return frame.assign(sd=np.sqrt(frame["variance"].astype("float64")))[ORDER].astype(COMPONENTS)


def _residuals(trained: Trained) -> np.ndarray:
    """Residual variance of each target on the scale of the estimation (targets,)."""
    found = trained.estimate
    return np.array([found.sigma2]) if found.residuals is None else as_array(found.residuals)


def _components_of(factor: ReportedFactor, acting: np.ndarray, total: float) -> list[dict[str, Any]]:
    """Rows of one grouping factor."""
    covariance, variances = as_array(factor.effects.covariance), factor.variances
    own = covariance if factor.wide else np.diagonal(covariance)
    weights = acting if factor.wide else np.diagonal(acting)
    with_first = _correlations_with_first(factor)
    return [
        {
            "term": factor.grouping,
            "parameter": label,
            "variance": variances[place],
            "share": own[place] * weights[place] / total if total > 0 else np.nan,
            "correlation": with_first[place],
            "at_boundary": own[place] <= 2.0 * VARIANCE_FLOOR,
        }
        for place, label in enumerate(factor.effects.layout.labels)
    ]


def _correlations_with_first(factor: ReportedFactor) -> np.ndarray:
    """Correlation of each effect with the first (d,); missing where correlations are not estimated."""
    covariance = as_array(factor.effects.covariance)
    if factor.wide or not np.any(covariance - np.diag(np.diagonal(covariance))):
        return np.full(len(covariance), np.nan)
    reported = _on_reported_scale(factor.effects, factor.scale)
    deviation = np.sqrt(np.diagonal(reported))
    found = reported[0] / (deviation[0] * deviation)
    found[0] = np.nan
    return found


def reported_covariance(trained: Trained) -> np.ndarray:
    """Covariance of the person effects on the reported scale (d, d)."""
    return _on_reported_scale(trained.network.effects, trained.reported_scale)


def whole_covariances_missing() -> DataError:
    """E406 for what needs the correlations of very many effects."""
    return DataError(
        "of this many effects a person only the variances are kept, not how they go together",
        code="E406",
        remedy='let fewer parameters vary, such as effects="last"',
    )


def _on_reported_scale(effects: RandomEffects, scale: np.ndarray) -> np.ndarray:
    """Covariance of a factor's effects on the reported scale (d, d)."""
    return scale @ as_array(effects.covariance) @ scale.T


def correlations(trained: Trained) -> np.ndarray:
    """Correlations of the person effects on the reported scale (d, d)."""
    if trained.reported_scale.ndim == 1:
        raise whole_covariances_missing()
    covariance = reported_covariance(trained)
    deviation = np.sqrt(np.diagonal(covariance))
    return covariance / np.outer(deviation, deviation)


def _information(factor: ReportedFactor, trained: Trained, place: int) -> np.ndarray:
    """Mean curvature per training row (d, d), on the scale of the estimation; of numbers ``g g'``, the outputs' own."""
    if trained.estimate.acting:
        return as_array(trained.estimate.acting[place])
    if trained.estimate.residuals is not None:  # no row has spoken
        return np.zeros(factor.posterior.curvature.shape[1:])
    curvature = as_array(factor.posterior.curvature).sum(axis=0) / trained.training_rows
    noise = noise_of(trained.network.config)
    return curvature if noise is None else curvature / noise.curvature(trained.estimate.sigma2)


def boundary_notes(components: pd.DataFrame) -> list[str]:
    """W235 for every grouping factor with variances at the floor, in words for the manifest.

    The floor is a variance of 1e-6 on the standardised scale: an SD of a thousandth of the outcome's, or of the scores'
    unit. Such a variance cannot be told from zero; the effects that belong to it are the average.
    """
    notes = []
    for term, names, count in _at_the_floor(components):
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        notes.append(
            f"W235: {len(names)} of {count} variances of '{term}' cannot be told from zero ({shown}): their "
            "effects are the average for everybody"
        )
    return notes


def boundary_sentences(components: pd.DataFrame) -> list[str]:
    """The same in short, for the sentence that says how the fit ended."""
    return [
        f"{len(names)} of {count} variances of '{term}' cannot be told from zero."
        for term, names, count in _at_the_floor(components)
    ]


def _at_the_floor(components: pd.DataFrame) -> list[tuple[str, list[str], int]]:
    """Every grouping factor with variances at the floor: its name, theirs, and the number of all its variances."""
    found = []
    for term, part in components[components["term"] != "residual"].groupby("term", sort=False):
        names = part.loc[part["at_boundary"], "parameter"].astype(str).tolist()
        if names:
            found.append((str(term), names, len(part)))
    return found
