"""Walking over the rows of a tidy frame. A row's values have no static type, which is said here once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def records(frame: pd.DataFrame) -> list[Any]:
    """The rows as named tuples."""
    return list(frame.itertuples(index=False))


def largest(frame: pd.DataFrame, column: str) -> Any:
    """The row whose ``column`` is furthest from zero; undefined values are passed over."""
    sizes = np.nan_to_num(frame[column].abs().to_numpy(dtype=float), nan=-1.0)
    return frame.iloc[int(sizes.argmax())]
