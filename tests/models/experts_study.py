"""A small made-up study for networks of experts: persons with slopes of their own, told apart by where they lie."""

from __future__ import annotations

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset


def study(
    persons: int = 5, rows: int = 30, seed: int = 0, *, prefix: str = "Anna-", noise: float = 0.2, apart: float = 3.0
) -> pd.DataFrame:
    """Two numeric targets and one of classes; features x, y and the person's place; families of two persons."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(persons), rows)
    angle = 2 * np.pi * code / persons
    place = apart * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(scale=0.3, size=(len(code), 2))
    x, y = rng.normal(size=(2, len(code)))
    slope = np.array([1.0, -0.5]) + 0.8 * rng.normal(size=(persons, 2))
    level = rng.normal(size=persons)
    valence = level[code] + slope[code, 0] * x + slope[code, 1] * y + noise * rng.normal(size=len(code))
    arousal = 0.5 * level[code] - slope[code, 1] * x + noise * rng.normal(size=len(code))
    return pd.DataFrame(
        {
            "who": np.array([f"{prefix}{number}" for number in range(persons)])[code],
            "family": np.array([f"{prefix}family-{number // 2}" for number in range(persons)])[code],
            "arm": np.array(["a", "b"])[code // 2 % 2],
            "t": np.tile(np.arange(rows), persons),
            "x": x,
            "y": y,
            "east": place[:, 0],
            "north": place[:, 1],
            "valence": 50 + 10 * valence,
            "arousal": 20 + 5 * arousal,
            "state": np.array(["calm", "glad", "tense"])[np.digitize(valence, [-0.7, 0.7])],
            "high": np.array(["no", "yes"])[(valence > 0).astype(int)],
        }
    )


FEATURES = ("x", "y", "east", "north")


def rows_of(frame: pd.DataFrame, target="valence", **roles) -> GroupedDataset:
    given = {"features": list(FEATURES), "groups": "who", "time": "t"} | roles
    return GroupedDataset.from_frame(frame, target=target, **given)
