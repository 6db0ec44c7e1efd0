"""A small made-up study: persons with levels of their own, in families and two arms."""

from __future__ import annotations

import numpy as np
import pandas as pd


def small_study(persons: int = 6, rows: int = 15) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    count = persons * rows
    level = np.repeat(rng.normal(size=persons), rows)
    x = rng.normal(size=count)
    return pd.DataFrame(
        {
            "who": np.repeat([f"Anna-{k}" for k in range(persons)], rows),
            "family": np.repeat([f"Family-{k // 2}" for k in range(persons)], rows),
            "arm": np.repeat([str(k // 2 % 2) for k in range(persons)], rows),
            "t": np.tile(np.arange(rows), persons),
            "x": x,
            "mood": level + 0.5 * x + rng.normal(size=count),
            "state": rng.choice(["calm", "tense", "sad"], size=count),
        }
    )
