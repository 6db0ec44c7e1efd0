"""A simulated study of persons in families who answer the same items, for the figures of several grouping factors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.cli.answers import Answer
from toolkit.data.study import Study
from toolkit.data.study_writing import write_text
from toolkit.runs.run import Data

NAME = "lmm-items"
RANDOM = "(1 | person) + (1 | family) + (1 | item)"
ROW = 7
STUDY = """title = "Mood of families (simulated)"
unit = "answer"
[data]
file = "data.csv"
pseudonymous = true
[roles]
person = "person"
cluster = "family"
time = "answer"
targets = ["mood"]
features = ["sleep"]
[groupings.family]
[groupings.item]
"""


def families_and_items(*, rng: np.random.Generator, families: int = 30, items: int = 12) -> pd.DataFrame:
    """Two persons a family, 24 answers each: mood from sleep, the person, the family and the item."""
    persons, rows = 2 * families, 24
    person = np.repeat(np.arange(persons), rows)
    item = rng.integers(0, items, persons * rows)
    sleep = rng.normal(7.0, 1.2, persons * rows).round(1)
    slope = 2.0 + rng.normal(0.0, 1.0, persons)[person]
    level = 40 + rng.normal(0.0, 6.0, persons)[person] + rng.normal(0.0, 4.0, families)[person // 2]
    mood = level + slope * (sleep - 7.0) + rng.normal(0.0, 2.0, items)[item] + rng.normal(0.0, 7.0, persons * rows)
    return pd.DataFrame(
        {
            "person": [f"P{k + 1:02d}" for k in person],
            "family": [f"F{k // 2 + 1:02d}" for k in person],
            "item": [f"I{k + 1:02d}" for k in item],
            "answer": np.tile(np.arange(1, rows + 1), persons),
            "sleep": sleep,
            "mood": mood.round(1),
        }
    )


def study_file(material: Path) -> Path:
    """Where the study is."""
    return material / "items" / "study.toml"


def items(material: Path) -> tuple[Data, Study]:
    """The study, written beside the gallery's runs where it is not there yet."""
    path = study_file(material)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = families_and_items(rng=np.random.default_rng(1))
        write_text(path.with_name("data.csv"), frame.to_csv(index=False))
        write_text(path, STUDY)
    study = Study.read(path)
    return study.grouped(target="mood"), study


def keep_contributions(path: Path, material: Path) -> Answer:
    """One prediction of the run taken apart, kept with it."""
    from toolkit.cli.interpreting import answer_contributions

    return answer_contributions(path, study_file(material), row=ROW, data_file=None, level=0.95)
