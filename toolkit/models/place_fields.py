"""A fitted spatial effect: what is kept of it, and the field it amounts to at any coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import DataError
from toolkit.models.field_parameters import EMBEDDING, embedded
from toolkit.models.spatial_settings import Kernel
from toolkit.numerics.spatial.beside_estimation import CarriedField
from toolkit.numerics.spatial.fields import Covariance, ExactField, Field, NearbyField, ZeroField
from toolkit.numerics.spatial.fullscale import smooth_part
from toolkit.numerics.spatial.layout import layout_in
from toolkit.numerics.spatial.locations import PlaceSums, check_coordinates, unique_places

PIECE = 8_192


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaceField:
    """A spatial effect given the training rows, in SDs of the target.

    Attributes:
        term: what it is called among the grouping factors.
        names: features that are the coordinates.
        places: coordinates of the training places, in the order of their effects.
        kernel: of the field.
        variance: of the field; of an embedding the mean over the training places.
        reach: the range, NaN for an embedding.
        sigma2: residual variance.
        kind: which field it is: ``zero``, ``exact``, ``near``, ``carried`` or ``embedded``.
        arrays: what it is made of.
        field: means and variances at any coordinates.
    """

    term: str
    names: tuple[str, ...]
    places: Float[np.ndarray, "places axes"]
    kernel: Kernel
    variance: float
    reach: float
    sigma2: float
    kind: str
    arrays: Mapping[str, np.ndarray]
    field: Field

    def coordinates(self, data: GroupedDataset) -> Float[np.ndarray, "rows axes"]:
        """Coordinates of the rows.

        Raises:
            DataError: E405 for a column the data do not have, E111 for missing coordinates.
        """
        return coordinates_of(data, self.names)

    def codes(self, data: GroupedDataset) -> Int[np.ndarray, " rows"]:
        """Training place of each row; -1 where there was no row in training."""
        found = {place.tobytes(): code for code, place in enumerate(self.places)}
        own = unique_places(self.coordinates(data))
        known = np.array([found.get(place.tobytes(), -1) for place in own.places], dtype=np.int64)
        return known[own.codes]

    def at_rows(self, data: GroupedDataset) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Conditional means and variances of the effect in each row; kriging where no row was in training."""
        own = unique_places(self.coordinates(data))
        means, variances = self.field.predict(own.places)
        return means[own.codes], variances[own.codes]


def coordinates_of(data: GroupedDataset, names: tuple[str, ...]) -> Float[np.ndarray, "rows axes"]:
    """The columns of the coordinates.

    Raises:
        DataError: E405 for a column the data do not have, E111 for missing coordinates.
    """
    place = {name: column for column, name in enumerate(data.feature_names)}
    missing = [name for name in names if name not in place]
    if missing:
        raise DataError(
            f"coordinates missing: {', '.join(missing)}", code="E405", column=missing[0],
            remedy=f"the data hold the features {', '.join(data.feature_names)}",
        )  # fmt: skip
    found = np.ascontiguousarray(np.asarray(data.features)[:, [place[name] for name in names]]) + 0.0
    if not np.isfinite(found).all():
        check_coordinates(found, names)
    return found


def field_from(
    kind: str, kernel: Kernel, variance: float, reach: float, sigma2: float, arrays: Mapping[str, np.ndarray]
) -> Field:
    """The field of its parts; see `PlaceField`."""
    if kind == "zero":
        return ZeroField()
    if kind == "embedded":
        return EmbeddedField(arrays)
    assert kernel != "embedded"
    covariance = Covariance(kernel=kernel, variance=variance, reach=reach, sigma2=sigma2)
    if kind == "carried":
        lower = smooth_part(
            arrays["inducing"][:0], arrays["inducing"], kernel, np.array([0.0, float(np.log(reach))])
        ).lower
        return CarriedField(arrays["inducing"], covariance, lower, arrays["mean"], arrays["spread"])
    sums = PlaceSums(counts=arrays["counts"], means=arrays["means"], within=0.0, rows=0)
    if kind == "exact":
        return ExactField(arrays["own_places"], sums, covariance)
    inducing, neighbours = (int(number) for number in arrays["layout"])
    layout = layout_in(arrays["own_places"], arrays["order"], inducing=inducing, neighbours=neighbours)
    return NearbyField(layout, sums.taken(layout.order), covariance)


class EmbeddedField:
    """Outputs of a network of the coordinates, times effects given the data."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep network, standardisation, and mean and covariance of the effects."""
        self.centre, self.scale = arrays["centre"], arrays["scale"]
        self.mean, self.spread = arrays["mean"], arrays["spread"]
        self.parameters = {
            name: torch.as_tensor(np.array(value)) for name, value in arrays.items() if name.startswith(EMBEDDING)
        }
        self.layers = len(self.parameters) // 2

    def columns(self, coordinates: np.ndarray) -> np.ndarray:
        """Outputs of the network (points, columns)."""
        like = next(iter(self.parameters.values()))
        places = torch.as_tensor((coordinates - self.centre) / self.scale).to(like)
        with torch.no_grad():
            return embedded(places, self.parameters, self.layers).double().numpy()

    def predict(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means and variances at coordinates."""
        means, left = np.empty(len(coordinates)), np.empty(len(coordinates))
        for begin in range(0, len(coordinates), PIECE):
            piece = slice(begin, begin + PIECE)
            columns = self.columns(coordinates[piece])
            means[piece] = columns @ self.mean
            left[piece] = ((columns @ self.spread) * columns).sum(axis=1)
        return means, np.maximum(left, 0.0)


def field_tensors(field: PlaceField) -> dict[str, Tensor]:
    """What a run folder keeps of a spatial effect: coordinates are personal data."""
    found = {"field.places": torch.as_tensor(np.array(field.places))}
    return found | {f"field.{name}": torch.as_tensor(np.array(value)) for name, value in field.arrays.items()}


def describe_field(field: PlaceField) -> dict[str, Any]:
    """The rest of it, for the manifest."""
    names = ("term", "kernel", "variance", "sigma2", "kind")
    found = {name: getattr(field, name) for name in names}
    return {**found, "names": list(field.names), "reach": None if np.isnan(field.reach) else field.reach}


def restored_field(about: Mapping[str, Any], personal: Mapping[str, Tensor]) -> PlaceField:
    """The spatial effect of a run folder; zero in a copy without persons."""
    arrays = {
        name.removeprefix("field."): value.numpy() for name, value in personal.items() if name.startswith("field.")
    }
    numbers = {name: about[name] for name in ("kernel", "variance", "sigma2")}
    numbers["reach"] = float("nan") if about["reach"] is None else about["reach"]
    places = arrays.pop("places", np.zeros((0, len(about["names"]))))
    kind = about["kind"] if arrays else "zero"
    return PlaceField(
        term=about["term"], names=tuple(about["names"]), places=places, kind=kind, arrays=arrays, **numbers,
        field=field_from(kind, numbers["kernel"], numbers["variance"], numbers["reach"], numbers["sigma2"], arrays),
    )  # fmt: skip
