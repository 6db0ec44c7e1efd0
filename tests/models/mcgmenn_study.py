"""Rows of two crossed factors with an outcome of every kind, and fits that several tests share."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from toolkit import GroupedDataset, fit
from toolkit.errors import ToolkitWarning
from toolkit.models import McGmenn
from toolkit.runs.run import Run

CLASSES = ("calm", "low", "tense")
SMALL: dict[str, Any] = {"hidden": (8,), "epochs": 8, "batch": 128, "precision": "float64", "draws": 200}
KINDS = ("regression", "binary", "multiclass", "ordinal", "count")


@cache
def study(task: str = "binary", rows: int = 2_000) -> GroupedDataset:
    """Persons (60) and items (12) with effects on the level, persons also on the slope of z."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["x", "z"])
    person, item = rng.integers(0, 60, rows), rng.integers(0, 12, rows)
    outputs = 3 if task == "multiclass" else 1
    effects = rng.normal(size=(60, outputs))[person] + 0.6 * rng.normal(size=(12, outputs))[item]
    slope = 0.5 * rng.normal(size=60)[person]
    level = np.sin(2 * frame["x"].to_numpy()) + (0.4 + slope) * frame["z"].to_numpy()
    logits = level[:, None] * np.array([1.0, 0.0, -1.0][:outputs]) + effects
    frame = frame.assign(person=person.astype(str), item=item.astype(str), y=_outcome(task, logits, rng))
    data = GroupedDataset.from_frame(frame, target="y", features=["x", "z"], groups=["person", "item"])
    if task == "binary":
        return data.as_classes(("0", "1"))
    return data.as_classes(CLASSES) if task in ("multiclass", "ordinal") else data


def _outcome(task: str, logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if task == "regression":
        return logits[:, 0] + 0.7 * rng.normal(size=len(logits))
    if task == "binary":
        return (rng.random(len(logits)) < expit(logits[:, 0])).astype(int)
    if task == "count":
        return rng.poisson(np.exp(0.5 * logits[:, 0]))
    if task == "ordinal":
        place = np.digitize(logits[:, 0] + rng.logistic(size=len(logits)), [-0.7, 0.9])
    else:
        place = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)
    return np.array(CLASSES)[place]


@cache
def fitted(task: Any = "binary", random: Any = ("person", "item"), **settings: Any) -> Run:
    """A small fit to all rows of the study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return fit(McGmenn(task=task, random=random, **(SMALL | settings)), study(task), seed=1, split=None)
