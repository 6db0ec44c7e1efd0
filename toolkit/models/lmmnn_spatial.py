"""From data to a fitted network with a spatial effect, alone or beside grouping factors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.data.checks import check_further_factors
from toolkit.data.grouped import GroupedDataset
from toolkit.effects.posterior import Posterior
from toolkit.effects.random_effects import EffectLayout, FactorEffects, RandomEffects
from toolkit.errors import ToolkitWarning
from toolkit.models.additive_network import ADDED, AdditiveMlp, start_parameters
from toolkit.models.beside_solution import BesideSolution
from toolkit.models.chain_covariates import without_columns
from toolkit.models.field_parameters import EMBEDDING, LOG_REACH, LOG_VARIANCE, field_parameters
from toolkit.models.field_polish import Begin, Polished, Site, polish_alone, polish_beside
from toolkit.models.field_whole import FieldBesideOfAllRows, FieldOfAllRows, free_elements
from toolkit.models.fit_state import Estimate
from toolkit.models.linear_design import FactorEffectsOf, varying_effects
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.lmmnn_design import MixedRows, effect_columns, mixed_design, mixed_rows, slope_columns, slope_names
from toolkit.models.lmmnn_fit import parts_of
from toolkit.models.lmmnn_training import (
    SIGMA2,
    MixedObjective,
    factor_parameters,
    left_over,
    start_variances,
    train_network,
)
from toolkit.models.lmmnn_whole import Refresh
from toolkit.models.mixed_estimate import TrainedMixed, floored, squares_of, warn_of_boundary
from toolkit.models.place_fields import PlaceField, coordinates_of
from toolkit.models.prepare import Scaler, fit_scaler
from toolkit.models.spatial_network import SpatialNetwork
from toolkit.models.spatial_settings import effect_name
from toolkit.numerics.covariance import VARIANCE_FLOOR
from toolkit.numerics.spatial.beside_estimation import effects_beside
from toolkit.numerics.spatial.locations import check_coordinates, unique_places
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedSpatial(TrainedMixed):
    """A fitted network with a spatial effect.

    Attributes:
        batch_field: the field's variance and range and the residual variance that mini-batches led to, in the units of
            the data.
        converged: whether the maximum over the variances was found.
        beside: factors and field as they were solved together; None for a field alone.
    """

    batch_field: tuple[float, float, float]
    converged: bool
    beside: BesideSolution | None = None

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        assert isinstance(self.network, SpatialNetwork)
        field = self.network.field
        inducing = field.kind == "carried" and len(field.arrays["inducing"]) < len(field.places)
        how = (
            "nearest neighbours and inducing places" if field.kind == "near" else "inducing places" if inducing else ""
        )
        method = f"maximum likelihood by {how}" if how else "exact maximum likelihood of the variances"
        if not self.estimate.polish_steps:
            method = "mini-batches"
        return {"posterior": how or "exact", "method": method, "evaluations": self.estimate.polish_steps}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """What is fitted to which rows."""

    config: Lmmnn
    data: GroupedDataset
    rows: np.ndarray
    validation: np.ndarray
    factors: tuple[FactorEffectsOf, ...]
    scaler: Scaler
    module: AdditiveMlp
    coordinates: np.ndarray


def train_spatial(
    config: Lmmnn,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TrainedSpatial:
    """Fit a network with a spatial effect; arguments as in `toolkit.models.lmmnn_fit.train_lmmnn`.

    Raises:
        ConfigError, DataError: see `toolkit.models.linear_design`; E405, E111 or E150 for coordinates that are not
            there, or all the same.
    """
    plan = _planned(config, data, labels)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    shared = start_parameters(plan.module, generator=generator, dtype=dtype, device=device)
    objective, judged = _objective(plan, shared, generator, device)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    whole = config.likelihood == "all"
    outcome = train_network(
        config, replace(objective, by_all_rows=whole), judged,
        refresh=_refresh(plan, objective, seed) if whole else None, generator=generator, progress=progress,
        keeper=keeper,
    )  # fmt: skip
    left, site, begin = left_over(objective), _site(plan, objective), _begin(objective)
    if not plan.factors:
        polished = polish_alone(site, left, begin, polish=config.polish, rng=np.random.default_rng(seed))
    else:
        design = mixed_design(left, data, plan.rows, plan.factors, plan.module.columns)
        theta = free_elements(design, _relative(objective), begin.sigma2)
        polished = polish_beside(site, design, theta, begin, polish=config.polish)
    return _trained(plan, objective, outcome, site, polished, begin)


def _planned(config: Lmmnn, data: GroupedDataset, labels: np.ndarray) -> _Plan:
    """Checks, rows, standardisation and structure."""
    assert config.spatial is not None
    if config.terms is not None:
        check_further_factors(data)
    rows, validation = parts_of(config, data, labels)
    coordinates = coordinates_of(data, config.spatial)
    check_coordinates(coordinates[rows], config.spatial)
    factors = () if config.terms is None else varying_effects(config.terms, data, powers=True)
    scaler = replace(
        fit_scaler(without_columns(data, config.spatial), rows, task="regression"), elsewhere=config.spatial
    )
    columns = slope_columns(factors, data, rows, scaler)
    if factors:
        mixed_design(np.zeros(len(rows)), data, rows, factors, columns)  # refuses what cannot be told apart, at once
    module = AdditiveMlp(len(scaler.names), config.hidden, columns)
    return _Plan(
        config=config, data=data, rows=rows, validation=validation, factors=factors, scaler=scaler, module=module,
        coordinates=coordinates,
    )  # fmt: skip


def _objective(
    plan: _Plan, shared: dict[str, Tensor], generator: torch.Generator, device: torch.device
) -> tuple[MixedObjective, MixedRows | None]:
    """The likelihood of batches of the training rows, and the validation rows."""
    like = next(iter(shared.values()))
    both = np.concatenate([plan.rows, plan.validation])
    own = unique_places(plan.coordinates[both])
    centre, scale = _standard(plan)
    places = (own.places - centre) / scale if plan.config.kernel == "embedded" else own.places
    field, start = field_parameters(plan.config.kernel, places, plan.config.embedding, generator=generator, like=like)
    codes = torch.as_tensor(own.codes, device=device)

    def rows_of(rows: np.ndarray, places: Tensor) -> MixedRows:
        found = mixed_rows(plan.data, rows, plan.scaler, plan.factors, plan.module, like=like)
        return replace(found, places=places)

    factors = [factor_parameters(place, factor, device) for place, factor in enumerate(plan.factors)]
    objective = MixedObjective(
        module=plan.module, parameters=shared | start_variances(factors, like=like) | start, factors=factors,
        field=field, dropout=plan.config.dropout, rows=rows_of(plan.rows, codes[: len(plan.rows)]), generator=generator,
    )  # fmt: skip
    judged = rows_of(plan.validation, codes[len(plan.rows) :]) if len(plan.validation) else None
    return objective, judged


def _refresh(plan: _Plan, objective: MixedObjective, seed: int) -> Refresh:
    """What all rows say of the effects, as training goes on."""
    if not plan.factors:
        return FieldOfAllRows(lambda: (_site(plan, objective), _begin(objective)), seed=seed)
    design = mixed_design(np.zeros(len(plan.rows)), plan.data, plan.rows, plan.factors, plan.module.columns)
    return FieldBesideOfAllRows(
        lambda: (_site(plan, objective), _begin(objective), _relative(objective)), design,
        embedded=plan.config.kernel == "embedded",
    )  # fmt: skip


def _relative(objective: MixedObjective) -> list[np.ndarray]:
    """Relative factors, not yet over the residual SD, as mini-batches say."""
    return [own.relative(objective.parameters).detach().double().cpu().numpy() for own in objective.factors]


def _standard(plan: _Plan) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the training rows' coordinates, and their largest SD: distances keep their proportions."""
    own = plan.coordinates[plan.rows]
    return own.mean(axis=0), np.full(own.shape[1], max(float(own.std(axis=0).max()), 1e-300))


def _begin(objective: MixedObjective) -> Begin:
    """Where mini-batches led."""
    values = {name: float(torch.exp(objective.parameters[name].detach())) for name in (SIGMA2, LOG_VARIANCE)}
    reach = objective.parameters.get(LOG_REACH)
    return Begin(
        variance=values[LOG_VARIANCE],
        sigma2=values[SIGMA2],
        reach=1.0 if reach is None else float(torch.exp(reach.detach())),
    )


def _site(plan: _Plan, objective: MixedObjective) -> Site:
    """Training places in the order in which rows first come to them: their order says nothing of where they are."""
    assert plan.config.spatial is not None
    found = unique_places(plan.coordinates[plan.rows])
    _, first = np.unique(found.codes, return_index=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    centre, scale = _standard(plan)
    embedding = {
        name: value.detach().double().cpu().numpy()
        for name, value in objective.parameters.items()
        if name.startswith(EMBEDDING)
    }
    return Site(
        term=effect_name(plan.data), names=plan.config.spatial, places=np.ascontiguousarray(found.places[order]),
        codes=rank[found.codes], kernel=plan.config.kernel,
        embedding={**embedding, "centre": centre, "scale": scale} if embedding else {},
    )  # fmt: skip


def _trained(
    plan: _Plan, objective: MixedObjective, outcome: Outcome, site: Site, polished: Polished, begin: Begin
) -> TrainedSpatial:
    """Variances, effects, and the network with them."""
    module, names, scaler = plan.module, slope_names(plan.factors), plan.scaler
    own = dict(module.named_parameters())
    shared = {name: value.detach().double().cpu() for name, value in objective.parameters.items() if name in own}
    shared[module.level_name] = shared[module.level_name] + polished.level
    like, unit = shared[module.level_name], scaler.target_scale
    layouts = [module.layout(factor.slopes, names, scale=unit, like=like) for factor in plan.factors]
    effects = _factor_effects(polished, layouts)
    if polished.moments is not None:
        warn_of_boundary(_estimate(polished, shared, outcome, effects, polish=True), plan.factors)
    else:
        persons = len(plan.data.persons)
        nothing = EffectLayout(names=(), shapes=(), labels=(), units=())
        layouts, effects = [nothing], [_no_effects(persons, nothing)]
    at_place = EffectLayout(names=(module.level_name,), shapes=((1,),), labels=("output.bias",), units=(unit,))
    effects.append(_place_effects(site, polished.field, at_place))
    _warn_of_no_field(polished.field)
    estimate = _estimate(polished, shared, outcome, effects, polish=plan.config.polish)
    groupings = [factor.grouping for factor in plan.factors] or [plan.data.groupings[0]]
    width = len(str(len(site.places)))
    labels = tuple(f"{site.term} {number:0{width}d}" for number in range(1, len(site.places) + 1))
    further = [
        FactorEffects(grouping=grouping.name, levels=grouping.levels, effects=found)
        for grouping, (found, _) in zip(groupings[1:], effects[1:-1], strict=True)
    ]
    network = SpatialNetwork(
        config=plan.config, task=plan.config.task, scaler=scaler, classes=None, grouping=groupings[0].name,
        levels=groupings[0].levels, module=module, shared=shared, effects=effects[0][0],
        further=(*further, FactorEffects(grouping=site.term, levels=labels, effects=effects[-1][0])),
        field=polished.field,
    )  # fmt: skip
    scales = [np.diag(layout.units or ()) for layout in (*layouts, at_place)]
    rows = len(plan.rows)
    weights = sum(value.numel() for name, value in objective.parameters.items() if name.startswith(EMBEDDING))
    return TrainedSpatial(
        network=network, estimate=estimate, reported_scale=scales[0], training_rows=rows,
        further_scales=tuple(scales[1:]), deviance=polished.deviance + 2.0 * rows * math.log(unit),
        parameters=sum(value.numel() for name, value in shared.items() if name != ADDED) + weights
        + polished.parameters, restricted=False,
        batch_field=(begin.variance * unit**2, begin.reach, begin.sigma2 * unit**2), converged=polished.converged,
        beside=_beside(plan, polished),
    )  # fmt: skip


def _beside(plan: _Plan, polished: Polished) -> BesideSolution | None:
    """What intervals of predictions are made from."""
    if polished.moments is None or polished.maximum is None:
        return None
    columns, names = plan.module.columns, slope_names(plan.factors)
    return BesideSolution(
        moments=polished.moments, solution=polished.maximum.solution,
        columns=lambda rows: [effect_columns(factor, columns, names, rows) for factor in plan.factors],
    )  # fmt: skip


Effect = tuple[RandomEffects, Posterior]


def _factor_effects(polished: Polished, layouts: Sequence[EffectLayout]) -> list[Effect]:
    """Effects and posteriors of the grouping factors, in the caller's order."""
    if polished.moments is None or polished.maximum is None:
        return []
    sums, solution = polished.moments.factors, polished.maximum.solution
    found, squares = effects_beside(polished.moments, solution), squares_of(sums)
    effects: dict[int, Effect] = {}
    for place, order in enumerate(sums.order):
        relative = solution.relative[place]
        covariance = floored(solution.sigma2 * relative @ relative.T)
        own = RandomEffects(layout=layouts[order], eta=_tensor(found.means[place]), covariance=_tensor(covariance))
        spread = _tensor(found.covariances[place])
        effects[order] = own, Posterior(curvature=_tensor(2.0 * squares[place]), covariance=spread)
    return [effects[order] for order in range(len(layouts))]


def _no_effects(persons: int, layout: EffectLayout) -> Effect:
    """Persons without effects."""
    blocks = torch.zeros((persons, 0, 0), dtype=torch.float64)
    effects = RandomEffects(layout=layout, eta=blocks.reshape(persons, 0), covariance=blocks.new_zeros((0, 0)))
    return effects, Posterior(curvature=blocks, covariance=blocks)


def _place_effects(site: Site, field: PlaceField, layout: EffectLayout) -> Effect:
    """The spatial effect at the training places, as effects of a factor."""
    means, variances = field.field.predict(site.places)
    counts = np.bincount(site.codes, minlength=len(site.places)).astype(np.float64)
    prior = max(field.variance, VARIANCE_FLOOR)
    effects = RandomEffects(layout=layout, eta=_tensor(means[:, None]), covariance=_tensor(np.array([[prior]])))
    return effects, Posterior(
        curvature=_tensor(2.0 * counts[:, None, None]), covariance=_tensor(variances[:, None, None])
    )


def _estimate(
    polished: Polished, shared: dict[str, Tensor], outcome: Outcome, effects: Sequence[Effect], *, polish: bool
) -> Estimate:
    """How the model was estimated."""
    return Estimate(
        shared=shared, effects=effects[0][0], posterior=effects[0][1], sigma2=polished.field.sigma2, outcome=outcome,
        polish_steps=len(polished.trace) if polish else 0, exact=True, further=tuple(effects[1:]),
    )  # fmt: skip


def _warn_of_no_field(field: PlaceField) -> None:
    """W231 for a spatial effect whose variance is zero."""
    if field.kind == "zero":
        message = (
            "the maximum lies at a boundary: the variance of the spatial effect is zero. The data do not show that "
            "places differ; the model without it predicts the same"
        )
        warnings.warn(ToolkitWarning(message, code="W231"), stacklevel=5)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))
