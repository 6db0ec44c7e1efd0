"""Simulated persons with known effects, for the tests of the models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.effects.problem import Problem
from toolkit.models.config import Config
from toolkit.models.fit_state import State
from toolkit.models.outcomes import task_of
from toolkit.models.prepare import problem
from toolkit.models.starting import variance_rule
from toolkit.models.training import Trained, train
from toolkit.numerics.covariance import to_log_cholesky

CPU = torch.device("cpu")


def fitted(config: Config, data: GroupedDataset, labels: np.ndarray | None = None, seed: int = 1) -> Trained:
    """Train on every row unless labels are given."""
    data = rows_for(task_of(config), data)
    labels = np.full(data.n_rows, "train") if labels is None else labels
    return train(config, data, labels, generator=torch.Generator().manual_seed(seed), device=CPU)


def problem_of(trained: Trained, data: GroupedDataset) -> tuple[Problem, State]:
    """The rows a network was fitted to, and its parameters as estimation holds them."""
    network = trained.network
    data = rows_for(network.task, data)
    rows = problem(
        data, np.asarray(data.person), network.scaler, network.module, task=network.task, dtype=torch.float64,
        device=CPU, criterion=network.criterion,
    )  # fmt: skip
    effects = network.effects
    rule = variance_rule(network.config, effects.layout, network.module, network.shared)
    state = State(
        shared=network.shared, layout=effects.layout, eta=effects.eta,
        log_cholesky=to_log_cholesky(effects.covariance, diagonal=rule.diagonal),
        sigma2=torch.tensor(trained.estimate.sigma2, dtype=torch.float64), rule=rule,
    )  # fmt: skip
    return rows, state


def thirds(data: GroupedDataset) -> np.ndarray:
    """The first three fifths of each person's rows train, the next validate, the last test."""
    place = pd.Series(np.arange(data.n_rows)).groupby(np.asarray(data.person)).rank(method="first", pct=True)
    return np.where(place <= 0.6, "train", np.where(place <= 0.8, "validation", "test"))


def rows_of(frame: pd.DataFrame, **roles) -> GroupedDataset:
    """A data set of the frames below."""
    given = {"target": "y", "features": ["a", "b"], "groups": "person", "time": "t"} | roles
    return GroupedDataset.from_frame(frame, **given)


def numbers(persons: int = 8, rows: int = 25, seed: int = 0) -> pd.DataFrame:
    """A numeric outcome with person intercepts (column ``bias``) and common slopes."""
    rng = np.random.default_rng(seed)
    bias = 2.0 * rng.standard_normal(persons)
    code = np.repeat(np.arange(persons), rows)
    frame = pd.DataFrame(rng.standard_normal((persons * rows, 2)), columns=["a", "b"])
    y = 10 + 1.5 * frame["a"] - frame["b"] + bias[code] + 0.7 * rng.standard_normal(persons * rows)
    names = np.array([f"p{c}" for c in range(persons)])[code]
    return frame.assign(y=y, person=names, t=np.tile(np.arange(rows), persons), bias=bias[code])


def classes(count: int, persons: int = 10, rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """A class outcome; person biases of the log-odds of every class against the first (``bias1``, ...)."""
    rng = np.random.default_rng(seed)
    bias = np.column_stack([np.zeros(persons), 1.5 * rng.standard_normal((persons, count - 1))])
    code = np.repeat(np.arange(persons), rows)
    frame = pd.DataFrame(rng.standard_normal((persons * rows, 2)), columns=["a", "b"])
    scores = bias[code] + np.outer(frame["a"], np.linspace(0, 2, count)) + rng.gumbel(size=(len(code), count))
    names = np.array([f"p{c}" for c in range(persons)])[code]
    labels = np.array(["calm", "glad", "tense"])[scores.argmax(axis=1)]
    known = {f"bias{k}": bias[code, k] for k in range(1, count)}
    return frame.assign(y=labels, person=names, t=np.tile(np.arange(rows), persons), **known)


def chains(persons: int = 12, days: int = 6, steps: int = 12, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Three states in sequences (days); one emission a row, and person-specific log-odds of staying in a state."""
    rng = np.random.default_rng(seed)
    stay = 0.5 + 1.5 * rng.standard_normal(persons)
    parts = []
    for person in range(persons):
        matrix = np.exp(stay[person] * np.eye(3))
        matrix /= matrix.sum(axis=1, keepdims=True)
        for day in range(days):
            state = rng.integers(3)
            for step in range(steps):
                state = rng.choice(3, p=matrix[state]) if step else state
                parts.append((f"p{person:02d}", day, day * steps + step, int(state)))
    frame = pd.DataFrame(parts, columns=["person", "day", "t", "code"])
    signal = np.eye(3)[frame["code"]][:, :2] + 1.2 * rng.standard_normal((len(frame), 2))
    frame = frame.assign(y=np.array(["calm", "glad", "tense"])[frame["code"]], a=signal[:, 0], b=signal[:, 1])
    return frame, stay
