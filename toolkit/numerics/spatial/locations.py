"""Unique places of the rows, checks of coordinates, and what the rows of each place add up to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.errors import DataError, ToolkitWarning

# one coordinate may spread this many times as far as another before it is called another scale
SCALES = 50.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Locations:
    """Unique places and the place of each row.

    Attributes:
        places: shape (places, axes), in lexical order.
        codes: place of each row, from 0.
    """

    places: Float[np.ndarray, "places axes"]
    codes: Int[np.ndarray, " rows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaceSums:
    """Residuals by place: all that a likelihood with one field needs of the rows.

    Attributes:
        counts: rows of each place.
        means: their mean residual.
        within: sum of squares around the means.
        rows: number of rows.
    """

    counts: Float[np.ndarray, " places"]
    means: Float[np.ndarray, " places"]
    within: float
    rows: int

    def less(self, level: float) -> PlaceSums:
        """The same less a level."""
        return PlaceSums(counts=self.counts, means=self.means - level, within=self.within, rows=self.rows)

    def taken(self, order: Int[np.ndarray, " places"]) -> PlaceSums:
        """The same with the places in another order."""
        return PlaceSums(counts=self.counts[order], means=self.means[order], within=self.within, rows=self.rows)


def unique_places(coordinates: Float[np.ndarray, "rows axes"]) -> Locations:
    """Unique places of coordinates; rows share one where all coordinates are equal."""
    places, codes = np.unique(coordinates, axis=0, return_inverse=True)
    return Locations(places=places, codes=codes.reshape(-1))


def check_coordinates(coordinates: Float[np.ndarray, "rows axes"], names: Sequence[str]) -> None:
    """Refuse coordinates without which there is no field, and warn when they are hardly on one scale.

    Raises:
        DataError: E111, a coordinate is missing; E150, all rows are at one place.
    """
    for column, name in zip(coordinates.T, names, strict=True):
        missing = np.flatnonzero(~np.isfinite(column))
        if len(missing):
            raise DataError(
                f"the coordinate {name!r} is missing in {len(missing)} {'row' if len(missing) == 1 else 'rows'}",
                code="E111", column=name, rows=(missing + 2).tolist(),
                remedy="fill in the coordinates or drop these rows",
            )  # fmt: skip
    spread = np.ptp(coordinates, axis=0)
    if not (spread > 0).any():
        raise DataError(
            f"all rows are at one place: {' and '.join(names)} never change", code="E150", column=names[0],
            remedy="choose columns that hold the coordinates, or leave out the spatial effect",
        )  # fmt: skip
    if len(spread) > 1 and spread.max() > SCALES * spread.min():
        wide, narrow = names[int(spread.argmax())], names[int(spread.argmin())]
        message = (
            f"the coordinate {wide!r} spreads more than {SCALES:.0f} times as far as {narrow!r}, so that distances are "
            "those of the first alone. If they are in different units, give both in the same one (kilometres, degrees)"
        )
        warnings.warn(ToolkitWarning(message, code="W240"), stacklevel=3)


def place_sums(residual: Float[np.ndarray, " rows"], codes: Int[np.ndarray, " rows"], places: int) -> PlaceSums:
    """Counts, means and the sum of squares within places; every place has a row."""
    counts = np.bincount(codes, minlength=places).astype(np.float64)
    means = np.bincount(codes, weights=residual, minlength=places) / counts
    within = float(((residual - means[codes]) ** 2).sum())
    return PlaceSums(counts=counts, means=means, within=within, rows=len(residual))
