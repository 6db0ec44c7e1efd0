"""Small panels of persons with a level and a slope of their own."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping


def panel(
    *, persons: int, rows: int, spread: float = 1.0, slope: float = 0.5, binary: bool = False, seed: int = 0
) -> GroupedDataset:
    """``1 + x1 - x2 / 2 + b0 + b1 x1`` plus a standard normal residual, or the log odds of the second class.

    Args:
        persons: how many.
        rows: of each.
        spread: SD of the persons' levels; slope: of their slopes.
        binary: two classes in place of numbers.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(persons), rows)
    x = rng.normal(size=(len(codes), 2))
    effects = rng.normal(size=(persons, 2)) * [spread, slope]
    linear = 1.0 + x[:, 0] - 0.5 * x[:, 1] + effects[codes, 0] + effects[codes, 1] * x[:, 0]
    target = rng.uniform(size=len(codes)) < expit(linear) if binary else linear + rng.normal(size=len(codes))
    return GroupedDataset(
        features=x,
        feature_names=("x1", "x2"),
        target=target.astype(np.float64),
        target_name="y",
        classes=("no", "yes") if binary else None,
        groupings=(Grouping(name="person", codes=codes, levels=tuple(f"p{k:03d}" for k in range(persons))),),
        row_numbers=np.arange(len(codes)),
        pseudonymous=True,
    )
