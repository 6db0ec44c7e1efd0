"""Weighted cross products of the designs of several grouping factors, their sparsity found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.numerics.mixed.arrays import Sparse, sparse
from toolkit.numerics.mixed.design import Factor
from toolkit.numerics.mixed.halves import Halves, by_level
from toolkit.numerics.mixed.plan import Plan
from toolkit.numerics.mixed.schur import factor as factored
from toolkit.numerics.mixed.schur import plan_for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """The entries of a sparse matrix that rows add to.

    Attributes:
        place: entry of each product of each row (rows, products).
        indices, pointers: of the matrix in compressed rows.
        shape: of the matrix.
    """

    place: Int[np.ndarray, "rows products"]
    indices: Int[np.ndarray, " entries"]
    pointers: Int[np.ndarray, " lines"]
    shape: tuple[int, int]

    @property
    def pattern(self) -> Sparse:
        """A matrix with ones in all entries."""
        return sparse.csr_array((np.ones(len(self.indices)), self.indices, self.pointers), shape=self.shape)

    def matrix(self, values: Float[np.ndarray, "rows products"]) -> Sparse:
        """The matrix of sums of products, in compressed rows."""
        data = np.bincount(self.place.ravel(), weights=values.ravel(), minlength=len(self.indices))
        return sparse.csr_array((data, self.indices, self.pointers), shape=self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structure:
    """Rows of several factors, the one with the most effects first.

    Attributes:
        order: positions of the factors in the caller's order.
        factors: in that order.
        first_place: number of each of a row's effects of the first factor.
        rest_place: number of each of a row's effects of the others among all of theirs.
        rest: number of effects of the others.
        between, within: cells of the products of the first with the others, and of the others.
        plan: how the others are eliminated when the first is solved; None if what is left is to be dense.
    """

    order: tuple[int, ...]
    factors: tuple[Factor, ...]
    first_place: Int[np.ndarray, "rows effects"]
    rest_place: Int[np.ndarray, "rows others"]
    rest: int
    between: Cells
    within: Cells
    plan: Plan | None

    @property
    def first_shape(self) -> tuple[int, int]:
        """Levels and effects of the first factor."""
        return self.factors[0].levels, self.factors[0].size

    def split(self, values: Float[np.ndarray, "rows effects"]) -> tuple[np.ndarray, np.ndarray]:
        """Sums of row vectors over levels: of the first factor (levels, effects, 1), of the others (rest, 1)."""
        size = self.first_shape[0] * self.first_shape[1]
        own, others = values[:, : self.first_shape[1]], values[:, self.first_shape[1] :]
        first = np.bincount(self.first_place.ravel(), weights=own.ravel(), minlength=size)
        rest = np.bincount(self.rest_place.ravel(), weights=others.ravel(), minlength=self.rest)
        # sums of nothing come as integers
        return first.reshape(*self.first_shape, 1), rest[:, None].astype(np.float64)

    def gather(self, first: np.ndarray, rest: np.ndarray) -> Float[np.ndarray, "rows effects"]:
        """Values of the levels of each row, those of the first factor before the others."""
        return np.concatenate([first.ravel()[self.first_place], rest.ravel()[self.rest_place]], axis=1)

    def halves(
        self, design: Float[np.ndarray, "rows effects"], weight: Float[np.ndarray, " rows"]
    ) -> tuple[Halves, float]:
        """``V'WV + I``, factored, and the logarithm of its determinant; the effects standard normal.

        Raises:
            numpy.linalg.LinAlgError: numbers are not finite.
        """
        size = self.first_shape[1]
        own, others = design[:, :size], design[:, size:]
        turned = own * weight[:, None]
        inverse, logdet = self._first(own, turned)
        between = by_level(inverse, self.between.matrix(_products(turned, others)))
        identity = sparse.eye_array(self.rest, format="csc")
        squares = self.within.matrix(_products(others * weight[:, None], others))
        rest = factored(sparse.csc_array(squares + identity - between.T @ between), self.plan)
        return Halves(inverse=inverse, between=between, rest=rest), logdet + rest.logdet

    def _first(self, own: np.ndarray, turned: np.ndarray) -> tuple[Float[np.ndarray, "levels effects effects"], float]:
        """Inverse Cholesky factors of every level of the first factor, and the log determinant of all."""
        levels, size = self.first_shape
        codes, found = self.factors[0].codes, np.empty((levels, size, size))
        for a in range(size):
            for b in range(a + 1):
                found[:, a, b] = found[:, b, a] = np.bincount(codes, weights=turned[:, a] * own[:, b], minlength=levels)
        if size == 1:
            found += 1.0
            return 1.0 / np.sqrt(found), float(np.log(found).sum())
        lower = np.linalg.cholesky(found + np.eye(size))
        return np.linalg.inv(lower), 2.0 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())


def structure_of(factors: Sequence[Factor]) -> Structure:
    """Find which effects meet in a row."""
    order = sorted(range(len(factors)), key=lambda k: -factors[k].levels * factors[k].size)
    own = tuple(factors[k] for k in order)
    first = _places(own[0], 0)
    rest_places, begin = [np.zeros((len(first), 0), dtype=np.int64)], 0
    for factor in own[1:]:
        rest_places.append(_places(factor, begin))
        begin += factor.levels * factor.size
    rest = np.concatenate(rest_places, axis=1)
    size = own[0].levels * own[0].size
    between, within = _cells(first, rest, (size, begin)), _cells(rest, rest, (begin, begin))
    return Structure(
        order=tuple(order), factors=own, first_place=first, rest_place=rest, rest=begin, between=between, within=within,
        plan=plan_for(within.pattern, between.pattern),
    )  # fmt: skip


def _places(factor: Factor, begin: int) -> Int[np.ndarray, "rows effects"]:
    """Number of each of a row's effects."""
    return begin + np.asarray(factor.codes, dtype=np.int64)[:, None] * factor.size + np.arange(factor.size)


def _cells(left: np.ndarray, right: np.ndarray, shape: tuple[int, int]) -> Cells:
    """The entries that products of some effects with others add to."""
    keys = (left[:, :, None] * max(shape[1], 1) + right[:, None, :]).reshape(len(left), -1)
    entries, place = np.unique(keys, return_inverse=True)
    rows, columns = np.divmod(entries, max(shape[1], 1))
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return Cells(place=place.reshape(keys.shape), indices=columns, pointers=pointers, shape=shape)


def _products(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "rows products"]:
    """Every column of one times every column of the other."""
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
