"""Cross products of a mixed model's design: the only pass over the rows that estimation needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from toolkit.numerics.mixed import schur
from toolkit.numerics.mixed.arrays import Sparse, sparse
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.mixed.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Cross products, the factor with the most effects (``first``) apart from the others (``rest``).

    Attributes:
        order: positions of the factors in the design, the one with the most effects first.
        factors: the factors in that order.
        first: ``Z_1'Z_1`` of each level, shape (levels, effects, effects).
        between: ``Z_1'Z_rest``, sparse, shape (levels x effects, rest).
        rest: ``Z_rest'Z_rest``, sparse, shape (rest, rest).
        first_fixed: ``Z_1'[X y]``, shape (levels, effects, p + 1).
        rest_fixed: ``Z_rest'[X y]``, shape (rest, p + 1).
        fixed: ``[X y]'[X y]``, shape (p + 1, p + 1).
        rows: number of rows.
        plan: how the others are eliminated when the first factor is solved; None if what is left is to be dense.
    """

    order: tuple[int, ...]
    factors: tuple[Factor, ...]
    first: Float[np.ndarray, "levels effects effects"]
    between: Sparse
    rest: Sparse
    first_fixed: Float[np.ndarray, "levels effects columns"]
    rest_fixed: Float[np.ndarray, "rest columns"]
    fixed: Float[np.ndarray, "columns columns"]
    rows: int
    plan: Plan | None = None


def moments(design: Design) -> Moments:
    """All cross products of a design."""
    order = sorted(range(len(design.factors)), key=lambda k: -design.factors[k].levels * design.factors[k].size)
    factors = tuple(design.factors[k] for k in order)
    columns = np.column_stack([design.fixed, design.outcome])
    first, others = factors[0], factors[1:]
    rest = sparse.csr_array((design.outcome.size, 0))
    if others:
        rest = sparse.csr_array(sparse.hstack([indicator(factor) for factor in others], format="csr"))
    between = sparse.csr_array((first.levels * first.size, rest.shape[1]))
    if others:
        between = sparse.csr_array(indicator(first).T @ rest)
    return Moments(
        order=tuple(order),
        factors=factors,
        first=_squares(first),
        between=between,
        rest=sparse.csc_array(rest.T @ rest),
        first_fixed=_sums(first, columns),
        rest_fixed=np.asarray(rest.T @ columns),
        fixed=columns.T @ columns,
        rows=len(columns),
        plan=_plan(first, others),
    )


def _plan(first: Factor, others: tuple[Factor, ...]) -> Plan | None:
    """Order of elimination; every effect of a level counts as met by every row of it."""
    if sum(factor.levels * factor.size for factor in others) <= schur.DENSE:
        return None
    rest = sparse.csr_array(sparse.hstack([_everywhere(factor) for factor in others], format="csr"))
    alone = replace(first, design=np.ones((len(first.codes), 1)), blocks=(1,))
    return schur.plan_for(rest.T @ rest, indicator(alone).T @ rest)


def _everywhere(factor: Factor) -> Sparse:
    """Indicators of a factor with ones in the place of its design."""
    return indicator(replace(factor, design=np.ones_like(factor.design)))


def with_outcome(moments: Moments, design: Design, outcome: Float[np.ndarray, " rows"]) -> Moments:
    """The cross products with another outcome; those without it are kept.

    Args:
        moments: of the design.
        design: the same design.
        outcome: shape (rows,).
    """
    column, last = outcome[:, None], moments.fixed.shape[0] - 1
    sums = [_sums(factor, column) for factor in moments.factors]
    first, rest, fixed = moments.first_fixed.copy(), moments.rest_fixed.copy(), moments.fixed.copy()
    first[:, :, last] = sums[0][:, :, 0]
    if len(sums) > 1:
        rest[:, last] = np.concatenate([own.ravel() for own in sums[1:]])
    fixed[:last, last] = fixed[last, :last] = design.fixed.T @ outcome
    fixed[last, last] = outcome @ outcome
    return replace(moments, first_fixed=first, rest_fixed=rest, fixed=fixed)


def indicator(factor: Factor) -> Sparse:
    """``Z_k`` as a sparse matrix, the effects of a level side by side, shape (rows, levels x effects)."""
    rows, size = len(factor.codes), factor.size
    places = np.repeat(factor.codes * size, size) + np.tile(np.arange(size), rows)
    pointers = np.arange(0, rows * size + 1, size)
    return sparse.csr_array((factor.design.ravel(), places, pointers), shape=(rows, factor.levels * size))


def _squares(factor: Factor) -> Float[np.ndarray, "levels effects effects"]:
    """``Z_k'Z_k`` of each level."""
    size, z = factor.size, factor.design
    found = np.empty((factor.levels, size, size))
    for a in range(size):
        for b in range(a + 1):
            found[:, a, b] = found[:, b, a] = _by_level(factor, z[:, a] * z[:, b])
    return found


def _sums(factor: Factor, columns: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "levels effects columns"]:
    """``Z_k'`` times columns, of each level."""
    found = np.empty((factor.levels, factor.size, columns.shape[1]))
    for a in range(factor.size):
        constant = bool((factor.design[:, a] == 1.0).all())
        for column in range(columns.shape[1]):
            values = columns[:, column] if constant else factor.design[:, a] * columns[:, column]
            found[:, a, column] = _by_level(factor, values)
    return found


def _by_level(factor: Factor, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " levels"]:
    """Sums of values over the rows of each level."""
    return np.bincount(factor.codes, weights=values, minlength=factor.levels)
