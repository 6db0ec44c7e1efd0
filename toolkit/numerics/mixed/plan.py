"""In which order the unknowns of a large sparse matrix are eliminated, and which are left that are dense.

Unknowns that share no entry with each other are eliminated together, those with the fewest entries first (multiple
minimum degree: Liu, 1985), until what remains is filled; a dense Cholesky factor takes that. For grouping factors that
are nearly nested this leaves a small share of the levels. Which entries there are depends on the rows alone, so it is
found out once (`plan_of`), and every later factorisation, solution and inverse (`toolkit.numerics.mixed.elimination`)
is a few sums over arrays of positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.numerics.mixed.arrays import Sparse, sparse

# remaining unknowns up to which they are dense at once
SMALL = 300
# an unknown is dense when it has entries in more than one of so many of the unknowns that are left
SHARE = 25
# products of two entries of an eliminated unknown that are kept track of; the unknowns that are left then are dense
PRODUCTS = 30_000_000
# entries beyond the fewest with which an unknown may be eliminated in the same round
SLACK = 4

Positions = Int[np.ndarray, " _"]
Values = Float[np.ndarray, " _"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """Unknowns that are eliminated together, and where their entries are.

    Positions are those among the stored entries (upper triangle, row by row) before and after the round.

    Attributes:
        chosen, left: unknowns that are eliminated, and the others, in the numbers before the round.
        diagonal: position of the diagonal of each chosen one.
        coupling: positions of their other entries, one unknown after the other.
        owner: which of the chosen each of these belongs to.
        columns: which of the others it is shared with, in the numbers after the round.
        kept: positions of the entries among the others, before the round.
        moved: where they are after it.
        one, other: every two entries of the same unknown, as places in ``coupling``.
        filled: where their product goes.
        entries: how many there are after the round.
    """

    chosen: Positions
    left: Positions
    diagonal: Positions
    coupling: Positions
    owner: Positions
    columns: Positions
    kept: Positions
    moved: Positions
    one: Positions
    other: Positions
    filled: Positions
    entries: int

    def scatter(self, values: Values) -> Sparse:
        """Values of the coupling as a sparse matrix (chosen, left)."""
        pointers = np.searchsorted(self.owner, np.arange(len(self.chosen) + 1))
        return sparse.csr_array((values, self.columns, pointers), shape=(len(self.chosen), len(self.left)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Order of elimination.

    Attributes:
        size: unknowns.
        rows, columns: of the stored entries, the upper triangle row by row.
        rounds: one after the other.
        dense: how many unknowns are left.
        dense_rows, dense_columns: entries among them.
    """

    size: int
    rows: Positions
    columns: Positions
    rounds: tuple[Round, ...]
    dense: int
    dense_rows: Positions
    dense_columns: Positions

    def values(self, matrix: Sparse) -> Values:
        """The stored entries of a matrix that has none elsewhere."""
        row, column = _places(matrix)
        inside = row <= column
        keys = self.rows * self.size + self.columns
        places = np.searchsorted(keys, row[inside] * self.size + column[inside])
        return np.bincount(places, weights=sparse.coo_array(matrix).data[inside], minlength=len(keys))

    def symmetric(self, values: Values) -> Sparse:
        """Stored entries as a sparse matrix with both triangles."""
        off = self.rows != self.columns
        rows = np.concatenate([self.rows, self.columns[off]])
        columns = np.concatenate([self.columns, self.rows[off]])
        both = sparse.coo_array((np.concatenate([values, values[off]]), (rows, columns)), shape=(self.size, self.size))
        return sparse.csr_array(both)


def plan_of(pattern: Sparse) -> Plan:
    """Order of elimination of symmetric matrices that have entries where ``pattern`` has, and on the diagonal."""
    size = pattern.shape[0]
    row, column = _places(pattern)
    diagonal = np.arange(size, dtype=np.int64) * (size + 1)
    keys: np.ndarray = np.unique(np.concatenate([np.minimum(row, column) * size + np.maximum(row, column), diagonal]))
    rows, columns = keys // size, keys % size
    rounds, count, products = list[Round](), size, 0
    own_rows, own_columns = rows, columns
    while count > SMALL:
        chosen, degree = _apart(own_rows, own_columns, count)
        products += int((degree * (degree + 1) // 2).sum())
        if not len(chosen) or products > PRODUCTS:
            break
        done, own_rows, own_columns = _round(own_rows, own_columns, count, chosen)
        rounds.append(done)
        count = len(done.left)
    return Plan(
        size=size, rows=rows, columns=columns, rounds=tuple(rounds), dense=count, dense_rows=own_rows,
        dense_columns=own_columns,
    )  # fmt: skip


def _places(matrix: Sparse) -> tuple[Positions, Positions]:
    """Rows and columns of the stored entries."""
    rows, columns = sparse.coo_array(matrix).coords
    return np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)


def _apart(rows: Positions, columns: Positions, count: int) -> tuple[Positions, Positions]:
    """Unknowns with few entries that share none with each other, and how many entries each has."""
    off = rows != columns
    both = sparse.coo_array(
        (np.ones(2 * off.sum(), dtype=np.int8), (np.r_[rows[off], columns[off]], np.r_[columns[off], rows[off]])),
        shape=(count, count),
    )
    near = sparse.csr_array(both)
    degree = np.diff(near.indptr)
    most = min(2 * int(degree.min()) + SLACK, count // SHARE)
    free = np.ones(count, dtype=bool)
    found = list[int]()
    candidates = np.flatnonzero(degree <= most)
    for node in candidates[np.argsort(degree[candidates], kind="stable")].tolist():
        if free[node]:
            found.append(node)
            free[near.indices[near.indptr[node] : near.indptr[node + 1]]] = False
    chosen = np.array(sorted(found), dtype=np.int64)
    return chosen, degree[chosen].astype(np.int64)


def _round(rows: Positions, columns: Positions, count: int, chosen: Positions) -> tuple[Round, Positions, Positions]:
    """A round, and the entries that are left after it."""
    number = np.full(count, -1, dtype=np.int64)
    own = np.zeros(count, dtype=bool)
    own[chosen] = True
    left = np.flatnonzero(~own)
    number[chosen], number[left] = np.arange(len(chosen)), np.arange(len(left))
    kept = np.flatnonzero(~own[rows] & ~own[columns])
    coupling = np.flatnonzero(own[rows] != own[columns])
    swapped = own[columns[coupling]]
    owner = number[np.where(swapped, columns[coupling], rows[coupling])]
    other = number[np.where(swapped, rows[coupling], columns[coupling])]
    order = np.lexsort((other, owner))
    coupling, owner, other = coupling[order], owner[order], other[order]
    first, second = _pairs(owner, len(chosen))
    old = number[rows[kept]] * len(left) + number[columns[kept]]
    new = other[first] * len(left) + other[second]
    keys, places = np.unique(np.concatenate([old, new]), return_inverse=True)
    found = Round(
        chosen=chosen, left=left, diagonal=np.flatnonzero(own[rows] & own[columns]), coupling=coupling, owner=owner,
        columns=other, kept=kept, moved=places[: len(old)], one=first, other=second, filled=places[len(old) :],
        entries=len(keys),
    )  # fmt: skip
    return found, keys // max(len(left), 1), keys % max(len(left), 1)


def _pairs(owner: Positions, owners: int) -> tuple[Positions, Positions]:
    """Every two places with the same owner, also the same place twice; owners in order."""
    counts = np.bincount(owner, minlength=owners)
    last = np.cumsum(counts)[owner]
    following = last - np.arange(len(owner))
    first = np.repeat(np.arange(len(owner)), following)
    second = np.arange(len(first)) - np.repeat(np.cumsum(following) - following, following) + first
    return first, second
