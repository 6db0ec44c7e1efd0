"""The end of an ``em`` fit: skewness of the posteriors, and the fixed effects of a linear network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad

from toolkit.effects.posterior import Posterior, loss_curvature
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.quadrature import Moments, expected_slopes
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.skewness import Outputs, pulled_back, skew_slopes, square_roots
from toolkit.effects.terms import GAPS, SLOPES
from toolkit.models.fit_state import State

# Most values (fixed effects times outputs) that a step may hold; beyond it fixed effects stay as trained.
MOST_VALUES = 20_000_000
# Share of all posterior variances below which a direction is left out of third derivatives.
SMALLEST_SHARE = 1e-5
# Longest step of a fixed effect, on the standardised scale: far from the maximum a Newton step can lead anywhere.
LONGEST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skewed:
    """Third derivatives of the loss at the modes.

    Attributes:
        slopes: with respect to outputs and chain parameters, of each piece of the rows.
        shift: from each person's posterior mean to the mode, ``s_i`` (persons, d), float64.
    """

    slopes: tuple[Outputs, ...]
    shift: Float[Tensor, "persons d"]


def skewed(problem: ProblemParts, state: State, at: Posterior, *, whole: bool) -> Skewed:
    """Third derivatives and shifts of all persons; a person without rows has none.

    Args:
        problem: training rows.
        state: at the modes.
        at: posterior there.
        whole: slopes with respect to chain parameters of each line, also those that do not vary, as
            `fixed_effects_step` needs them.
    """
    layout = whole_layout(state) if whole else state.layout
    units = torch.eye(state.layout.size, dtype=state.eta.dtype, device=state.eta.device)
    spread_out = _deviations(layout, state) if whole else units
    pulled, found = torch.zeros_like(state.eta, dtype=at.covariance.dtype), []
    for piece in problem.pieces():
        known = piece.persons >= 0
        eta = piece.lines_of(state.eta.detach()) @ spread_out
        roots = _telling(square_roots(at.covariance[piece.persons.clamp(min=0)]) * known[:, None, None])
        found.append(skew_slopes(piece, state.shared, layout, eta, spread_out.T.to(roots) @ roots))
        lines = pulled_back(piece, state.shared, layout, eta, found[-1]) @ spread_out.T
        pulled = pulled.index_add(0, piece.persons[known], state.weight * lines[known].to(pulled))
    return Skewed(slopes=tuple(found), shift=(at.covariance @ pulled[..., None]).squeeze(-1))


def _telling(roots: Float[Tensor, "lines d k"]) -> Float[Tensor, "lines d told"]:
    """The directions in which something is uncertain; those of variances at the floor add nothing to a sum."""
    sizes = torch.square(roots).sum(dim=(0, 1))
    return roots[:, :, sizes > SMALLEST_SHARE * sizes.sum()]


def may_step(problem: ProblemParts, state: State) -> bool:
    """Whether the fixed effects are taken to their maximum: in a linear network, trained to the end."""
    if not state.fixed_to_maximum:
        return False
    count = whole_layout(state).size
    return all(count * piece.inputs.shape[0] * piece.inputs.shape[1] <= MOST_VALUES for piece in problem.pieces())


def fixed_effects_step(
    problem: ProblemParts,
    state: State,
    at: Posterior,
    *,
    skew: Skewed | None = None,
    moments: Moments | None = None,
) -> None:
    """Newton step of all shared parameters on the marginal likelihood, exact, by quadrature or Laplace's approximation.

    With ``A_i`` the Hessian of person i's weighted loss with respect to the shared parameters, ``B_i`` that with
    respect to them and the effects, ``g_i`` the slope, ``r_i`` that of half the log determinant, and ``s_i``, ``C_i``
    as in `toolkit.effects.skewness`:

        delta = -[sum_i A_i - B_i C_i B_i']^-1 sum_i (g_i + r_i - B_i s_i),      eta_i := eta_i - C_i B_i' delta.

    For squared errors that is generalised least squares. With ``moments`` the slope is its posterior expectation.
    """
    wide = whole_layout(state)
    weight, spread_out = state.weight, _deviations(wide, state)
    held = {name: value.detach() for name, value in state.shared.items()}
    information = torch.zeros((wide.size, wide.size), dtype=torch.float64, device=state.eta.device)
    score = torch.zeros(wide.size, dtype=torch.float64, device=state.eta.device)
    moves = torch.zeros((len(state.eta), state.layout.size, wide.size), dtype=torch.float64, device=state.eta.device)
    for place, piece in enumerate(problem.pieces()):
        eta = piece.lines_of(state.eta.detach()) @ spread_out
        curvature = weight * loss_curvature(piece, held, wide, eta).double()
        crossed = curvature @ spread_out.T.double()
        persons, known = piece.persons.clamp(min=0), piece.persons >= 0
        towards = at.covariance[persons] @ crossed.transpose(1, 2) * known[:, None, None]
        if moments is not None:
            slope = weight * pulled_back(
                piece, held, wide, eta, expected_slopes(piece, held, wide, spread_out, moments)
            )
        else:
            slope = weight * _slopes(piece, held, wide, eta)
        if skew is not None:
            slope = slope + weight * pulled_back(piece, held, wide, eta, skew.slopes[place]).double()
            slope = slope - (crossed @ (skew.shift[persons] * known[:, None])[..., None]).squeeze(-1)
        information += (curvature - crossed @ towards).sum(dim=0)
        score += slope.double().sum(dim=0)
        moves.index_add_(0, persons, towards)
    delta = -_solved(information, score).clamp(-LONGEST, LONGEST)
    delta = torch.where(torch.diagonal(information) > 0, delta, 0.0)  # forbidden transitions stay to the bit
    with torch.no_grad():
        for name, value in wide.unflatten(delta[None].to(state.eta)).items():
            state.shared[name].add_(value[0])
        state.eta.sub_((moves @ delta).to(state.eta))


def _slopes(
    piece: Problem, shared: Mapping[str, Tensor], layout: EffectLayout, eta: Float[Tensor, "lines d"]
) -> Float[Tensor, "lines d"]:
    """Slope of each line's loss."""
    return grad(lambda lines: piece.losses(shared, layout, lines).sum())(eta).double()


def whole_layout(state: State) -> EffectLayout:
    """All trained parameters that outputs are linear in, as if each line had its own.

    Slopes of transitions have steps of their own (`toolkit.models.chain_slopes`); distances between thresholds stay as
    trained.
    """
    names = tuple(name for name in state.shared if name not in {*state.held, SLOPES, GAPS})
    shapes = tuple(tuple(state.shared[name].shape) for name in names)
    count = sum(state.shared[name].numel() for name in names)
    return EffectLayout(names=names, shapes=shapes, labels=("",) * count)


def _deviations(wide: EffectLayout, state: State) -> Float[Tensor, "d parameters"]:
    """What a unit of each effect does to every parameter."""
    units = torch.eye(state.layout.size, dtype=state.eta.dtype, device=state.eta.device)
    moved = state.layout.unflatten(units)
    parts = [
        moved[name].reshape(len(units), -1)
        if name in moved
        else units.new_zeros((len(units), torch.Size(shape).numel()))
        for name, shape in zip(wide.names, wide.shapes, strict=True)
    ]
    return torch.cat(parts, dim=1)


def _solved(information: Float[Tensor, "p p"], score: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Solution in the directions the data say something about: the other ones stay put."""
    values, vectors = torch.linalg.eigh(0.5 * (information + information.T))
    informed = values > 1e-8 * values[-1]
    inverse = torch.where(informed, 1.0 / torch.where(informed, values, 1.0), 0.0)
    return vectors @ (inverse * (vectors.T @ score))


def published_start(scale: np.ndarray, *, like: Tensor) -> Tensor | None:
    """Covariance over residual variance from which the published update starts in a linear network: ``I / 2``.

    On the scale of the data as they are. With all correlations the update has a whole line of fixed points (covariances
    of rank one, any direction): where it ends depends on where it starts, so that the start has to be the same whatever
    the learning rate.

    Args:
        scale: takes effects from the scale of the estimation to that of the data, over the target's standardisation.
        like: type and device of the result.
    """
    if not scale.size:
        return None
    inverse = np.linalg.inv(scale)
    return torch.as_tensor(0.5 * inverse @ inverse.T).to(like)
