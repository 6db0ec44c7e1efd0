"""Steps of the slopes of transitions on covariates, while effects and variances are carried to their fixed point."""

from __future__ import annotations

import torch
from torch.func import grad

from toolkit.effects.marginal_information import marginal_information
from toolkit.effects.problem import Problem
from toolkit.effects.terms import SLOPES
from toolkit.models.fit_state import State

HALVINGS = 8


def slopes_step(problem: Problem, state: State) -> float:
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
    lines = state.lines_of(problem).detach()

    def loss(slopes: torch.Tensor) -> torch.Tensor:
        return problem.losses({**shared, SLOPES: slopes}, state.line_layout, lines).sum()

    now = shared[SLOPES].clone()
    step = (covariance @ grad(loss)(now).double().reshape(-1)).reshape(now.shape).to(now)
    with torch.no_grad():
        before = float(loss(now))
        for halving in range(HALVINGS):
            moved = now - 0.5**halving * step
            if float(loss(moved)) <= before:
                state.shared[SLOPES].copy_(moved)
                deviation = torch.diagonal(covariance).clamp(min=0.0).sqrt().reshape(now.shape)
                known = deviation > 0
                return float(((moved - now).abs()[known] / deviation[known]).amax()) if bool(known.any()) else 0.0
    return 0.0
