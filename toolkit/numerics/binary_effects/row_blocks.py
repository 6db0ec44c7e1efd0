"""The inverse of a matrix in two halves, times the design of each row, at the effects of that row."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.weighted import Structure
from toolkit.numerics.mixed.arrays import Sparse, row_numbers, sparse
from toolkit.numerics.mixed.halves import Halves, by_level

# doubles that a piece of a product may take
PIECE = 8_000_000


def inverse_times_rows(
    structure: Structure, halves: Halves, design: Float[np.ndarray, "rows effects"]
) -> Float[np.ndarray, "rows effects"]:
    """``(M^-1 v_i)`` at the effects of row i, for the design ``v_i`` of every row.

    With ``A`` the block of the first factor, ``F = A^-1 M_12`` and S the Schur complement,
    ``s_i = v_rest - F_j' v_first`` gives ``S^-1 s_i`` for the others and ``A_j^-1 v_first - F_j S^-1 s_i`` for the
    first factor. The levels of the first factor are taken a piece at a time.
    """
    size = structure.first_shape[1]
    own, others = design[:, :size], design[:, size:]
    codes = structure.factors[0].codes
    found = np.empty_like(design)
    blocks = np.swapaxes(halves.inverse, 1, 2) @ halves.inverse
    found[:, :size] = np.einsum("rab,rb->ra", blocks[codes], own)
    if not structure.rest:
        return found
    inverse = halves.rest.inverse() if halves.rest.is_dense else halves.rest.solve(np.eye(structure.rest))
    turned = sparse.csr_array(by_level(np.swapaxes(halves.inverse, 1, 2), halves.between))
    place = structure.rest_place
    found[:, size:] = np.einsum("rab,rb->ra", inverse[place[:, :, None], place[:, None, :]], others)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=structure.first_shape[0]))
    step = max(PIECE // (size * structure.rest), 1)
    for begin in range(0, structure.first_shape[0], step):
        end = min(begin + step, structure.first_shape[0])
        rows = order[(ends[begin - 1] if begin else 0) : ends[end - 1]]
        _add_piece(found, turned[begin * size : end * size], inverse, (own, others), (rows, codes[rows] - begin, place))
    return found


def _add_piece(
    found: np.ndarray,
    turned: Sparse,
    inverse: np.ndarray,
    design: tuple[np.ndarray, np.ndarray],
    where: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """What couples the first factor with the others, for the rows of some levels; added in place."""
    rows, levels, place = where
    own, others = design[0][rows], design[1][rows]
    size = own.shape[1]
    product = np.asarray(turned @ inverse).reshape(-1, size, inverse.shape[0])
    squares = np.zeros((len(product), size, size))
    line = row_numbers(turned)
    for b in range(size):
        terms = turned.data * product[line // size, b, turned.indices]
        sums = np.bincount(line, weights=terms, minlength=turned.shape[0])
        squares[:, :, b] = sums.reshape(-1, size)
    across = product[levels[:, None, None], np.arange(size)[None, :, None], place[rows][:, None, :]]
    found[rows, size:] -= np.einsum("rab,ra->rb", across, own)
    found[rows, :size] -= np.einsum("rab,rb->ra", across, others) - np.einsum("rab,rb->ra", squares[levels], own)
