"""Estimation of a neural mixed effects model: shared parameters, person effects and variances.

Between epochs of Adam on shared and person parameters together the variances are updated
(`toolkit.effects.variance`). At the end of an ``em`` fit whose effects enter the outputs linearly (last layer,
transitions) the shared network is held and effects and variances are carried to their joint fixed point by exact Newton
steps, so that reported effects are posterior modes, their SDs belong to them, and a linear network ends where the
linear mixed model does. Elsewhere effects and variances stay where early stopping left them, and the posterior is a
Laplace approximation there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from toolkit.effects import variance
from toolkit.effects.posterior import Posterior, mean_from_mode, newton_step, posterior
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.quadrature import posterior_moments
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.sweeping import MiniBatches
from toolkit.effects.terms import SLOPES
from toolkit.models import chain_slopes, joint_rounds
from toolkit.models.fit_state import Estimate, State, by_quadrature
from toolkit.models.residuals import acting, loss_sum, set_residual
from toolkit.numerics.covariance import to_log_cholesky, with_floor
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress, Settings, minimise
from toolkit.optimise.sweeps import Sweep

POSTERIOR_EVERY = 10
POLISH_STEPS = 100
POLISH_TOLERANCE = 1e-4
# A variance this small beside the largest one may still move when the others have come to rest.
NEGLIGIBLE = 1e-2


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
    finish = state.rule.exact and (state.rule.update == "em" or (state.rule.update == "paper" and validation is None))
    if trace and (state.layout.size or state.further) and finish:
        steps = _polish(train, state, trace)
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
) -> tuple[Posterior | None, tuple[tuple[RandomEffects, Posterior], ...]]:
    """Posterior of the person effects (None without any), and effects and posteriors of further factors."""
    found, others = None, ()
    if state.further:
        found, others = _several_at_the_end(problem, state, finish=finish)
    elif state.layout.size:
        found = _one_at_the_end(problem, state, settled=finish and state.rule.update == "em")
    if state.layout.size and state.rule.update == "unregularised":
        _set_covariance(state, variance.sample_covariance(state.eta))
    return found, others


def _one_at_the_end(problem: ProblemParts, state: State, *, settled: bool) -> Posterior:
    """Posterior of the person effects, at their mode where they are carried there."""
    if settled:
        state.eta.copy_(newton_step(problem, state.shared, state.effects, state.weight)[0])
    if state.rule.update == "unregularised":
        _describe_unregularised(problem, state)
    found = posterior(problem, state.shared, state.effects, state.weight)
    if settled and by_quadrature(state.rule, state.layout.size):
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
    penalty = 0.5 * ((state.eta @ precision) * state.eta).sum()
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
        state.cached = torch.cholesky_inverse(torch.linalg.cholesky(state.covariance))
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
        _round(problem, state)
    if state.rule.update == "paper_annealed":  # every epoch, from the effects as gradient descent has them
        _paper_update(problem, state)
    return _variance_row(state)


def _round(problem: ProblemParts, state: State, *, fine: bool = False) -> None:
    """One round of Newton step and variance update.

    Effects far from their mode have a variance of their own making: gradient descent leaves them near zero at first,
    and a sample covariance taken then collapses before the data have spoken. Where effects do not enter linearly, a
    Newton step need not lead to the mode: they stay as gradient descent has them. ``fine`` takes the moments of a few
    effects by quadrature where their posterior is not normal; else they are Laplace's.
    """
    if state.further:
        _round_of_several(problem, state)
        return
    if state.rule.exact:
        eta, at = newton_step(problem, state.shared, state.effects, state.weight)
        state.eta.data.copy_(eta)
    else:
        at = posterior(problem, state.shared, state.effects, state.weight)
    if state.rule.update == "paper":
        _recentre(state)
        _paper_update(problem, state)
    else:
        _em_update(problem, state, at, fine=fine)


def _round_of_several(problem: ProblemParts, state: State) -> None:
    """The same with several grouping factors, whose effects move together."""
    factors = state.factors
    if state.rule.exact:
        at, curvature = joint_rounds.newton_step_of_all(problem, state.shared, factors, state.weight)
    else:
        curvature = joint_rounds.line_curvature(problem, state.shared, factors)
        at = joint_rounds.posterior_of_all(problem, curvature, factors, state.weight)
    if state.rule.update == "paper":
        joint_rounds.recentre(state.shared, factors)
        set_residual(problem, state)
        joint_rounds.paper_step(state.shared, factors)
    else:
        spread = at.of_lines() if state.rule.noise is not None else None
        if state.rule.noise is None and all(by_quadrature(state.rule, factor.layout.size) for factor in factors):
            skews = joint_rounds.means_from_modes(problem, state.shared, factors, at, state.weight)
        else:
            skews = [torch.zeros_like(factor.eta) for factor in factors]
        for factor, skew in zip(factors, skews, strict=True):  # the variances are those about the posterior means
            factor.eta.data.add_(skew)
        joint_rounds.em_step(state.shared, factors, at, exact=state.rule.exact)
        for factor, skew in zip(factors, skews, strict=True):
            factor.eta.data.sub_(skew)
        if spread is not None:
            set_residual(problem, state, curvature=curvature, spread=spread)
    state.cached = None


def _describe_unregularised(problem: ProblemParts, state: State) -> None:
    """Effects about their mean and the residual variance, for the tables; predictions stay as they are."""
    if state.held.issuperset(state.layout.names):
        _mean_of_trained(problem, state)
    else:
        _recentre(state)
    if state.rule.noise is not None:
        set_residual(problem, state)


def _variance_row(state: State) -> dict[str, float]:
    """``sigma2``, the mean variance and every variance (on the scale of the estimation) for the trace."""
    factors = [factor for factor in state.factors if factor.layout.size]
    variances = [torch.diagonal(factor.covariance) for factor in factors]
    residuals = {} if state.residuals is None else dict(zip(state.targets, state.residuals.tolist(), strict=True))
    sigma2 = sum(residuals.values()) / len(residuals) if residuals else float(state.sigma2)
    mean = float(torch.cat(variances).mean()) if variances else 0.0
    each: dict[str, float] = {}
    for place, (factor, own) in enumerate(zip(factors, variances, strict=True)):
        term = f"{factor.name}: " if place else ""  # the first are the persons'
        each |= {f"variance[{term}{label}]": v for label, v in zip(factor.layout.labels, own.tolist(), strict=True)}
    each |= {f"variance[residual[{name}]]": value for name, value in residuals.items()}
    return {"sigma2": sigma2, "variance_mean": mean, **each}


def _mean_of_trained(problem: ProblemParts, state: State) -> None:
    """Where persons have parameters of their own only: the mean over those with rows, which stands for all others."""
    known = problem.persons[problem.persons >= 0]
    mean = state.eta.detach()[known].mean(dim=0)
    moved = torch.zeros_like(state.eta)
    moved[known] = state.eta.detach()[known] - mean
    _shift(state, mean, moved)


def _paper_update(problem: ProblemParts, state: State) -> None:
    """``sigma2``: mean training loss; ``Sigma``: sample covariance of the person parameters."""
    set_residual(problem, state)
    eta = state.eta.detach()
    annealed = state.rule.update == "paper_annealed"
    _set_covariance(
        state,
        variance.annealed_covariance(state.covariance, eta, state.rule.alpha)
        if annealed
        else variance.sample_covariance(eta),
    )


def _em_update(problem: ProblemParts, state: State, at: Posterior, *, fine: bool) -> None:
    """Means of what varies into the shared parameters, then both variances with the posterior covariance added."""
    covariance, skew, known = at.covariance, torch.zeros_like(state.eta), None
    if fine and by_quadrature(state.rule, state.layout.size):
        known = posterior_moments(problem, state.shared, state.effects, at, state.weight)
        covariance, skew = known.covariance, known.mean.to(state.eta) - state.eta.detach()
    elif state.rule.noise is None and by_quadrature(state.rule, state.layout.size):
        skew = mean_from_mode(problem, state.shared, state.effects, at, state.weight)
    if state.rule.exact:
        delta, means = variance.mean_shift(state.covariance, state.eta.detach() + skew, covariance)
        _shift(state, delta, means - skew)
    else:
        _recentre(state)
    means = state.eta.detach() + skew
    if state.rule.noise is not None and known is not None:
        set_residual(problem, state, known.loss)
    elif state.rule.noise is not None:
        set_residual(problem, state, curvature=at.curvature, spread=covariance)
    if state.rule.diagonal and state.rule.exact:
        variances = variance.scored_variances(torch.diagonal(state.covariance), means, covariance)
        _set_covariance(state, torch.diag(variances))
    else:
        _set_covariance(state, variance.expected_covariance(means, covariance))


def _recentre(state: State) -> None:
    """Move the mean of the effects into the shared parameters: predictions stay, the prior term falls."""
    mean = state.eta.detach().mean(dim=0)
    _shift(state, mean, state.eta.detach() - mean)


def _shift(state: State, delta: Tensor, eta: Tensor) -> None:
    """Add ``delta`` to the shared values of the parameters that vary, and set the effects."""
    with torch.no_grad():
        for name, value in state.layout.unflatten(delta[None]).items():
            state.shared[name].add_(value[0])
        state.eta.copy_(eta)


def _set_covariance(state: State, covariance: Tensor) -> None:
    """Store a covariance, floored, in log-Cholesky form."""
    floored = with_floor(covariance, diagonal=state.rule.diagonal)
    state.log_cholesky.copy_(to_log_cholesky(floored, diagonal=state.rule.diagonal))
    state.cached = None


def _polish(problem: ProblemParts, state: State, trace: list[dict[str, float]]) -> int:
    """Carry effects and variances to their fixed point with the shared network held; returns the number of rounds."""
    for step in range(1, POLISH_STEPS + 1):
        before = _variances(state)
        _round(problem, state, fine=True)
        moved = chain_slopes.slopes_step(problem, state) if SLOPES in state.shared else 0.0
        loss = float(loss_sum(problem, state)) / problem.rows
        trace.append({"epoch": trace[-1]["epoch"] + 1, "loss": loss} | _variance_row(state))
        after = _variances(state)
        still = ((after - before).abs() <= POLISH_TOLERANCE * (after + NEGLIGIBLE * after.max())).all()
        if bool(still) and moved <= POLISH_TOLERANCE:
            return step
    return POLISH_STEPS


def _variances(state: State) -> Tensor:
    """All variances, the residual one last (where the outcome has one)."""
    effects = torch.cat([torch.diagonal(factor.covariance) for factor in state.factors])
    if state.rule.noise is None:
        return effects
    return torch.cat([effects, state.sigma2[None] if state.residuals is None else state.residuals])
