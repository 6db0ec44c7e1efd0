"""A field beside grouping factors as it was solved, in memory: what further questions are answered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.data.grouped import GroupedDataset
from toolkit.models.place_fields import EmbeddedField
from toolkit.models.spatial_network import SpatialNetwork
from toolkit.numerics.spatial.beside import FieldMoments, FieldSolution
from toolkit.numerics.spatial.beside_estimation import CarriedField
from toolkit.numerics.spatial.beside_prediction import conditional_variance_beside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BesideSolution:
    """Factors and field at the estimated variances, in SDs of the target.

    Attributes:
        moments: cross products of the training rows.
        solution: of the likelihood.
        columns: what the effects of each factor are multiplied with, of any data (rows, effects).
    """

    moments: FieldMoments
    solution: FieldSolution
    columns: Callable[[GroupedDataset], list[np.ndarray]]

    def variance(self, network: SpatialNetwork, data: GroupedDataset) -> Float[np.ndarray, " rows"]:
        """Variance of what all effects and the field add to each row, given the training rows."""
        field, coordinates = network.field.field, network.field.coordinates(data)
        loadings = np.zeros((data.n_rows, self.solution.loadings.shape[1]))
        left = np.zeros(data.n_rows)
        if isinstance(field, CarriedField):
            loadings = field.loadings(coordinates)
            left = field.covariance.variance * np.maximum(1.0 - (loadings**2).sum(axis=1), 0.0)
        elif isinstance(field, EmbeddedField):
            loadings = field.columns(coordinates)
        codes = network.all_codes(data)[:, :-1]
        scaled = self.solution.scale * loadings
        return left + conditional_variance_beside(self.moments, self.solution, codes, self.columns(data), scaled)
