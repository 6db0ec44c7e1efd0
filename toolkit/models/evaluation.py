"""Predictions of every row and the metrics per person and pooled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset
from toolkit.metrics import accuracy, ccc, krippendorff_alpha, nrmse, pearson, per_person, rmse
from toolkit.models.fitted import FittedNetwork
from toolkit.models.nme_crf import CrfConfig
from toolkit.models.pen_network import PenNetwork
from toolkit.models.tables import previous_states

Metric = Callable[..., float]
NUMERIC: dict[str, Metric] = {"pearson": pearson, "ccc": ccc, "rmse": rmse, "nrmse": nrmse}
# What is compared with the truth, and the column that holds it.
LEVELS = {
    "person": "prediction",
    "population": "prediction_population",
    "whole sequence": "prediction_sequence",
    "forecast": "prediction_forecast",
    "previous state": "previous_state",
}
NOMINAL: dict[str, Metric] = {"krippendorff_alpha": krippendorff_alpha, "accuracy": accuracy}


def predictions_table(
    network: FittedNetwork | PenNetwork,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    values: tuple[np.ndarray, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Truth and prediction of every row at person and population level; both may be given (``values``).

    Chains predict as their configuration says: the most likely path (``sequence``) or the most probable state one
    step ahead (``forecast``). Both stand in the table (``prediction_sequence``, ``prediction_forecast``), beside the
    state before.
    """
    personal, population = values or (network.predict(data), network.predict(data, "population"))
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
        frame["prediction_forecast"] = _names(network.predict(data, prediction="forecast").argmax(axis=1), names)
        if network.config.prediction == "sequence":
            frame["prediction"] = frame["prediction_sequence"]
            frame["prediction_population"] = _names(network.decode(data, "population"), names)
        frame["previous_state"] = _names(previous_states(data), names)
    for code, name in enumerate(network.classes):
        frame[f"probability_{name}"] = personal[:, code]
    return frame


def metrics_table(predictions: pd.DataFrame, persons: pd.DataFrame, *, numeric: bool) -> pd.DataFrame:
    """Metrics by split and level: for each person, their mean over persons, and pooled over all rows.

    Persons with fewer than ten rows are left out; undefined values (one state only, a constant target) are left out
    of the mean and counted.
    """
    included = set(persons.loc[persons["in_metrics"], "person"])
    rows = predictions[predictions["person"].isin(included) & predictions["truth"].notna()]
    levels = {name: column for name, column in LEVELS.items() if column in predictions.columns}
    parts = []
    for split, here in rows.groupby("split", sort=False):
        for level, column in levels.items():
            usable = here[here[column].notna()]
            for name, metric in (NUMERIC if numeric else NOMINAL).items():
                if len(usable):
                    parts += _metric_rows(usable, column, name, metric, {"split": split, "level": level})
    columns = ["scope", "person", "split", "level", "metric", "value", "rows", "persons", "excluded"]
    return pd.DataFrame(parts, columns=columns).astype({"scope": "string", "person": "string", "split": "string"})


def _metric_rows(rows: pd.DataFrame, column: str, name: str, metric: Metric, where: dict) -> list[dict]:
    """One metric of one split and level: a row per person, their mean, and the pooled value."""
    truth, prediction = rows["truth"].to_numpy(), rows[column].to_numpy()
    found = per_person(metric, truth, prediction, rows["person"].to_numpy(dtype=object))
    base = {**where, "metric": name}
    single = [
        {**base, "scope": "person", "person": person, "value": value, "rows": count, "persons": 1, "excluded": 0}
        for person, value, count in zip(found.persons, found.values, found.counts, strict=True)
    ]
    count = {"rows": len(rows), "persons": found.n_used, "excluded": found.n_excluded}
    mean = {**base, "scope": "mean", "person": pd.NA, "value": found.mean, **count}
    pooled = {**base, "scope": "pooled", "person": pd.NA, "value": metric(truth, prediction), **count}
    return [*single, mean, pooled]


def _names(codes: np.ndarray, names: np.ndarray) -> pd.api.extensions.ExtensionArray:
    """State names of codes; missing where the code is negative or NaN."""
    known = np.nan_to_num(codes, nan=-1.0).astype(np.int64)
    values = pd.Series(names[np.maximum(known, 0)], dtype="string")
    return values.where(pd.Series(known >= 0)).array
