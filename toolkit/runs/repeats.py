"""Fit the same model again: with other seeds, or to fewer of each person's training rows.

Hidden units can swap places from one seed to the next, so that weights of hidden layers cannot be compared. What is
compared is what every fit has to agree on: the last bias of each person, and, for chains, transition probabilities
(row softmax, which does not depend on a constant added to a row) and expected transitions. In a linear network
(no hidden layers) every person effect is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.data.outcomes import rows_for
from toolkit.data.splits import Split, within_person_time
from toolkit.errors import ConfigError, DataError
from toolkit.models.config import Configuration
from toolkit.models.evaluation import metrics_table
from toolkit.models.outcomes import task_of
from toolkit.models.several_factors import data_for
from toolkit.models.tables import persons_table
from toolkit.results import read_only
from toolkit.runs.fitting import fit
from toolkit.runs.folder import SavedRun
from toolkit.runs.run import Data, Run, rows_of

SHARES = (0.1, 0.25, 0.5, 0.75)
Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repeats:
    """Estimates of the identified parameters over several fits.

    Attributes:
        persons, parameters: names of the axes.
        estimates: shape (fits, persons, parameters).
        seeds: seed of each fit. shares: share of each person's training rows each fit was left with.
        scores: one row per fit, person and metric on the test rows: seed, share, person, metric, value.
    """

    persons: tuple[str, ...]
    parameters: tuple[str, ...]
    estimates: np.ndarray
    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    scores: pd.DataFrame


def repeat_seeds(
    config: Configuration, data: Data, seeds: Sequence[int], *, device: str = "auto", progress: Step | None = None
) -> Repeats:
    """Fit once per seed, everything else equal.

    Args:
        config: settings of the model.
        data: rows or sequences.
        seeds: of the initial weights, each once.
        device: as in `fit`.
        progress: called with fits done and fits in all.

    Raises:
        DataError: E124 for a model without person effects; whatever `fit` raises.
    """
    return _fits(config, data, [(seed, 1.0, None) for seed in seeds], device=device, progress=progress)


def repeat_fewer_rows(
    config: Configuration,
    data: Data,
    *,
    keep: Sequence[float | int],
    repeats: int,
    seed: int,
    rng: np.random.Generator,
    device: str = "auto",
    progress: Step | None = None,
) -> Repeats:
    """Fit to a random part of every person's training rows; validation and test rows stay, and so does the seed.

    Args:
        config: settings of the model.
        data: rows or sequences.
        keep: shares of the training rows to keep, each above 0 and at most 1.
        repeats: fits per share (1 for a share of 1).
        seed: of the initial weights of every fit.
        rng: which rows are kept.
        device: as in `fit`.
        progress: called with fits done and fits in all.

    Raises:
        ConfigError: E302 for a share outside (0, 1] or no repeats. DataError: as `repeat_seeds`.
    """
    if repeats < 1 or not all(0 < share <= 1 for share in keep):
        raise ConfigError("shares lie above 0 and up to 1, repeats are 1 or more", code="E302", column="keep")
    rows = rows_of(data)
    split = within_person_time(rows)
    plans = [
        (seed, float(share), None if share == 1 else keep_training_rows(rows, split, float(share), rng))
        for share in keep
        for _ in range(1 if share == 1 else repeats)
    ]
    return _fits(config, data, plans, device=device, progress=progress)


def keep_training_rows(data: GroupedDataset, split: Split, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which rows stay when each person keeps ``share`` of the training rows, boolean (rows,); at least one stays.

    Random rows for data without sequences. With several training sequences a person (days), whole ones are drawn;
    with one, a stretch of consecutive rows: what remains is still a sequence.
    """
    kept = split.labels != "train"
    for person in range(data.n_persons):
        mine = np.flatnonzero((np.asarray(data.person) == person) & ~kept)
        if mine.size == 0:
            continue
        count = max(1, round(share * mine.size))
        kept[_drawn(mine, count, data, rng)] = True
    return kept


def identified_estimates(run: Run | SavedRun) -> pd.DataFrame:
    """Estimates that can be compared between fits: persons in rows, parameters in columns (see the module).

    Raises:
        DataError: E124 for a run without person effects.
    """
    effects = run.random_effects()
    if effects.empty:
        raise DataError(
            "this model has no person effects, so there is nothing to compare between fits",
            code="E124",
            remedy="choose a model with person effects, such as nme-mlp",
        )
    names = list(dict.fromkeys(effects["parameter"]))
    settings = _settings(run)
    own = settings.get("module") is not None
    layers = [] if own else [int(name.split(".")[1]) for name in names if name.startswith("layers.")]
    linear = not settings.get("hidden") and not own
    chosen = [name for name in names if linear or (layers and name.startswith(f"layers.{max(layers)}.bias"))]
    chosen = [name for name in chosen if not name.startswith(("transitions", "start", "end"))]
    wide = effects[effects["parameter"].isin(chosen)].pivot(index="level", columns="parameter", values="estimate")
    wide = wide.reindex(columns=chosen)
    wide = _without_common_part(wide)
    tables = [wide.rename_axis(index="person", columns=None)]
    if any(name.startswith("transitions") for name in names):
        tables += [_cells(run.transitions(), value) for value in ("probability", "expected")]
    found = pd.concat(tables, axis=1).dropna(axis=1, how="any")
    if found.empty or not len(found.columns):
        raise DataError("no parameter of this model can be compared between fits", code="E124")
    return found.sort_index()


def _without_common_part(wide: pd.DataFrame) -> pd.DataFrame:
    """Effects on several outputs (states) minus their mean over outputs: only differences between outputs matter."""
    output = wide.columns.to_series().str.replace(r"\[[^\],]+(,|\])", r"[\1", n=1, regex=True)
    several = output.str.contains(r"\.bias\[|\[,", regex=True)
    for _, names in output[several].groupby(output[several]):
        columns = list(names.index)
        wide[columns] = wide[columns].sub(wide[columns].mean(axis=1), axis=0)
    return wide


def stack_estimates(tables: Sequence[pd.DataFrame]) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Persons, parameters and estimates (fits, persons, parameters) that all fits have.

    Raises:
        DataError: E407 when the fits have no person or no parameter in common.
    """
    persons = sorted(set.intersection(*(set(table.index) for table in tables)))
    parameters = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    if not persons or not parameters:
        raise DataError(
            "the fits have no persons or parameters in common", code="E407", remedy="compare one model's fits"
        )
    stacked = np.stack([table.loc[persons, parameters].to_numpy(dtype=np.float64) for table in tables])
    return tuple(str(p) for p in persons), tuple(parameters), stacked


def _drawn(mine: np.ndarray, count: int, data: GroupedDataset, rng: np.random.Generator) -> np.ndarray:
    """Positions of about `count` of a person's training rows."""
    if data.sequence is None and data.time is None:
        return rng.choice(mine, count, replace=False)
    codes = np.asarray(data.sequence)[mine] if data.sequence is not None else np.zeros(mine.size, dtype=np.int64)
    sequences = rng.permutation(np.unique(codes))
    if sequences.size > 1:
        sizes = np.array([(codes == code).sum() for code in sequences])
        used = max(1, int(np.argmin(np.abs(np.cumsum(sizes) - count))) + 1)
        return mine[np.isin(codes, sequences[:used])]
    order = mine if data.time is None else mine[np.argsort(np.asarray(data.time)[mine], kind="stable")]
    start = int(rng.integers(0, mine.size - count + 1))
    return order[start : start + count]


def _fits(
    config: Configuration,
    data: Data,
    plans: Sequence[tuple[int, float, np.ndarray | None]],
    *,
    device: str,
    progress: Step | None,
    effects: bool = True,
) -> Repeats:
    """Carry out the fits of (seed, share kept, rows kept)."""
    rows = rows_of(data)
    rows = rows_for(task_of(config), rows)
    labels = within_person_time(rows).labels
    everybody = persons_table(rows, labels)
    tables, scores = [], []
    for done, (seed, share, kept) in enumerate(plans):
        if progress is not None:
            progress(done, len(plans))
        here, parts = (rows, labels) if kept is None else (rows.take(kept), labels[kept])
        run = fit(config, here, seed=seed, device=device, split=parts, progress=None)
        scores.append(_scores(run, everybody).assign(seed=seed, share=share))
        if effects:
            tables.append(identified_estimates(run))
    if progress is not None:
        progress(len(plans), len(plans))
    persons, parameters, stacked = stack_estimates(tables) if effects else ((), (), np.empty((len(plans), 0, 0)))
    return Repeats(
        persons=persons,
        parameters=parameters,
        estimates=read_only(stacked),
        seeds=tuple(plan[0] for plan in plans),
        shares=tuple(plan[1] for plan in plans),
        scores=pd.concat(scores, ignore_index=True),
    )


def _scores(run: Run, everybody: pd.DataFrame) -> pd.DataFrame:
    """Test metrics of every person under one fit; who counts does not depend on the rows that were dropped."""
    predictions = run.predictions()
    here = predictions[predictions["split"] == "test"]
    table = metrics_table(here, everybody, task=str(run.manifest["task"]), classes=run.manifest["study"]["states"])
    mine = table[(table["scope"] == "person") & (table["level"] == "person")]
    return mine[["person", "metric", "value"]]


def fit_less_data(
    configs: Mapping[str, Configuration],
    data: Data,
    *,
    keep: Sequence[float | int] = (1.0, 0.75, 0.5, 0.25),
    seed: int,
    rng: np.random.Generator,
    device: str = "auto",
    progress: Step | None = None,
) -> pd.DataFrame:
    """Fit several models to less and less of each person's training rows (the paper's Fig. 5).

    All models see the same rows; validation and test rows stay as they are. The rows of each share are drawn anew,
    not from those of the larger share. Models without effects of further grouping factors do without these.

    Args:
        configs: name of the model -> settings, such as generic and personal.
        data: rows or sequences.
        keep: shares of the training rows, each above 0 and at most 1.
        seed: of the initial weights.
        rng: which rows are kept.
        device: as in `fit`.
        progress: called with fits done and fits in all.

    Returns:
        Frame model, share, person, metric, value (on the test rows); read by `analyses.learning_curve`.

    Raises:
        ConfigError: E302 for a share outside (0, 1]. DataError: whatever `fit` raises.
    """
    if not configs or not keep or not all(0 < share <= 1 for share in keep):
        raise ConfigError("shares lie above 0 and up to 1", code="E302", column="keep")
    rows = rows_of(data)
    split = within_person_time(rows)
    plans = [
        (seed, float(share), None if share == 1 else keep_training_rows(rows, split, float(share), rng))
        for share in keep
    ]
    total, tables = len(plans) * len(configs), []
    for k, (name, config) in enumerate(configs.items()):

        def report(done: int, _: int, before: int = k * len(plans)) -> None:
            if progress is not None:
                progress(before + done, total)

        found = _fits(config, data_for(config, data), plans, device=device, progress=report, effects=False)
        tables.append(found.scores.assign(model=name))
    return pd.concat(tables, ignore_index=True)[["model", "share", "person", "metric", "value"]]


def _cells(transitions: pd.DataFrame, value: str) -> pd.DataFrame:
    """Transitions of every person as columns ``value[from,to]``."""
    names = value + "[" + transitions["from_state"] + "," + transitions["to_state"] + "]"
    return transitions.assign(cell=names).pivot(index="person", columns="cell", values=value).rename_axis(columns=None)


def _settings(run: Run | SavedRun) -> dict[str, Any]:
    return dict(run.manifest["config"])
