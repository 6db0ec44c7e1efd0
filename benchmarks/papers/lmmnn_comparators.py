"""Comparators on simulations of the LMMNN paper: test errors (binary: areas under the curve) beside the published ones.

Run as ``python -m benchmarks.papers.lmmnn_comparators [--cells one-1000 ...] [--models one-hot ...] [--seeds 1]
[--seconds 200]``. One cell of each table: 100,000 rows, 80 % train (a tenth of it validates), layers of 100, 50, 25 and
12 units with a quarter of the units left out, batches of 100, Adam at .001, at most 500 epochs, patience 10, as
published. `GenericMlp` (ignore) leaves out no units. Cases are kept in ``benchmarks/results/lmmnn_comparators.json`` as
they are done; a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.papers import lmmnn_cells as cells
from toolkit.data import simulate
from toolkit.data.grouped import GroupedDataset
from toolkit.data.simulate.mixed_effects import MixedEffectsTruth
from toolkit.data.split_designs import latest_rows, random_rows
from toolkit.errors import ToolkitWarning
from toolkit.metrics import auc
from toolkit.models import EmbeddingMlp, GenericMlp, Lstm, MapCnn, OneHotMlp, SvDkl
from toolkit.models.config import Configuration
from toolkit.models.plain_training import with_training_outcomes
from toolkit.runs.families import family_of

NAME = "lmmnn_comparators"
EARLY: dict[str, Any] = {"hidden": (100, 50, 25, 12), "epochs": 500, "patience": 10, "batch": 100, "lr": 1e-3}
DROPPED = {**EARLY, "dropout": 0.25}
# kind and settings of the simulation, and what the paper has
CELLS: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    "one-1000": ("single", {"levels": 1000}, {"ignore": 2.15, "one-hot": 1.36, "embeddings": 1.28}),
    "one-10000": ("single", {"levels": 10_000}, {"ignore": 2.15, "one-hot": 1.70, "embeddings": 1.67}),
    "time": (
        "longitudinal",
        {"variances": (3.0, 0.3, 0.3)},
        {"ignore": 4.29, "one-hot": 1.87, "embeddings": 1.80, "lstm": 4.23},
    ),
    "future": (
        "longitudinal",
        {"variances": (3.0, 0.3, 0.3)},
        {"ignore": 4.58, "one-hot": 1.94, "embeddings": 1.93, "lstm": 4.43},
    ),
    "places": (
        "spatial",
        {"levels": 1000},
        {"one-hot": 1.33, "embeddings": 1.34, "map-cnn": 1.27, "svdkl": 1.12},
    ),
    "classes": ("binary", {"levels": 1000}, {"ignore": 0.76, "one-hot": 0.79, "embeddings": 0.81}),
}


def configuration(model: str, task: Any) -> Configuration:
    """The settings of a comparator."""
    if model == "ignore":
        return GenericMlp(**EARLY, task=task, batch_by="rows", precision="float32")
    if model == "svdkl":  # larger batches and fewer epochs than published, for time's sake
        return SvDkl(**(DROPPED | {"batch": 500, "epochs": 12, "lr": 0.005}), task=task)
    if model == "map-cnn":
        return MapCnn(**(DROPPED | {"batch": 500, "epochs": 8, "lr": 0.003}), task=task)
    return {"one-hot": OneHotMlp, "embeddings": EmbeddingMlp, "lstm": Lstm}[model](**DROPPED, task=task)


def as_read(truth: MixedEffectsTruth, model: str) -> GroupedDataset:
    """Coordinates are for models of places."""
    data = truth.data
    if truth.locations is None or model in ("map-cnn", "svdkl"):
        return data
    return replace(data, features=np.asarray(data.features)[:, :-2], feature_names=data.feature_names[:-2])


def case(key: dict[str, Any]) -> dict[str, Any]:
    """One comparator fitted to one simulation."""
    kind, settings, _ = CELLS[key["cell"]]
    rng = np.random.default_rng(key["seed"])
    truth = simulate.lmmnn(kind, rng=rng, **settings)
    data = as_read(truth, key["model"])
    split = latest_rows(data, rng=rng) if key["cell"] == "future" else random_rows(data, (0.72, 0.08, 0.2), rng=rng)
    config = configuration(key["model"], "binary" if kind == "binary" else "regression")
    family, test = family_of(config), np.asarray(split.labels) == "test"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        started = time.process_time()
        trained = family.train(
            config, data, np.asarray(split.labels), generator=torch.Generator().manual_seed(key["seed"]),
            device=torch.device("cpu"), progress=None, keeper=None,
        )  # fmt: skip
        spent = time.process_time() - started
        predicted = trained.network.predict(with_training_outcomes(data, np.asarray(split.labels)))[test]
    target = np.asarray(data.target)[test]
    score = auc(target == 1, predicted[:, 1]) if kind == "binary" else np.mean((predicted - target) ** 2)
    return {"score": float(score), "cpu_s": round(spent, 1), "epochs": trained.outcome.epochs}


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", nargs="*", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="forget the cases that are kept")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further case after so many")
    chosen = parser.parse_args()
    cells.one_thread()
    until = time.monotonic() + chosen.seconds
    keys = (
        {"cell": cell, "model": model, "seed": seed}
        for seed in range(1, chosen.seeds + 1)
        for cell in chosen.cells
        for model in CELLS[cell][2]
        if (not chosen.models or model in chosen.models) and time.monotonic() < until
    )
    settings = {"rows": 100_000, **{name: value for name, value in DROPPED.items() if name != "hidden"}}
    found = cells.run_cases(NAME, settings, keys, case, again=chosen.again)
    if len(found):
        shown = found.groupby(["cell", "model"], sort=False)[["score", "cpu_s", "epochs"]].mean().reset_index()
        shown["published"] = [CELLS[cell][2][model] for cell, model in zip(shown["cell"], shown["model"], strict=True)]
        cells.print_table("Comparators", shown)
        cells.keep(NAME, settings, cells.kept(NAME), table=shown.to_dict("records"))


if __name__ == "__main__":
    main()
