"""Rows of a two-class outcome, the rows of a level side by side, so that sums over a level are one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# logits beyond this are as good as certain, and their exponentials still finite
LARGEST = 700.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LevelRows:
    """Rows in the order of their levels; only levels with rows are here.

    Attributes:
        order: place of each row in the caller's order.
        begin: first row of each level that has any.
        counts: rows of each level that has any.
        present: numbers of the levels that have rows.
        levels: how many levels there are.
        target: zeros and ones.
        design: what a level's effect is multiplied with; None for ones.
    """

    order: Int[np.ndarray, " rows"]
    begin: Int[np.ndarray, " present"]
    counts: Int[np.ndarray, " present"]
    present: Int[np.ndarray, " present"]
    levels: int
    target: Float[np.ndarray, " rows"]
    design: Float[np.ndarray, " rows"] | None

    def sums(self, values: Float[np.ndarray, "*nodes rows"]) -> Float[np.ndarray, "*nodes present"]:
        """Sum over the rows of each level."""
        return np.add.reduceat(values, self.begin, axis=-1) if len(self.begin) else np.zeros((*values.shape[:-1], 0))

    def design_sums(
        self, values: Float[np.ndarray, "*nodes rows"], power: int = 1
    ) -> Float[np.ndarray, "*nodes present"]:
        """Sum over the rows of each level of values times a power of the design."""
        return self.sums(values if self.design is None else values * self.design**power)

    def spread(self, values: Float[np.ndarray, "*nodes present"]) -> Float[np.ndarray, "*nodes rows"]:
        """A level's value in each of its rows, times the design."""
        found = np.repeat(values, self.counts, axis=-1)
        return found if self.design is None else found * self.design

    def of_all(self, values: Float[np.ndarray, " present"], empty: float) -> Float[np.ndarray, " levels"]:
        """Values of all levels; a level without rows has ``empty``."""
        found = np.full(self.levels, empty)
        found[self.present] = values
        return found

    def sorted(self, values: np.ndarray) -> np.ndarray:
        """Values of the caller's rows in the order of the levels."""
        return np.asarray(values, dtype=np.float64)[self.order]

    def unsorted(self, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """Values of the rows in the caller's order."""
        found = np.empty_like(values)
        found[self.order] = values
        return found


def level_rows(
    target: Float[np.ndarray, " rows"],
    codes: Int[np.ndarray, " rows"],
    levels: int,
    design: Float[np.ndarray, " rows"] | None = None,
) -> LevelRows:
    """Sort rows by their level.

    Args:
        target: zeros and ones.
        codes: level of each row, from 0.
        levels: how many there are; one without rows keeps its prior.
        design: what a level's effect is multiplied with; ones where not given (a random intercept).
    """
    order = np.argsort(codes, kind="stable")
    own = np.asarray(codes)[order]
    begin = np.concatenate([[0], np.flatnonzero(own[1:] != own[:-1]) + 1]) if len(own) else np.zeros(0, dtype=np.int64)
    constant = design is None or bool((design == 1.0).all())
    return LevelRows(
        order=order,
        begin=begin,
        counts=np.append(begin[1:], len(own)) - begin if len(own) else begin,
        present=own[begin],
        levels=levels,
        target=np.asarray(target, dtype=np.float64)[order],
        design=None if constant or design is None else np.asarray(design, dtype=np.float64)[order],
    )


def probabilities(logits: Float[np.ndarray, "*shape"]) -> tuple[np.ndarray, np.ndarray]:
    """``sigmoid(logits)``, and ``log(1 + exp(-logits))``, each accurate in absolute terms; both are new arrays."""
    small = np.maximum(logits, -LARGEST)
    np.negative(small, out=small)
    np.exp(small, out=small)
    loss = np.log1p(small)
    small += 1.0
    np.reciprocal(small, out=small)
    return small, loss
