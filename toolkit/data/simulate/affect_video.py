"""Simulated video of faces with continuous ratings of valence and arousal: features of frames, known truth.

Made after the setting of Feffer, Rudovic and Picard (2018): 18 persons, five minutes each at 25 frames a second, 2,048
features of a frame of which few have to do with affect. Expressions move slowly, so that neighbouring frames are
alike; persons look different, and express the same affect differently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from toolkit.data.grouped import GroupedDataset
from toolkit.data.groupings import Grouping
from toolkit.results import read_only

TARGETS = ("valence", "arousal")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffectVideo:
    """Frames of every person, and what made them.

    Attributes:
        data: one row per frame: features, valence and arousal, person, time in seconds.
        heads: what each person's expressions say about each target (persons, 2, expressions).
        common: the same on average (2, expressions).
        levels: each person's level of each target (persons, 2).
        noise: SD of the ratings' noise.
    """

    data: GroupedDataset
    heads: np.ndarray
    common: np.ndarray
    levels: np.ndarray
    noise: float

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        for name in ("heads", "common", "levels"):
            object.__setattr__(self, name, read_only(getattr(self, name)))


def affect_video(
    *,
    persons: int = 18,
    seconds: float = 300.0,
    frames_per_second: int = 25,
    features: int = 2048,
    relevant: int = 64,
    expressions: int = 6,
    difference: float = 0.3,
    rng: np.random.Generator,
) -> AffectVideo:
    """Frames of a number of persons, with ratings.

    Every person has ``expressions`` slow processes ``s_t`` (autoregressive, a few seconds long) and as many that have
    nothing to do with affect. A rating is ``y_t = level_i + (W + Delta_i) s_t + noise`` with independent ``Delta_i`` of
    SD ``difference`` times that of ``W``. Features are ``a_i + L s_t + M n_t + noise``: the person's looks, the
    expressions in ``relevant`` features, other movement in all, and noise of each frame.

    Args:
        persons: how many.
        seconds: of video each.
        frames_per_second: rows of a second.
        features: of a frame.
        relevant: features that the expressions move.
        expressions: processes that have to do with affect.
        difference: SD of what is personal in the heads, as a share of what is common.
        rng: source of everything.
    """
    frames = round(seconds * frames_per_second)
    common = rng.normal(size=(2, expressions)) / np.sqrt(expressions)
    heads = common + difference * rng.normal(size=(persons, 2, expressions)) / np.sqrt(expressions)
    levels = 0.3 * rng.normal(size=(persons, 2))
    loading = np.zeros((expressions, features))
    moved = rng.permutation(features)[:relevant]
    loading[:, moved] = rng.normal(size=(expressions, relevant))
    movement = 0.5 * rng.normal(size=(expressions, features))
    looks = rng.normal(size=(persons, features))
    values = np.empty((persons * frames, features))
    ratings = np.empty((persons * frames, 2))
    noise = 0.2
    for person in range(persons):
        rows = slice(person * frames, (person + 1) * frames)
        slow = _slow(frames, expressions, frames_per_second, rng)
        other = _slow(frames, expressions, frames_per_second, rng)
        ratings[rows] = levels[person] + slow @ heads[person].T + noise * rng.normal(size=(frames, 2))
        values[rows] = looks[person] + slow @ loading + other @ movement
        values[rows] += rng.standard_normal((frames, features), dtype=np.float32)
    names = tuple(f"person {number + 1:02d}" for number in range(persons))
    data = GroupedDataset(
        features=values,
        feature_names=tuple(f"feature {number + 1}" for number in range(features)),
        target=ratings[:, 0],
        target_name=TARGETS[0],
        further_targets=ratings[:, 1:],
        further_target_names=TARGETS[1:],
        groupings=(Grouping(name="person", codes=np.repeat(np.arange(persons), frames), levels=names),),
        time=np.tile(np.arange(frames) / frames_per_second, persons),
        row_numbers=np.arange(persons * frames),
        pseudonymous=True,
    )
    return AffectVideo(data=data, heads=heads, common=common, levels=levels, noise=noise)


def _slow(
    frames: int, processes: int, per_second: int, rng: np.random.Generator
) -> Float[np.ndarray, "frames process"]:
    """Stationary autoregressive processes of unit variance that forget half within one to three seconds."""
    halved = rng.uniform(1.0, 3.0, size=processes) * per_second
    keep = 0.5 ** (1.0 / halved)
    drawn = rng.normal(size=(frames, processes)) * np.sqrt(1.0 - keep**2)
    drawn[0] /= np.sqrt(1.0 - keep**2)
    return np.column_stack([lfilter([1.0], [1.0, -rate], column) for rate, column in zip(keep, drawn.T, strict=True)])
