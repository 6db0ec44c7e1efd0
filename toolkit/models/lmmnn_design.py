"""What varies in a network with random effects: columns of slopes, the design of its rows, rows as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.formula import power_of
from toolkit.errors import ConfigError
from toolkit.models.additive_network import AdditiveMlp, SlopeColumn
from toolkit.models.linear_design import FactorEffectsOf, check_enough, places_of
from toolkit.models.prepare import Scaler
from toolkit.numerics.mixed.design import Design, Factor


def slope_names(factors: Sequence[FactorEffectsOf]) -> tuple[str, ...]:
    """Slopes of all factors, each once."""
    return tuple(dict.fromkeys(name for factor in factors for name in factor.slopes if name is not None))


def slope_columns(
    factors: Sequence[FactorEffectsOf], data: GroupedDataset, rows: np.ndarray, scaler: Scaler
) -> tuple[SlopeColumn, ...]:
    """The columns whose coefficient varies, in SDs of the training rows.

    Raises:
        ConfigError: E302 for a feature that is constant in the training rows.
    """
    found = []
    for slope in slope_names(factors):
        name, power = power_of(slope)
        if name not in scaler.names:
            raise ConfigError(
                f"random: '{name}' is constant in the training rows, and its coefficient cannot vary",
                code="E302",
                column="random",
                remedy="leave its slope out",
            )
        place = scaler.names.index(name)
        values = np.asarray(data.features)[rows, places_of(data, (name,))[0]]
        found.append(
            SlopeColumn(
                name=name,
                place=place,
                power=power,
                mean=float(scaler.mean[place]),
                sd=float(scaler.scale[place]),
                unit=float((values**power).std()),
            )
        )
    return tuple(found)


def effect_columns(
    factor: FactorEffectsOf, columns: Sequence[SlopeColumn], names: Sequence[str], data: GroupedDataset
) -> Float[np.ndarray, "rows effects"]:
    """What the effects of a factor are multiplied with in every row of the data."""
    features = np.asarray(data.features)
    found = []
    for slope in factor.slopes:
        if slope is None:
            found.append(np.ones(data.n_rows))
            continue
        column = columns[names.index(slope)]
        found.append(features[:, places_of(data, (column.name,))[0]] ** column.power / column.unit)
    return np.column_stack(found)


def mixed_design(
    outcome: Float[np.ndarray, " rows"],
    data: GroupedDataset,
    rows: np.ndarray,
    factors: Sequence[FactorEffectsOf],
    columns: Sequence[SlopeColumn],
) -> Design:
    """The mixed model of what the network leaves over: its mean, and the effects.

    Args:
        outcome: what is left over in the chosen rows (rows,).
        data: the whole data set.
        rows: numbers of the chosen rows.
        factors: what varies by each grouping factor.
        columns: slopes.

    Raises:
        DataError: E190 where a slope cannot vary because its feature never does within a level; E118 for no more rows
            than effects of one factor.
    """
    names = slope_names(factors)
    found = []
    for factor in factors:
        design = effect_columns(factor, columns, names, data)[rows]
        codes = np.asarray(factor.grouping.codes)[rows]
        check_enough(factor, codes, list(design.T))
        found.append(Factor(codes=codes, levels=len(factor.grouping.levels), design=design, blocks=factor.blocks))
    return Design(outcome=outcome, fixed=np.ones((len(outcome), 1)), factors=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorRows:
    """One grouping factor in some rows: levels, and what the effects are multiplied with (None: an intercept alone)."""

    codes: Int[Tensor, " rows"]
    design: Float[Tensor, "rows effects"] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedRows:
    """Rows as tensors.

    Attributes:
        inputs: standardised features (rows, features).
        target: standardised outcome (rows,).
        factors: of each grouping factor with effects.
        persons: person of each row.
        places: place of each row, where there is a spatial effect.
    """

    inputs: Float[Tensor, "rows features"]
    target: Float[Tensor, " rows"]
    factors: tuple[FactorRows, ...]
    persons: Int[Tensor, " rows"]
    places: Int[Tensor, " rows"] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.target)


def mixed_rows(
    data: GroupedDataset,
    rows: np.ndarray,
    scaler: Scaler,
    factors: Sequence[FactorEffectsOf],
    module: AdditiveMlp,
    *,
    like: Tensor,
) -> MixedRows:
    """The chosen rows as tensors of the type and on the device of ``like``."""
    chosen = data.take(rows)
    names = slope_names(factors)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values)).to(like)

    found = []
    for factor in factors:
        alone = factor.slopes == (None,)
        codes = torch.as_tensor(np.array(np.asarray(factor.grouping.codes)[rows]), device=like.device)
        design = None if alone else tensor(effect_columns(factor, module.columns, names, chosen))
        found.append(FactorRows(codes=codes, design=design))
    return MixedRows(
        inputs=tensor(scaler.features(chosen)), target=tensor(scaler.target(chosen)), factors=tuple(found),
        persons=torch.as_tensor(np.array(np.asarray(data.person)[rows])),
    )  # fmt: skip
