"""Convergence of chains: effective sample size, split rank-normalised R-hat, Monte Carlo standard error.

Draws are (chains, draws, ...): every further axis is a quantity of its own. numpy float64.

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16, 667-718; Geyer (1992).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.special import ndtri
from scipy.stats import rankdata


def ess(draws: Float[Array, "chains draws *shape"], *, kind: str = "bulk") -> Float[Array, "*shape"]:
    """Effective sample size.

        ESS = M N / τ,  τ = −1 + 2 Σ_t (ρ_2t + ρ_2t+1), over the initial positive, monotone sequence of Geyer.

    Args:
        draws: at least four draws a chain.
        kind: "bulk" for split chains of rank-normalised values, "mean" for the values as they are (what the Monte
            Carlo error of a mean needs).

    Returns:
        One number per quantity, NaN where the draws never move; at most M N log10(M N).
    """
    values = _split(_flat(draws))
    if kind == "bulk":
        values = _rank_normal(values)
    return _ess(values).reshape(np.shape(draws)[2:])


def rhat(draws: Float[Array, "chains draws *shape"]) -> Float[Array, "*shape"]:
    """Split R-hat of rank-normalised values: the larger of that of the values and of their distance to the median."""
    values = _split(_flat(draws))
    folded = np.abs(values - np.median(values, axis=(0, 1), keepdims=True))
    found = np.maximum(_rhat(_rank_normal(values)), _rhat(_rank_normal(folded)))
    return found.reshape(np.shape(draws)[2:])


def mcse(draws: Float[Array, "chains draws *shape"]) -> Float[Array, "*shape"]:
    """Monte Carlo standard error of the mean, SD / √ESS."""
    values = _flat(draws)
    sd = values.std(axis=(0, 1), ddof=1)
    return (sd / np.sqrt(_ess(_split(values)))).reshape(np.shape(draws)[2:])


def _flat(draws: Array) -> Array:
    values = np.asarray(draws, dtype=float)
    return values.reshape(*values.shape[:2], -1)


def _split(values: Array) -> Array:
    """Each chain as two, an odd draw in the middle left out."""
    half = values.shape[1] // 2
    return np.concatenate([values[:, :half], values[:, -half:]])


def _rank_normal(values: Array) -> Array:
    """Φ⁻¹((rank − 3/8) / (S + 1/4)), ranks over all chains together."""
    pooled = values.reshape(-1, values.shape[2])
    ranks = rankdata(pooled, axis=0)
    return ndtri((ranks - 0.375) / (len(pooled) + 0.25)).reshape(values.shape)


def _rhat(values: Array) -> Array:
    draws = values.shape[1]
    within = values.var(axis=1, ddof=1).mean(axis=0)
    between = draws * values.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((between / within + draws - 1) / draws)


def _ess(values: Array) -> Array:
    chains, draws, _ = values.shape
    covariance = _autocovariance(values)
    within = covariance[0] * draws / (draws - 1)
    total = within * (draws - 1) / draws
    if chains > 1:
        total = total + values.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within - covariance * draws / (draws - 1)) / total
    correlation[0] = 1.0
    pairs = correlation[: draws // 2 * 2].reshape(-1, 2, values.shape[2]).sum(axis=1)
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    monotone = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    time = np.maximum(2 * monotone.sum(axis=0) - 1, 1 / np.log10(chains * draws))
    return np.where(total > 0, chains * draws / time, np.nan)


def _autocovariance(values: Array) -> Array:
    """Autocovariance at each lag (divided by N), averaged over chains, by fast Fourier transform."""
    draws = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    size = 1 << (2 * draws - 1).bit_length()
    spectrum = np.fft.rfft(centred, size, axis=1)
    products = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :draws]
    return products.mean(axis=0) / draws
