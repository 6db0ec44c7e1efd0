"""Networks with random effects of levels that are a learned map of fewer effects (Simchoni and Rosset, 2023, g(Z)).

``y = f(X) + G u + e`` with one row of G for every level of the person's factor, learned together with the network, and
``u ~ N(0, s2 I)``. Effects of levels are then correlated, ``Var(G u) = s2 G G'``; a level that was not there in
training has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import RandomEffects
from toolkit.errors import ConfigError
from toolkit.models.additive_network import ADDED, AdditiveMlp, AdditiveNetwork, start_parameters
from toolkit.models.fit_state import Estimate
from toolkit.models.level_mapping import LOG_VARIANCE, MAP, LevelMapping, level_mapping
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.lmmnn_design import MixedRows, mixed_rows
from toolkit.models.lmmnn_fit import parts_of
from toolkit.models.lmmnn_training import SIGMA2, MixedObjective, left_over, start_variances, train_network
from toolkit.models.lmmnn_whole import Refreshed
from toolkit.models.mixed_estimate import TrainedMixed
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.numerics.covariance import VARIANCE_FLOOR
from toolkit.numerics.spatial.basis import BasisFit, fit_basis
from toolkit.numerics.spatial.locations import PlaceSums, place_sums
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress

SHARE = 0.1  # mapped effects, as a share of the levels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedMapped(TrainedMixed):
    """A fitted network with mapped effects.

    Attributes:
        loadings: G (levels, columns).
        mapped_variance: of the effects that are mapped, in the units of the data.
    """

    loadings: np.ndarray
    mapped_variance: float

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        method = "exact maximum likelihood of the variances" if self.estimate.polish_steps else "mini-batches"
        return {"posterior": "exact", "method": method, "evaluations": self.estimate.polish_steps}


def check_mapped(config: Lmmnn, data: GroupedDataset) -> None:
    """E302 where the levels that are mapped are not those of one factor alone."""
    terms = config.terms or ()
    if len(terms) > 1 or any(term.slopes or not term.intercept for term in terms):
        raise ConfigError(
            "a learned map is of the levels of one grouping factor, and nothing else varies",
            code="E302",
            column="level_map",
            remedy=f'use random="(1 | {data.groupings[0].name})", or leave the map out',
        )
    if terms and terms[0].grouping != data.groupings[0].name:
        raise ConfigError(
            f"random: nothing varies by '{data.groupings[0].name}', the first grouping factor of the data",
            code="E302",
            column="random",
            remedy=f"put '{terms[0].grouping}' first among the grouping factors",
        )


def train_mapped(
    config: Lmmnn,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TrainedMapped:
    """Fit a network with mapped effects; arguments as in `toolkit.models.lmmnn_fit.train_lmmnn`.

    Raises:
        ConfigError: E302 for a random part that is more than the levels of one factor.
    """
    check_mapped(config, data)
    rows, validation = parts_of(config, data, labels)
    scaler = fit_scaler(data, rows, task="regression")
    module = AdditiveMlp(len(scaler.names), config.hidden)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    shared = start_parameters(module, generator=generator, dtype=dtype, device=device)
    like = next(iter(shared.values()))
    levels = len(data.persons)
    columns = config.mapped or max(round(SHARE * levels), 1)
    widths = () if config.level_map == "linear" else tuple(config.level_map or ())
    mapping, start = level_mapping(levels, widths, columns, generator=generator, like=like)

    def rows_of(chosen: np.ndarray) -> MixedRows:
        found = mixed_rows(data, chosen, scaler, (), module, like=like)
        return replace(found, places=torch.as_tensor(np.array(np.asarray(data.person)[chosen]), device=device))

    objective = MixedObjective(
        module=module, parameters=shared | start_variances((), like=like) | start, factors=(), field=mapping,
        dropout=config.dropout, rows=rows_of(rows), generator=generator,
    )  # fmt: skip
    codes = np.asarray(data.person)[rows]
    whole = config.likelihood == "all"
    refresh = MappedOfAllRows(lambda: loadings_of(mapping, objective.parameters), codes) if whole else None
    outcome = train_network(
        config, replace(objective, by_all_rows=whole), rows_of(validation) if len(validation) else None,
        refresh=refresh, generator=generator, progress=progress, keeper=keeper,
    )  # fmt: skip
    loadings = loadings_of(mapping, objective.parameters)
    left = left_over(objective)
    level = float(left.mean())
    sums = place_sums(left - level, codes, levels)
    logs = [float(objective.parameters[name].detach()) for name in (LOG_VARIANCE, SIGMA2)]
    ratio = None if config.polish else math.exp(logs[0] - logs[1])
    fit = fit_basis(sums, loadings, gamma=ratio)
    return _trained(config, data, objective, scaler, outcome, fit, sums, loadings, level)


class MappedOfAllRows:
    """Predicts mapped effects from what the network leaves over in all rows."""

    size = 1

    def __init__(self, loadings: Callable[[], np.ndarray], codes: np.ndarray) -> None:
        """Keep how the map stands, and the level of each row."""
        self._loadings, self._codes = loadings, codes

    def __call__(self, left: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None) -> Refreshed:
        """The effects given what is left over, the variances at their maximum."""
        loadings = self._loadings()
        fit = fit_basis(place_sums(left, self._codes, len(loadings)), loadings)
        return Refreshed(
            offset=(loadings @ fit.mean)[self._codes], sigma2=fit.sigma2, theta=np.array([fit.variance / fit.sigma2]),
            deviance=fit.deviance,
        )  # fmt: skip


@torch.no_grad()
def loadings_of(mapping: LevelMapping, parameters: dict[str, Tensor]) -> Float[np.ndarray, "levels columns"]:
    """G as it stands."""
    table = parameters[f"{MAP}.table"]
    levels = torch.arange(len(table), device=table.device)
    return mapping.columns(parameters, levels).double().cpu().numpy()


def _trained(
    config: Lmmnn,
    data: GroupedDataset,
    objective: MixedObjective,
    scaler: Scaler,
    outcome: Outcome,
    fit: BasisFit,
    sums: PlaceSums,
    loadings: np.ndarray,
    level: float,
) -> TrainedMapped:
    """Variances, effects, and the network with them."""
    module, own = objective.module, dict(objective.module.named_parameters())
    shared = {name: value.detach().double().cpu() for name, value in objective.parameters.items() if name in own}
    shared[module.level_name] = shared[module.level_name] + level
    layout = module.layout((None,), (), scale=scaler.target_scale, like=shared[module.level_name])
    squares = (loadings**2).sum(axis=1)
    variance = max(fit.variance * float(squares.mean()), VARIANCE_FLOOR)
    spread = np.einsum("la,ab,lb->l", loadings, fit.spread, loadings)
    effects = RandomEffects(
        layout=layout, eta=torch.as_tensor((loadings @ fit.mean)[:, None]),
        covariance=torch.tensor([[variance]], dtype=torch.float64),
    )  # fmt: skip
    posterior = Posterior(
        curvature=torch.as_tensor(2.0 * sums.counts[:, None, None]), covariance=torch.as_tensor(spread[:, None, None])
    )
    estimate = Estimate(
        shared=shared, effects=effects, posterior=posterior, sigma2=fit.sigma2, outcome=outcome,
        polish_steps=fit.evaluations if config.polish else 0, exact=True,
    )  # fmt: skip
    network = AdditiveNetwork(
        config=config, task=config.task, scaler=scaler, classes=None, grouping=data.groupings[0].name,
        levels=tuple(data.persons), module=module, shared=shared, effects=effects,
    )  # fmt: skip
    unit, rows = scaler.target_scale, sums.rows
    weights = sum(value.numel() for name, value in objective.parameters.items() if name.startswith(MAP))
    return TrainedMapped(
        network=network, estimate=estimate, reported_scale=np.diag([unit]), training_rows=rows,
        deviance=fit.deviance + 2.0 * rows * math.log(unit), restricted=False,
        parameters=sum(value.numel() for name, value in shared.items() if name != ADDED) + weights + 2,
        loadings=loadings, mapped_variance=fit.variance * unit**2,
    )  # fmt: skip
