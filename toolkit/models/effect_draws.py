"""Draws from the posterior of person effects: plausible values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.errors import ConfigError, DataError
from toolkit.models.effect_tables import ReportedFactor, reported_factors
from toolkit.models.tables import as_array
from toolkit.models.training import Trained

COLUMNS = {"term": "string", "level": "string", "parameter": "string", "draw": "int64", "value": "float64"}


def effect_draws(trained: Trained, draws: int, *, rng: np.random.Generator, term: str | None = None) -> pd.DataFrame:
    """Draws of every level's effects from their posterior ``N(mode, C_j)``, on the scale they are reported on.

    Shrunken estimates are less spread than what they estimate; statistics of draws, combined over draws by Rubin's
    rules, are not (Mislevy, 1991). Effects of one level are drawn together, with their correlations; those of different
    levels are independent given the shared parameters, and of several grouping factors each is drawn by itself. A level
    without rows is drawn from the prior.

    Args:
        trained: a fitted model with a posterior of its effects.
        draws: how many of each level.
        rng: source of the draws.
        term: one grouping factor; all by default.

    Returns:
        Columns term, level, parameter, draw (from 0), value.

    Raises:
        ConfigError: E302 for no draws, or a grouping factor the model does not have.
        DataError: E406 for a model without effects.
    """
    if draws < 1:
        raise ConfigError("draw at least once", code="E302", column="draws", remedy="a number from 1")
    factors = reported_factors(trained)
    if not factors:
        raise DataError("this model has no posterior of effects", code="E406", remedy="fit NmeMlp, NmeCrf or Lmm")
    known = [factor.grouping for factor in factors]
    if term is not None and term not in known:
        raise ConfigError(
            "this grouping factor is not known", code="E302", column="term", remedy=f"known: {', '.join(known)}"
        )
    chosen = [factor for factor in factors if term in (None, factor.grouping)]
    return pd.concat([_drawn(factor, draws, rng) for factor in chosen], ignore_index=True).astype(COLUMNS)


def _drawn(factor: ReportedFactor, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draws of one grouping factor."""
    values, vectors = np.linalg.eigh(as_array(factor.posterior.covariance))
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]  # of a covariance that may be singular
    levels, size = factor.effects.eta.shape
    noise = np.einsum("lab,lnb->lna", root, rng.standard_normal((levels, draws, size)))
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
