"""A fitted network with a spatial effect beside effects of grouping factors, or alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.models.additive_network import AdditiveNetwork
from toolkit.models.effect_tables import variance_table
from toolkit.models.fitted import FittedNetwork, Level
from toolkit.models.place_fields import PlaceField
from toolkit.models.training import Trained


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpatialNetwork(AdditiveNetwork):
    """A network with a spatial effect, the last of the further grouping factors; its levels are the training places.

    Attributes:
        field: the spatial effect at any coordinates.
    """

    field: PlaceField

    def all_codes(self, data: GroupedDataset) -> np.ndarray:
        """Codes of each row's levels (rows, factors), the place last; -1 for places without training rows."""
        others = FittedNetwork.all_codes(replace(self, further=self.further[:-1]), data)
        return np.column_stack([others, self.field.codes(data)])

    def _row_outputs(self, data: GroupedDataset, codes: np.ndarray, level: Level) -> np.ndarray:
        """Outputs of each row (rows, 1): the field is added at any coordinates, but not for the population."""
        codes = codes.copy()
        codes[:, -1] = -1
        found = AdditiveNetwork._row_outputs(self, data, codes, level)
        if level != "population":
            found[:, 0] += self.field.at_rows(data)[0]
        return found

    def field_frame(self, data: GroupedDataset) -> pd.DataFrame:
        """The spatial effect in each row: estimate and conditional SD, in units of the target; whether it is known.

        Raises:
            DataError: E405 or E111 for coordinates that are not there.
        """
        means, variances = self.field.at_rows(data)
        scale = self.scaler.target_scale
        return pd.DataFrame(
            {
                "row": np.asarray(data.row_numbers),
                "estimate": scale * means,
                "sd": scale * np.sqrt(variances),
                f"{self.field.term}_known": self.field.codes(data) >= 0,
            }
        )


def components_table(trained: Trained) -> pd.DataFrame:
    """Variance components; with a spatial effect there is a column for its range."""
    found = variance_table(trained)
    if not isinstance(trained.network, SpatialNetwork):
        return found
    field = trained.network.field
    return found.assign(range=np.where(found["term"] == field.term, field.reach, np.nan))
