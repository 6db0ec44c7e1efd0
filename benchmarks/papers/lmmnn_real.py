"""Real data of the LMMNN paper that are at hand (its Tables 7, 9, 11): five folds, errors beside the published ones.

Run as ``python -m benchmarks.papers.lmmnn_real [--studies insteval ...] [--models lmmnn ...] [--folds 0 1 ...]
[--data FOLDER]``. Folds are those of scikit-learn's ``KFold(5, shuffle=True, random_state=42)``. In the mode ``future``
the latest fifth of all rows tests, and a fold of the earlier rows is left out. Comparators stop by a random tenth of
the training rows, as in the paper; a linear mixed model and LMMNN (one-cycle) need none and train on all of them
("lmmnn"; "lmmnn, batches" with the likelihood of batches to its end), or keep the best state by the same validation
rows ("lmmnn, validated"). Places have levels, or a field over them ("lmmnn, field"; "lmmnn, rough field" with an
exponential kernel); the comparators of places stop after 12 and 25 epochs, for time's sake.
Networks have layers of 10 and 3 units, as published; for nlswork the four layers of the paper's longitudinal studies
with a quarter of the units left out (`GenericMlp` leaves out none).
Outcomes of test rows are known to nobody. Cases are kept in ``benchmarks/results/lmmnn_real.json`` as they are done; a
run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.papers.lmmnn_data import BESIDE, FILES, PLACES, STUDIES, Study
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import EmbeddingMlp, GenericMlp, Lmm, Lmmnn, Lstm, MapCnn, OneHotMlp, SvDkl
from toolkit.models.config import Configuration
from toolkit.models.plain_training import with_training_outcomes
from toolkit.runs.families import family_of

RESULT = Path(__file__).parents[1] / "results" / "lmmnn_real.json"
FOLDS = 5
DEEP = {"hidden": (100, 50, 25, 12), "dropout": 0.25}
EARLY = {"epochs": 500, "patience": 10, "batch": 100, "lr": 1e-3}
# what a model is, and of which studies beside those of grouping factors alone
MODELS: dict[str, Callable[[Study, dict[str, Any]], Configuration]] = {
    "ignore": lambda study, net: GenericMlp(hidden=net["hidden"], **EARLY, batch_by="rows", precision="float32"),
    "one-hot": lambda study, net: OneHotMlp(**net, **EARLY),
    "embeddings": lambda study, net: EmbeddingMlp(**net, **EARLY),
    "lmm": lambda study, net: Lmm(random=study.random),
    "lmmnn": lambda study, net: Lmmnn(random=study.random, **net),
    "lmmnn, validated": lambda study, net: Lmmnn(random=study.random, **net),
    "lmmnn, batches": lambda study, net: Lmmnn(random=study.random, likelihood="batch", **net),
    "lmmnn, field": lambda study, net: Lmmnn(random="(1 | host)", spatial=PLACES, **net),
    "lmmnn, rough field": lambda study, net: Lmmnn(random="(1 | host)", spatial=PLACES, kernel="exponential", **net),
    "lstm": lambda study, net: Lstm(**net, **EARLY),
    "map-cnn": lambda study, net: MapCnn(**net, **(EARLY | {"batch": 256, "epochs": 12, "lr": 0.003})),
    "svdkl": lambda study, net: SvDkl(**net, **(EARLY | {"batch": 512, "epochs": 25, "lr": 0.01})),
}
FIELDS = ("lmmnn, field", "lmmnn, rough field")
ON_PLACES = ("map-cnn", "svdkl", *FIELDS)
ONLY = {"lstm": ("nlswork",)} | dict.fromkeys(ON_PLACES, ("airbnb",))
# models that need no validation rows: a likelihood, or a schedule that is gone through
WITHOUT = ("lmm", "lmmnn", "lmmnn, batches", *FIELDS)


def labels_of(data: GroupedDataset, fold: int, mode: str, *, validate: bool) -> np.ndarray:
    """Part of each row; ``unused`` rows are left out."""
    rows = np.arange(data.n_rows)
    labels = np.full(data.n_rows, "train", dtype="<U10")
    if mode == "future":
        assert data.time is not None
        order = np.lexsort((np.random.RandomState(42).random_sample(data.n_rows), data.time))
        labels[order[round(0.8 * data.n_rows) :]] = "test"
        rows = np.sort(order[: round(0.8 * data.n_rows)])
    mixed = np.arange(len(rows))
    np.random.RandomState(42).shuffle(mixed)
    labels[rows[np.array_split(mixed, FOLDS)[fold]]] = "unused" if mode == "future" else "test"
    if validate:
        training = np.flatnonzero(labels == "train")
        chosen = np.random.default_rng(fold).permutation(training)[: round(0.1 * len(training))]
        labels[chosen] = "validation"
    return labels


def as_read(study: Study, name: str, model: str) -> GroupedDataset:
    """The rows as a model reads them: coordinates are for models of places, factors for those that take several."""
    data = study.data
    if name == "airbnb" and model not in ON_PLACES:
        kept = [place for place, column in enumerate(data.feature_names) if column not in PLACES]
        names = tuple(data.feature_names[place] for place in kept)
        data = replace(data, features=np.asarray(data.features)[:, kept], feature_names=names)
    if model in FIELDS:  # the field is in the place of the places' levels
        data = replace(data, groupings=data.groupings[:1])
    return data


def case(study: Study, name: str, mode: str, model: str, fold: int) -> dict[str, Any]:
    """One model fitted to one fold."""
    data = as_read(study, name, model)
    labels = labels_of(data, fold, mode, validate=model not in WITHOUT)
    data, labels = data.take(labels != "unused"), labels[labels != "unused"]
    config = MODELS[model](study, DEEP if name == "nlswork" else {"hidden": (10, 3)})
    family, test = family_of(config), labels == "test"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        started = time.process_time()
        trained = family.train(
            config, data, labels, generator=torch.Generator().manual_seed(fold), device=torch.device("cpu"),
            progress=None, keeper=None,
        )  # fmt: skip
        spent = time.process_time() - started
        predicted = trained.network.predict(with_training_outcomes(data, labels))[test]
    error = np.clip(predicted, *study.bounds) - np.asarray(data.target)[test]
    return {"mse": float(np.mean(error**2)), "cpu_s": round(spent, 1), "epochs": trained.outcome.epochs}


def table(cases: list[dict[str, Any]], studies: dict[str, Study]) -> pd.DataFrame:
    """Means over folds beside the published numbers."""
    rows = []
    for (name, mode, model), part in pd.DataFrame(cases).groupby(["study", "mode", "model"], sort=False):
        rows.append(
            {
                "study": name,
                "mode": mode,
                "model": model,
                "folds": len(part),
                "mse": part["mse"].mean(),
                "se": part["mse"].std() / np.sqrt(len(part)) if len(part) > 1 else np.nan,
                "published": studies[str(name)].published.get(str(model), np.nan) if str(name) in studies else np.nan,
                "cpu_s": part["cpu_s"].median(),
            }
        )
    return pd.DataFrame(rows)


def kept() -> list[dict[str, Any]]:
    """Cases that are done."""
    return json.loads(RESULT.read_text(encoding="utf-8"))["cases"] if RESULT.exists() else []


def keep(cases: list[dict[str, Any]], studies: dict[str, Study]) -> None:
    """Write the cases and their table."""
    found = table(cases, studies).astype(object)
    text = json.dumps({"table": found.where(found.notna(), None).to_dict("records"), "cases": cases}, indent=1)
    RESULT.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--folds", nargs="*", type=int, default=list(range(FOLDS)))
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder of the public data")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further case after so many")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    present = [name for name in STUDIES if (chosen.data / f"{FILES[name]}.parquet").exists()]
    for name in chosen.studies:
        if name not in present:
            print(f"{name}: {FILES[name]}.parquet is not in {chosen.data}; skipped")
    studies = {name: STUDIES[name](chosen.data) for name in present}
    for name in [name for name in chosen.studies if name in present]:
        for fold in chosen.folds:
            for model in [model for model in chosen.models if name in ONLY.get(model, (name,))]:
                for mode in ("random", "future") if name == "nlswork" else ("random",):
                    key = {"study": name, "mode": mode, "model": model, "fold": fold}
                    known = any(all(row[word] == value for word, value in key.items()) for row in kept())
                    if known or time.monotonic() - begun > chosen.seconds:
                        continue
                    found = {**key, **case(studies[name], name, mode, model, fold)}
                    print(found, flush=True)
                    keep([*kept(), found], studies)  # read again: two runs may be at work
    if kept():
        print(table(kept(), studies).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
