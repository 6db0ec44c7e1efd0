"""The shared value of a parameter in which persons differ: what a person has is the shared value plus the effect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.figures.labels import is_transition, transition_of

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.runs.folder import SavedRun

INTERCEPT = "(Intercept)"
_PARAMETER = re.compile(r"^(layers\.(\d+)\.(bias|weight))(?:\[(.*)\])?$")


def shared_values(run: SavedRun, effects: pd.DataFrame, parameter: str) -> pd.Series | None:
    """Shared value of one parameter for every level of a table of effects, on the scale of the effects.

    Transitions: the person's score less their effect (it differs between persons where families or covariates shift
    it). Experts and linear mixed models: from their tables. Networks: the shared tensor, in units of the outcome for
    the last layer, as effects are; linear networks in units of the features as they are.

    Args:
        run: a finished run.
        effects: its effects (level, parameter, estimate), of the persons.
        parameter: one of them.

    Returns:
        Indexed by level; None where the run does not tell, as with a network of one's own.
    """
    mine = effects[effects["parameter"] == parameter].set_index("level")["estimate"].astype(float)
    if is_transition(parameter):
        scores = _scores(run, parameter)
        return None if scores is None else scores.reindex(mine.index) - mine
    value = _one_value(run, parameter)
    return None if value is None else mine * 0.0 + value


def _scores(run: SavedRun, parameter: str) -> pd.Series | None:
    cell = transition_of(parameter)
    if cell is None or run.states is None:
        return None
    table = run.transitions()
    mine = table[(table["from_state"] == cell[0]) & (table["to_state"] == cell[1])]
    return mine.set_index("person")["score"].astype(float)


def _one_value(run: SavedRun, parameter: str) -> float | None:
    """The shared value of a parameter that is the same shared one for everybody."""
    files = run.manifest["files"]
    if "experts.parquet" in files:
        table = run.experts()
        found = table.loc[table["parameter"] == parameter, "shared"]
        return float(found.iloc[0]) if len(found) else None
    if "fixed_effects.parquet" in files:
        table = run.fixed_effects().set_index("parameter")["estimate"]
        name = INTERCEPT if parameter.endswith(".bias") else parameter.partition("[")[2].rstrip("]")
        return float(table[name]) if name in table.index else None
    config = run.manifest.get("config") or {}
    if config.get("module") is not None or "network" not in run.manifest or "generic.safetensors" not in files:
        return None
    return _of_network(run, parameter, [int(size) for size in config.get("hidden") or []])


def _of_network(run: SavedRun, parameter: str, hidden: list[int]) -> float | None:
    from safetensors.numpy import load

    found = _PARAMETER.match(parameter)
    tensors = load(run.content("generic.safetensors"))
    tensor = None if found is None else tensors.get(f"shared.{found[1]}")
    about = run.manifest["network"]
    if found is None or tensor is None or not isinstance(about.get("target_scale"), float | int):
        return None
    place = _place(found[4], tensor, about)
    if place is None:
        return None
    value = float(tensor[place])
    last, number = int(found[2]) == len(hidden), about.get("classes") is None
    if not hidden and number:
        return _linear(tensors, about, found[3], place)
    if not (last and number):
        return value
    scaled = value * float(about["target_scale"])
    return scaled + float(about["target_mean"]) if found[3] == "bias" else scaled


def _linear(tensors: dict[str, Any], about: Any, kind: str, place: tuple[int, ...]) -> float:
    """Intercept and slopes of a linear network, for features as they are."""
    scale = float(about["target_scale"])
    slopes = np.asarray(tensors["shared.layers.0.weight"])[0] * scale / np.asarray(tensors["feature_scale"])
    if kind == "weight":
        return float(slopes[place[-1]])
    bias = float(np.asarray(tensors["shared.layers.0.bias"])[0]) * scale + float(about["target_mean"])
    return bias - float(slopes @ np.asarray(tensors["feature_mean"]))


def _place(words: str | None, tensor: np.ndarray, about: Any) -> tuple[int, ...] | None:
    """Index of ``other,3`` or ``4,happy`` in a tensor; None where a name is not known."""
    parts = [part.strip() for part in words.split(",")] if words else []
    if len(parts) == tensor.ndim - 1 and tensor.shape[0] == 1:
        parts = ["0", *parts]
    if len(parts) != tensor.ndim:
        return None
    names = [list(about.get("classes") or ()), list(about.get("features") or ())]
    found = []
    for axis, part in enumerate(parts):
        known = names[0] if axis == 0 else names[1]
        index = known.index(part) if part in known else int(part) if part.isdigit() else -1
        if not 0 <= index < tensor.shape[axis]:
            return None
        found.append(index)
    return tuple(found)
