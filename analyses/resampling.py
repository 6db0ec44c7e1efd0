"""Whole-unit bookkeeping: which rows belong together, how units are permuted, how they are drawn with replacement.

The unit is what is exchangeable under the null hypothesis and what was sampled: the person, or the family (clinic,
site) when the label belongs to it. Treating persons of one family as independent rejects far too often (see
benchmarks/calibration).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from analyses import progress
from toolkit.errors import ConfigError, DataError
from toolkit.results import read_only

MIN_DRAWS = 99
# About 400 kB of 8-byte cells: a block of counts that stays in the second-level cache until the product has read it.
BLOCK_CELLS = 200_000
DRAW_CELLS = 45_000
# Chance, per permutation, of two units with equal random bits, above which the random integers are made wider.
RARE_TIE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Which unit each row belongs to.

    Attributes:
        codes: unit of each row, 0 .. n_units - 1, shape (rows,).
        n_units: number of units.
        name: what the units are called in sentences, plural ("persons", "families").
        alone: every row is its own unit.
    """

    codes: np.ndarray
    n_units: int
    name: str
    alone: bool

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of each unit, shape (units, ...)."""
        if self.alone:
            return values
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(self.n_units))
        return np.add.reduceat(values[order], starts, axis=0)


def make_units(unit: ArrayLike | None, n_rows: int, name: str | None = None) -> Units:
    """Units from one label per row; without labels every row is its own unit (a person).

    Args:
        unit: label per row, shape (rows,), or None.
        n_rows: number of rows the labels have to match.
        name: plural used in sentences; "persons" without labels, else "units".

    Raises:
        DataError: E112 for a missing label, E127 for the wrong number of labels.
    """
    if unit is None:
        return Units(
            codes=read_only(np.arange(n_rows), dtype=np.int64), n_units=n_rows, name=name or "persons", alone=True
        )
    codes, levels = factorise(unit, n_rows, "unit", missing_code="E112")
    alone = len(levels) == n_rows
    codes = np.arange(n_rows) if alone else codes
    return Units(codes=read_only(codes, dtype=np.int64), n_units=len(levels), name=name or "units", alone=alone)


def factorise(
    labels: ArrayLike, n_rows: int, what: str, *, missing_code: str = "E111"
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Integer codes and their levels, in sorted order of the levels' text.

    Raises:
        DataError: E127 when there is not one label per row; `missing_code` when labels are missing.
    """
    import pandas as pd

    values = np.asarray(labels, dtype=object)
    check_length(values, n_rows, what)
    codes, found = pd.factorize(values)
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        raise DataError(
            f"{missing.size} missing {what} labels",
            code=missing_code,
            column=what,
            rows=(missing + 1).tolist(),
            remedy=f"Give every row a {what} label, or leave those rows out",
        )
    levels = [value.item() if isinstance(value, np.generic) else value for value in found]
    order = sorted(range(len(levels)), key=lambda k: (not _is_number(levels[k]), _sort_key(levels[k])))
    rank = np.empty(len(levels), dtype=np.int64)
    rank[order] = np.arange(len(levels))
    return rank[codes], tuple(levels[k] for k in order)


def check_length(values: np.ndarray, n_rows: int, what: str) -> None:
    """Raise E127 unless `values` is a vector of `n_rows`."""
    if values.shape != (n_rows,):
        raise DataError(
            f"{what} has shape {values.shape} where {n_rows} rows need shape ({n_rows},)",
            code="E127",
            column=what,
            remedy=f"Give one {what} label per row, in the order of the rows",
        )


def check_finite(values: np.ndarray, what: str) -> None:
    """Raise E111 for NaN and E110 for infinite values, with the (1-based) numbers of the rows concerned."""
    by_row = values.reshape(values.shape[0], -1)
    for bad, code, word in ((np.isnan(by_row), "E111", "missing"), (np.isinf(by_row), "E110", "infinite")):
        rows = np.flatnonzero(bad.any(axis=1))
        if rows.size:
            raise DataError(
                f"{what} has {word} values in {rows.size} rows",
                code=code,
                column=what,
                rows=(rows + 1).tolist(),
                remedy="Leave those rows out, or fill them in before the analysis",
            )


def check_draws(draws: int, what: str) -> None:
    """Raise E125 when there are too few permutations or resamples to say anything at the usual levels."""
    if draws < MIN_DRAWS:
        raise ConfigError(
            f"{draws} {what} are too few: the smallest p is 1/(B+1) = {1 / (max(draws, 0) + 1):.3f}",
            code="E125",
            column=what,
            remedy=f"Use at least {MIN_DRAWS}; 9,999 is usual",
        )


def unit_values(row_codes: np.ndarray, units: Units, what: str) -> np.ndarray:
    """The code each unit carries, shape (units,), when all its rows carry the same.

    Raises:
        DataError: E126 when rows of one unit carry different codes, with the rows concerned.
    """
    first = np.zeros(units.n_units, dtype=np.int64)
    first[units.codes[::-1]] = row_codes[::-1]
    differing = np.flatnonzero(first[units.codes] != row_codes)
    if differing.size:
        raise DataError(
            f"{what} differs between rows of the same unit ({units.name}), so whole units cannot be permuted",
            code="E126",
            column=what,
            rows=(differing + 1).tolist(),
            remedy=f"Permute within the units instead (strata= their labels, no unit=), or correct the {what} labels",
        )
    return first


def permutation_blocks(
    values: np.ndarray, strata: np.ndarray | None, permutations: int, rng: np.random.Generator, block_rows: int
) -> Iterator[np.ndarray]:
    """Independent random permutations of `values` (one per unit), in blocks of shape (at most block_rows, units).

    With `strata` (a code per unit) values change places within a stratum only. Each unit gets an integer of three
    parts: its stratum, random bits, and the code of its value; sorting the integers of a row shuffles the values, all
    strata at once. Two units with the same random bits come out in the order of their values; the integers are wide
    enough that this happens in fewer than one permutation in a thousand (then for a single pair).
    """
    levels, codes = np.unique(values, return_inverse=True)
    layers = np.zeros(values.size, dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    order = None if strata is None else np.argsort(layers, kind="stable")
    sizes = np.bincount(layers)
    label_bits, layer_bits = _bits(levels.size), _bits(sizes.size)
    pairs = float(np.sum(sizes.astype(np.float64) ** 2)) / 2
    enough = pairs / 2.0 ** (32 - label_bits - layer_bits) < RARE_TIE
    word, width = (np.uint32, 32) if enough else (np.uint64, 64)
    fixed = (layers << (width - layer_bits)).astype(word) if layer_bits else np.zeros(values.size, dtype=word)
    fixed |= codes.astype(word)
    mask = word((2 ** (width - layer_bits) - 1) & ~(2**label_bits - 1))
    whole = np.array_equal(levels, np.arange(levels.size))
    for start in range(0, permutations, block_rows):
        rows = min(block_rows, permutations - start)
        keys = rng.integers(0, 2**width, size=(rows, values.size), dtype=word)
        keys &= mask
        keys |= fixed
        keys.sort(axis=1)
        keys &= word(2**label_bits - 1)
        dealt = keys.astype(values.dtype) if whole else levels[keys]
        if order is None:
            yield dealt
        else:
            block = np.empty_like(dealt)
            block[:, order] = dealt
            yield block
        progress.report(start + rows, permutations)


def _bits(count: int) -> int:
    """Bits that hold the numbers 0 .. count - 1."""
    return max(count - 1, 0).bit_length()


def distinct_assignments(codes: np.ndarray, strata: np.ndarray | None, limit: int) -> int:
    """Number of distinct ways to deal the labels over the units (within strata).

    Counting stops once it has passed `limit`; what is returned then is some number above it.
    """
    from math import comb

    total = 1
    for stratum in [None] if strata is None else np.unique(strata):
        inside = codes if stratum is None else codes[strata == stratum]
        left = inside.size
        for count in np.unique(inside, return_counts=True)[1].tolist():
            total *= comb(left, count)
            left -= count
            if total > limit:
                return total
    return total


def permutation_pvalue(observed: float, null: np.ndarray, slack: float) -> tuple[float, float, float]:
    """``p = (b + 1) / (B + 1)`` with ties counted, and the Clopper-Pearson 95 % interval of the exact p.

    Args:
        observed: the statistic of the data.
        null: its value under each of B permutations.
        slack: how far below `observed` a permuted value still counts as equal (sums taken in another order differ in
            the last digits).

    Returns:
        p, and the lower and upper end of the Monte Carlo interval.
    """
    from scipy.special import betaincinv

    b, total = int(np.count_nonzero(null >= observed - slack)), null.size
    low = float(betaincinv(b, total - b + 1, 0.025)) if b > 0 else 0.0
    high = float(betaincinv(b + 1, total - b, 0.975)) if b < total else 1.0
    return (b + 1) / (total + 1), low, high


def count_block_sizes(n_units: int, resamples: int) -> Iterator[slice]:
    """Slices of the resamples whose counts fit the second-level cache."""
    rows = max(1, BLOCK_CELLS // n_units)
    for start in range(0, resamples, rows):
        yield slice(start, min(start + rows, resamples))


def multinomial_counts(
    n_units: int, resamples: int, rng: np.random.Generator, out: np.ndarray | None = None
) -> Float[np.ndarray, "resamples units"]:
    """How often each unit is drawn when n_units are drawn with replacement, one row per resample.

    Args:
        n_units: units to draw from, and draws per resample.
        resamples: rows wanted.
        rng: source of the draws.
        out: float64 or float32 buffer of at least that many rows to fill instead of a new array.
    """
    counts = np.empty((resamples, n_units)) if out is None else out[:resamples]
    counts[...] = 0.0
    flat, one = counts.reshape(-1), counts.dtype.type(1)
    # Sixteen random bits a draw where they suffice: they cost less than half of sixty-four.
    width = np.uint16 if n_units <= 2**16 else np.int64
    # Pieces below 128 kB: larger ones are mapped afresh by the allocator each time, which costs more than drawing.
    rows = max(1, DRAW_CELLS // n_units)
    # Written out: added along an axis, they cost twice as much.
    offsets = np.repeat(np.arange(min(rows, resamples)) * n_units, n_units).reshape(-1, n_units)
    place = np.empty((len(offsets), n_units), dtype=np.int64)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n_units, size=(size, n_units), dtype=width)
        np.add(offsets[:size], drawn, out=place[:size])
        np.add.at(flat[start * n_units :], place[:size].reshape(-1), one)
    return counts


def stratum_of_units(strata: Int[np.ndarray, " rows"] | None, units: Units) -> np.ndarray | None:
    """The stratum each unit lies in; E126 when a unit lies in two."""
    return None if strata is None else unit_values(strata, units, "strata")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, bool))


def _sort_key(value: Any) -> Any:
    return value if _is_number(value) else str(value)
