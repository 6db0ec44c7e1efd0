"""Estimation of a neural mixed effects model: shared parameters, person effects and variances.

Between epochs of Adam on shared and person parameters together the variances are updated
(`toolkit.effects.variance`). At the end of an ``em`` fit whose effects enter the outputs linearly (last layer,
transitions) the shared network is held and effects and variances are carried to their joint fixed point by exact Newton
steps, so that reported effects are posterior modes, their SDs belong to them, and variances are at the maximum of the
likelihood: exact for normal residuals; by quadrature for one to three effects a person of other outcomes
(`toolkit.effects.quadrature`); by Laplace's approximation for more of them, or where that is chosen
(`toolkit.effects.skewness`). A linear network without validation rows takes its fixed effects there as well
(`toolkit.models.fixed_effects`) and ends where lme4 does. Where effects enter otherwise (deeper layers) ``em`` fits are
carried to the fixed point of Laplace's approximation around Gauss-Newton steps; published updates leave effects and
variances where early stopping left them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from toolkit.effects import variance
from toolkit.effects.posterior import Posterior, newton_step, posterior
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.quadrature import posterior_moments
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.sweeping import MiniBatches
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.models import joint_rounds
from toolkit.models.fit_state import Estimate, State, by_quadrature
from toolkit.models.residuals import acting, loss_sum, set_residual
from toolkit.models.rounds import (
    describe_unregularised,
    paper_update,
    polish,
    set_covariance,
    take_round,
    variance_row,
)
from toolkit.numerics.covariance import precision_of, times
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress, Settings, minimise
from toolkit.optimise.sweeps import Sweep

POSTERIOR_EVERY = 10


def estimate(
    train: ProblemParts,
    validation: ProblemParts | None,
    state: State,
    settings: Settings,
    *,
    sweep: Sweep | None = None,
    validate: Callable[[], float] | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Estimate:
    """Fit the model by gradient descent and variance updates; see the module for the method.

    A ``sweep`` takes the steps of an epoch in mini-batches; variances are updated over all training rows as ever.
    ``validate`` takes the place of the validation loss.
    """
    trained = {name: value for name, value in state.shared.items() if name not in state.held}
    parameters = {**trained, **({"eta": state.eta} if state.layout.size else {})}
    parameters |= {f"eta.{factor.name}": factor.eta for factor in state.further}
    buffers = {"log_cholesky": state.log_cholesky, "sigma2": state.sigma2}
    buffers |= {"residuals": state.residuals} if state.residuals is not None else {}
    buffers |= {f"log_cholesky.{factor.name}": factor.log_cholesky for factor in state.further}
    if isinstance(sweep, MiniBatches):
        parameters = sweep.state
    for value in parameters.values():
        value.requires_grad_(not isinstance(sweep, MiniBatches))

    def terms() -> dict[str, Tensor]:
        assert isinstance(train, Problem)  # pieces come with a sweep
        return _terms(train, state)

    outcome = minimise(
        sweep or terms,
        parameters,
        buffers,
        settings,
        undecayed=frozenset(name for name in parameters if name.split(".")[0] == "eta"),
        update=lambda epoch: _update(train, state, epoch),
        validate=validate or validation_loss(validation, state),
        progress=progress,
        keeper=keeper,
    )
    for value in parameters.values():
        value.requires_grad_(False)
    state.cached = None  # the restored variances are not those of the last epoch
    trace, steps = list(outcome.trace), 0
    # As published, effects stay where early stopping left them; without validation rows the updates are carried to
    # their fixed point.
    published = state.rule.exact and state.rule.update == "paper" and validation is None
    finish = published or (state.rule.update == "em" and (state.rule.exact or not state.further))
    if trace and (state.layout.size or state.further) and finish:
        steps = polish(train, state, trace)
    found, others = _posterior_at_the_end(train, state, finish=finish)
    if state.rule.update == "none" and state.rule.noise is not None:  # nothing else has looked at what is left
        set_residual(train, state)
    return Estimate(
        shared={name: value.detach().clone() for name, value in state.shared.items()},
        effects=state.effects,
        posterior=found,
        sigma2=float(state.sigma2),
        outcome=replace(outcome, trace=tuple(trace)),
        polish_steps=steps,
        exact=state.rule.exact,
        further=others,
        residuals=state.residuals,
        acting=acting(train, state),
    )


def _posterior_at_the_end(
    problem: ProblemParts, state: State, *, finish: bool
) -> tuple[Posterior | PosteriorVariances | None, tuple[tuple[RandomEffects, Posterior], ...]]:
    """Posterior of the person effects (None without any), and effects and posteriors of further factors."""
    found, others = None, ()
    if state.further:
        found, others = _several_at_the_end(problem, state, finish=finish)
    elif state.layout.size:
        found = _one_at_the_end(problem, state, settled=finish and state.rule.update == "em")
    if state.layout.size and state.rule.update == "unregularised":
        sample = variance.sample_variances if state.rule.wide else variance.sample_covariance
        set_covariance(state, sample(state.eta))
    return found, others


def _one_at_the_end(problem: ProblemParts, state: State, *, settled: bool) -> Posterior | PosteriorVariances:
    """Posterior of the person effects, at their mode where they are carried there."""
    if settled:
        state.eta.copy_(newton_step(problem, state.shared, state.effects, state.weight)[0])
    if state.rule.update == "unregularised":
        describe_unregularised(problem, state)
    found = posterior(problem, state.shared, state.effects, state.weight)
    if settled and by_quadrature(state.rule, state.layout.size) and isinstance(found, Posterior):
        moments = posterior_moments(problem, state.shared, state.effects, found, state.weight)
        found = replace(found, covariance=moments.covariance)
    return found


def _several_at_the_end(
    problem: ProblemParts, state: State, *, finish: bool
) -> tuple[Posterior, tuple[tuple[RandomEffects, Posterior], ...]]:
    """Posterior of the person effects, and effects and posteriors of the further factors."""
    factors = state.factors
    if finish and state.rule.update == "em":
        joint_rounds.newton_step_of_all(problem, state.shared, factors, state.weight)
    curvature = joint_rounds.line_curvature(problem, state.shared, factors)
    at = joint_rounds.posterior_of_all(problem, curvature, factors, state.weight)
    found = joint_rounds.posteriors(problem, curvature, factors, at)
    further = tuple((factor.effects, own) for factor, own in zip(state.further, found[1:], strict=True))
    return found[0], further


def _terms(problem: Problem, state: State) -> dict[str, Tensor]:
    """Objective per row, ``(w loss + penalty) / rows``, with its parts."""
    loss = problem.losses(state.shared, state.line_layout, state.lines_of(problem)).sum()
    precision = _precision(state)
    penalty = 0.5 * (times(state.eta, precision) * state.eta).sum()
    for factor in state.further:
        penalty = penalty + factor.penalty()
    return {
        "objective": (state.weight * loss + penalty) / problem.rows,
        "loss": loss / problem.rows,
        "penalty": penalty / problem.rows,
    }


def _precision(state: State) -> Tensor:
    """Inverse covariance, computed once per variance update."""
    if state.cached is None:
        state.cached = precision_of(state.covariance)
    return state.cached


def validation_loss(problem: ProblemParts | None, state: State) -> Callable[[], float] | None:
    """Mean loss per validation row at person level, as a function of no arguments."""
    if problem is None:
        return None

    def mean_loss() -> float:
        return float(loss_sum(problem, state)) / problem.rows

    return mean_loss


def _update(problem: ProblemParts, state: State, epoch: int) -> dict[str, float]:
    """Every few epochs move the effects to their posterior mode and update the variances; for the trace."""
    if state.rule.update in ("em", "paper") and epoch % POSTERIOR_EVERY == 0:
        take_round(problem, state)
    if state.rule.update == "paper_annealed":  # every epoch, from the effects as gradient descent has them
        paper_update(problem, state)
    return variance_row(state)
