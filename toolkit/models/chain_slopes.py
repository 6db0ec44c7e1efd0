"""Steps of the slopes of transitions on covariates, while effects and variances are carried to their fixed point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad

from toolkit.effects.marginal_information import marginal_information
from toolkit.effects.posterior import STEP
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.terms import SLOPES
from toolkit.models.fit_state import State
from toolkit.models.fixed_effects import Skewed

HALVINGS = 8


def slopes_step(problem: ProblemParts, state: State, skew: Skewed | None = None) -> float:
    """One Newton step of ``G`` on the marginal likelihood, in place; halved while the loss would rise.

    Like the means of what varies, slopes are part of the mixed model on top of the network, and early stopping would
    leave them on the way from zero. With third derivatives the step is that of Laplace's approximation with the
    derivative of its log determinant, as the means take it (`toolkit.effects.skewness`); it is not halved here.

    Args:
        problem: training rows.
        state: changed in place.
        skew: third derivatives at the modes.

    Returns:
        The largest change of a slope, in standard errors.
    """
    shared = {name: value.detach() for name, value in state.shared.items()}
    effects = [factor.effects for factor in state.factors]
    information = marginal_information(problem, shared, effects, [SLOPES])
    covariance = information.block(SLOPES).inverse()[0]

    def of_piece(piece: Problem, slopes: torch.Tensor) -> torch.Tensor:
        return piece.losses({**shared, SLOPES: slopes}, state.line_layout, state.lines_of(piece).detach()).sum()

    def sum_of(part: Callable[[Problem], torch.Tensor]) -> torch.Tensor:
        return torch.stack([part(piece) for piece in problem.pieces()]).sum(dim=0)

    now = shared[SLOPES].clone()
    slope = sum_of(lambda piece: grad(lambda slopes: of_piece(piece, slopes))(now))
    if skew is not None:
        slope = slope + _skewness(problem, state, skew)
    step = (covariance @ slope.double().reshape(-1)).reshape(now.shape).to(now)
    with torch.no_grad():
        before = float(sum_of(lambda piece: of_piece(piece, now)))
        for halving in range(HALVINGS):
            moved = now - 0.5**halving * step
            if skew is not None or float(sum_of(lambda piece, moved=moved: of_piece(piece, moved))) <= before:
                state.shared[SLOPES].copy_(moved)
                deviation = torch.diagonal(covariance).clamp(min=0.0).sqrt().reshape(now.shape)
                known = deviation > 0
                return float(((moved - now).abs()[known] / deviation[known]).amax()) if bool(known.any()) else 0.0
    return 0.0


def _skewness(problem: ProblemParts, state: State, skew: Skewed) -> Tensor:
    """What the log determinant adds to the slope in ``G``: ``sum_i r_i - B_i s_i``, see `toolkit.models.fixed_effects`.

    ``B_i s_i``, the second derivative in ``G`` and the effects along ``s_i``, by central differences.
    """
    shared = {name: value.detach() for name, value in state.shared.items()}
    eta, towards = state.eta.detach(), STEP * skew.shift.to(state.eta)

    def slope(piece: Problem, moved: Tensor) -> Tensor:
        lines = piece.lines_of(moved)
        return grad(lambda slopes: piece.losses({**shared, SLOPES: slopes}, state.layout, lines).sum())(shared[SLOPES])

    crossed = [(slope(piece, eta + towards) - slope(piece, eta - towards)) / (2.0 * STEP) for piece in problem.pieces()]
    bent = [chain[SLOPES] for _, chain in skew.slopes]
    return torch.stack(bent).sum(dim=0) - torch.stack(crossed).sum(dim=0)
