"""Plausible values: draws of every person's effects from their posterior, for analyses that see how unsure they are.

A posterior that was computed without the groups pulls both groups towards their common mean, and so do draws from it: a
difference between groups comes out too small. The effects are therefore drawn from the posterior given the variables
of the later analysis (latent regression: Mislevy, 1991, Psychometrika 56, 177-196). The likelihood of each person is
recovered from posterior and prior, both normal: ``Lambda_i = C_i^-1 - Sigma^-1``, ``h_i = C_i^-1 m_i``; the effects
then have mean ``B'x_i`` and covariance S, estimated by EM, and B is drawn with its own uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

MIN_DRAWS = 5
FLOOR = 1e-6
STEPS, TOLERANCE = 500, 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentRegression:
    """Effects given person variables: ``eta_i ~ N(B'x_i, S)``.

    Attributes:
        coefficients: B, shape (variables, parameters), the intercept first.
        coefficient_root: R with ``R R'`` the covariance of B's entries, row by row, square.
        residual: S, shape (parameters, parameters).
        offset, slope, covariance: each person's effects given B have mean ``offset + slope B'x`` and this covariance.
        steps: of EM. converged: whether it settled.
    """

    coefficients: np.ndarray
    coefficient_root: np.ndarray
    residual: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    covariance: np.ndarray
    steps: int
    converged: bool


def latent_regression(
    mean: Float[np.ndarray, "persons parameters"],
    covariance: Float[np.ndarray, "persons parameters parameters"],
    prior: Float[np.ndarray, "parameters parameters"],
    design: Float[np.ndarray, "persons variables"],
) -> LatentRegression:
    """Regression of the effects behind the posteriors on person variables, by EM.

    Args:
        mean: posterior means under a prior with mean zero.
        covariance: posterior covariances.
        prior: covariance of that prior, positive definite.
        design: variables of each person, the first column ones.

    Returns:
        The regression; S is diagonal when `prior` is.

    Raises:
        DataError: E124 when there are not more persons than variables.
    """
    persons, size = mean.shape
    if persons <= design.shape[1] + 1:
        raise DataError("there are too few persons for a regression of their effects", code="E124", column="group")
    information, evidence = _likelihood(mean, covariance, prior)
    diagonal = not np.any(prior - np.diag(np.diag(prior)))
    residual, outer = prior.copy(), np.linalg.pinv(design.T @ design)
    coefficients = np.zeros((design.shape[1], size))
    converged, steps = False, 0
    while steps < STEPS and not converged:
        steps += 1
        centre, spread = _given(information, evidence, residual, design @ coefficients)
        before = (coefficients, residual)
        unsure = _unsure_level(information, residual, design, spread)
        coefficients = outer @ design.T @ centre
        left = centre - design @ coefficients
        residual = (spread + unsure).mean(axis=0) + left.T @ left / persons
        if diagonal:
            residual = np.diag(np.maximum(np.diag(residual), FLOOR * np.diag(prior)))
        converged = _moved(before, (coefficients, residual), np.sqrt(np.diag(prior))) < TOLERANCE
    precision = np.linalg.inv(residual)
    spread = np.linalg.inv(information + precision)
    return LatentRegression(
        coefficients=read_only(coefficients),
        coefficient_root=read_only(_coefficient_root(information, residual, design)),
        residual=read_only(residual),
        offset=read_only(np.einsum("pab,pb->pa", spread, evidence)),
        slope=read_only(spread @ precision),
        covariance=read_only(spread),
        steps=steps,
        converged=converged,
    )


def draw_plausible_values(
    regression: LatentRegression, design: Float[np.ndarray, "persons variables"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws persons parameters"]:
    """Draw B, then every person's effects given B.

    Args:
        regression: of `latent_regression`.
        design: the variables it was given.
        draws: number of sets, at least 5; 20 is usual.
        rng: source of the draws.

    Raises:
        ConfigError: E125 too few draws.
    """
    if draws < MIN_DRAWS:
        raise ConfigError(
            f"{draws} sets of plausible values are too few", code="E125", column="draws", remedy="use at least 5"
        )
    shape = regression.coefficients.shape
    noise = rng.standard_normal((draws, shape[0] * shape[1])) @ regression.coefficient_root.T
    coefficients = regression.coefficients + noise.reshape(draws, *shape)
    level = np.einsum("pv,mva->mpa", design, coefficients)
    centre = regression.offset + np.einsum("pab,mpb->mpa", regression.slope, level)
    root = np.linalg.cholesky(regression.covariance)
    return centre + np.einsum("pab,mpb->mpa", root, rng.standard_normal(centre.shape))


def _given(
    information: np.ndarray, evidence: np.ndarray, residual: np.ndarray, level: np.ndarray
) -> tuple[Float[np.ndarray, "persons k"], Float[np.ndarray, "persons k k"]]:
    """Mean and covariance of every person's effects given their expectation and S."""
    precision = np.linalg.inv(residual)
    spread = np.linalg.inv(information + precision)
    return np.einsum("pab,pb->pa", spread, evidence + level @ precision), spread


def _unsure_level(
    information: np.ndarray, residual: np.ndarray, design: np.ndarray, spread: np.ndarray
) -> Float[np.ndarray, "persons k k"]:
    """What not knowing B adds to the variance of ``eta_i - B'x_i``.

    Without it S would be that of maximum likelihood, too small by the share of variables among persons; with it S is
    the restricted (REML) estimate.
    """
    size = len(residual)
    root = _coefficient_root(information, residual, design).reshape(design.shape[1], size, -1)
    level = np.einsum("pv,var->par", design, root)
    kept = np.eye(size) - spread @ np.linalg.inv(residual)
    moved = kept @ level
    return moved @ moved.swapaxes(1, 2)


def _moved(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], scale: np.ndarray) -> float:
    """Largest change of B and S in standard deviations of the effects."""
    mean, spread = np.abs(after[0] - before[0]) / scale, np.abs(after[1] - before[1]) / np.outer(scale, scale)
    return float(max(mean.max(), spread.max()))


def _likelihood(
    mean: np.ndarray, covariance: np.ndarray, prior: np.ndarray
) -> tuple[Float[np.ndarray, "persons k k"], Float[np.ndarray, "persons k"]]:
    """``Lambda_i`` (never negative) and ``h_i``, worked out where the prior is the identity."""
    root = np.linalg.cholesky(prior)
    back = np.linalg.inv(root)
    size, directions = np.linalg.eigh(back @ covariance @ back.T)
    kept = np.clip(size, 1e-12, 1.0)
    into = back.T @ directions
    information = (into * (1 / kept - 1)[:, None, :]) @ into.swapaxes(1, 2)
    evidence = np.einsum("pab,pb->pa", (into / kept[:, None, :]) @ into.swapaxes(1, 2), mean)
    return information, evidence


def _coefficient_root(information: np.ndarray, residual: np.ndarray, design: np.ndarray) -> np.ndarray:
    """R of B's covariance given S, the inverse of its information ``sum_i x_i x_i' (x) (S + Lambda_i^-1)^-1``."""
    # (S + Lambda^-1)^-1 = Lambda (I + S Lambda)^-1, also where Lambda is singular.
    size = len(residual)
    weight = information @ np.linalg.inv(np.eye(size) + residual @ information)
    whole = np.einsum("pv,pw,pab->vawb", design, design, weight).reshape(design.shape[1] * size, -1)
    values, vectors = np.linalg.eigh((whole + whole.T) / 2)
    # Directions that the data say nothing about keep the spread of the effects themselves.
    least = 1.0 / (np.diag(residual).max() * len(design))
    return vectors / np.sqrt(np.maximum(values, least * 1e-6))
