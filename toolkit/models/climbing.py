"""The end of an ``em`` fit to classes, counts or chains: steps that climb the Laplace approximation of the likelihood.

Each round takes every person's effects to their mode, evaluates the approximation there, and takes the step of means
and variances that `toolkit.effects.skewness` makes exact. A step after which the approximation is lower is halved: with
few rows and many variances the information behind a step is a rough guide only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toolkit.effects.posterior import Posterior, newton_step, whole_posterior
from toolkit.effects.problem import ProblemParts
from toolkit.models.fit_state import State

MODE_STEPS = 20
# Longest Newton step of an effect, in prior SDs, at which it counts as being at its mode.
AT_MODE = 1e-7
MOST_HALVINGS = 6
# What the log-likelihood may lose to rounding.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Held:
    """Where the climb was best, and the step it proposed from there."""

    value: float
    tensors: list[Tensor]
    step: list[Tensor]


def to_mode(problem: ProblemParts, state: State) -> Posterior:
    """Newton steps of all effects until they rest; the posterior there."""
    deviation = torch.sqrt(torch.diagonal(state.covariance))
    for _ in range(MODE_STEPS):
        eta, at = newton_step(problem, state.shared, state.effects, state.weight)
        moved = ((eta - state.eta.detach()).abs() / deviation).max()
        state.eta.data.copy_(eta)
        if float(moved) <= max(AT_MODE, 10 * torch.finfo(eta.dtype).eps):
            if isinstance(at, Posterior):  # as good as at the new ones
                return at
            break
    return whole_posterior(problem, state.shared, state.effects, state.weight)


@torch.no_grad()
def laplace_log_likelihood(problem: ProblemParts, state: State, at: Posterior) -> float:
    """Laplace approximation of the marginal log-likelihood at the modes, ``sum_i -J_i - 1/2 log|Sigma C_i^-1|``.

    Exact for a numeric outcome, whose constant ``-rows/2 log 2 pi sigma2`` is added. A person without rows adds 0.
    """
    loss = torch.stack(
        [piece.losses(state.shared, state.layout, state.lines_of(piece)).double().sum() for piece in problem.pieces()]
    ).sum()
    root = torch.linalg.cholesky(state.covariance.double())
    white = torch.linalg.solve_triangular(root, state.eta.double().T, upper=False)
    spread = torch.linalg.cholesky(at.covariance)
    logarithms = [torch.log(torch.diagonal(part, dim1=-2, dim2=-1)).sum() for part in (spread, root)]
    value = -state.weight * loss - 0.5 * torch.square(white).sum() + logarithms[0] - len(state.eta) * logarithms[1]
    if state.rule.noise is not None:
        value = value - 0.5 * problem.rows * torch.log(2.0 * torch.pi * state.sigma2.double())
    return float(value)


def climb(
    problem: ProblemParts,
    state: State,
    step: Callable[[Posterior], float],
    *,
    rounds: int,
    tolerance: float,
    after: Callable[[], None],
) -> int:
    """Rounds until the standard deviations rest; returns their number.

    Args:
        problem: training rows.
        state: moved in place.
        step: moves means and variances, given the posterior at the modes; returns how far it moved anything else.
        rounds: most rounds.
        tolerance: largest relative change of a variance in the last round.
        after: called after each round.
    """
    best: _Held | None = None
    halvings = 0
    for number in range(1, rounds + 1):
        state.cached = None
        at = to_mode(problem, state)
        value = laplace_log_likelihood(problem, state, at)
        lower = best is not None and not value >= best.value - ROUNDING * abs(best.value)
        if best is not None and lower:
            halvings += 1
            share = 0.5**halvings if halvings <= MOST_HALVINGS else 0.0
            _place(state, best, share)
            if not share:
                return number
            continue
        halvings, start = 0, _moving(state)
        moved = step(at)
        best = _Held(value=value, tensors=start, step=[b - a for a, b in zip(start, _moving(state), strict=True)])
        after()
        if moved <= tolerance and _at_rest(state, best, tolerance):
            return number
    return rounds


def _tensors(state: State) -> list[Tensor]:
    """What a step moves: shared parameters, effects, variances."""
    return [*(state.shared[name] for name in state.shared if name not in state.held), state.eta, state.log_cholesky]


def _moving(state: State) -> list[Tensor]:
    """Copies of what a step moves."""
    return [tensor.detach().clone() for tensor in _tensors(state)]


def _place(state: State, held: _Held, share: float) -> None:
    """Go a share of the proposed step from the best place."""
    for tensor, start, step in zip(_tensors(state), held.tensors, held.step, strict=True):
        tensor.data.copy_(start + share * step)
    state.cached = None


def _at_rest(state: State, held: _Held, tolerance: float) -> bool:
    """Whether the last step changed no variance by more than the tolerance; those far below the largest may move."""
    after = torch.diagonal(state.covariance)
    moved = state.log_cholesky.detach().clone()
    state.log_cholesky.data.copy_(held.tensors[-1])
    before = torch.diagonal(state.covariance)
    state.log_cholesky.data.copy_(moved)
    return bool(((after - before).abs() <= tolerance * (after + 1e-2 * after.max())).all())
