"""EM with retraining: a network trained with its random effects held, then one EM step, and so on (`MlpLme`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from toolkit.effects import variance
from toolkit.effects.posterior import newton_step, posterior
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.estimate import validation_loss
from toolkit.models.fit_state import Estimate, State
from toolkit.models.networks import Mlp, initial_parameters
from toolkit.models.residuals import acting, set_residual
from toolkit.models.rounds import polish, set_covariance
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress, Settings
from toolkit.optimise.stages import BatchSettings, Stage, descend


def estimate_with_retraining(
    train: ProblemParts,
    validation: ProblemParts | None,
    state: State,
    settings: Settings,
    *,
    rounds: int,
    restart: Callable[[], dict[str, Tensor]],
    generator: torch.Generator,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Estimate:
    """Train the network and step the mixed model in turns, then carry the mixed model to its maximum.

    Args:
        train: training rows by person.
        validation: validation rows by person.
        state: what is estimated.
        settings: of each training of the network.
        rounds: trainings after the first, each after an EM step.
        restart: start values of the network for the next training.
        generator: of the stages.
        progress: as in `toolkit.models.estimate.estimate`.
        keeper: likewise.
    """
    assert isinstance(train, Problem)  # this method has no mini-batches

    def objective(_: Tensor) -> dict[str, Tensor]:
        loss = train.losses(state.shared, state.layout, train.lines_of(state.eta)).sum() / train.rows
        return {"objective": loss, "loss": loss}

    def begin() -> None:
        _em_step(train, state)
        for name, value in restart().items():
            state.shared[name].copy_(value)

    stages = [
        Stage(
            names=tuple(state.shared), objective=objective, rows=train.rows, epochs=settings.epochs,
            validate=validation_loss(validation, state), begin=begin if number else None,
        )
        for number in range(rounds + 1)
    ]  # fmt: skip
    tensors = {**state.shared, "eta": state.eta, "log_cholesky": state.log_cholesky, "sigma2": state.sigma2}
    tensors |= {"residuals": state.residuals} if state.residuals is not None else {}
    batches = BatchSettings(
        lr=settings.lr, batch=train.rows, patience=settings.patience, weight_decay=settings.weight_decay
    )
    outcome = descend(stages, tensors, batches, generator=generator, progress=progress, keeper=keeper)
    state.cached = None
    _em_step(train, state)
    trace = list(outcome.trace)
    count = polish(train, state, trace) if trace else 0
    state.eta.copy_(newton_step(train, state.shared, state.effects, state.weight)[0])
    return Estimate(
        shared={name: value.detach().clone() for name, value in state.shared.items()},
        effects=state.effects,
        posterior=posterior(train, state.shared, state.effects, state.weight),
        sigma2=float(state.sigma2),
        outcome=replace(outcome, trace=tuple(trace)),
        polish_steps=count,
        exact=True,
        residuals=state.residuals,
        acting=acting(train, state),
    )


def _em_step(problem: Problem, state: State) -> None:
    """Exact posterior of the effects at the current network, then both variances from it."""
    state.cached = None
    eta, at = newton_step(problem, state.shared, state.effects, state.weight)
    state.eta.copy_(eta)
    set_residual(problem, state, curvature=at.curvature, spread=at.covariance)
    set_covariance(state, variance.expected_covariance(eta, at.covariance))


def fresh_start(
    config: MlpLme, module: nn.Module, shared: dict[str, Tensor], generator: torch.Generator
) -> Callable[[], dict[str, Tensor]]:
    """Start values of a network that is trained anew; a linear one goes on from where it is."""
    like = next(iter(shared.values()))
    if not config.hidden or not isinstance(module, Mlp):
        return dict
    return lambda: initial_parameters(module, generator=generator, dtype=like.dtype, device=like.device)
