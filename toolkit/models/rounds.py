"""Rounds of effects and variances: between epochs, and to their fixed point at the end of a fit.

With several grouping factors see `toolkit.models.joint_rounds`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from toolkit.effects import variance
from toolkit.effects.posterior import Posterior, mean_from_mode, newton_step, posterior
from toolkit.effects.problem import ProblemParts
from toolkit.effects.quadrature import Moments, posterior_moments
from toolkit.effects.skewness import skewed_moments
from toolkit.effects.terms import SLOPES
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.models import chain_slopes, joint_rounds
from toolkit.models.climbing import climb, to_mode
from toolkit.models.fit_state import State, by_climbing, by_quadrature
from toolkit.models.fixed_effects import Skewed, fixed_effects_step, may_step, skewed
from toolkit.models.residuals import loss_sum, set_residual
from toolkit.numerics.covariance import to_log_cholesky, with_floor

POLISH_STEPS = 100
# Largest relative change of a variance in the last round; the fine one in double precision, where the end is exact.
POLISH_TOLERANCE, COARSE_TOLERANCE = 1e-6, 1e-4
# Where the posterior is an approximation the last digits of its variances say nothing.
ROUGH_STEPS, ROUGH_TOLERANCE = 40, 1e-2
# Most effects of a person whose correlations are scored; beyond it they take EM steps.
MOST_SCORED = 24
# A variance this small beside the largest one may still move when the others have come to rest.
NEGLIGIBLE = 1e-2


def take_round(problem: ProblemParts, state: State, *, polished: bool = False) -> None:
    """One round of Newton step and variance update; ``polished`` takes the exact steps of the end of a fit.

    Effects far from their mode have a variance of their own making: gradient descent leaves them near zero at first,
    and a sample covariance taken then collapses before the data have spoken. Where effects do not enter linearly a
    Gauss-Newton step leads towards the mode only, and is halved for persons whom it would not; the published updates
    leave such effects as gradient descent has them.
    """
    if state.further:
        _round_of_several(problem, state)
        return
    if state.rule.exact or state.rule.update == "em":
        eta, at = newton_step(problem, state.shared, state.effects, state.weight)
        state.eta.data.copy_(eta)
    else:
        at = posterior(problem, state.shared, state.effects, state.weight)
    if state.rule.update == "paper":
        assert isinstance(at, Posterior) or not polished
        if isinstance(at, Posterior) and polished and may_step(problem, state):
            fixed_effects_step(problem, state, at)
        else:
            _recentre(state)
        paper_update(problem, state)
    elif isinstance(at, PosteriorVariances):
        _update_of_many(problem, state, at)
    else:
        em_update(problem, state, at, polished=polished)


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


def describe_unregularised(problem: ProblemParts, state: State) -> None:
    """Effects about their mean and the residual variance, for the tables; predictions stay as they are."""
    if state.held.issuperset(state.layout.names):
        _mean_of_trained(problem, state)
    else:
        _recentre(state)
    if state.rule.noise is not None:
        set_residual(problem, state)


def variance_row(state: State) -> dict[str, float]:
    """``sigma2``, the mean variance and every variance (on the scale of the estimation) for the trace."""
    factors = [factor for factor in state.factors if factor.layout.size]
    variances = [factor.variances for factor in factors]
    residuals = {} if state.residuals is None else dict(zip(state.targets, state.residuals.tolist(), strict=True))
    sigma2 = sum(residuals.values()) / len(residuals) if residuals else float(state.sigma2)
    mean = float(torch.cat(variances).mean()) if variances else 0.0
    each: dict[str, float] = {}
    for place, (factor, own) in enumerate(zip(factors, variances, strict=True)):
        term = f"{factor.name}: " if place else ""  # the first are the persons'
        labels, values = factor.layout.labels, own
        if state.rule.wide:  # thousands of columns say less than the mean of each parameter
            parts = factor.layout.unflatten(own[None])
            labels, values = tuple(parts), torch.stack([part.mean() for part in parts.values()])
        each |= {f"variance[{term}{label}]": v for label, v in zip(labels, values.tolist(), strict=True)}
    each |= {f"variance[residual[{name}]]": value for name, value in residuals.items()}
    return {"sigma2": sigma2, "variance_mean": mean, **each}


def _mean_of_trained(problem: ProblemParts, state: State) -> None:
    """Where persons have parameters of their own only: the mean over those with rows, which stands for all others."""
    known = problem.persons[problem.persons >= 0]
    mean = state.eta.detach()[known].mean(dim=0)
    moved = torch.zeros_like(state.eta)
    moved[known] = state.eta.detach()[known] - mean
    _shift(state, mean, moved)


def paper_update(problem: ProblemParts, state: State) -> None:
    """``sigma2``: mean training loss; ``Sigma``: sample covariance of the person parameters."""
    set_residual(problem, state)
    eta = state.eta.detach()
    annealed = state.rule.update == "paper_annealed"
    set_covariance(
        state,
        variance.annealed_covariance(state.covariance, eta, state.rule.alpha)
        if annealed
        else variance.sample_variances(eta)
        if state.rule.wide
        else variance.sample_covariance(eta),
    )


def em_update(problem: ProblemParts, state: State, at: Posterior, *, polished: bool) -> Skewed | None:
    """Means of what varies into the shared parameters, then both variances with the posterior covariance added.

    ``polished``: where a posterior is not normal its moments are taken by quadrature, or the steps are those of
    `toolkit.effects.skewness`, never both; a linear network takes all its fixed effects along. Returns the third
    derivatives.
    """
    known = slopes = None
    whole = polished and may_step(problem, state)
    if polished and by_quadrature(state.rule, state.layout.size):
        known = posterior_moments(problem, state.shared, state.effects, at, state.weight)
    elif polished and by_climbing(state):
        slopes = skewed(problem, state, at, whole=whole)
    covariance = at.covariance if known is None else known.covariance
    shift = None if slopes is None else slopes.shift
    skew = _skew(problem, state, at, known)
    if whole:
        fixed_effects_step(problem, state, at, skew=slopes, moments=known)
    elif state.rule.exact:
        delta, means = variance.mean_shift(state.covariance, state.eta.detach() + skew, covariance, shift)
        _shift(state, delta, means - skew)
    else:
        _recentre(state)
    if state.rule.noise is not None and known is not None:
        set_residual(problem, state, known.loss)
    elif state.rule.noise is not None:
        set_residual(problem, state, curvature=at.curvature, spread=covariance)
    set_covariance(state, _next_covariance(state, state.eta.detach() + skew, covariance, shift, polished=polished))
    return slopes


def _update_of_many(problem: ProblemParts, state: State, at: PosteriorVariances) -> None:
    """The same for very many effects, of whose posterior the variances are known."""
    _recentre(state)
    if state.rule.noise is not None:
        set_residual(problem, state, loss_sum(problem, state) + at.rise())
    set_covariance(state, variance.evidence_variances(state.covariance, state.eta.detach(), at.covariance))


def _skew(problem: ProblemParts, state: State, at: Posterior, known: Moments | None) -> Tensor:
    """From each person's mode to the posterior mean, for few effects that are not normal; else zero."""
    if known is not None:
        return known.mean.to(state.eta) - state.eta.detach()
    if state.rule.noise is None and by_quadrature(state.rule, state.layout.size):
        return mean_from_mode(problem, state.shared, state.effects, at, state.weight)
    return torch.zeros_like(state.eta)


def _next_covariance(state: State, means: Tensor, spread: Tensor, shift: Tensor | None, *, polished: bool) -> Tensor:
    """Covariance of the effects by a scoring step, or the EM step where that is too much."""
    if state.rule.diagonal and state.rule.exact:
        prior = torch.diagonal(state.covariance)
        return torch.diag(variance.scored_variances(prior, means, spread, shift))
    if state.rule.diagonal:
        prior, own = torch.diagonal(state.covariance), torch.diagonal(spread, dim1=1, dim2=2)
        return torch.diag(variance.evidence_variances(prior, means, own))
    if polished and state.rule.exact and state.layout.size <= MOST_SCORED:
        return variance.scored_covariance(state.covariance, means, spread, shift)
    if shift is not None:
        return skewed_moments(means.to(shift), spread, shift).mean(dim=0)
    return variance.expected_covariance(means, spread)


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


def set_covariance(state: State, covariance: Tensor) -> None:
    """Store a covariance, floored, in log-Cholesky form."""
    floored = with_floor(covariance, diagonal=state.rule.diagonal)
    state.log_cholesky.copy_(to_log_cholesky(floored, diagonal=state.rule.diagonal))
    state.cached = None


def polish(problem: ProblemParts, state: State, trace: list[dict[str, float]]) -> int:
    """Carry effects and variances to their fixed point with the shared network held; returns the number of rounds."""
    if state.rule.update == "paper" and state.published_start is not None:
        set_covariance(state, float(state.sigma2) * state.published_start)
    tolerance = POLISH_TOLERANCE if _is_precise(state) else COARSE_TOLERANCE if state.rule.exact else ROUGH_TOLERANCE

    def note() -> None:
        loss = float(loss_sum(problem, state)) / problem.rows
        trace.append({"epoch": trace[-1]["epoch"] + 1, "loss": loss} | variance_row(state))

    def shifts(skew: Skewed | None = None) -> float:
        return chain_slopes.slopes_step(problem, state, skew) if SLOPES in state.shared else 0.0

    def step_up(at: Posterior) -> float:
        return shifts(em_update(problem, state, at, polished=True))

    if by_climbing(state):
        _settle(problem, state, note, steps=ROUGH_STEPS, tolerance=ROUGH_TOLERANCE, polished=False)
        rounds = climb(problem, state, step_up, rounds=POLISH_STEPS, tolerance=tolerance, after=note)
        for _ in range(POLISH_STEPS if SLOPES in state.shared else 0):  # a halved last step leaves slopes on their way
            at = to_mode(problem, state)
            if shifts(skewed(problem, state, at, whole=False)) <= tolerance:
                break
        return rounds
    steps = POLISH_STEPS if state.rule.exact else ROUGH_STEPS
    return _settle(problem, state, note, shifts, steps=steps, tolerance=tolerance, polished=True)


def _settle(
    problem: ProblemParts,
    state: State,
    note: Callable[[], None],
    shifts: Callable[[], float] | None = None,
    *,
    steps: int,
    tolerance: float,
    polished: bool,
) -> int:
    """Rounds until the variances (and what ``shifts`` moves) rest; returns their number."""
    for step in range(1, steps + 1):
        before = _variances(state)
        take_round(problem, state, polished=polished)
        moved = 0.0 if shifts is None else shifts()
        note()
        after = _variances(state)
        still = ((after - before).abs() <= tolerance * (after + NEGLIGIBLE * after.max())).all()
        if bool(still) and moved <= tolerance:
            return step
    return steps


def _is_precise(state: State) -> bool:
    """Whether the last rounds end at a point that is worth the digits."""
    rule = state.rule
    if state.sigma2.dtype != torch.float64 or rule.update != "em" or not rule.exact or state.further:
        return False
    normal = rule.noise is not None and rule.noise.density == "normal"
    return normal or state.fixed_to_maximum


def _variances(state: State) -> Tensor:
    """All variances, the residual one last (where the outcome has one)."""
    effects = torch.cat([factor.variances for factor in state.factors])
    if state.rule.noise is None:
        return effects
    return torch.cat([effects, state.sigma2[None] if state.residuals is None else state.residuals])
