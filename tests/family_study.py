"""A made-up study of persons in families who answer the same questions, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STUDY = """
title = "Families"
unit = "prompt"
[data]
file = "data.csv"
[roles]
person = "who"
cluster = "family"
group = "arm"
time = "t"
sequence = "day"
targets = ["mood", "state"]
features = ["x"]
state = "state"
states = ["calm", "tense", "sad"]
[groupings.family]
effects = "*.bias"
[groupings.item]
effects = "layers.0.bias"
[group_labels]
0 = "Controls"
1 = "Patients"
"""


def family_frame(families: int = 12, persons: int = 3, items: int = 5, rows: int = 20, seed: int = 4) -> pd.DataFrame:
    """Persons in families, crossed with items; families and items move the level of the mood."""
    rng = np.random.default_rng(seed)
    count = families * persons
    person = np.repeat(np.arange(count), rows)
    family, item = person // persons, rng.integers(0, items, count * rows)
    x = rng.normal(size=count * rows)
    level = 6 * rng.normal(size=count)[person] + 10 * rng.normal(size=families)[family]
    mood = 50 + level + 6 * rng.normal(size=items)[item] + 5 * x + 8 * rng.normal(size=count * rows)
    states = np.array(["calm", "tense", "sad"])
    return pd.DataFrame(
        {
            "who": [f"Anna-{k}" for k in person],
            "family": [f"Smith-{k}" for k in family],
            "item": [f"Question {k}" for k in item],
            "arm": family % 2,
            "t": np.tile(np.arange(rows), count),
            "day": np.tile(np.arange(rows) // 5, count),
            "x": x,
            "mood": mood.round(2),
            "state": states[rng.integers(0, 3, count * rows)],
        }
    )


def write_family_study(folder: Path, study: str = STUDY, frame: pd.DataFrame | None = None) -> Path:
    """The study as data.csv and study.toml; returns study.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    (family_frame() if frame is None else frame).to_csv(folder / "data.csv", index=False)
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"
