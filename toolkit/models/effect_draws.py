"""Draws from the posterior of person effects: plausible values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.effects.joint_draws import joint_draws
from toolkit.errors import ConfigError, DataError
from toolkit.models.effect_tables import ReportedFactor, reported_factors, whole_covariances_missing
from toolkit.models.tables import as_array
from toolkit.models.training import Trained

COLUMNS = {"term": "string", "level": "string", "parameter": "string", "draw": "int64", "value": "float64"}


def effect_draws(trained: Trained, draws: int, *, rng: np.random.Generator, term: str | None = None) -> pd.DataFrame:
    """Draws of every level's effects from their posterior ``N(mode, C_j)``, on the scale they are reported on.

    Shrunken estimates are less spread than what they estimate; statistics of draws, combined over draws by Rubin's
    rules, are not (Mislevy, 1991). All effects are drawn together, with their correlations: of one level, and with
    several grouping factors of persons and the families and items they belong to (`toolkit.effects.joint_draws`); draws
    with the same number belong together. A level without rows is drawn from the prior. Effects that a run of new
    persons was given (known families) have no draws there: theirs are NaN.

    Args:
        trained: a fitted model with a posterior of its effects.
        draws: how many of each level.
        rng: source of the draws.
        term: one grouping factor; all by default.

    Returns:
        Columns term, level, parameter, draw (from 0), value.

    Raises:
        ConfigError: E302 for no draws, or a grouping factor the model does not have.
        DataError: E406 for a model without effects, or with so many that their covariances are not kept.
    """
    if draws < 1:
        raise ConfigError("draw at least once", code="E302", column="draws", remedy="a number from 1")
    factors = reported_factors(trained)
    if not factors:
        raise DataError("this model has no posterior of effects", code="E406", remedy="fit NmeMlp, NmeCrf, Lmm or Glmm")
    if hasattr(trained.network, "field"):  # effects of places go together by their distance
        raise DataError(
            "effects beside a spatial effect are not drawn", code="E406", remedy="use their estimates and SDs"
        )
    known = [factor.grouping for factor in factors]
    if term is not None and term not in known:
        raise ConfigError(
            "this grouping factor is not known", code="E302", column="term", remedy=f"known: {', '.join(known)}"
        )
    if any(factor.wide for factor in factors):
        raise whole_covariances_missing()
    evidence = trained.estimate.evidence
    if evidence is None:
        noises = [_alone(factor, draws, rng) for factor in factors]
    else:
        together = joint_draws(evidence, draws, rng=rng)
        noises = [_placed(as_array(own), factor) for own, factor in zip(together, factors, strict=True)]
    pairs = zip(factors, noises, strict=True)
    found = [_drawn(factor, noise) for factor, noise in pairs if term in (None, factor.grouping)]
    return pd.concat(found, ignore_index=True).astype(COLUMNS)


def _alone(factor: ReportedFactor, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Deviations of one grouping factor from the mode (levels, draws, d), every level by itself."""
    covariance = as_array(factor.posterior.covariance)
    known = np.isfinite(covariance).all(axis=(1, 2), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(known, covariance, 0.0))
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]  # of a covariance that may be singular
    levels, size = factor.effects.eta.shape
    noise = np.einsum("lab,lnb->lna", root, rng.standard_normal((levels, draws, size)))
    return np.where(known, noise, np.nan)


def _placed(drawn: np.ndarray, factor: ReportedFactor) -> np.ndarray:
    """Joint draws (new levels, d, draws) as (levels, draws, d); levels that come before them are not drawn."""
    levels, size = factor.effects.eta.shape
    found = np.full((levels, drawn.shape[2], size), np.nan)
    new = int(np.isfinite(as_array(factor.posterior.covariance)).all(axis=(1, 2)).sum())
    found[levels - new :] = drawn[:new].transpose(0, 2, 1)
    return found


def _drawn(factor: ReportedFactor, noise: np.ndarray) -> pd.DataFrame:
    """Draws of one grouping factor, on the scale they are reported on."""
    levels, draws, size = noise.shape
    drawn = (as_array(factor.effects.eta)[:, None, :] + noise) @ factor.scale.T
    labels = factor.effects.layout.labels
    return pd.DataFrame(
        {
            "term": factor.grouping,
            "level": np.repeat(np.array(factor.levels, dtype=object), draws * size),
            "parameter": list(labels) * (levels * draws),
            "draw": np.tile(np.repeat(np.arange(draws), size), levels),
            "value": drawn.ravel(),
        }
    )
