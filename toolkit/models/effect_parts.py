"""What each grouping factor adds to the prediction of a row, on the scale on which effects add up.

The linear predictor of a row (the number itself, the log odds of two classes, a logit for every class, the log of a
count's mean) is

    f(x) + sum_k p_k,

with the network's output without any effect, and one part for every grouping factor. Where effects enter the outputs
linearly (last layer, mixed models, MC-GMENN) ``p_k = z_k b_k`` is what the factor's level adds, whatever the others
are. Where they sit deeper in the network, parts depend on each other: ``p_k`` is then the factor's Shapley value over
the factors, its mean addition over all orders in which factors can be added, which adds up to the whole as well and is
the same number where effects are linear.

The covariance of a part is ``J V J'`` with the posterior covariance V of the level's effects and J the derivative of
the outputs with respect to them; a level that was not there in training adds nothing, with the covariance that effects
have over levels.

Source: Shapley (1953), A value for n-person games; Lundberg & Lee (2017) for predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.random_effects import RandomEffects
from toolkit.errors import DataError
from toolkit.models.additive_network import AdditiveNetwork
from toolkit.models.fitted import FittedNetwork
from toolkit.models.outcomes import predicted
from toolkit.models.spatial_network import SpatialNetwork
from toolkit.results import read_only

MOST_JOINT = 6  # factors whose orders are gone through
MOST_EFFECTS = 200  # of a level; beyond, a part has no SD
STEP = 0.05  # of derivatives, in SDs of the effect
EXACT = 1e-9
Outputs = Float[np.ndarray, "rows output"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EffectParts:
    """Parts of the predictions of some rows.

    Attributes:
        task: kind of outcome.
        outputs: names of the linear predictor's values: classes, targets, or one name.
        factors: grouping factors that have effects.
        levels: each row's level of each factor (rows, factors), -1 where it was not there in training.
        population: without any effect (rows, outputs); numbers in units of the target, else logits.
        parts: what each factor adds (rows, factors, outputs).
        covariance: of each part over its outputs (rows, factors, outputs, outputs); NaN where it is not known.
        additive: whether each part is the same whatever the other factors are.
        predictions_population, predictions: values (rows, outputs), or class probabilities (rows, classes), without and
            with all effects.
        classes: names of the classes; None for numbers.
        field: the factor that is a spatial effect, which places without training rows have as well; None without one.
    """

    task: str
    outputs: tuple[str, ...]
    factors: tuple[str, ...]
    levels: Int[np.ndarray, "rows factor"]
    population: Outputs
    parts: Float[np.ndarray, "rows factor output"]
    covariance: Float[np.ndarray, "rows factor output output"]
    additive: bool
    predictions_population: np.ndarray
    predictions: np.ndarray
    classes: tuple[str, ...] | None
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Factor:
    """One grouping factor: its place among the codes, its effects, and their posterior covariances."""

    place: int
    name: str
    effects: RandomEffects
    posterior: Tensor | None


def effect_parts(
    network: FittedNetwork, data: GroupedDataset, posterior: tuple[Tensor | None, ...] = ()
) -> EffectParts:
    """What each grouping factor adds to the predictions of the rows.

    Args:
        network: a fitted network with effects of one or several grouping factors; no chain.
        data: the rows.
        posterior: posterior covariances of every factor's effects, (levels, d, d) or their variances (levels, d), the
            person first; parts of a factor without any have no covariance.

    Raises:
        DataError: E406 for a chain, a model without effects, or effects deep in the network of more than six factors.
    """
    if network.task == "sequence":
        raise DataError(
            "predictions of states in a sequence are no sum of effects", code="E406", column="model",
            remedy="choose a run that predicts one row at a time; persons' transitions show what effects do here",
        )  # fmt: skip
    network = _double(network)
    factors = _factors(network, posterior)
    if not factors:
        raise DataError("the model has no effects of grouping factors", code="E406", column="model")
    codes = network.all_codes(data)
    codes = codes[:, None] if codes.ndim == 1 else codes
    given = _Additions(network, data, codes)
    population, whole, additive, parts = _divided(given, factors)
    covariance = np.stack([_covariance(given, factor, population) for factor in factors], axis=1)
    task, scaler, shown = network.task, network.scaler, _shown(network)
    units = scaler.targets.scale if task == "regression" else np.ones(shown)
    zero = scaler.targets.mean if task == "regression" else np.zeros(shown)
    return EffectParts(
        task=task,
        outputs=_names(network, shown),
        factors=tuple(factor.name for factor in factors),
        levels=read_only(codes[:, [factor.place for factor in factors]], dtype=np.int64),
        population=read_only(population[:, :shown] * units + zero),
        parts=read_only(parts[:, :, :shown] * units),
        covariance=read_only(covariance[:, :, :shown, :shown] * np.multiply.outer(units, units)),
        additive=additive,
        predictions_population=read_only(_columns(predicted(task, population, scaler))),
        predictions=read_only(_columns(predicted(task, whole, scaler))),
        classes=network.classes,
        field=network.field.term if isinstance(network, SpatialNetwork) else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Additions:
    """Outputs of the rows with the effects of some factors."""

    network: FittedNetwork
    data: GroupedDataset
    codes: Int[np.ndarray, "rows factor"]

    def with_factors(self, places: tuple[int, ...]) -> Outputs:
        """Outputs with the effects of the factors at some places alone."""
        codes = np.full_like(self.codes, -1)
        codes[:, places] = self.codes[:, places]
        return self._outputs(self.network, codes, with_field=len(self.network.groupings) - 1 in places)

    def moved(self, factor: _Factor, change: Callable[[Tensor], Tensor]) -> Outputs:
        """Outputs with all effects, those of one factor changed; unseen levels get a row of their own."""
        effects = factor.effects
        eta = torch.cat([effects.eta, effects.eta.new_zeros((1, effects.layout.size))])
        network = _with_effects(self.network, factor.place, replace(effects, eta=change(eta)))
        codes = self.codes.copy()
        codes[:, factor.place] = np.where(codes[:, factor.place] < 0, len(effects.eta), codes[:, factor.place])
        return self._outputs(network, codes, with_field=True)

    def _outputs(self, network: FittedNetwork, codes: np.ndarray, *, with_field: bool) -> Outputs:
        """Outputs of each row with the effects of some levels, of a spatial model with its field or without."""
        if isinstance(network, SpatialNetwork):
            return network._row_outputs(self.data, codes, "person" if with_field else "population")
        # a perceptron of its own for every person takes one column of codes where there is one factor
        own = codes if network.further or isinstance(network, AdditiveNetwork) else codes[:, 0]
        return network._row_outputs(self.data, own, "person")


def _divided(given: _Additions, factors: list[_Factor]) -> tuple[Outputs, Outputs, bool, np.ndarray]:
    """Outputs without and with all effects, whether parts simply add up, and the parts (rows, factors, outputs)."""
    places = tuple(factor.place for factor in factors)
    population, whole = given.with_factors(()), given.with_factors(places)
    alone = np.stack([given.with_factors((place,)) - population for place in places], axis=1)
    scale = 1.0 + np.abs(whole).max(initial=0.0)
    if np.abs(population + alone.sum(axis=1) - whole).max(initial=0.0) <= EXACT * scale:
        return population, whole, True, alone
    if len(places) > MOST_JOINT:
        raise DataError(
            f"effects deep in a network are divided among {MOST_JOINT} grouping factors at most",
            code="E406", column="model", remedy="let them vary the last layer only",
        )  # fmt: skip
    return population, whole, False, shapley_values(given.with_factors, places)


def shapley_values(
    value: Callable[[tuple[int, ...]], np.ndarray], members: tuple[int, ...]
) -> Float[np.ndarray, "rows member output"]:
    """Mean addition of each member over all orders in which members can be added.

        p_k = sum over sets S without k of |S|! (n - |S| - 1)! / n! (v(S + k) - v(S))

    Args:
        value: v of a set of members, in their order.
        members: all of them.
    """
    count = len(members)
    sets = [subset for size in range(count + 1) for subset in combinations(members, size)]
    known = {subset: value(subset) for subset in sets}
    parts = []
    for member in members:
        total = np.zeros_like(known[()])
        for subset in sets:
            if member in subset:
                continue
            weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
            joined = tuple(one for one in members if one in subset or one == member)
            total = total + weight * (known[joined] - known[subset])
        parts.append(total)
    return np.stack(parts, axis=1)


def _covariance(given: _Additions, factor: _Factor, population: Outputs) -> Float[np.ndarray, "rows output output"]:
    """Covariance of one factor's part over the outputs, ``J V J'``."""
    network, place = given.network, factor.place
    if isinstance(network, SpatialNetwork) and place == len(network.groupings) - 1:
        return network.field.at_rows(given.data)[1][:, None, None]
    size, unseen = factor.effects.layout.size, given.codes[:, place] < 0
    if size > MOST_EFFECTS or factor.posterior is None:
        return np.full((*population.shape, population.shape[1]), np.nan)
    prior = _matrix(factor.effects.covariance)
    derivative = np.stack([_derivative(given, factor, effect) for effect in range(size)], axis=2)
    own = _matrices(factor.posterior, np.maximum(given.codes[:, place], 0))
    variance = np.where(unseen[:, None, None], prior, own)
    return derivative @ variance @ derivative.transpose(0, 2, 1)


def _derivative(given: _Additions, factor: _Factor, effect: int) -> Outputs:
    """Derivative of the outputs with respect to one effect of each row's level, by central differences."""
    spread = float(np.sqrt(max(_matrix(factor.effects.covariance)[effect, effect], 1e-6)))
    step = torch.zeros(factor.effects.layout.size, dtype=torch.float64, device=factor.effects.eta.device)
    step[effect] = STEP * spread
    above, below = given.moved(factor, lambda eta: eta + step), given.moved(factor, lambda eta: eta - step)
    return (above - below) / (2.0 * STEP * spread)


def _factors(network: FittedNetwork, posterior: tuple[Tensor | None, ...]) -> list[_Factor]:
    """The factors that have effects, the person first."""
    every = (network.effects, *(factor.effects for factor in network.further))
    known = posterior or (None,) * len(every)
    found = zip(network.groupings, every, known, strict=True)
    return [
        _Factor(place=place, name=name, effects=effects, posterior=covariance)
        for place, (name, effects, covariance) in enumerate(found)
        if effects.layout.size
    ]


def _with_effects(network: FittedNetwork, place: int, effects: RandomEffects) -> FittedNetwork:
    """The network with other effects of one factor."""
    if place == 0:
        return replace(network, effects=effects)
    changed = replace(network.further[place - 1], effects=effects)
    return replace(network, further=(*network.further[: place - 1], changed, *network.further[place:]))


def _double(network: FittedNetwork) -> FittedNetwork:
    """The network in double precision, in which parts add up to the last digit that is shown."""

    def exact(effects: RandomEffects) -> RandomEffects:
        layout = effects.layout
        if layout.mixing is not None:
            layout = replace(layout, mixing=layout.mixing.double())
        return replace(effects, layout=layout, eta=effects.eta.double())

    shared = {name: value.double() if value.is_floating_point() else value for name, value in network.shared.items()}
    further = tuple(replace(factor, effects=exact(factor.effects)) for factor in network.further)
    return replace(network, shared=shared, effects=exact(network.effects), further=further)


def _matrix(covariance: Tensor) -> np.ndarray:
    """A covariance, or variances, as a matrix (d, d)."""
    values = covariance.detach().double().cpu().numpy()
    return np.diag(values) if values.ndim == 1 else values


def _matrices(posterior: Tensor, rows: np.ndarray) -> np.ndarray:
    """Posterior covariances of the rows' levels (rows, d, d)."""
    values = posterior.detach().double().cpu().numpy()[rows]
    return values if values.ndim == 3 else values[:, :, None] * np.eye(values.shape[1])


def _shown(network: FittedNetwork) -> int:
    """Outputs that are told apart: of ordered classes one, since effects move every threshold alike."""
    if network.task == "multiclass":
        return len(network.classes or ())
    return len(network.scaler.targets.mean) if network.task == "regression" else 1


def _names(network: FittedNetwork, shown: int) -> tuple[str, ...]:
    """What the outputs are called."""
    classes = network.classes or ()
    if network.task == "multiclass":
        return classes
    if network.task == "binary" and classes:
        return (classes[-1],)
    return network.target_names or (("latent score",) if network.task == "ordinal" else ("outcome",))[:shown]


def _columns(values: np.ndarray) -> np.ndarray:
    """Predictions with one column where they have none."""
    return values[:, None] if values.ndim == 1 else values
