"""Draws from the joint posterior of the effects of several grouping factors.

With ``Sigma = L L'`` the prior, ``H_l`` the curvature of line l and ``E_l`` choosing its levels, the posterior
covariance is ``C = L B^-1 L'``, ``B = I + w L' (sum_l E_l' H_l E_l) L`` (`toolkit.effects.joint`). A vector that has
``B`` for its covariance costs one pass over the lines,

    u = e_0 + L' sum_l E_l' (w H_l)^1/2 e_l,    e_0 and e_l standard normal,

and then ``L B^-1 u`` has the covariance ``L B^-1 B B^-1 L' = C``: drawing is solving (Papandreou and Yuille, 2010). The
system is solved through the Schur complement where the factors beside the largest have few effects, and by conjugate
gradients where they have many, to a residual that is nothing beside the spread of the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.joint import Factors, JointPosterior, joint_posterior

# Effects beside the largest factor up to which the system is solved directly.
MOST_DIRECT = 2_000
TOLERANCE, MOST_STEPS = 1e-8, 2_000
# Numbers of vectors that are solved for at a time.
AT_ONCE = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineEvidence:
    """What rows and prior say about the effects of all factors.

    Attributes:
        factors: whose effects.
        curvature: Hessian of each line's loss with respect to its effects, those of the factors side by side.
        covariances: prior covariance of each factor's effects.
        weight: of the loss against the prior.
    """

    factors: Factors
    curvature: Float[Tensor, "lines d d"]
    covariances: tuple[Tensor, ...]
    weight: float

    @property
    def roots(self) -> list[Tensor]:
        """Lower Cholesky factors of the covariances."""
        return [torch.linalg.cholesky(covariance.double()) for covariance in self.covariances]


def joint_draws(evidence: LineEvidence, draws: int, *, rng: np.random.Generator) -> list[Float[Tensor, "levels d n"]]:
    """Draws of the deviations of all effects from their posterior mode, by factor.

    The draws with the same number belong together.

    Args:
        evidence: what rows and prior say.
        draws: how many.
        rng: source of the draws.
    """
    factors = evidence.factors
    effects = sum(count * size for count, size in zip(factors.levels, factors.sizes, strict=True))
    some = max(AT_ONCE // max(effects + evidence.curvature.shape[0] * evidence.curvature.shape[1], 1), 1)
    system = _Conjugate(evidence) if factors.dense > MOST_DIRECT else _direct(evidence)
    parts = []
    for start in range(0, draws, some):
        solved = system.solve(_perturbed(evidence, min(some, draws - start), rng))
        parts.append([root @ value for root, value in zip(evidence.roots, solved, strict=True)])
    return [torch.cat(own, dim=2) for own in zip(*parts, strict=True)]


def _direct(evidence: LineEvidence) -> JointPosterior:
    return joint_posterior(evidence.factors, evidence.curvature, evidence.covariances, evidence.weight)


def _perturbed(evidence: LineEvidence, draws: int, rng: np.random.Generator) -> list[Tensor]:
    """Vectors with the covariance ``B``, by factor."""
    factors, curvature = evidence.factors, evidence.curvature.double()
    values, vectors = torch.linalg.eigh(curvature)
    root = vectors * (evidence.weight * values.clamp(min=0.0)).sqrt()[:, None]

    def normal(*shape: int) -> Tensor:
        return torch.as_tensor(rng.standard_normal(shape), device=curvature.device)

    own = [normal(count, size, draws) for count, size in zip(factors.levels, factors.sizes, strict=True)]
    pulled = root @ normal(len(curvature), curvature.shape[1], draws)
    summed = _of_levels(factors, pulled)
    return [one + prior.T @ other for one, prior, other in zip(own, evidence.roots, summed, strict=True)]


def _of_levels(factors: Factors, lines: Float[Tensor, "lines d n"]) -> list[Tensor]:
    """Values of the lines summed at their levels; where a line has no level they are dropped."""
    found = []
    for place, (codes, count, size) in enumerate(zip(factors.codes, factors.levels, factors.sizes, strict=True)):
        known = codes >= 0
        empty = lines.new_zeros((count, size, lines.shape[2]))
        found.append(empty.index_add_(0, codes[known], lines[known][:, factors.parts(place)]))
    return found


def _of_lines(factors: Factors, values: Sequence[Tensor]) -> Float[Tensor, "lines d n"]:
    """Values of the levels that meet in each line; zero where there is none."""
    parts = [
        torch.where((codes >= 0)[:, None, None], own[codes.clamp(min=0)], 0.0)
        for codes, own in zip(factors.codes, values, strict=True)
    ]
    return torch.cat(parts, dim=1)


class _Conjugate:
    """``B^-1`` by conjugate gradients, one for each column, with the blocks of the levels as preconditioner."""

    def __init__(self, evidence: LineEvidence) -> None:
        self._factors, self._roots = evidence.factors, evidence.roots
        self._curved = evidence.weight * evidence.curvature.double()
        self._inverses = []
        for place, root in enumerate(self._roots):
            part = self._factors.parts(place)
            codes = self._factors.codes[place]
            blocks = self._curved.new_zeros((self._factors.levels[place], *root.shape))
            blocks.index_add_(0, codes[codes >= 0], self._curved[codes >= 0][:, part, part])
            inner = torch.eye(len(root), dtype=root.dtype, device=root.device) + root.T @ blocks @ root
            self._inverses.append(torch.cholesky_inverse(torch.linalg.cholesky(inner)))

    def times(self, values: Sequence[Tensor]) -> list[Tensor]:
        """``B`` times vectors."""
        lines = _of_lines(self._factors, [root @ value for root, value in zip(self._roots, values, strict=True)])
        pulled = _of_levels(self._factors, self._curved @ lines)
        return [value + root.T @ own for value, root, own in zip(values, self._roots, pulled, strict=True)]

    def solve(self, values: Sequence[Tensor]) -> list[Tensor]:
        """``B^-1`` times vectors, to a relative residual of ``TOLERANCE``."""
        found = [torch.zeros_like(value) for value in values]
        left = [value.clone() for value in values]
        towards = [inverse @ value for inverse, value in zip(self._inverses, left, strict=True)]
        direction, gain = towards, _inner(left, towards)
        goal = TOLERANCE**2 * _inner(values, values)
        for _ in range(MOST_STEPS):
            if bool((_inner(left, left) <= goal).all()):
                break
            curved = self.times(direction)
            bend = _inner(direction, curved)
            step = torch.where(bend > 0, gain / torch.where(bend > 0, bend, 1.0), 0.0)
            found = [value + step * own for value, own in zip(found, direction, strict=True)]
            left = [value - step * own for value, own in zip(left, curved, strict=True)]
            towards = [inverse @ value for inverse, value in zip(self._inverses, left, strict=True)]
            before, gain = gain, _inner(left, towards)
            kept = torch.where(before > 0, gain / torch.where(before > 0, before, 1.0), 0.0)
            direction = [own + kept * old for own, old in zip(towards, direction, strict=True)]
        return found


def _inner(one: Sequence[Tensor], other: Sequence[Tensor]) -> Float[Tensor, " n"]:
    """Inner product of each column, over all factors."""
    return torch.stack([(a * b).sum(dim=(0, 1)) for a, b in zip(one, other, strict=True)]).sum(dim=0)
