"""Design of a linear mixed model from a data set: fixed effects of every feature, random effects by grouping factor."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import qr

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.effects.formula import RandomTerm, power_of
from toolkit.effects.random_effects import EffectLayout
from toolkit.errors import ConfigError, DataError, ToolkitWarning
from toolkit.models.placement import BIAS, WEIGHT
from toolkit.models.prepare import Scaler
from toolkit.numerics.mixed.design import Design, Factor

COLLINEAR = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorEffectsOf:
    """What varies by one grouping factor.

    Attributes:
        grouping: the factor.
        slopes: features whose coefficient varies, None standing for the intercept, in the order of the effects.
        blocks: sizes of the groups of effects that correlate.
    """

    grouping: Grouping
    slopes: tuple[str | None, ...]
    blocks: tuple[int, ...]


def varying_effects(
    terms: Sequence[RandomTerm] | None, data: GroupedDataset, *, powers: bool = False
) -> tuple[FactorEffectsOf, ...]:
    """The grouping factors of the terms, the person first; terms of one factor are independent of each other.

    Args:
        terms: what varies; None lets the level differ between persons.
        data: rows, with their grouping factors and features.
        powers: whether powers of features may vary; a linear model needs them as columns with a fixed effect.

    Raises:
        ConfigError: E302 for a factor or slope the data do not have, an effect that is named twice, or terms that
            leave the person out.
    """
    chosen = (RandomTerm(grouping=data.groupings[0].name),) if terms is None else tuple(terms)
    known = {grouping.name: grouping for grouping in data.groupings}
    for term in chosen:
        _check_names(term, tuple(known), data, powers=powers)
    person = data.groupings[0].name
    if all(term.grouping != person for term in chosen):
        raise ConfigError(
            f"random: nothing varies by '{person}', the first grouping factor of the data",
            code="E302",
            column="random",
            remedy=f"name it in a term, or put '{chosen[0].grouping}' first among the grouping factors",
        )
    found = []
    for name in dict.fromkeys([person, *(term.grouping for term in chosen)]):
        own = [term for term in chosen if term.grouping == name]
        slopes: list[str | None] = []
        for term in own:
            slopes += [None, *term.slopes] if term.intercept else list(term.slopes)
        if len(set(slopes)) < len(slopes):
            raise ConfigError(
                f"random: an effect of '{name}' is named twice",
                code="E302",
                column="random",
                remedy="write (0 + t | person) beside (1 | person)",
            )
        blocks = tuple(size for term in own for size in term.blocks)
        found.append(FactorEffectsOf(grouping=known[name], slopes=tuple(slopes), blocks=blocks))
    return tuple(found)


def _check_names(term: RandomTerm, known: tuple[str, ...], data: GroupedDataset, *, powers: bool) -> None:
    """E302 for names that the data do not have."""
    if term.grouping not in known:
        raise ConfigError(
            f"random: '{term.grouping}' is no grouping factor of the data",
            code="E302",
            column="random",
            remedy=f"grouping factors: {', '.join(known)}",
        )
    for slope in term.slopes:
        name, power = power_of(slope)
        if power > 1 and not powers:
            raise ConfigError(
                f"random: functions such as '{slope}' are not read",
                code="E302",
                column="random",
                remedy="add a column with its values, and name that",
            )
        if name not in data.feature_names:
            raise ConfigError(
                f"random: '{name}' is no feature of the data",
                code="E302",
                column="random",
                remedy=f"features: {', '.join(data.feature_names)}",
            )


def independent_columns(data: GroupedDataset, rows: np.ndarray, scaler: Scaler) -> Scaler:
    """The standardisation without features that are a linear combination of those before them (W232)."""
    values = (np.asarray(data.features)[rows][:, places_of(data, scaler.names)] - scaler.mean) / scaler.scale
    if not values.shape[1]:
        return scaler
    product = values.T @ values / len(values)
    kept = list[int]()
    for column in range(len(product)):  # the first of several that say the same stays
        tried = [*kept, column]
        triangle = np.asarray(qr(product[np.ix_(tried, tried)], mode="r", check_finite=False)[0])
        if abs(triangle[-1, -1]) > COLLINEAR:
            kept.append(column)
    lost = [name for place, name in enumerate(scaler.names) if place not in kept]
    if not lost:
        return scaler
    words = f"linear combinations of other features, left out of the fixed effects: {', '.join(lost)}"
    warnings.warn(ToolkitWarning(words, code="W232"), stacklevel=4)
    return Scaler(
        names=tuple(scaler.names[place] for place in kept),
        dropped=(*scaler.dropped, *lost),
        mean=scaler.mean[kept],
        scale=scaler.scale[kept],
        target_mean=scaler.target_mean,
        target_scale=scaler.target_scale,
    )


def design_of(data: GroupedDataset, rows: np.ndarray, scaler: Scaler, factors: Sequence[FactorEffectsOf]) -> Design:
    """Outcome and design of the training rows; slopes in the features' SDs, from zero rather than from the mean.

    Raises:
        DataError: E190 where a slope cannot vary because its feature never does within a level; E118 for no more rows
            than effects of one factor.
    """
    features = np.asarray(data.features)[rows]
    standardised = (features[:, places_of(data, scaler.names)] - scaler.mean) / scaler.scale
    found = []
    for factor in factors:
        columns = list(linear_columns(factor, data, scaler)[rows].T)
        codes = np.asarray(factor.grouping.codes)[rows]
        check_enough(factor, codes, columns)
        found.append(
            Factor(
                codes=codes,
                levels=len(factor.grouping.levels),
                design=np.column_stack(columns),
                blocks=factor.blocks,
            )
        )
    fixed = np.column_stack([np.ones(len(rows)), standardised])
    return Design(outcome=scaler.target(data)[rows], fixed=fixed, factors=tuple(found))


def linear_columns(factor: FactorEffectsOf, data: GroupedDataset, scaler: Scaler) -> Float[np.ndarray, "rows effects"]:
    """What the effects of a factor are multiplied with in every row of the data."""
    features = np.asarray(data.features)
    return np.column_stack(
        [
            np.ones(data.n_rows) if name is None else features[:, places_of(data, (name,))[0]] / unit
            for name, unit in zip(factor.slopes, slope_units(factor, scaler), strict=True)
        ]
    )


def slope_units(factor: FactorEffectsOf, scaler: Scaler) -> Float[np.ndarray, " effects"]:
    """SD of each slope's feature in the training rows; 1 for the intercept."""
    sd = dict(zip(scaler.names, scaler.scale, strict=True))
    for name in factor.slopes:
        if name is not None and name not in sd:
            raise ConfigError(
                f"random: '{name}' was left out of the fixed effects, and its coefficient cannot vary",
                code="E302",
                column="random",
                remedy="leave its slope out, or the features that say the same",
            )
    return np.array([1.0 if name is None else sd[name] for name in factor.slopes])


def layout_of(factor: FactorEffectsOf, scaler: Scaler) -> EffectLayout:
    """Where the effects belong in a linear network of standardised features.

    A slope that differs by ``eta`` per SD, counted from zero, moves the weight of its feature by ``eta`` and the bias
    by ``eta mean / sd``.
    """
    size = len(scaler.names)
    mixing = torch.zeros((size + 1, len(factor.slopes)), dtype=torch.float64)
    units: list[float] = []
    labels: list[str] = []
    for column, name in enumerate(factor.slopes):
        if name is None:
            mixing[size, column] = 1.0
            labels.append(BIAS)
            units.append(scaler.target_scale)
            continue
        place = scaler.names.index(name)
        mixing[place, column] = 1.0
        mixing[size, column] = float(scaler.mean[place] / scaler.scale[place])
        labels.append(f"{WEIGHT}[{name}]")
        units.append(scaler.target_scale / float(scaler.scale[place]))
    return EffectLayout(
        names=(WEIGHT, BIAS), shapes=((1, size), (1,)), labels=tuple(labels), mixing=mixing, units=tuple(units)
    )


def places_of(data: GroupedDataset, names: Sequence[str]) -> list[int]:
    """Columns of features by name."""
    place = {name: column for column, name in enumerate(data.feature_names)}
    return [place[name] for name in names]


def check_enough(factor: FactorEffectsOf, codes: np.ndarray, columns: Sequence[np.ndarray]) -> None:
    """Refuse effects that the rows cannot tell from the residual."""
    present = np.count_nonzero(np.bincount(codes))
    effects = present * len(columns)
    if len(codes) <= effects:
        raise DataError(
            f"{len(codes)} training rows for {effects} effects ({len(columns)} for each of {present} levels)",
            code="E118",
            column=factor.grouping.name,
            remedy="let fewer coefficients vary; more rows than effects are needed",
        )
    for name, column in zip(factor.slopes, columns, strict=True):
        if name is not None and None in factor.slopes and not _varies_within(codes, column):
            raise DataError(
                f"'{name}' never varies within a level of '{factor.grouping.name}': no slope can be told from a level",
                code="E190",
                column=name,
                remedy="leave the slope out; it needs levels with several values",
            )


def _varies_within(codes: np.ndarray, column: np.ndarray) -> bool:
    """Whether any level has two different values."""
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    return bool((np.diff(column[order])[same] != 0).any())
