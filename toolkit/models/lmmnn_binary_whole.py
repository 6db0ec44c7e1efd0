"""The second half of a training for two classes: the likelihood of all rows in place of that of mini-batches.

Along the network's outputs the derivative of the marginal log-likelihood of all rows is the posterior mean of ``y - p``
(Fisher's identity). With the posterior of what the effects add to each row taken anew after each epoch, steps on the
expected cross-entropy therefore end where that likelihood is stationary; see `toolkit.models.lmmnn_whole`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from toolkit.numerics.binary_effects.model import BinaryMaximum, maximise_binary
from toolkit.numerics.mixed.design import Design, parameters, relative_factors

# nodes and weights of a normal density that integrate polynomials up to the fifth degree
NODES = (-math.sqrt(3.0), 0.0, math.sqrt(3.0))
WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)
# effects beside those of the largest factor up to which variances are estimated anew after each epoch
FEW = 300
ADDED_MEAN, ADDED_SD, ADDED_THETA = "added_mean", "added_sd", "added_theta"


class AddedToRows:
    """What the effects add to the logit of each row: posterior mean and SD, given what the network says."""

    def __init__(self, design: Design, begin: Callable[[], list[np.ndarray]], nodes: int) -> None:
        """Keep the rows.

        Args:
            design: of the training rows.
            begin: relative factors to start from, as mini-batches have them.
            nodes: of the quadrature.
        """
        self.design, self.begin, self.nodes = design, begin, nodes

    @property
    def size(self) -> int:
        """Free elements of the relative factors."""
        return sum(len(factor.free[0]) for factor in self.design.factors)

    def __call__(
        self, logits: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
        """Mean and SD of each row, and the free elements of the relative factors; those of the last call come in.

        Minus twice the log-likelihood comes with them.

        The level of the logits is left to the network.
        """
        sizes = sorted(factor.levels * factor.size for factor in self.design.factors)
        relative = self.begin() if theta is None else relative_factors(theta, self.design.factors)
        search = theta is None or sum(sizes[:-1]) <= FEW
        found = maximise_binary(self.design, logits, nodes=self.nodes, begin=(relative, np.zeros(1)), search=search)
        if search:
            relative = [_root(covariance) for covariance in found.covariances]
        return (*added_to_rows(self.design, found), parameters(relative, self.design.factors)), -2.0 * found.value


def added_to_rows(design: Design, found: BinaryMaximum) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and SD of what the effects add to each row; covariances between factors are left out."""
    mean, variance = np.zeros(len(design.outcome)), np.zeros(len(design.outcome))
    for factor, effects, spreads in zip(design.factors, found.effects, found.spreads, strict=True):
        z, codes = factor.design, factor.codes
        mean += (z * effects[codes]).sum(axis=1)
        variance += np.einsum("ra,rab,rb->r", z, spreads[codes], z)
    return mean, np.sqrt(np.maximum(variance, 0.0))


def expected_cross_entropy(
    logits: Float[Tensor, " rows"],
    target: Float[Tensor, " rows"],
    mean: Float[Tensor, " rows"],
    sd: Float[Tensor, " rows"],
) -> Float[Tensor, ""]:
    """Mean over the rows of the expected cross-entropy where the effects add a normal number."""
    level = logits + mean
    total = sum(weight * softplus(level + node * sd).mean() for node, weight in zip(NODES, WEIGHTS, strict=True))
    return torch.as_tensor(total) - (target * level).mean()


def _root(covariance: np.ndarray) -> np.ndarray:
    """Lower triangular factor of a covariance that may be singular."""
    return np.linalg.cholesky(covariance + 1e-8 * np.eye(len(covariance)))
