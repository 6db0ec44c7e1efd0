"""Which labels may change places in an HSIC test: strata, pairs, units of equal size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analyses.resampling import Units, distinct_assignments, factorise, stratum_of_units, unit_values
from toolkit.errors import ConfigError, DataError

SIZES_DIFFER = 1.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Stratum of each unit (None: labels go anywhere) and the name of the design."""

    stratum: np.ndarray | None
    name: str


def make_design(
    units: Units,
    *,
    strata: ArrayLike | None,
    paired: ArrayLike | None,
    match_sizes: bool | None,
    codes: np.ndarray,
    labels: bool,
    fewest: int,
) -> Design:
    """The design from what the user said.

    Args:
        units: what is permuted.
        strata: label per row; labels of the group stay within.
        paired: label per row; two units each, which switch their labels.
        match_sizes: units trade labels with units of as many rows only; None: where sizes go with the group.
        codes: label code of each unit.
        labels: whether codes are those of groups (not of numbers).
        fewest: distinct assignments below which None does not restrict itself.

    Raises:
        DataError: E112 missing pair labels, E124 nothing that can be permuted, E126 pairs that are no pairs, or a unit
            in two strata.
        ConfigError: E302 options that exclude each other.
    """
    rows = units.codes.size
    if paired is not None and (strata is not None or match_sizes):
        raise ConfigError(
            "paired already says which labels may change places", code="E302", column="paired", remedy="Drop strata"
        )
    if paired is not None:
        stratum, name = _pairs(paired, units, codes), "pairs"
    elif strata is not None:
        stratum, name = stratum_of_units(factorise(strata, rows, "strata")[0], units), "strata"
    else:
        stratum, name = None, "free"
    sizes = np.bincount(units.codes)
    if match_sizes is None and name == "free" and labels and sizes_differ(units, codes):
        match_sizes = distinct_assignments(codes, sizes, fewest) >= fewest
    if match_sizes:
        name = "sizes" if stratum is None else "strata"
        stratum = (
            sizes if stratum is None else np.unique(np.column_stack([stratum, sizes]), axis=0, return_inverse=True)[1]
        )
    _check_movable(stratum, codes, units)
    return Design(stratum=stratum, name=name)


def _pairs(paired: ArrayLike, units: Units, codes: np.ndarray) -> np.ndarray:
    """Pair of each unit, when every pair has two units with different labels."""
    row_pair = factorise(paired, units.codes.size, "paired", missing_code="E112")[0]
    pair = unit_values(row_pair, units, "paired")
    members = np.bincount(pair)
    low, high = (np.full(members.size, fill) for fill in (codes.max(initial=0) + 1, -1))
    np.minimum.at(low, pair, codes)
    np.maximum.at(high, pair, codes)
    wrong = np.flatnonzero(((members != 2) | (low == high))[row_pair])
    if wrong.size:
        raise DataError(
            f"a pair needs two {units.name} with different labels",
            code="E126",
            column="paired",
            rows=(wrong + 1).tolist(),
            remedy="Leave incomplete pairs out, or use strata= for sets of another size",
        )
    return pair


def _check_movable(stratum: np.ndarray | None, codes: np.ndarray, units: Units) -> None:
    """Raise E124 when all labels of every stratum are equal."""
    if stratum is None:
        return
    kinds = np.unique(np.column_stack([stratum, codes]), axis=0)
    if len(kinds) == np.unique(stratum).size:
        raise DataError(
            f"no stratum holds {units.name} of two groups, so no label can change places",
            code="E124",
            column="strata",
            remedy="Use strata in which the group varies, or permute without them",
        )


def sizes_differ(units: Units, codes: np.ndarray) -> bool:
    """Whether the units of one group have on average a quarter more rows than those of another."""
    if units.alone:
        return False
    sizes = np.bincount(units.codes)
    means = np.array([sizes[codes == code].mean() for code in np.unique(codes)])
    return bool(means.max() >= SIZES_DIFFER * means.min())


def size_note(units: Units, codes: np.ndarray, design: Design, *, labels: bool, asked: bool | None) -> list[str]:
    """A sentence when the sizes of the units go with the group."""
    if not labels or not sizes_differ(units, codes) or asked:
        return []
    told = f"The groups differ in how many rows their {units.name} have"
    if design.name == "sizes":
        return [f"{told}, so {units.name} of equal size alone traded labels."]
    if design.name != "free":
        return [f"{told}; part of what the test finds may be that."]
    return [
        f"{told}. All {units.name} traded labels all the same, which takes size for a part of what is compared: where "
        f"few large {units.name} meet many small ones, p can be far too small."
    ]
