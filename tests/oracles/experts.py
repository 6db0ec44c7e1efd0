"""Mixtures of experts as the paper writes them (Feffer, Rudovic and Picard, 2018, Eqs. 1 to 8): loops in plain Python.

One row and one expert at a time. ``rows`` is a list of feature vectors; ``experts`` a list of (weights, offsets), one
line of weights for each output; ``gate`` a list of (weights, offset), one for each expert.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def linear(weights: Sequence[float], offset: float, z: Sequence[float]) -> float:
    return sum(w * value for w, value in zip(weights, z, strict=True)) + offset


def gate_scores(gate, z) -> list[float]:
    return [linear(weights, offset, z) for weights, offset in gate]


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def expert_outputs(expert, z) -> list[float]:
    weights, offsets = expert
    return [linear(line, offset, z) for line, offset in zip(weights, offsets, strict=True)]


def mixed(experts, gate, z) -> list[float]:
    """Eq. 1."""
    shares = softmax(gate_scores(gate, z))
    outputs = [expert_outputs(expert, z) for expert in experts]
    return [sum(c * y[o] for c, y in zip(shares, outputs, strict=True)) for o in range(len(outputs[0]))]


def probabilities(outputs: Sequence[float], task: str) -> list[float]:
    if task == "binary":
        second = 1.0 / (1.0 + math.exp(-outputs[0]))
        return [1.0 - second, second]
    return softmax(outputs)


def mixed_probabilities(experts, gate, z, task: str) -> list[float]:
    shares = softmax(gate_scores(gate, z))
    own = [probabilities(expert_outputs(expert, z), task) for expert in experts]
    return [sum(c * p[k] for c, p in zip(shares, own, strict=True)) for k in range(len(own[0]))]


def squared_error(experts, gate, z, y) -> float:
    """A row's term of Eq. 5."""
    return sum((truth - found) ** 2 for truth, found in zip(y, mixed(experts, gate, z), strict=True))


def recognition(gate, z, own: Sequence[int]) -> float:
    """A row's term of Eq. 6: minus the log of the weight of the person's experts together."""
    shares = softmax(gate_scores(gate, z))
    return -math.log(sum(shares[expert] for expert in own)) if own else 0.0


def sparsity(gate, z) -> float:
    """A row's term of Eq. 7, as a mean over the experts."""
    scores = gate_scores(gate, z)
    return sum(abs(score) for score in scores) / len(scores)


def joint(experts, gate, rows, truths, owners, lambda_0: float, lambda_1: float, task: str = "regression") -> float:
    """Eq. 4 (Eq. 8 where nobody owns an expert)."""
    total = 0.0
    for z, y, own in zip(rows, truths, owners, strict=True):
        if task == "regression":
            total += squared_error(experts, gate, z, y)
        else:
            total -= math.log(mixed_probabilities(experts, gate, z, task)[y])
        total += lambda_0 * recognition(gate, z, own) + lambda_1 * sparsity(gate, z)
    return total / len(rows)


def blup(
    design: np.ndarray, y: np.ndarray, mean: np.ndarray, prior: np.ndarray, sigma2: float
) -> tuple[np.ndarray, np.ndarray]:
    """A person's effects and their covariance by the dense formula, ``T Z' (Z T Z' + sigma2 I)^-1 (y - Z mean)``."""
    spread = design @ prior @ design.T + sigma2 * np.eye(len(y))
    gain = prior @ design.T @ np.linalg.inv(spread)
    return gain @ (y - design @ mean), prior - gain @ design @ prior


def em_round(designs, ys, mean, tau: np.ndarray, sigma2: float, blocks) -> tuple[np.ndarray, np.ndarray, float]:
    """One round of EM for ``y_i = Z_i (mean + eta_i) + e``, ``eta_i ~ N(0, diag(tau))``, tau equal within blocks."""
    found = [blup(z, y, mean, np.diag(tau), sigma2) for z, y in zip(designs, ys, strict=True)]
    own = np.array([mean + eta for eta, _ in found])
    new = own.mean(axis=0)
    second = np.array([(line - new) ** 2 + np.diag(v) for line, (_, v) in zip(own, found, strict=True)])
    moved = np.empty_like(tau)
    for block in blocks:
        moved[block] = second[:, block].mean()
    total = 0.0
    for z, y, line, (_, v) in zip(designs, ys, own, found, strict=True):
        total += ((y - z @ line) ** 2).sum() + np.trace(z @ v @ z.T)
    return new, moved, total / sum(len(y) for y in ys)


def log_likelihood(designs, ys, mean: np.ndarray, tau: np.ndarray, sigma2: float) -> float:
    """Marginal log-likelihood of the same model, person by person."""
    total = 0.0
    for z, y in zip(designs, ys, strict=True):
        spread = z @ np.diag(tau) @ z.T + sigma2 * np.eye(len(y))
        left = y - z @ mean
        total -= 0.5 * (left @ np.linalg.solve(spread, left) + np.linalg.slogdet(2 * np.pi * spread)[1])
    return total
