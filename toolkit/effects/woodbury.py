"""Posterior variances of very many effects a person, without a matrix of effects by effects.

A person's posterior covariance is ``C_i = (w G'HG + S)^-1`` with ``S = diag(1 / v)`` (`toolkit.effects.posterior`),
and thousands of effects make it too large to keep. A person has far fewer outputs (rows times outputs) than that. With
``A = w^(1/2) H^(1/2) G diag(v)^(1/2)`` (outputs, d) and ``I + A A' = L L'`` (Woodbury, 1950)

    B = L^-1 A,   diag C_i = v (1 - colsum B^2),   C_i g = v^(1/2) (I - B'B) v^(1/2) g,
    tr(G'HG C_i) = tr(I - (L L')^-1) / w,

so the variances are those of the whole covariance, not of an approximation to it: only the correlations are not kept.
Effects are independent a priori here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jacrev, jvp, vmap

from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import EffectLayout, RandomEffects, network_outputs
from toolkit.effects.terms import CHAIN_NAMES

AT_ONCE = 8_000_000  # numbers of derivatives computed at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosteriorVariances:
    """Posterior of very many effects: what there is of a `toolkit.effects.posterior.Posterior` on its diagonals.

    Attributes:
        curvature: second derivative of each person's loss by each effect (persons, d).
        covariance: posterior variances (persons, d), float64.
        traces: ``tr(G'HG C_i)``, twice what the loss is expected to rise above that at the mode (persons,).
        step: Newton step of each person's effects (persons, d); None where it was not asked for.
    """

    curvature: Float[Tensor, "persons d"]
    covariance: Float[Tensor, "persons d"]
    traces: Float[Tensor, " persons"]
    step: Float[Tensor, "persons d"] | None = None

    def rise(self) -> Float[Tensor, ""]:
        """What all losses together are expected to be above those at the mode, to second order."""
        return 0.5 * self.traces.sum()


@torch.no_grad()
def posterior_variances(
    problem: ProblemParts,
    shared: Mapping[str, Tensor],
    effects: RandomEffects,
    weight: float,
    *,
    slopes: Float[Tensor, "persons d"] | None = None,
) -> PosteriorVariances:
    """Posterior variances at the current effects; a person without rows keeps the prior's.

    Args:
        problem: the rows.
        shared: parameters that all persons share.
        effects: effects with variances (d,) as their covariance.
        weight: of the loss against the prior.
        slopes: gradient of each person's objective; asks for the Newton step ``-C_i slopes``.
    """
    prior = effects.covariance.double()
    persons = effects.eta.shape[0]
    curvature = prior.new_zeros((persons, len(prior)))
    covariance = prior.expand(persons, -1).clone()
    traces = prior.new_zeros(persons)
    step = None if slopes is None else -prior * slopes.double()
    held = {name: value.detach() for name, value in shared.items()}
    for piece in problem.pieces():
        root = _curvature_root(piece, held, effects.layout, piece.lines_of(effects.eta))
        size = max(AT_ONCE // max(root.shape[1] * len(prior), 1), 1)
        known = torch.nonzero(piece.persons >= 0).flatten()
        for lines in known.split(size):
            codes = piece.persons[lines]
            own = _derivatives(piece, held, effects.layout, effects.eta[codes], lines)
            bent = root[lines].mT @ own.double()
            solved, traces[codes] = _solved(bent * prior.sqrt(), weight)
            curvature[codes] = bent.square().sum(dim=1)
            covariance[codes] = prior * (1.0 - solved.square().sum(dim=1))
            if step is not None and slopes is not None:
                along = (prior.sqrt() * slopes[codes].double())[..., None]
                step[codes] = -prior.sqrt() * (along - solved.mT @ (solved @ along)).squeeze(-1)
    moved = None if step is None else step.to(effects.eta)
    return PosteriorVariances(curvature=curvature, covariance=covariance, traces=traces, step=moved)


def _solved(scaled: Float[Tensor, "lines m d"], weight: float) -> tuple[Tensor, Tensor]:
    """``B`` and ``tr(G'HG C_i)`` of each line; see the module."""
    scaled = weight**0.5 * scaled
    identity = torch.eye(scaled.shape[1], dtype=scaled.dtype, device=scaled.device)
    lower = torch.linalg.cholesky(identity + scaled @ scaled.mT)
    inverse = torch.cholesky_inverse(lower)
    traces = (1.0 - torch.diagonal(inverse, dim1=1, dim2=2)).sum(dim=1) / weight
    return torch.linalg.solve_triangular(lower, scaled, upper=False), traces


def _curvature_root(
    piece: Problem, shared: Mapping[str, Tensor], layout: EffectLayout, eta: Float[Tensor, "lines d"]
) -> Float[Tensor, "lines m m"]:
    """``R`` with ``R R'`` the Hessian of each line's loss by its outputs (row by row) and its own transition scores.

    Rows of a network without a chain have nothing to do with each other, and their blocks are taken one by one.
    """
    rows, chain = piece.outputs(shared, layout, eta)
    bending = piece.curved or piece.loss
    varying = [name for name in CHAIN_NAMES if name in layout.names]
    slope = grad(lambda rows, chain: bending(rows, chain).sum(), argnums=(0, 1))
    lines, count, outputs = rows.shape

    def curved(along_rows: Tensor, along_chain: dict[str, Tensor]) -> Tensor:
        tangents = {name: torch.zeros_like(value) for name, value in chain.items()}
        tangents |= {name: value.expand_as(chain[name]) for name, value in along_chain.items()}
        found = jvp(slope, (rows, chain), (along_rows.expand_as(rows), tangents))[1]
        return torch.cat([found[0].flatten(1), *(found[1][name].flatten(1) for name in varying)], dim=1)

    if not chain:
        every = torch.eye(outputs, dtype=rows.dtype, device=rows.device)[:, None, None]
        blocks = vmap(lambda along: curved(along, {}))(every).reshape(outputs, lines, count, outputs)
        small = _root(blocks.permute(1, 2, 3, 0).double())
        whole = small.new_zeros((lines, count, outputs, count, outputs))
        index = torch.arange(count, device=rows.device)
        whole[:, index, :, index] = small.transpose(0, 1)
        return whole.reshape(lines, count * outputs, count * outputs)
    sizes = [count * outputs, *(chain[name][0].numel() for name in varying)]
    basis = torch.eye(sum(sizes), dtype=rows.dtype, device=rows.device)
    parts = basis.split(sizes, dim=1)
    along_chain = {
        name: part.reshape(-1, 1, *chain[name].shape[1:]) for name, part in zip(varying, parts[1:], strict=True)
    }
    hessian = vmap(curved)(parts[0].reshape(-1, 1, count, outputs), along_chain)
    return _root(hessian.permute(1, 2, 0).double())


def _root(matrix: Tensor) -> Tensor:
    """``R`` with ``R R' = matrix``, which is positive semi-definite but for rounding."""
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.mT))
    return vectors * values.clamp(min=0.0).sqrt()[..., None, :]


def _derivatives(
    piece: Problem,
    shared: Mapping[str, Tensor],
    layout: EffectLayout,
    eta: Float[Tensor, "lines d"],
    lines: Tensor,
) -> Float[Tensor, "lines m d"]:
    """``G``: derivatives of each line's outputs, row by row, and of its own transition scores by its effects."""
    network = {name: value for name, value in shared.items() if name not in CHAIN_NAMES}

    def values_of(eta: Tensor) -> dict[str, Tensor]:
        return {name: shared[name] + part[0] for name, part in layout.unflatten(eta[None]).items()}

    def of_row(eta: Tensor, row: Tensor) -> Tensor:
        own = {name: value for name, value in values_of(eta).items() if name in network}
        return network_outputs(piece.module, {**network, **own}, row[None])[0]

    held = eta if piece.held is None else eta + piece.held[lines]
    one: Callable[..., Any] = jacrev(of_row)
    by_rows = vmap(vmap(one, in_dims=(None, 0)))(held, piece.inputs[lines]).flatten(1, 2)
    varying = [name for name in CHAIN_NAMES if name in layout.names]
    if not varying:
        return by_rows

    def of_chain(eta: Tensor) -> Tensor:
        own = values_of(eta)
        return torch.cat([own[name].flatten() for name in varying])

    fixed: Tensor = jacrev(of_chain)(eta[0])  # pyright: ignore[reportAssignmentType]
    return torch.cat([by_rows, fixed.expand(len(eta), -1, -1)], dim=1)
