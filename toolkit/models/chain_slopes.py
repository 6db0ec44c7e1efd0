"""Steps of the slopes of transitions on covariates, while effects and variances are carried to their fixed point."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.func import grad

from toolkit.effects.marginal_information import marginal_information
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.terms import SLOPES
from toolkit.models.fit_state import State

HALVINGS = 8


def slopes_step(problem: ProblemParts, state: State) -> float:
    """One Newton step of ``G`` on the marginal likelihood, in place; halved while the loss would rise.

    Like the means of what varies, slopes are part of the mixed model on top of the network, and early stopping would
    leave them on the way from zero.

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
    step = (covariance @ slope.double().reshape(-1)).reshape(now.shape).to(now)
    with torch.no_grad():
        before = float(sum_of(lambda piece: of_piece(piece, now)))
        for halving in range(HALVINGS):
            moved = now - 0.5**halving * step
            if float(sum_of(lambda piece, moved=moved: of_piece(piece, moved))) <= before:
                state.shared[SLOPES].copy_(moved)
                deviation = torch.diagonal(covariance).clamp(min=0.0).sqrt().reshape(now.shape)
                known = deviation > 0
                return float(((moved - now).abs()[known] / deviation[known]).amax()) if bool(known.any()) else 0.0
    return 0.0
