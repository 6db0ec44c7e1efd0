"""The HSIC statistic under many arrangements of the labels: matrix products where the label kernel has few factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# From here on products are taken in float32; values close to the observed one are taken again in float64.
SINGLE_FROM = 64
# Columns of the label kernel's factor up to which products are faster than looking every pair up.
MOST_COLUMNS = 64
STRIP = 256
# Rounding in float32, in units of eps times the sum of |K|: larger than any error seen, far below the null's spread.
ROUNDING = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """``sum_ij K_ij L_{c(i), c(j)}`` as a function of the codes c.

    Attributes:
        gram: K, centred (its rows sum to zero) and summed over the rows of each unit, shape (units, units).
        coarse: the same in float32 and divided by `scale`; None for few units.
        scale: largest |K|.
        doubt: how far a float32 value can lie from the true one.
        factor: F with F F' = L up to constants, shape (labels, columns); None when it would have too many columns.
        similarity: L, shape (labels, labels).
    """

    gram: np.ndarray
    coarse: np.ndarray | None
    scale: float
    doubt: float
    factor: np.ndarray | None
    similarity: np.ndarray

    @property
    def binary(self) -> bool:
        """Two labels and one factor: the codes 0 and 1 can serve as scores themselves, as K takes no constants."""
        return self.factor is not None and self.factor.shape == (2, 1)

    def exact(self, codes: np.ndarray) -> Float[np.ndarray, " p"]:
        """Values in float64 for every row of `codes`, shape (p, units)."""
        if self.factor is None:
            whole = codes.astype(np.intp)
            return np.array([np.vdot(self.gram, self.similarity[row[:, None], row]) for row in whole])
        if self.binary:
            return self._step() * _quadratic(self.gram, codes.astype(np.float64))
        return _over_columns(self.gram, self.factor, codes)

    def values(self, codes: np.ndarray, observed: float) -> Float[np.ndarray, " p"]:
        """Values for every row of `codes`, in float32 except where they are close to `observed`."""
        if self.coarse is None or self.factor is None:
            return self.exact(codes)
        if self.binary:
            found = self._step() * self.scale * _quadratic(self.coarse, codes.astype(np.float32, copy=False))
        else:
            found = self.scale * _over_columns(self.coarse, self.factor.astype(np.float32), codes)
        close = np.flatnonzero(np.abs(found - observed) <= self.doubt)
        if close.size:
            found[close] = self.exact(codes[close])
        return found

    def _step(self) -> float:
        return 0.0 if self.factor is None else float((self.factor[0, 0] - self.factor[1, 0]) ** 2)


def make_form(gram: np.ndarray, similarity: np.ndarray, factor: np.ndarray | None) -> Form:
    """The form, with its float32 copy where that pays."""
    scale = max(float(gram.max()), -float(gram.min()))
    coarse, doubt = None, 0.0
    if gram.shape[0] >= SINGLE_FROM and scale > 0 and factor is not None:
        coarse = np.multiply(gram, 1 / scale, out=np.empty(gram.shape, dtype=np.float32), casting="same_kind")
        spread = float(np.sum(np.ptp(factor, axis=0) ** 2 if len(factor) == 2 else np.max(np.abs(factor), axis=0) ** 2))
        doubt = ROUNDING * float(np.finfo(np.float32).eps) * spread * scale * float(np.abs(coarse).sum())
    return Form(gram=gram, coarse=coarse, scale=scale, doubt=doubt, factor=factor, similarity=similarity)


def _over_columns(gram: np.ndarray, factor: np.ndarray, codes: np.ndarray) -> Float[np.ndarray, " p"]:
    whole = codes.astype(np.intp)
    total = np.zeros(codes.shape[0])
    for column in factor.T:
        total += _quadratic(gram, np.ascontiguousarray(column)[whole])
    return total


def _quadratic(gram: np.ndarray, scores: np.ndarray) -> Float[np.ndarray, " p"]:
    """``s' K s`` for every row s of `scores`, from the lower triangle in strips: little more than half the products."""
    total = np.zeros(scores.shape[0])
    for start in range(0, gram.shape[0], STRIP):
        strip = slice(start, start + STRIP)
        mine = scores[:, strip]
        product = mine @ gram[strip, strip]
        if start:
            product += 2 * (scores[:, :start] @ gram[:start, strip])
        total += np.einsum("pu,pu->p", product, mine)
    return total
