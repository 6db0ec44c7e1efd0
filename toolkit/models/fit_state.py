"""What is estimated, and what comes of it: the tensors of a fit in progress, the rule of its variances, its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.effects.joint_draws import LineEvidence
from toolkit.effects.posterior import Posterior
from toolkit.effects.problem import Problem
from toolkit.effects.quadrature import NODES
from toolkit.effects.random_effects import EffectLayout, Layout, RandomEffects
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.models import joint_rounds
from toolkit.models.factor_state import FactorState
from toolkit.models.noise import Noise
from toolkit.numerics.covariance import (
    VARIANCE_FLOOR,
    Covariance,
    from_log_cholesky,
    precision_of,
    to_log_cholesky,
)
from toolkit.optimise.minimise import Outcome

# Prior variance that leaves effects on the standardised scale as they are.
FLAT = 1e6
# Most effects of a person whose third derivatives are taken.
MOST_CLIMBED = 64
PUBLISHED = ("paper", "paper_annealed")


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceRule:
    """How variances are estimated.

    Attributes:
        update: ``em``, ``paper``, ``paper_annealed``, ``unregularised`` (no prior on the effects: Woertwein et al.'s
            uNME, and Specific- where the shared values of what varies are held), or ``none`` (no
            person effects).
        diagonal: person effects are independent of each other.
        noise: density of the residuals of a numeric outcome, whose variance ``sigma2`` is; None for other outcomes.
        exact: effects enter the outputs linearly (last layer, transitions), so that Newton steps and posteriors are
            exact; elsewhere the posterior is a Laplace approximation around the effects gradient descent found.
        alpha: of ``paper_annealed``: what is left of a variance after an epoch, at least.
        laplace: Laplace's approximation of the likelihood is chosen even where quadrature could be had.
        wide: very many independent effects, whose covariances are kept as variances (`toolkit.effects.woodbury`).
    """

    update: Literal["em", "paper", "paper_annealed", "unregularised", "none"]
    diagonal: bool = True
    noise: Noise | None = None
    exact: bool = True
    alpha: float = 0.97
    laplace: bool = False
    wide: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class State:
    """The tensors being estimated; changed in place during training. Shared tensors that are ``held`` stay.

    ``layout``, ``eta`` and ``log_cholesky`` are those of the first grouping factor, the person; ``further`` holds those
    of the others. With several ``targets`` the residual variance of each is in ``residuals``, by which the loss
    divides; ``sigma2`` stays 1.
    ``fixed_to_maximum``: the network is linear and nothing stops its training early, so that all shared
    parameters belong at the maximum of the likelihood. ``published_start``: covariance, over ``sigma2``, from which the
    last rounds of ``paper`` start in such a network; None where they go on from where training ended.
    """

    shared: dict[str, Tensor]
    layout: EffectLayout
    eta: Tensor
    log_cholesky: Tensor
    sigma2: Tensor
    rule: VarianceRule
    held: frozenset[str] = frozenset()
    further: tuple[FactorState, ...] = ()
    fixed_to_maximum: bool = False
    published_start: Tensor | None = None
    cached: Tensor | None = field(default=None)
    targets: tuple[str, ...] = ()
    residuals: Tensor | None = None

    @property
    def factors(self) -> list[FactorState]:
        """Every grouping factor, the person first; the tensors are the same."""
        person = FactorState(
            name="person", layout=self.layout, eta=self.eta, log_cholesky=self.log_cholesky, diagonal=self.rule.diagonal
        )
        return [person, *self.further]

    @property
    def line_layout(self) -> Layout:
        """Where the effects of a line belong."""
        return joint_rounds.joint_layout(self.factors) if self.further else self.layout

    def lines_of(self, problem: Problem) -> Float[Tensor, "lines d"]:
        """Effects of each line of a problem."""
        return problem.lines_of(self.eta, *(factor.eta for factor in self.further))

    @property
    def further_effects(self) -> tuple[RandomEffects, ...]:
        """Effects of further grouping factors, detached."""
        return tuple(factor.effects for factor in self.further)

    @property
    def covariance(self) -> Covariance:
        """Covariance of the person effects; of very many their variances."""
        if self.rule.wide:
            return torch.exp(2.0 * self.log_cholesky)
        return from_log_cholesky(self.log_cholesky, self.layout.size, diagonal=self.rule.diagonal)

    @property
    def effects(self) -> RandomEffects:
        """Person effects, detached."""
        return RandomEffects(layout=self.layout, eta=self.eta.detach(), covariance=self.covariance)

    def precision(self) -> Tensor:
        """Inverse covariance of the effects: its diagonal where they are independent, else the matrix."""
        if self.rule.diagonal:
            return torch.exp(-2.0 * self.log_cholesky)
        return precision_of(self.covariance)

    @property
    def weight(self) -> float:
        """Weight of the loss against the prior, see `person_weight`."""
        return person_weight(self.rule, float(self.sigma2)) if self.layout.size else 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A finished estimation: state, posterior of the effects (None without effects), and how training went.

    ``exact`` tells whether effects and variances are at their joint fixed point, see `VarianceRule`; ``further`` holds
    effects and posteriors of further grouping factors; ``residuals`` the residual variances of several targets, and
    ``acting`` how strongly the effects of each factor act on a row of them, ``mean_j sum_k g_jk g_jk'`` (d, d);
    ``evidence`` what the rows say about the effects of several factors together, from which draws are made.
    """

    shared: dict[str, Tensor]
    effects: RandomEffects
    posterior: Posterior | PosteriorVariances | None
    sigma2: float
    outcome: Outcome
    polish_steps: int
    exact: bool
    further: tuple[tuple[RandomEffects, Posterior], ...] = ()
    residuals: Tensor | None = None
    acting: tuple[Tensor, ...] = ()
    evidence: LineEvidence | None = None

    @property
    def further_effects(self) -> tuple[RandomEffects, ...]:
        """Effects of further grouping factors."""
        return tuple(effects for effects, _ in self.further)


def person_weight(rule: VarianceRule, sigma2: float) -> float:
    """Weight of a person's loss against the prior.

    ``1 / (2 sigma2)`` for squared errors, and that of the density for other residuals; ``1 / (2 sigma2)`` with the mean
    loss as ``sigma2`` for other outcomes as published; else 1.
    """
    if rule.noise is not None:
        return rule.noise.weight(max(sigma2, VARIANCE_FLOOR))
    return 0.5 / max(sigma2, VARIANCE_FLOOR) if rule.update in PUBLISHED else 1.0


def by_quadrature(rule: VarianceRule, effects: int) -> bool:
    """Whether posteriors are taken by quadrature: of few effects a person, where they are not normal."""
    normal = rule.noise is not None and rule.noise.density == "normal"
    return rule.exact and not normal and not rule.laplace and effects in NODES


def by_climbing(state: State) -> bool:
    """Whether an ``em`` fit ends by climbing Laplace's approximation: more effects, or where that is chosen.

    Residuals of other densities have no third derivative that would tell their skewness.
    """
    rule, size = state.rule, state.layout.size
    smooth = rule.update == "em" and rule.exact and rule.noise is None and not state.further
    return smooth and 0 < size <= MOST_CLIMBED and not by_quadrature(rule, size)


def start_state(
    shared: dict[str, Tensor],
    layout: EffectLayout,
    persons: int,
    rule: VarianceRule,
    further: tuple[FactorState, ...] = (),
    targets: tuple[str, ...] = (),
) -> State:
    """Effects zero, variances 1, residual variances 0.1 as published or 1 (all on the standardised scale)."""
    like = next(iter(shared.values()))
    eta = torch.zeros((persons, layout.size), dtype=like.dtype, device=like.device)
    ones = torch.ones(layout.size, dtype=like.dtype, device=like.device)
    first = (FLAT if rule.update == "unregularised" else 1.0) * (ones if rule.wide else torch.diag(ones))
    residual = 0.1 if rule.update in PUBLISHED else 1.0
    return State(
        shared=shared,
        layout=layout,
        eta=eta,
        log_cholesky=to_log_cholesky(first, diagonal=rule.diagonal),
        sigma2=torch.tensor(1.0 if targets else residual, dtype=like.dtype, device=like.device),
        rule=rule,
        further=further,
        targets=targets,
        residuals=torch.full((len(targets),), residual, dtype=like.dtype, device=like.device) if targets else None,
    )
