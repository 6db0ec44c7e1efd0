"""Effects of new persons under a network with several grouping factors.

Levels that were in training keep their effects (the family of a new person, if it is known); effects of new persons and
of new levels of the other factors are found together, as the mode of their joint posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import cut_at_parts
from toolkit.effects.posterior import Posterior
from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import FactorEffects, RandomEffects
from toolkit.models import joint_rounds
from toolkit.models.chain_structure import chain_parts
from toolkit.models.factor_state import FactorState
from toolkit.models.fit_state import Estimate, person_weight
from toolkit.models.fitted import FittedNetwork
from toolkit.models.modules import is_linear
from toolkit.models.placement import reported_scale
from toolkit.models.prepare import problem
from toolkit.models.residuals import acting_of
from toolkit.models.starting import variance_rule
from toolkit.models.training import Trained
from toolkit.numerics.covariance import to_log_cholesky
from toolkit.optimise.minimise import Outcome
from toolkit.optimise.status import Status

STEPS = 100
TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _NewLevels:
    """Levels of one further factor that were not in training.

    Attributes:
        levels: their labels.
        codes: code of each row's level among them; -1 where the level is known (rows,).
        known: code of each row's level among those of training; -1 where it is new (rows,).
    """

    levels: tuple[str, ...]
    codes: np.ndarray
    known: np.ndarray


def adapt_several(network: FittedNetwork, sigma2: float, data: GroupedDataset, labels: np.ndarray) -> Trained:
    """Posterior mode and covariance of the effects of new persons, and of new levels of the other factors.

    Args:
        network: trained on other persons, with several grouping factors.
        sigma2: its residual variance, on the standardised scale.
        data: rows of the new persons; every grouping factor has to be there.
        labels: ``train`` rows speak for the persons. Who has none keeps effects of zero and the prior's SDs.
    """
    codes = network.all_codes(data)
    new = [_new_levels(data, network, place, codes) for place in range(1, codes.shape[1])]
    factors = [_state(network.grouping, network.effects, data.n_persons)]
    factors += [
        _state(factor.grouping, factor.effects, max(len(own.levels), 1))
        for factor, own in zip(network.further, new, strict=True)
    ]
    rule = variance_rule(network.config, network.effects.layout, network.module, network.shared)
    known = [_prior(factor) for factor in factors]
    steps, status, residuals, acting, evidence = 0, Status.SETTLED, network.criterion.residuals, (), None
    if (labels == "train").any():
        # lines agree in the known levels as well, whose effects they are given
        placed = [np.asarray(data.person), *(own.codes for own in new), *(own.known for own in new)]
        train = speaking_rows(network, data, labels, np.column_stack(placed))
        train = replace(train, held=_held(network, train))
        weight = person_weight(rule, sigma2)
        steps, status = _mode(train, network, factors, weight)
        curvature = joint_rounds.line_curvature(train, network.shared, factors)
        at = joint_rounds.posterior_of_all(train, curvature, factors, weight)
        known = joint_rounds.posteriors(train, curvature, factors, at)
        evidence = joint_rounds.evidence_of(train, network.shared, factors, weight)
        if residuals is not None:
            sizes = [factor.layout.size for factor in factors]
            acting = acting_of(
                train, len(residuals), sizes, lambda part: joint_rounds.line_curvature(part, network.shared, factors)
            )
    further, posteriors = _with_the_known(network, new, factors, known)
    found = Estimate(
        shared=network.shared,
        effects=factors[0].effects,
        posterior=known[0],
        sigma2=sigma2,
        outcome=Outcome(trace=(), best_epoch=steps, epochs=steps, status=status),
        polish_steps=steps,
        exact=rule.exact,
        further=tuple((factor.effects, own) for factor, own in zip(further, posteriors, strict=True)),
        residuals=residuals,
        acting=acting,
        evidence=evidence,
    )
    linear = is_linear(network.config)
    scales = [
        reported_scale(effects.layout, network.module, network.shared, network.scaler, linear=linear)
        for effects in (network.effects, *(factor.effects for factor in network.further))
    ]
    return Trained(
        network=replace(network, levels=tuple(data.persons), effects=factors[0].effects, further=further),
        estimate=found,
        reported_scale=scales[0],
        training_rows=max(int((labels == "train").sum()), 1),
        further_scales=tuple(scales[1:]),
    )


def speaking_rows(network: FittedNetwork, data: GroupedDataset, labels: np.ndarray, codes: np.ndarray) -> Problem:
    """Inputs and losses of the ``train`` rows; ``codes`` are their persons or levels."""
    like = next(iter(network.shared.values()))
    rows = np.flatnonzero(labels == "train")
    cut = cut_at_parts(data, labels) if network.task == "sequence" else data
    return problem(
        cut.take(rows), codes[rows], network.scaler, network.module, task=network.task, dtype=like.dtype,
        device=like.device, parts=chain_parts(network.config, network.classes, network.covariates),
        criterion=network.criterion,
    )  # fmt: skip


def _new_levels(data: GroupedDataset, network: FittedNetwork, place: int, codes: np.ndarray) -> _NewLevels:
    """What of one further factor was not in training."""
    own = next(found for found in data.groupings[1:] if found.name == network.further[place - 1].grouping)
    unknown = codes[:, place] < 0
    present, inverse = np.unique(np.asarray(own.codes)[unknown], return_inverse=True)
    found = np.full(data.n_rows, -1, dtype=np.int64)
    found[unknown] = inverse
    return _NewLevels(levels=tuple(own.levels[code] for code in present), codes=found, known=codes[:, place])


def _state(name: str, effects: RandomEffects, levels: int) -> FactorState:
    """Effects of zero under a known covariance."""
    covariance = effects.covariance
    diagonal = not bool(torch.any(covariance - torch.diag(torch.diagonal(covariance))))
    return FactorState(
        name=name,
        layout=effects.layout,
        eta=covariance.new_zeros((levels, effects.layout.size)),
        log_cholesky=to_log_cholesky(covariance, diagonal=diagonal),
        diagonal=diagonal,
    )


def _held(network: FittedNetwork, train: Problem) -> Tensor:
    """Effects of known levels in each line; zero for persons and for levels that are new."""
    assert train.further is not None
    count = len(network.further)
    parts = [train.inputs.new_zeros((len(train.persons), network.effects.layout.size))]
    for place, factor in enumerate(network.further):
        codes = train.further[:, count + place]
        parts.append(torch.where((codes >= 0)[:, None], factor.effects.eta[codes.clamp(min=0)], 0.0))
    return torch.cat(parts, dim=1)


def _mode(train: Problem, network: FittedNetwork, factors: list[FactorState], weight: float) -> tuple[int, Status]:
    """Newton steps until the effects stand still."""
    for step in range(1, STEPS + 1):
        before = [factor.eta.clone() for factor in factors]
        joint_rounds.newton_step_of_all(train, network.shared, factors, weight)
        change = max(float((factor.eta - old).abs().max()) for factor, old in zip(factors, before, strict=True))
        size = max(float(factor.eta.abs().max()) for factor in factors)
        if change <= TOLERANCE * (1.0 + size):
            return step, Status.SETTLED
    return STEPS, Status.OUT_OF_EPOCHS


def _prior(factor: FactorState) -> Posterior:
    """The posterior of levels without a row: the prior."""
    covariance = factor.covariance.double().expand(len(factor.eta), -1, -1)
    return Posterior(curvature=torch.zeros_like(covariance), covariance=covariance)


def _with_the_known(
    network: FittedNetwork, new: list[_NewLevels], factors: list[FactorState], known: list[Posterior]
) -> tuple[tuple[FactorEffects, ...], list[Posterior]]:
    """Levels of training beside the new ones; what is known of the former is in the run they come from: NaN here."""
    found, posteriors = [], []
    for factor, own, state, posterior in zip(network.further, new, factors[1:], known[1:], strict=True):
        count, size = len(own.levels), factor.effects.layout.size
        eta = torch.cat([factor.effects.eta, state.eta[:count]])
        effects = RandomEffects(layout=factor.effects.layout, eta=eta, covariance=factor.effects.covariance)
        levels = (*factor.levels, *own.levels)
        found.append(FactorEffects(grouping=factor.grouping, levels=levels, effects=effects))
        old = posterior.covariance.new_full((len(factor.levels), size, size), torch.nan)
        posteriors.append(
            Posterior(
                curvature=torch.cat([torch.zeros_like(old), posterior.curvature[:count]]),
                covariance=torch.cat([old, posterior.covariance[:count]]),
            )
        )
    return tuple(found), posteriors
