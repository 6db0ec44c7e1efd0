"""What networks that know the levels of grouping factors have in common: levels read beside the features."""

from __future__ import annotations

import numpy as np

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.plain import PlainConfig, Reading, Units, codes_of, level_tables, rows_as_units


class LevelsConfig(PlainConfig):
    """Settings of a network that sees features and the places of a row's levels in every factor."""

    def read(self, data: GroupedDataset, rows: np.ndarray) -> Reading:
        """Levels of every factor beside the features."""
        return Reading(scaler=super().read(data, rows).scaler, factors=level_tables(data, rows))

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Features and places of the levels (rows, factors)."""
        return rows_as_units(data.n_rows, reading.scaler.features(data), codes_of(reading, data, level))


class PersonConfig(LevelsConfig):
    """Settings of a network with effects of one grouping factor, which sees features and the place of the person."""

    def check(self, data: GroupedDataset) -> None:
        """Refuse several grouping factors (E302)."""
        if len(data.groupings) > 1:
            raise ConfigError(
                f"{type(self).__name__} has effects of one grouping factor",
                code="E302",
                column="groups",
                remedy="name one column",
            )

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Features and place of the person (rows,)."""
        return rows_as_units(data.n_rows, reading.scaler.features(data), codes_of(reading, data, level)[:, 0])
