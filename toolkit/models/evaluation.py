"""Predictions of every row and the metrics per person and pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.metrics import (
    accuracy,
    ccc,
    kendall,
    krippendorff_alpha,
    nrmse,
    ordinal_alpha,
    pearson,
    per_person,
    poisson_deviance,
    ranked_probability_score,
    rmse,
)
from toolkit.models.fitted import FittedNetwork
from toolkit.models.nme_crf import CrfConfig
from toolkit.models.pen_network import PenNetwork
from toolkit.models.plain_network import PlainNetwork
from toolkit.models.tables import previous_states

Metric = Callable[..., float]
NOMINAL: dict[str, Metric] = {"krippendorff_alpha": krippendorff_alpha, "accuracy": accuracy}
METRICS: dict[str, dict[str, Metric]] = {
    "regression": {"pearson": pearson, "ccc": ccc, "rmse": rmse, "nrmse": nrmse},
    "count": {"poisson_deviance": poisson_deviance, "pearson": pearson, "rmse": rmse},
    "ordinal": {
        "ordinal_alpha": ordinal_alpha,
        "kendall": kendall,
        "accuracy": accuracy,
        "ranked_probability_score": ranked_probability_score,
    },
}
OF_PROBABILITIES = {"ranked_probability_score"}  # the others judge the predicted value or class
# What is compared with the truth, and the column that holds it.
LEVELS = {
    "person": "prediction",
    "population": "prediction_population",
    "whole sequence": "prediction_sequence",
    "forecast": "prediction_forecast",
    "previous state": "previous_state",
}


def predictions_table(
    network: FittedNetwork | PenNetwork | PlainNetwork,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    values: tuple[np.ndarray, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Truth and prediction of every row at person and population level; both may be given (``values``).

    With several targets there is one block of rows for each, told apart by ``target``.

    Chains predict as their configuration says: the most likely path (``sequence``) or the most probable state one
    step ahead (``forecast``). Both stand in the table (``prediction_sequence``, ``prediction_forecast``), beside the
    most likely path without person effects (``prediction_sequence_population``) and the state before.
    """
    personal, population = values or (network.predict(data), network.predict(data, "population"))
    if not isinstance(network, PlainNetwork) and network.classes is None and personal.ndim == 2:
        return _of_targets(network, data, labels, personal, population)
    frame = pd.DataFrame(
        {
            "row": np.asarray(data.row_numbers),
            "person": pd.array(np.array(data.persons, dtype=object)[np.asarray(data.person)], dtype="string"),
            "split": pd.array(labels, dtype="string"),
            "sequence": np.asarray(data.sequence)
            if data.sequence is not None
            else np.zeros(data.n_rows, dtype=np.int64),
            "time": np.asarray(data.time) if data.time is not None else np.arange(data.n_rows, dtype=np.float64),
            "person_known": network.codes(data) >= 0,
        }
    )
    if network.classes is None:
        return frame.assign(truth=np.asarray(data.target), prediction=personal, prediction_population=population)
    names = np.array(network.classes, dtype=object)
    frame["truth"] = _names(np.asarray(data.target), names)
    frame["prediction"] = _names(personal.argmax(axis=1), names)
    frame["prediction_population"] = _names(population.argmax(axis=1), names)
    if isinstance(network, FittedNetwork) and isinstance(network.config, CrfConfig):
        frame["prediction_sequence"] = _names(network.decode(data), names)
        frame["prediction_sequence_population"] = _names(network.decode(data, "population"), names)
        frame["prediction_forecast"] = _names(network.predict(data, prediction="forecast").argmax(axis=1), names)
        if network.config.prediction == "sequence":
            frame["prediction"] = frame["prediction_sequence"]
            frame["prediction_population"] = frame["prediction_sequence_population"]
        frame["previous_state"] = _names(previous_states(data), names)
    for code, name in enumerate(network.classes):
        frame[f"probability_{name}"] = personal[:, code]
    return frame


def _of_targets(
    network: FittedNetwork | PenNetwork,
    data: GroupedDataset,
    labels: np.ndarray,
    personal: np.ndarray,
    population: np.ndarray,
) -> pd.DataFrame:
    """One block of rows for each of several targets."""
    frame = predictions_table(network, data, labels, values=(personal[:, 0], population[:, 0]))
    blocks = []
    for place, name in enumerate(network.target_names):
        truth = np.asarray(data.targets)[:, place] if data.target_name is not None else np.nan
        values = {"prediction": personal[:, place], "prediction_population": population[:, place]}
        blocks.append(frame.assign(target=name, truth=truth, **values))
    return pd.concat(blocks, ignore_index=True).astype({"target": "string"})


def metrics_table(
    predictions: pd.DataFrame, persons: pd.DataFrame, *, task: str, classes: Sequence[str] = ()
) -> pd.DataFrame:
    """Metrics by split and level: for each person, their mean over persons, and pooled over all rows.

    Persons with fewer than ten rows are left out; undefined values (one state only, a constant target) are left out
    of the mean and counted. Metrics of probabilities are those with person effects. With several targets the metrics
    are those of each, told apart by ``target``.

    Args:
        predictions: as `predictions_table` gives them.
        persons: as `toolkit.models.tables.persons_table` gives them.
        task: kind of outcome.
        classes: of ordered classes: their names from low to high.
    """
    if "target" in predictions:
        found = [
            metrics_table(part.drop(columns="target"), persons, task=task, classes=classes).assign(target=name)
            for name, part in predictions.groupby("target", sort=False)
        ]
        return pd.concat(found, ignore_index=True).astype({"target": "string"})
    included = set(persons.loc[persons["in_metrics"], "person"])
    rows = predictions[predictions["person"].isin(included) & predictions["truth"].notna()]
    levels = {name: column for name, column in LEVELS.items() if column in predictions.columns}
    if task == "ordinal":
        place = {name: code for code, name in enumerate(classes)}
        rows = rows.assign(**{column: rows[column].map(place) for column in ("truth", *levels.values())})
    chances = [f"probability_{name}" for name in classes]
    parts = []
    for split, here in rows.groupby("split", sort=False):
        for level, column in levels.items():
            usable = here[here[column].notna()]
            for name, metric in METRICS.get(task, NOMINAL).items():
                chosen = chances if name in OF_PROBABILITIES else column
                if len(usable) and (name not in OF_PROBABILITIES or level == "person"):
                    where = {"split": split, "level": level, "metric": name}
                    parts += _metric_rows(usable, usable[chosen].to_numpy(), metric, where)
    columns = ["scope", "person", "split", "level", "metric", "value", "rows", "persons", "excluded"]
    return pd.DataFrame(parts, columns=columns).astype({"scope": "string", "person": "string", "split": "string"})


def _metric_rows(rows: pd.DataFrame, prediction: np.ndarray, metric: Metric, where: dict) -> list[dict]:
    """One metric of one split and level: a row per person, their mean, and the pooled value."""
    truth = rows["truth"].to_numpy()
    found = per_person(metric, truth, prediction, rows["person"].to_numpy(dtype=object))
    single = [
        {**where, "scope": "person", "person": person, "value": value, "rows": count, "persons": 1, "excluded": 0}
        for person, value, count in zip(found.persons, found.values, found.counts, strict=True)
    ]
    count = {"rows": len(rows), "persons": found.n_used, "excluded": found.n_excluded}
    mean = {**where, "scope": "mean", "person": pd.NA, "value": found.mean, **count}
    pooled = {**where, "scope": "pooled", "person": pd.NA, "value": metric(truth, prediction), **count}
    return [*single, mean, pooled]


def _names(codes: np.ndarray, names: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """State names of codes; missing where the code is negative or NaN."""
    known = np.nan_to_num(codes, nan=-1.0).astype(np.int64)
    values = pd.Series(names[np.maximum(known, 0)], dtype="string")
    return values.where(pd.Series(known >= 0)).array
