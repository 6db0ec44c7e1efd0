"""A difference of two means without each unit in turn: exact, and all units at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from toolkit.results import read_only


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Difference, t interval and p without each unit, shape (units,); NaN where a side keeps fewer than two units.

    Attributes:
        persons: how many persons the unit has.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pvalue: np.ndarray
    persons: np.ndarray


def leave_out_units(
    x: Float[np.ndarray, " n"], side: Bool[np.ndarray, " n"], codes: Int[np.ndarray, " n"], level: float
) -> tuple[LeftOut, LeftOut]:
    """The difference ``mean(x[side]) - mean(x[~side])`` with all units (one entry), and without each.

    With S_su and N_su the sum and number of unit u on side s, ``m_s = sum_u S_su / sum_u N_su`` and the influence of a
    unit is ``e_u = sum_s sign_s (S_su - m_s N_su) / N_s``. The variance is ``sum_s U_s / (U_s - 1) sum_u e_su^2`` with
    Welch's degrees of freedom when every unit lies on one side, ``U / (U - 1) sum_u e_u^2`` with U - 1 when some lie on
    both. Sums over the remaining units are the whole sums less one unit's.

    Args:
        x: values.
        side: True and False side.
        codes: unit of each row, 0 .. U - 1.
        level: of the intervals.
    """
    n_units = int(codes.max()) + 1
    centred = x - x.mean()
    sums, sizes = np.zeros((2, n_units)), np.zeros((2, n_units))
    for s, on in enumerate((side, ~side)):
        sums[s] = np.bincount(codes[on], centred[on], n_units)
        sizes[s] = np.bincount(codes[on], minlength=n_units)
    # Per unit: sums, sizes, members of a side (2 each), then products over pairs of sides (4 each).
    parts = [sums, sizes, sizes > 0]
    products = [
        (first[:, None] * second[None]).reshape(4, n_units)
        for first, second in ((sums, sums), (sums, sizes), (sizes, sizes))
    ]
    columns = np.concatenate([*parts, *products]).astype(np.float64)
    total = columns.sum(axis=1, keepdims=True)
    nested = bool(np.all((sizes > 0).sum(axis=0) == 1))
    persons = sizes.sum(axis=0)
    whole = _evaluate(total, nested, np.array([n_units]), level, np.array([persons.sum()]))
    return whole, _evaluate(total - columns, nested, np.full(n_units, n_units - 1), level, persons)


def _evaluate(totals: np.ndarray, nested: bool, n_units: np.ndarray, level: float, persons: np.ndarray) -> LeftOut:
    """Difference, interval and p for every column of totals."""
    from scipy.stats import t

    sums, sizes, members = totals[0:2], totals[2:4], totals[4:6]
    ss, sn, nn = (totals[k : k + 4].reshape(2, 2, -1) for k in (6, 10, 14))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / sizes
        spread = (
            ss - means[None] * sn - means[:, None] * sn.transpose(1, 0, 2) + means[:, None] * means[None] * nn
        ) / (sizes[:, None] * sizes[None])
        if nested:
            by_side = np.stack([spread[0, 0], spread[1, 1]]) * members / (members - 1)
            variance = by_side.sum(axis=0)
            df = variance**2 / np.sum(by_side**2 / (members - 1), axis=0)
        else:
            variance = n_units / (n_units - 1) * (spread[0, 0] + spread[1, 1] - spread[0, 1] - spread[1, 0])
            df = n_units - 1.0
        difference = means[0] - means[1]
        usable = (members >= 2).all(axis=0) & (variance > 0)
        error = np.where(usable, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        half = t.ppf((1 + level) / 2, df) * error
        pvalue = 2 * t.sf(np.abs(difference) / error, df)
    return LeftOut(
        difference=read_only(difference),
        low=read_only(difference - half),
        high=read_only(difference + half),
        pvalue=read_only(pvalue),
        persons=read_only(persons, dtype=np.int64),
    )
