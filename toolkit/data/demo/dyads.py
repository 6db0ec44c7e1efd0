"""Simulated parent-child conversations with known truth: persons in families, onset-coded states, predictive features.

Every person has a chain of four states that never follow themselves (observers note a new state when it begins). The
transition from state i to j of person p has the score

    score_ij(p) = base_ij + group_p * effect_ij + u_ij(family of p) + v_ij(p),

and probabilities are the row softmax over j != i. Both u and v are normal; their variances add up to ``sd ** 2``, and
the family's share of it is ``correlation``, so that scores of two persons of a family correlate by it (within groups).
Features are normal around a mean that depends on the state of their own segment, as behaviour seen by a camera does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from toolkit.data.study_writing import write_text
from toolkit.results import read_only

STATES = ("other", "aggressive", "dysphoric", "positive")
PERSONS, FAMILIES, SEGMENTS = 195, 98, 15_228
FEATURES = ("loudness", "pitch", "smile", "gaze")
# rows from, columns to; the diagonal is never used
BASE = ((0.0, -0.6, -0.2, 0.5), (0.4, 0.0, 0.3, -0.5), (0.5, 0.1, 0.0, -0.3), (0.8, -0.9, -0.4, 0.0))
# the comparison group: fewer ways out of dysphoric into positive, more from positive into dysphoric
EFFECT = {("dysphoric", "positive"): -0.8, ("positive", "dysphoric"): 0.6}
MEANS = ((0.0, 0.0, 0.0, 0.0), (0.9, 0.5, -0.5, 0.2), (-0.6, -0.4, -0.7, -0.5), (0.2, 0.4, 1.0, 0.4))
SHORTEST = 20  # segments of the person with fewest
STUDY = """# Simulated: no person behind it. The truth is known, see toolkit/data/demo/dyads.py
name = "dyads"
title = "Simulated conversations of families"
citation = "Simulated by this toolkit"
licence = "GPL-3.0-or-later, as the toolkit"
unit = "segment"

[data]
file = "data.parquet"
pseudonymous = true

[roles]
person = "person"
cluster = "family"
group = "depressed"
time = "segment"
targets = ["state"]
features = ["loudness", "pitch", "smile", "gaze"]
state = "state"
states = ["other", "aggressive", "dysphoric", "positive"]

[group_labels]
0 = "comparison group"
1 = "depressed group"
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DyadsTruth:
    """What the simulation is made of.

    Attributes:
        scores: of each person, shape (persons, 4, 4); the diagonal is minus infinity.
        probabilities: row softmax of the scores, shape (persons, 4, 4).
        effect: added to the scores of the depressed group, shape (4, 4).
        group: whether a person is in the depressed group, shape (persons,).
        family: number of the family, shape (persons,).
    """

    scores: Float[np.ndarray, "persons 4 4"]
    probabilities: Float[np.ndarray, "persons 4 4"]
    effect: Float[np.ndarray, "4 4"]
    group: Int[np.ndarray, " persons"]
    family: Int[np.ndarray, " persons"]

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for name, dtype in (("scores", np.float64), ("probabilities", np.float64), ("effect", np.float64)):
            object.__setattr__(self, name, read_only(getattr(self, name), dtype))


def dyads(
    *,
    rng: np.random.Generator,
    persons: int = PERSONS,
    families: int = FAMILIES,
    segments: int = SEGMENTS,
    sd: float = 0.5,
    correlation: float = 0.4,
    effect: float = 1.0,
) -> tuple[pd.DataFrame, DyadsTruth]:
    """Segments of conversations, and the truth behind them.

    Args:
        rng: every random number.
        persons: number of persons; families have one or two.
        families: number of families; the group is the same for a family.
        segments: number of rows in total.
        sd: of the persons' scores around their group's.
        correlation: of the scores of two persons of a family.
        effect: factor of the group difference; 0 for none.

    Returns:
        A frame with person, family, depressed, segment, state and four features; the truth.
    """
    family = np.sort(np.concatenate([np.arange(families), rng.permutation(families)[: persons - families]]))
    group = (rng.permutation(families) < round(0.4 * families)).astype(np.int64)[family]
    difference = effect * group_effect()
    shared = rng.normal(0.0, sd * np.sqrt(correlation), (families, 4, 4))[family]
    own = rng.normal(0.0, sd * np.sqrt(1.0 - correlation), (persons, 4, 4))
    scores = np.array(BASE) + group[:, None, None] * difference + shared + own
    scores[:, np.arange(4), np.arange(4)] = -np.inf
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    probabilities = weights / weights.sum(axis=2, keepdims=True)
    lengths = SHORTEST + rng.multinomial(segments - SHORTEST * persons, rng.dirichlet(np.full(persons, 3.0)))
    person = np.repeat(np.arange(persons), lengths)
    states = np.concatenate([_chain(probabilities[p], length, rng) for p, length in enumerate(lengths.tolist())])
    features = np.array(MEANS)[states] + rng.normal(size=(segments, len(FEATURES)))
    frame = pd.DataFrame(
        {
            "person": np.char.add("P", np.char.zfill((person + 1).astype(str), 3)),
            "family": np.char.add("C", np.char.zfill((family[person] + 1).astype(str), 2)),
            "depressed": group[person],
            "segment": np.concatenate([np.arange(1, length + 1) for length in lengths]),
            "state": np.array(STATES)[states],
            **dict(zip(FEATURES, features.round(4).T, strict=True)),
        }
    )
    truth = DyadsTruth(scores=scores, probabilities=probabilities, effect=difference, group=group, family=family)
    return frame, truth


def group_effect() -> Float[np.ndarray, "4 4"]:
    """The group difference of the scores, by from and to."""
    difference = np.zeros((4, 4))
    for (start, end), value in EFFECT.items():
        difference[STATES.index(start), STATES.index(end)] = value
    return difference


def write_dyads(folder: str | Path, *, rng: np.random.Generator) -> Path:
    """Write the simulated study into a folder; returns its study.toml.

    Raises:
        DataError: E305 if the folder cannot be written to.
    """
    folder = Path(folder)
    frame, _ = dyads(rng=rng)
    write_text(folder / "study.toml", STUDY)
    frame.to_parquet(folder / "data.parquet", index=False, compression="zstd")
    return folder / "study.toml"


def _chain(probabilities: Float[np.ndarray, "4 4"], length: int, rng: np.random.Generator) -> Int[np.ndarray, " time"]:
    """One person's states: the first at random, each next one drawn from the row of the last."""
    cumulative = probabilities.cumsum(axis=1)
    draws = rng.random(length)
    states = np.empty(length, dtype=np.int64)
    states[0] = int(draws[0] * 4)
    for step in range(1, length):
        states[step] = min(int(np.searchsorted(cumulative[states[step - 1]], draws[step], side="right")), 3)
    return states
