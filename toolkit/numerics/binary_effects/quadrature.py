"""Log-likelihood of a logistic model with one random effect a level, by adaptive Gauss-Hermite quadrature.

``logit p_ij = f_ij + theta z_ij u_j`` with ``u_j ~ N(0, 1)``. For each level the nodes lie about the mode of its
integrand, scaled by its curvature there, and the sum over the nodes is one of logarithms (Pinheiro and Bates, 1995;
Liu and Pierce, 1994): no level is too large, and levels of all zeros or ones are like others. One node is Laplace's
approximation. The derivatives are those of the approximation itself: they follow the nodes as these move.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.level_rows import LevelRows, probabilities
from toolkit.numerics.binary_effects.modes import AT_MODE, Modes, find_modes

# numbers that are worked on at a time: as many as stay near the processor
AT_ONCE = 50_000


@cache
def rule(nodes: int) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes of the standard normal density, and ``log w + x^2 / 2`` of each, the weights adding up to one."""
    x, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return x, np.log(weights / np.sqrt(2.0 * np.pi)) + 0.5 * x**2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The log-likelihood at one set of logits and one SD.

    Attributes:
        value: marginal log-likelihood.
        by_logit: its derivative by the logit of each row, in the caller's order.
        by_theta: its derivative by the SD.
        mode: of each level that has rows, for the next evaluation to start from.
        mean: posterior mean of every level's effect (the mode with one node).
        sd: posterior SD of every level's effect.
    """

    value: float
    by_logit: Float[np.ndarray, " rows"]
    by_theta: float
    mode: Float[np.ndarray, " present"]
    mean: Float[np.ndarray, " levels"]
    sd: Float[np.ndarray, " levels"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Nodes:
    """What the nodes of every level say together.

    Attributes:
        value: logarithm of each level's integral.
        mean, variance: posterior moments of u.
        residual: posterior mean of ``y - p`` of each row.
        pull: ``sum_i z_i (y_i - p_i) u`` of each level, its posterior mean.
        by_mode, by_scale: derivative of ``value`` by where the nodes lie, and by the logarithm of their spacing.
    """

    value: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    residual: np.ndarray
    pull: np.ndarray
    by_mode: np.ndarray
    by_scale: np.ndarray


def evaluate(
    rows: LevelRows,
    logits: Float[np.ndarray, " rows"],
    theta: float,
    *,
    nodes: int,
    begin: Float[np.ndarray, " present"] | None = None,
    tolerance: float = AT_MODE,
) -> Evaluation:
    """Marginal log-likelihood and its derivatives.

    Args:
        rows: sorted by level.
        logits: of each row without the effects, in the caller's order.
        theta: SD of the effects.
        nodes: how many; 1 is Laplace's approximation.
        begin: modes to start from.
        tolerance: of the modes.
    """
    own = rows.sorted(logits)
    modes = find_modes(rows, own, theta, begin, tolerance)
    found = _over_nodes(rows, own, theta, modes, nodes)
    by_logit, by_theta = _derivatives(rows, theta, modes, found)
    return Evaluation(
        value=float(found.value.sum()),
        by_logit=rows.unsorted(by_logit),
        by_theta=by_theta,
        mode=modes.mode,
        mean=theta * rows.of_all(found.mean, 0.0),
        sd=abs(theta) * rows.of_all(np.sqrt(found.variance), 1.0),
    )


def _over_nodes(rows: LevelRows, logits: np.ndarray, theta: float, modes: Modes, nodes: int) -> _Nodes:
    """Sums over the nodes, those of one node of all levels at a time."""
    x, shift = rule(nodes)
    scale = 1.0 / np.sqrt(modes.curvature)
    u = modes.mode + x[:, None] * scale
    logs, slopes = np.empty_like(u), np.empty_like(u)
    residuals = np.empty((nodes, len(logits)))
    some = max(AT_ONCE // max(len(logits), 1), 1)
    for begin in range(0, nodes, some):
        part = slice(begin, begin + some)
        eta = logits + theta * rows.spread(u[part])
        probability, loss = probabilities(eta)
        logs[part] = rows.sums((rows.target - 1.0) * eta - loss)
        np.subtract(rows.target, probability, out=residuals[part])
        slopes[part] = rows.design_sums(residuals[part])
    logs += shift[:, None] - 0.5 * u**2
    largest = logs.max(axis=0)
    mass = np.exp(logs - largest)
    total = mass.sum(axis=0)
    mass /= total
    mean = (mass * u).sum(axis=0)
    residual = np.zeros(len(logits))
    for begin in range(0, nodes, some):
        part = slice(begin, begin + some)
        residuals[part] *= np.repeat(mass[part], rows.counts, axis=1)
        residual += residuals[part].sum(axis=0)
    steepness = mass * (theta * slopes - u)
    return _Nodes(
        value=largest + np.log(total * scale),
        mean=mean,
        variance=(mass * (u - mean) ** 2).sum(axis=0) if nodes > 1 else scale**2,
        residual=residual,
        pull=(mass * slopes * u).sum(axis=0),
        by_mode=steepness.sum(axis=0),
        by_scale=1.0 + (steepness * x[:, None]).sum(axis=0) * scale,
    )


def _derivatives(rows: LevelRows, theta: float, modes: Modes, found: _Nodes) -> tuple[np.ndarray, float]:
    """Derivatives by the rows' logits and by theta, the nodes moving along.

    At the mode ``G = theta sum z (y - p) - u = 0`` and the curvature is ``H = theta^2 sum z^2 w + 1``, ``w = p (1-p)``;
    nodes lie at ``mode + x H^-1/2``.
    """
    p = modes.probability
    w = p * (1.0 - p)
    bend = w * (1.0 - 2.0 * p)
    third = theta**3 * rows.design_sums(bend, 3)
    by_curvature = -0.5 * found.by_scale / modes.curvature
    by_mode = (found.by_mode + by_curvature * third) / modes.curvature
    by_logit = found.residual - theta * w * rows.spread(by_mode) + theta**2 * bend * _squared(rows, by_curvature)
    moved = rows.design_sums(rows.target - p) - theta * modes.mode * rows.design_sums(w, 2)
    curved = 2.0 * theta * rows.design_sums(w, 2) + theta**2 * modes.mode * rows.design_sums(bend, 3)
    return by_logit, float((found.pull + by_mode * moved + by_curvature * curved).sum())


def _squared(rows: LevelRows, values: np.ndarray) -> np.ndarray:
    """A level's value in each of its rows, times the square of the design."""
    found = rows.spread(values)
    return found if rows.design is None else found * rows.design
