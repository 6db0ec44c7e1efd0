"""Baseline levels of the persons of a run, from training or from held-out rows, and one scatter frame per target."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from toolkit.errors import ConfigError, DataError
from toolkit.runs.folder import SavedRun

ROWS = {"train": ("train",), "held-out": ("validation", "test"), "all": ("train", "validation", "test")}
ROWS_IN_WORDS = {"train": "training rows", "held-out": "held-out rows", "all": "all rows"}
MOST_AUTOCORRELATION = 0.9


def baseline_levels(run: SavedRun, rows: str = "train") -> pd.DataFrame:
    """Level of every person in some of the rows, with its standard error.

    For a number the level is the mean of the target in raw units, for states and classes the share of the rows in each,
    in per cent (of two classes: the second), for ordered classes their mean place, from 1. The squared error is ``s^2 /
    n_i (1 + rho) / (1 - rho)`` with s^2 the pooled variance within persons, n_i the person's rows and rho the pooled
    correlation of consecutive rows (0 if negative): rows in a row say less than separate ones.

    Args:
        run: a finished run.
        rows: "train", "held-out" (validation and test) or "all".

    Returns:
        person, target (name of the target, or of the state), baseline, baseline_error, rows; persons without such rows
        are left out.

    Raises:
        ConfigError: E302 for unknown rows. DataError: E102 when the run has no such rows.
    """
    if rows not in ROWS:
        raise ConfigError("these rows are not known", code="E302", column="rows", remedy=f"use {', '.join(ROWS)}")
    names, shares = level_names(run), are_shares(run)
    tables = {name: _rows_of(run, None if run.classes else name, rows) for name in names}
    if all(table.empty for table in tables.values()):
        raise DataError(
            f"the run has no {ROWS_IN_WORDS[rows]}",
            code="E102",
            column="split",
            remedy="fit with a split within persons, or use the training rows",
        )
    place = {name: number for number, name in enumerate(run.classes or (), start=1)}
    parts = []
    for name, table in tables.items():
        truth = table["truth"].astype(str)
        values = 100.0 * truth.eq(name) if shares else truth.map(place) if place else table["truth"]
        frame = pd.DataFrame({"person": table["person"].to_numpy(), "value": values.to_numpy(dtype=np.float64)})
        parts.append(_levels(frame).assign(target=name))
    return pd.concat(parts, ignore_index=True)[["person", "target", "baseline", "baseline_error", "rows"]]


def are_shares(run: SavedRun) -> bool:
    """Whether levels are shares of rows: of states, or of classes without an order."""
    return str(run.manifest["task"]) in ("sequence", "multiclass", "binary")


def level_names(run: SavedRun) -> tuple[str, ...]:
    """What persons have levels of: states, classes, the second of two classes, or the targets."""
    classes = run.classes or ()
    if are_shares(run):
        return classes[1:] if len(classes) == 2 and run.manifest["task"] == "binary" else classes
    return run.targets or (str(run.manifest["target"]),)


def _rows_of(run: SavedRun, target: str | None, rows: str) -> pd.DataFrame:
    """Predictions of some rows of a target, those whose truth is known."""
    table = run.predictions(target)
    return table[table["split"].isin(ROWS[rows]) & table["truth"].notna()].sort_values(["person", "row"])


def _levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean, its standard error and the number of rows per person."""
    by_person = frame.groupby("person")["value"]
    means, counts = by_person.mean(), by_person.size()
    residual = frame["value"] - frame["person"].map(means)
    degrees = int(counts.sum()) - len(counts)
    variance = float((residual**2).sum()) / degrees if degrees > 0 else np.nan
    same = frame["person"].eq(frame["person"].shift()).to_numpy()
    square = float((residual**2).sum())
    lagged = float((residual * residual.shift()).to_numpy()[same].sum()) / square if square > 0 else 0.0
    rho = min(max(lagged, 0.0), MOST_AUTOCORRELATION)
    error = np.sqrt(variance / counts * (1 + rho) / (1 - rho))
    return pd.DataFrame({"baseline": means, "baseline_error": error, "rows": counts}).reset_index()


def bias_parameters(run: SavedRun, parameters: Sequence[str] | None = None) -> dict[str, str]:
    """Person effects to compare with a baseline, and the target each belongs to.

    By default the last bias of a network (those of several targets), or the bias of every state of a chain.

    Raises:
        ConfigError: E302 for a parameter the run does not have. DataError: E124 for a run without person effects.
    """
    names = [str(name) for name in dict.fromkeys(run.random_effects()["parameter"])]
    if not names:
        raise DataError(
            "this run has no person effects, so there is no bias to compare",
            code="E124",
            column="parameter",
            remedy="choose a run of a personalised model",
        )
    own = level_names(run)
    if parameters is None:
        ends = tuple(f"bias[{name}]" for name in own) if len(own) > 1 else (".bias",)
        found = [name for name in names if name.endswith(ends)]
        parameters = found if len(own) > 1 else found[-1:]
    unknown = [name for name in parameters if name not in names]
    if unknown or not parameters:
        raise ConfigError(
            "this run has no such person effect",
            code="E302",
            column="parameter",
            remedy=f"it has: {', '.join(names[:20])}",
        )
    return {name: _target_of(name, own, states=are_shares(run) and len(own) > 1) for name in parameters}


def _target_of(parameter: str, names: Sequence[str], *, states: bool) -> str:
    """The state or target a parameter belongs to (the first in its brackets), or the target of a network."""
    inside = parameter.partition("[")[2].rstrip("]").split(",")[0]
    if not states:
        return inside if inside in names else names[0]
    if inside not in names:
        raise ConfigError(
            "this person effect belongs to no single state, so it has no baseline",
            code="E302",
            column="parameter",
            remedy="choose the bias of a state, such as bias[" + names[0] + "]",
        )
    return inside


def scatter_frames(
    run: SavedRun, *, rows: str = "train", parameters: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """One frame per target (or parameter) for a scatter plot of bias against baseline.

    Args:
        run: a finished run of a personalised model.
        rows: where the baseline comes from: "train", "held-out" or "all".
        parameters: person effects; the last bias, or the bias of every state, by default.

    Returns:
        By parameter: person, group, cluster, target, parameter, baseline, baseline_error, bias, low, high, reliability
        and fitted (the least-squares line at the person's baseline, NaN when the baseline is the same for all).

    Raises:
        ConfigError, DataError: as `baseline_levels` and `bias_parameters`.
    """
    chosen = bias_parameters(run, parameters)
    levels = baseline_levels(run, rows)
    effects = run.random_effects().rename(columns={"level": "person", "estimate": "bias"})
    persons = run.persons()[["person", "group", "cluster"]]
    columns = ["person", "parameter", "bias", "low", "high", "reliability"]
    frames = {}
    for parameter, target in chosen.items():
        mine = effects.loc[effects["parameter"] == parameter, columns]
        frame = mine.merge(levels[levels["target"] == target].drop(columns="rows"), on="person")
        frame = frame.merge(persons, on="person", how="left")
        frame["fitted"] = _line(frame["baseline"].to_numpy(dtype=float), frame["bias"].to_numpy(dtype=float))
        order = ["person", "group", "cluster", "target", "parameter", "baseline", "baseline_error"]
        frames[parameter] = frame[[*order, "bias", "low", "high", "reliability", "fitted"]]
    return frames


def _line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least-squares line at x."""
    if x.size < 2 or np.ptp(x) == 0:
        return np.full(x.size, np.nan)
    slope, intercept = np.polyfit(x - x.mean(), y, 1)
    return slope * (x - x.mean()) + intercept
