"""What the network leaves of the outcome: the loss at the current state, and the residual variances from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toolkit.effects import variance
from toolkit.effects.posterior import posterior
from toolkit.effects.problem import ProblemParts
from toolkit.models import joint_rounds
from toolkit.models.fit_state import State
from toolkit.models.several_targets import by_target, known_values
from toolkit.numerics.covariance import VARIANCE_FLOOR


def loss_sum(problem: ProblemParts, state: State) -> Tensor:
    """Training loss at the current state."""
    with torch.no_grad():
        pieces = [
            piece.losses(state.shared, state.line_layout, state.lines_of(piece)).sum() for piece in problem.pieces()
        ]
        return pieces[0] if len(pieces) == 1 else torch.stack(pieces).sum()


def set_residual(
    problem: ProblemParts,
    state: State,
    loss: Tensor | float | None = None,
    *,
    curvature: Tensor | None = None,
    spread: Tensor | None = None,
) -> None:
    """``sigma2`` from the sum of losses: the one given, that expected under the posterior, or at the current effects.

    Of outcomes without residuals it is the mean loss itself, as published. With several targets the residual variance
    of each.

    Args:
        problem: the rows.
        state: changed in place.
        loss: expected sum of losses.
        curvature: of each person's (or line's) loss.
        spread: posterior covariances of the persons (or lines).
    """
    if state.residuals is not None:
        _set_residuals(problem, state, spread)
        return
    total = loss_sum(problem, state) if loss is None else torch.as_tensor(loss)
    if curvature is not None and spread is not None:
        total = variance.expected_loss(total, curvature, spread)
    mean = max(float(total) / problem.rows, VARIANCE_FLOOR)
    state.sigma2.fill_(max(mean if state.rule.noise is None else state.rule.noise.variance(mean), VARIANCE_FLOOR))


def _set_residuals(problem: ProblemParts, state: State, spread: Tensor | None) -> None:
    """Residual variance of each target: the mean of its expected squared errors over the rows in which it is known."""
    assert state.residuals is not None
    known = known_values(problem)
    for place, part in enumerate(by_target(problem, len(known))):
        total = loss_sum(part, state)
        if spread is not None:
            total = variance.expected_loss(total, _curvature(part, state), spread)
        state.residuals[place] = max(float(total) / max(int(known[place]), 1), VARIANCE_FLOOR)


def acting(problem: ProblemParts, state: State) -> tuple[Tensor, ...]:
    """How strongly the effects of each factor act on a row of several targets; empty for one target."""
    if state.residuals is None or not state.layout.size:
        return ()
    sizes = [factor.layout.size for factor in state.factors]
    return acting_of(problem, len(state.residuals), sizes, lambda part: _curvature(part, state))


def acting_of(
    problem: ProblemParts, targets: int, sizes: Sequence[int], curvature: Callable[[ProblemParts], Tensor]
) -> tuple[Tensor, ...]:
    """``mean_j sum_k g_jk g_jk'`` (d, d) of each factor, ``g_jk`` the derivative of output k in row j by its effects.

    Args:
        problem: the rows.
        targets: number of targets.
        sizes: number of effects of a level of each factor.
        curvature: of each person's (or line's) loss of some rows.
    """
    whole = 0.5 * torch.stack([curvature(part).sum(dim=0) for part in by_target(problem, targets)]).sum(dim=0)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(
        whole[start : start + size, start : start + size] / problem.rows
        for start, size in zip(starts, sizes, strict=True)
    )


def _curvature(problem: ProblemParts, state: State) -> Tensor:
    """Curvature of each person's loss, or of each line's with several grouping factors."""
    if state.further:
        return joint_rounds.line_curvature(problem, state.shared, state.factors)
    return posterior(problem, state.shared, state.effects, state.weight).curvature
