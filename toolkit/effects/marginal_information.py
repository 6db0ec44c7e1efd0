"""Information about shared parameters when effects are integrated out: what their standard errors rest on.

With ``H_l`` the curvature of line l's loss with respect to the parameters in question and those that vary, ``Z_l`` the
matrix that turns the effects of the line into these parameters, and ``Sigma`` the covariance of all effects, the
information of the marginal likelihood is

    M = sum_l H_l - (sum_l H_l Z_l) (sum_l Z_l' H_l Z_l + Sigma^-1)^-1 (sum_l Z_l' H_l),

which for one grouping factor is ``sum_i H_i - H_i S (S' H_i S + Sigma^-1)^-1 S' H_i`` over persons: Henderson's
equations with the effects eliminated, exact for a linear mixed model (McCulloch and Searle, 2001, section 8.5), and the
Laplace approximation at the posterior mode elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.joint import factors_of, joint_posterior
from toolkit.effects.posterior import loss_curvature
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import EffectLayout, RandomEffects

# Eigenvalues of the scaled information below this share of the largest say that the data do not identify a direction.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Information:
    """Information about shared parameters.

    Attributes:
        names: parameters, in order.
        sizes: numbers in each.
        matrix: marginal information (d, d).
        responses: how the first factor's modes move with the parameters (levels, effects, d); None without effects.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    matrix: Float[Tensor, "d d"]
    responses: Float[Tensor, "levels effects d"] | None = None

    def place(self, name: str) -> slice:
        """Where a parameter is."""
        at = self.names.index(name)
        return slice(sum(self.sizes[:at]), sum(self.sizes[: at + 1]))

    def block(self, name: str) -> Information:
        """Information about one parameter with the others known."""
        place = self.place(name)
        size = self.sizes[self.names.index(name)]
        return Information(names=(name,), sizes=(size,), matrix=self.matrix[place, place])

    def inverse(self) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d k"]]:
        """A generalised inverse, and directions that the data say nothing about (orthonormal columns).

        Variances of contrasts that are orthogonal to these directions do not depend on which inverse is taken.
        """
        matrix = 0.5 * (self.matrix + self.matrix.T)
        size = torch.diagonal(matrix).clamp(min=0.0).sqrt()
        scale = torch.where(size > NOTHING * size.max(), size, 1.0)
        values, vectors = torch.linalg.eigh(matrix / scale[:, None] / scale)
        informed = values > NOTHING * values[-1]
        kept = vectors[:, informed] / scale[:, None]
        missing = torch.linalg.qr(vectors[:, ~informed] / scale[:, None])[0]
        return (kept / values[informed]) @ kept.T, missing


@torch.no_grad()
def marginal_information(
    problem: ProblemParts, shared: Mapping[str, Tensor], effects: Sequence[RandomEffects], names: Sequence[str]
) -> Information:
    """Information about some shared parameters at the posterior mode of the effects.

    Args:
        problem: rows and losses, which have to be negative log-likelihoods.
        shared: shared parameters.
        effects: of every grouping factor, the person first; a factor of size zero counts nothing.
        names: of the parameters; those that vary are counted in as well.
    """
    varying = [name for part in effects for name in part.layout.names]
    chosen = tuple(name for name in shared if name in {*names, *varying})
    shapes = tuple(tuple(shared[name].shape) for name in chosen)
    sizes = tuple(int(torch.Size(shape).numel()) for shape in shapes)
    labels = tuple(f"{name}[{number}]" for name, size in zip(chosen, sizes, strict=True) for number in range(size))
    whole = EffectLayout(names=chosen, shapes=shapes, labels=labels)
    present = [part for part in effects if part.layout.size]
    turned = [_turning(part.layout, chosen, shared) for part in present]
    like = next(iter(shared.values()))
    total = torch.zeros((whole.size, whole.size), dtype=torch.float64, device=like.device)
    responses = [total.new_zeros((*part.eta.shape, whole.size)) for part in present[:1]]
    for piece in problem.pieces():
        lines = like.new_zeros((len(piece.persons), whole.size))
        if present:
            lines = piece.lines_of(*(part.eta for part in effects)) @ torch.cat(turned).to(like)
        curvature = loss_curvature(piece, shared, whole, lines).double()
        total += curvature.sum(dim=0)
        if present:
            lost, moved = _explained(piece, curvature, effects, turned)
            total -= lost
            responses[0] -= moved
    return Information(names=chosen, sizes=sizes, matrix=total, responses=responses[0] if responses else None)


def _turning(layout: EffectLayout, names: Sequence[str], shared: Mapping[str, Tensor]) -> Float[Tensor, "d whole"]:
    """Parameters (flattened, one after the other) that each effect moves."""
    like = next(iter(shared.values()))
    moved = layout.unflatten(torch.eye(layout.size, dtype=like.dtype, device=like.device))
    zeros = {name: like.new_zeros((layout.size, *shared[name].shape)) for name in names}
    return torch.cat([moved.get(name, zeros[name]).reshape(layout.size, -1) for name in names], dim=1).double()


def _explained(
    problem: Problem, curvature: Tensor, effects: Sequence[RandomEffects], turned: Sequence[Tensor]
) -> tuple[Float[Tensor, "whole whole"], Float[Tensor, "levels d whole"]]:
    """What is lost because the effects have to be estimated as well, and how far those of the first factor give way."""
    together = torch.cat(list(turned))
    factors = factors_of(problem, [part.eta for part in effects])
    own = together @ curvature @ together.T
    at = joint_posterior(factors, own, [part.covariance for part in effects], 1.0)
    crossed = []
    for place, (part, turning) in enumerate(zip(effects, turned, strict=True)):
        codes = problem.codes(place)
        empty = curvature.new_zeros((part.eta.shape[0], part.layout.size, curvature.shape[1]))
        known = codes >= 0
        crossed.append(empty.index_add(0, codes[known], (turning @ curvature)[known]))
    solved = at.covariance_times(crossed)
    lost = torch.stack([torch.einsum("ldi,ldj->ij", a, b) for a, b in zip(crossed, solved, strict=True)]).sum(dim=0)
    return lost, solved[0]
