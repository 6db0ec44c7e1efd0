"""Joint posterior of the effects of several grouping factors, nested or crossed.

With ``E_l`` choosing the levels of line l (one of each factor), ``H_l`` the curvature of that line's loss with respect
to its effects and ``Sigma_f = L_f L_f'`` the covariance of factor f, the posterior covariance of all effects together
is

    C = L B^-1 L',    B = I + w L' (sum_l E_l' H_l E_l) L

(Henderson's mixed model equations; Bates et al., 2015, Equation 14). The factor with the most effects is block
diagonal in B, as no line has two of its levels, and is eliminated; what remains (the Schur complement) is dense in the
effects of the other factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.effects.problem import ProblemParts
from toolkit.errors import ConfigError

# Largest numbers of the dense part: values of the coupling, and effects beside the largest factor.
MOST_COUPLINGS = 200_000_000
MOST_DENSE = 12_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """Levels of the lines, and how many effects each factor has.

    Attributes:
        codes: level of each line in each factor (factors, lines); -1 has no effects.
        levels: number of levels of each factor.
        sizes: number of effects of a level of each factor.
    """

    codes: tuple[Tensor, ...]
    levels: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The factor with the most effects, which is eliminated."""
        counts = [count * size for count, size in zip(self.levels, self.sizes, strict=True)]
        return counts.index(max(counts))

    @property
    def others(self) -> tuple[int, ...]:
        """The other factors."""
        return tuple(factor for factor in range(len(self.levels)) if factor != self.largest)

    @property
    def first(self) -> dict[int, int]:
        """Place of each other factor's first effect among the dense ones."""
        found, place = {}, 0
        for factor in self.others:
            found[factor] = place
            place += self.levels[factor] * self.sizes[factor]
        return found

    @property
    def dense(self) -> int:
        """Number of effects beside the largest factor."""
        return sum(self.levels[factor] * self.sizes[factor] for factor in self.others)

    def columns(self, factor: int) -> Int[Tensor, "lines d"]:
        """Places of each line's effects of a factor among the dense ones; of level 0 where the line has none."""
        size = self.sizes[factor]
        start = self.first[factor] + self.codes[factor].clamp(min=0) * size
        return start[:, None] + torch.arange(size, device=start.device)

    def parts(self, factor: int) -> slice:
        """Where a factor's effects are among those of a line."""
        start = sum(self.sizes[:factor])
        return slice(start, start + self.sizes[factor])


def factors_of(problem: ProblemParts, etas: Sequence[Tensor]) -> Factors:
    """The factors of a problem whose levels have these effects.

    Raises:
        ConfigError: E302 if the factors beside the largest have more levels than can be held in memory together.
    """
    found = Factors(
        codes=tuple(problem.codes(factor) for factor in range(len(etas))),
        levels=tuple(eta.shape[0] for eta in etas),
        sizes=tuple(eta.shape[1] for eta in etas),
    )
    largest = found.levels[found.largest] * found.sizes[found.largest]
    if found.dense > MOST_DENSE or largest * found.dense > MOST_COUPLINGS:
        raise ConfigError(
            f"{found.dense} effects beside those of the largest grouping factor are too many to estimate together",
            code="E302",
            column="groups",
            remedy='let fewer parameters vary (effects="layers.N.bias" of the last layer), or leave a factor out',
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointPosterior:
    """Posterior covariance of the effects of all factors, in parts.

    Attributes:
        factors: whose effects.
        roots: lower Cholesky factors of the factors' covariances.
        own: ``D^-1``, D the blocks of the largest factor in B (levels, d, d).
        coupling: ``D^-1 E``, E the rows of the largest factor and columns of the others (levels, d, dense).
        rest: inverse of the Schur complement, ``(F - E' D^-1 E)^-1`` (dense, dense).
    """

    factors: Factors
    roots: tuple[Tensor, ...]
    own: Float[Tensor, "levels d d"]
    coupling: Float[Tensor, "levels d dense"]
    rest: Float[Tensor, "dense dense"]

    def solve(self, values: Sequence[Tensor]) -> list[Tensor]:
        """``B^-1`` times vectors of all effects, given and returned by factor."""
        factors, width = self.factors, values[0].shape[-1]
        block = values[factors.largest]
        none = block.new_zeros((0, width))
        flat = torch.cat([none, *(values[factor].reshape(-1, width) for factor in factors.others)])
        rest = self.rest @ (flat - torch.einsum("ldr,ldk->rk", self.coupling, block))
        found: dict[int, Tensor] = {
            factors.largest: self.own @ block - torch.einsum("ldr,rk->ldk", self.coupling, rest)
        }
        counts = [factors.levels[factor] * factors.sizes[factor] for factor in factors.others]
        for factor, part in zip(factors.others, torch.split(rest, counts), strict=True):
            found[factor] = part.reshape(factors.levels[factor], factors.sizes[factor], width)
        return [found[factor] for factor in range(len(values))]

    def covariance_times(self, values: Sequence[Tensor]) -> list[Tensor]:
        """``C`` times vectors of all effects."""
        inner = self.solve([root.T @ value for root, value in zip(self.roots, values, strict=True)])
        return [root @ value for root, value in zip(self.roots, inner, strict=True)]

    def information_times(self, values: Sequence[Tensor]) -> list[Tensor]:
        """``M = Sigma^-1 - Sigma^-1 C Sigma^-1`` times vectors: ``Z' V^-1 Z`` in a linear mixed model (Woodbury)."""
        whitened = [
            torch.linalg.solve_triangular(root, value, upper=False)
            for root, value in zip(self.roots, values, strict=True)
        ]
        inner = self.solve(whitened)
        return [
            torch.linalg.solve_triangular(root.T, white - solved, upper=True)
            for root, white, solved in zip(self.roots, whitened, inner, strict=True)
        ]

    def of_levels(self) -> list[Tensor]:
        """Posterior covariance of every level's effects, by factor."""
        factors = self.factors
        found: dict[int, Tensor] = {
            factors.largest: self.own + torch.einsum("ldr,ler->lde", self.coupling @ self.rest, self.coupling)
        }
        for factor in factors.others:
            start, size = factors.first[factor], factors.sizes[factor]
            count = factors.levels[factor]
            places = start + torch.arange(count * size, device=self.rest.device).reshape(count, size)
            found[factor] = self.rest[places[:, :, None], places[:, None, :]]
        return [root @ found[factor] @ root.T for factor, root in enumerate(self.roots)]

    def of_lines(self) -> Float[Tensor, "lines d d"]:
        """Posterior covariance of the effects that meet in each line; zero for a level that has none."""
        factors, big = self.factors, self.factors.largest
        crossing = -(self.coupling @ self.rest)  # of the largest factor with the others
        own = self.of_levels()
        rows = []
        for one in range(len(factors.sizes)):
            blocks = []
            for other in range(len(factors.sizes)):
                if one == other:
                    blocks.append(own[one][factors.codes[one].clamp(min=0)])
                elif big in (one, other):
                    far = other if one == big else one
                    level = factors.codes[big].clamp(min=0)
                    block = crossing[
                        level[:, None, None], _all(factors.sizes[big], level), factors.columns(far)[:, None]
                    ]
                    block = self.roots[big] @ block @ self.roots[far].T
                    blocks.append(block if one == big else block.transpose(1, 2))
                else:
                    block = self.rest[factors.columns(one)[:, :, None], factors.columns(other)[:, None]]
                    blocks.append(self.roots[one] @ block @ self.roots[other].T)
            rows.append(torch.cat(blocks, dim=2))
        known = torch.cat(
            [(code >= 0)[:, None].expand(-1, size) for code, size in zip(factors.codes, factors.sizes, strict=True)], 1
        )
        return torch.cat(rows, dim=1) * (known[:, :, None] & known[:, None, :])


def joint_posterior(
    factors: Factors,
    curvature: Float[Tensor, "lines d d"],
    covariances: Sequence[Tensor],
    weight: float,
) -> JointPosterior:
    """Posterior covariance of all effects, in float64.

    Args:
        factors: whose effects.
        curvature: Hessian of each line's loss with respect to its effects, those of the factors side by side.
        covariances: covariance of each factor's effects.
        weight: of the loss against the prior.
    """
    roots = tuple(torch.linalg.cholesky(covariance.double()) for covariance in covariances)
    scaled = weight * _between(torch.block_diag(*roots), curvature.double())
    big, like = factors.largest, scaled
    own = _identities(factors.levels[big], factors.sizes[big], like)
    coupling = like.new_zeros((factors.levels[big], factors.sizes[big], factors.dense))
    rest = torch.eye(factors.dense, dtype=like.dtype, device=like.device)
    here = factors.codes[big] >= 0
    level = factors.codes[big][here]
    own.index_add_(0, level, scaled[here][:, factors.parts(big), factors.parts(big)])
    for factor in factors.others:
        both = here & (factors.codes[factor] >= 0)
        columns = factors.columns(factor)
        at = factors.codes[big][both]
        places = (at[:, None, None], _all(factors.sizes[big], at), columns[both][:, None])
        block = scaled[both][:, factors.parts(big), factors.parts(factor)]
        coupling.index_put_(torch.broadcast_tensors(*places), block, accumulate=True)
        for other in factors.others:
            known = (factors.codes[factor] >= 0) & (factors.codes[other] >= 0)
            block = scaled[known][:, factors.parts(factor), factors.parts(other)]
            places = (columns[known][:, :, None], factors.columns(other)[known][:, None])
            rest.index_put_(torch.broadcast_tensors(*places), block, accumulate=True)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(own))
    solved = inverse @ coupling
    schur = rest - torch.einsum("ldr,lds->rs", coupling, solved)
    return JointPosterior(
        factors=factors,
        roots=roots,
        own=inverse,
        coupling=solved,
        rest=torch.cholesky_inverse(torch.linalg.cholesky(schur)),
    )


def _between(roots: Tensor, curvature: Tensor) -> Tensor:
    """``L' H L`` of every line."""
    return roots.T @ curvature @ roots


def _all(size: int, level: Tensor) -> Tensor:
    """Numbers of the effects of a level, shaped to index (lines, d, ...)."""
    return torch.arange(size, device=level.device)[None, :, None]


def _identities(count: int, size: int, like: Tensor) -> Tensor:
    """Identity matrices (count, size, size)."""
    return torch.eye(size, dtype=like.dtype, device=like.device).expand(count, -1, -1).clone()
