"""Small random problems of every kind of outcome, with their rows at hand for dense formulas."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import EffectLayout, coordinate_labels
from toolkit.effects.terms import resolve_terms
from toolkit.models.networks import initial_parameters
from toolkit.models.outcome_networks import outcome_network
from toolkit.models.prepare import fit_scaler, problem

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownProblem(Problem):
    """A problem that remembers the (scaled) features and target of each line."""

    known_rows: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


def random_frame(task: str, persons: int, rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    count = persons * rows - 2  # unequal numbers of rows
    target = {
        "regression": rng.standard_normal(count),
        "binary": rng.integers(0, 2, count),
        "multiclass": rng.integers(0, 3, count),
        "ordinal": rng.integers(0, 3, count),
        "count": rng.poisson(2.0, count).astype(float),
        "sequence": rng.integers(0, 3, count),
    }[task]
    frame = pd.DataFrame(rng.standard_normal((count, 2)), columns=["a", "b"])
    names = np.array([f"p{code}" for code in rng.permutation(np.arange(count) % persons)])
    day = np.arange(count) // (persons * 3)
    return frame.assign(y=target, person=names, t=np.arange(count), day=day)


def random_problem(
    task: str, effects: str, *, hidden: tuple[int, ...] = (), persons: int = 4, rows: int = 7, seed: int = 0
) -> tuple[KnownProblem, dict[str, torch.Tensor], EffectLayout, int]:
    """A problem, its shared parameters, where the effects are, and the number of persons."""
    data = GroupedDataset.from_frame(
        random_frame(task, persons, rows, seed), target="y", features=["a", "b"], groups="person", time="t",
        sequence="day",
    )  # fmt: skip
    data = rows_for(task, data)
    scaler = fit_scaler(data, np.arange(data.n_rows), task=task)
    module = outcome_network(task, 2, hidden, classes=3, exposure=False)
    generator = torch.Generator().manual_seed(seed)
    shared = initial_parameters(module, generator=generator, dtype=torch.float64, device=CPU)
    if task == "ordinal":
        shared["gaps"] = torch.tensor([0.3], dtype=torch.float64)
    if task == "sequence":
        shared["transitions"] = torch.randn((3, 3), generator=generator, dtype=torch.float64)
    names = resolve_terms(effects, list(shared))
    labels = [label for name in names for label in coordinate_labels(name, shared[name].shape, None, None)]
    layout = EffectLayout(names=names, shapes=tuple(tuple(shared[name].shape) for name in names), labels=tuple(labels))
    codes = np.asarray(data.person)
    made = problem(data, codes, scaler, module, task=task, dtype=torch.float64, device=CPU)
    features, target = scaler.features(data), scaler.target(data)
    known = [(features[codes == code], target[codes == code]) for code in made.persons.tolist()]
    fields = {name: getattr(made, name) for name in ("module", "inputs", "persons", "loss", "rows")}
    return KnownProblem(**fields, known_rows=known), shared, layout, data.n_persons
