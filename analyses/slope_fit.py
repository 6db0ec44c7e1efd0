"""Least-squares slope of many cells on one covariate, with a standard error that holds with few clusters.

CR2 (Bell & McCaffrey, 2002, Survey Methodology 28, 169-181): each unit's residuals are multiplied by
``(I - X_u A^-1 X_u')^(-1/2)``, which makes the variance unbiased when residuals are independent and of equal spread; t
has Satterthwaite's degrees of freedom ``(sum_u O_uu)^2 / sum_uv O_uv^2`` under the same working model (Imbens &
Kolesar, 2016, Review of Economics and Statistics 98, 701-712).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.resampling import Units

SINGULAR = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlopeFit:
    """Slope of every cell; arrays have shape (cells,), NaN where the covariate does not vary over the rows with data.

    Attributes:
        slope, intercept: in units of the values, the covariate as given.
        error, df: CR2 standard error of the slope and its degrees of freedom.
        rows, units: rows and units with a value.
        pull: ``k_u'`` times the adjusted residuals, ``k_u`` such that ``sum_u (k_u' e_u)^2 = error^2``, (units, cells).
        carried: ``X_u' k_u``, shape (units, 2, cells).
        bread: ``A^-1``, shape (2, 2, cells).
        score: ``X_u'`` times the adjusted residuals, shape (units, 2, cells). See `analyses.wild_slopes` for their use.
    """

    slope: np.ndarray
    intercept: np.ndarray
    error: np.ndarray
    df: np.ndarray
    rows: np.ndarray
    units: np.ndarray
    pull: np.ndarray
    carried: np.ndarray
    bread: np.ndarray
    score: np.ndarray


def fit_slopes(
    values: Float[np.ndarray, "rows cells"], covariate: Float[np.ndarray, " rows"], units: Units
) -> SlopeFit:
    """Fit all cells; NaN marks a cell that a row has no value for. Cells with the same rows share the work."""
    cells = values.shape[1]
    scalars = {name: np.full(cells, np.nan) for name in ("slope", "intercept", "error", "df")}
    found = {"rows": np.zeros(cells), "units": np.zeros(cells)}
    wide = {
        "pull": np.zeros((units.n_units, cells)),
        "carried": np.zeros((units.n_units, 2, cells)),
        "score": np.zeros((units.n_units, 2, cells)),
        "bread": np.zeros((2, 2, cells)),
    }
    valid = ~np.isnan(values)
    patterns, place = np.unique(valid, axis=1, return_inverse=True)
    for k in range(patterns.shape[1]):
        rows, mine = np.flatnonzero(patterns[:, k]), np.flatnonzero(place.ravel() == k)
        members = units.codes[rows]
        found["rows"][mine], found["units"][mine] = rows.size, np.unique(members).size
        if rows.size < 3 or np.ptp(covariate[rows]) == 0:
            continue
        part = _fit_pattern(values[np.ix_(rows, mine)], covariate[rows], members, units.n_units)
        for name, into in (scalars | wide).items():
            into[..., mine] = part[name]
    return SlopeFit(**scalars, **found, **wide)


def _fit_pattern(
    y: Float[np.ndarray, "rows cells"], x: Float[np.ndarray, " rows"], members: np.ndarray, n_units: int
) -> dict[str, np.ndarray]:
    """The fit of cells that have values in the same rows."""
    design = np.column_stack([np.ones_like(x), x])
    bread = np.linalg.inv(design.T @ design)
    theta = bread @ (design.T @ y)
    residual = y - design @ theta
    order = np.argsort(members, kind="stable")
    starts = np.flatnonzero(np.diff(members[order], prepend=-1))
    pull, score = np.zeros((n_units, y.shape[1])), np.zeros((n_units, 2, y.shape[1]))
    variance = np.zeros(y.shape[1])
    carried, weight = np.zeros((n_units, 2)), np.zeros(n_units)
    for rows in np.split(order, starts[1:]):
        unit, mine = members[rows[0]], design[rows]
        root = _inverse_root(np.eye(rows.size) - mine @ bread @ mine.T)
        adjusted, k = root @ residual[rows], root @ (mine @ bread[:, 1])
        variance += (k @ residual[rows]) ** 2
        pull[unit], score[unit] = k @ adjusted, mine.T @ adjusted
        carried[unit], weight[unit] = mine.T @ k, k @ k
    working = np.diag(weight) - carried @ bread @ carried.T
    ones = np.ones(y.shape[1])
    return {
        "slope": theta[1],
        "intercept": theta[0],
        "error": np.sqrt(variance),
        "df": np.trace(working) ** 2 / (working**2).sum() * ones,
        "pull": pull,
        "carried": carried[:, :, None] * ones,
        "score": score,
        "bread": bread[:, :, None] * ones,
    }


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric inverse square root; directions in which the unit alone decides the fit are left out."""
    if matrix.shape == (1, 1):
        return np.array([[1 / np.sqrt(matrix[0, 0])]]) if matrix[0, 0] > SINGULAR else np.zeros((1, 1))
    size, directions = np.linalg.eigh(matrix)
    inverse = np.where(size > SINGULAR, 1 / np.sqrt(np.maximum(size, SINGULAR)), 0.0)
    return (directions * inverse) @ directions.T
