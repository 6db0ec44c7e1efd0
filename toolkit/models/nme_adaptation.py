"""Effects of new persons under a fitted mixed effects network: shared parameters and variances held.

A new person's effects are the mode of their posterior given their own rows, ``argmin w loss_i(theta_bar + eta) + 1/2
eta' Sigma^-1 eta`` (`toolkit.effects.posterior`), found by Newton steps: exact for the last layer and for transitions,
Gauss-Newton steps that never raise the objective elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.posterior import Posterior, newton_step, posterior
from toolkit.effects.problem import Problem
from toolkit.effects.quadrature import posterior_moments
from toolkit.effects.random_effects import RandomEffects
from toolkit.effects.woodbury import PosteriorVariances
from toolkit.models.fit_state import Estimate, by_quadrature, person_weight
from toolkit.models.fitted import FittedNetwork
from toolkit.models.glmm import Glmm
from toolkit.models.joint_adaptation import STEPS, TOLERANCE, adapt_several, speaking_rows
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.modules import is_linear
from toolkit.models.placement import reported_scale
from toolkit.models.residuals import acting_of
from toolkit.models.starting import variance_rule
from toolkit.models.training import Trained
from toolkit.optimise.minimise import Outcome
from toolkit.optimise.status import Status


def adapt_effects(network: FittedNetwork, sigma2: float, data: GroupedDataset, labels: np.ndarray) -> Trained:
    """Posterior mode and covariance of the effects of new persons.

    Args:
        network: trained on other persons, with person effects.
        sigma2: its residual variance, on the standardised scale.
        data: rows of the new persons, with class codes of the network where the outcome is a class.
        labels: ``train`` rows speak for the persons. Who has none keeps effects of zero and the prior's SDs.
    """
    if network.further:
        return adapt_several(network, sigma2, data, labels)
    like = next(iter(network.shared.values()))
    eta = torch.zeros((data.n_persons, network.effects.layout.size), dtype=like.dtype, device=like.device)
    effects = RandomEffects(layout=network.effects.layout, eta=eta, covariance=network.effects.covariance)
    rule = variance_rule(network.config, network.effects.layout, network.module, network.shared)
    known, steps, status = _prior(effects), 0, Status.SETTLED
    residuals, acting = network.criterion.residuals, ()
    if (labels == "train").any():
        train = speaking_rows(network, data, labels, np.asarray(data.person))
        weight = person_weight(rule, sigma2)
        effects, steps, status = _mode(train, network, effects, weight)
        known = posterior(train, network.shared, effects, weight)
        if residuals is not None:
            acting = acting_of(
                train, len(residuals), [effects.layout.size],
                lambda part: posterior(part, network.shared, effects, weight).curvature,
            )  # fmt: skip
        if rule.update == "em" and by_quadrature(rule, effects.layout.size) and isinstance(known, Posterior):
            moments = posterior_moments(train, network.shared, effects, known, weight)
            known = replace(known, covariance=moments.covariance)
            if isinstance(network.config, Glmm | Lmmnn | McGmenn):  # their effects are posterior means
                effects = replace(effects, eta=moments.mean)
    found = Estimate(
        shared=network.shared,
        effects=effects,
        posterior=known,
        sigma2=sigma2,
        outcome=Outcome(trace=(), best_epoch=steps, epochs=steps, status=status),
        polish_steps=steps,
        exact=rule.exact,
        residuals=residuals,
        acting=acting,
    )
    own = replace(network, levels=tuple(data.persons), effects=effects)
    scale = reported_scale(
        network.effects.layout, network.module, network.shared, network.scaler,
        linear=is_linear(network.config), wide=effects.covariance.dim() == 1,
    )  # fmt: skip
    return Trained(
        network=own, estimate=found, reported_scale=scale, training_rows=max(int((labels == "train").sum()), 1)
    )


def _mode(
    train: Problem, network: FittedNetwork, effects: RandomEffects, weight: float
) -> tuple[RandomEffects, int, Status]:
    """Newton steps until the effects stand still."""
    for step in range(1, STEPS + 1):
        moved, _ = newton_step(train, network.shared, effects, weight)
        change, size = float((moved - effects.eta).abs().max()), float(moved.abs().max())
        effects = replace(effects, eta=moved)
        if change <= TOLERANCE * (1.0 + size):
            return effects, step, Status.SETTLED
    return effects, STEPS, Status.OUT_OF_EPOCHS


def _prior(effects: RandomEffects) -> Posterior | PosteriorVariances:
    """The posterior of persons without a row: the prior."""
    if effects.covariance.dim() == 1:
        variances = effects.covariance.double().expand(len(effects.eta), -1)
        nothing = torch.zeros_like(variances)
        return PosteriorVariances(curvature=nothing, covariance=variances, traces=nothing[:, 0])
    covariance = effects.covariance.double().expand(len(effects.eta), -1, -1)
    return Posterior(curvature=torch.zeros_like(covariance), covariance=covariance)
