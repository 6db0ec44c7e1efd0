"""Nearest neighbours, which scipy gives without types."""

# pyright: standard

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy.spatial import KDTree as _KDTree

KDTree = cast(Any, _KDTree)


def nearest(tree: Any, points: np.ndarray, count: int) -> np.ndarray:
    """The places nearest to points, nearest first, shape (points, count)."""
    _, found = tree.query(points, k=count)
    return np.asarray(found, dtype=np.int64).reshape(len(points), count)
