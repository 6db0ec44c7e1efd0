"""Parts of scipy that carry no types."""

# pyright: standard

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy import linalg as _linalg
from scipy import optimize as _optimize
from scipy import sparse as _sparse

Sparse = Any
linalg = cast(Any, _linalg)
optimize = cast(Any, _optimize)
sparse = cast(Any, _sparse)


def row_numbers(matrix: Sparse) -> np.ndarray:
    """Row of each stored entry of a matrix in compressed rows."""
    counts: np.ndarray = matrix.indptr[1:] - matrix.indptr[:-1]
    return np.repeat(np.arange(matrix.shape[0]), counts)
