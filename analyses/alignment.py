"""Bias-corrected dependence between two matrices of similarities or distances, and the same without each unit.

All come from sums over pairs of different units, so the values without one unit cost no more than the value itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jackknife:
    """An estimate, what it would be without each unit, and its standard deviation were there no dependence."""

    value: float
    left_out: np.ndarray
    spread: float


def unbiased_hsic(k: Float[np.ndarray, "n n"], m: Float[np.ndarray, "n n"]) -> tuple[float, Float[np.ndarray, " n"]]:
    """Unbiased HSIC of two matrices with zero diagonals, and its values without each unit; n of at least five.

    ``[tr(K M) + 1'K1 1'M1 / ((n-1)(n-2)) - 2/(n-2) 1'K M1] / (n (n-3))``. Source: Song et al. (2012), equation 5.
    """
    n = len(k)
    r, s, both = k.sum(axis=0), m.sum(axis=0), np.einsum("ij,ij->j", k, m)
    cross = float(r @ s)
    without = cross - r * s - m @ r - k @ s + both
    value = _combined(n, both.sum(), r.sum(), s.sum(), cross)
    return float(value), _combined(n - 1, both.sum() - 2 * both, r.sum() - 2 * r, s.sum() - 2 * s, without)


def _combined(n, products, first, second, cross):  # noqa: ANN001, ANN202 - numbers or arrays alike
    return (products + first * second / ((n - 1) * (n - 2)) - 2 / (n - 2) * cross) / (n * (n - 3))


def unbiased_alignment(k: Float[np.ndarray, "n n"], m: Float[np.ndarray, "n n"]) -> Jackknife:
    """``HSIC(K, M) / sqrt(HSIC(K, K) HSIC(M, M))``: bias-corrected CKA, or distance correlation (squared) of distances.

    0 when one of the matrices does not vary. Without dependence its standard deviation is about sqrt(2) / n.
    """
    (joint, joint_out), (own, own_out), (other, other_out) = (unbiased_hsic(*pair) for pair in ((k, m), (k, k), (m, m)))
    tiny = 1e-14 * max(float(np.mean(k**2)), float(np.mean(m**2)), 1e-300)
    if own <= tiny or other <= tiny:
        return Jackknife(value=0.0, left_out=np.zeros(len(k)), spread=0.0)
    scale = own_out * other_out
    left_out = np.divide(joint_out, np.sqrt(np.abs(scale)), out=np.zeros(len(k)), where=scale > 0)
    return Jackknife(value=joint / np.sqrt(own * other), left_out=left_out, spread=float(np.sqrt(2) / len(k)))


def between_groups(distance: Float[np.ndarray, "n n"], codes: Int[np.ndarray, " n"]) -> Jackknife:
    """Energy coefficient ``H = 1 - W / B``: mean distance within groups over mean distance between them.

    W is the mean over groups, B over pairs of groups. 0 when all distances are zero. Source: Székely & Rizzo (2013).
    """
    groups = int(codes.max()) + 1
    indicator = np.eye(groups)[codes]
    counts, to_group = indicator.sum(axis=0), distance @ indicator
    total = indicator.T @ to_group
    if not np.any(total):
        return Jackknife(value=0.0, left_out=np.zeros(len(codes)), spread=0.0)
    totals = np.repeat(total[None], len(codes), axis=0)
    rows = np.arange(len(codes))
    totals[rows, codes, :] -= to_group
    totals[rows, :, codes] -= to_group
    left_out = _coefficient(totals, counts - indicator)
    weights = _weights(counts)[np.ix_(codes, codes)]
    np.fill_diagonal(weights, 0.0)
    between = _between(total[None], counts[None])[0]
    spread = np.sqrt(2 * np.sum(_u_centred(distance) ** 2) * np.sum(weights**2) / (len(codes) * (len(codes) - 1)))
    return Jackknife(
        value=float(_coefficient(total[None], counts[None])[0]), left_out=left_out, spread=float(spread / between)
    )


def _coefficient(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """H from sums of distances (..., G, G) and group sizes (..., G); NaN for a group of one."""
    inside = np.diagonal(total, axis1=-2, axis2=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.mean(inside / (counts * (counts - 1)), axis=-1)
        return 1 - within / _between(total, counts)


def _between(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(counts.shape[-1], 1)
    return np.mean(total[..., first, second] / (counts[..., first] * counts[..., second]), axis=-1)


def _weights(counts: np.ndarray) -> np.ndarray:
    """Weight of each ordered pair of units in B - W, by their groups."""
    groups = counts.size
    weights = 1 / (groups * (groups - 1) * np.outer(counts, counts))
    np.fill_diagonal(weights, -1 / (groups * counts * (counts - 1)))
    return weights


def _u_centred(distance: np.ndarray) -> np.ndarray:
    n, sums = len(distance), distance.sum(axis=0)
    out = distance - (sums[:, None] + sums[None, :]) / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0.0)
    return out
