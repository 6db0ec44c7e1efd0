"""Six real sets of the MC-GMENN paper's Table 4: five folds, areas under the curve beside the published ones.

Run as ``python -m benchmarks.papers.mcgmenn_real [--studies churn ...] [--models ignore ...] [--folds 0 1 ...]
[--data FOLDER] [--seconds 170]``. Folds are those of scikit-learn's ``KFold(5, shuffle=True, random_state=555)``; a
quarter of the training rows validates the models that stop by it (MC-GMENN trains on them). All networks have layers of
256 and 128 units with a tenth left out, batches of 256 and Adam at .001; the paper's have skip connections and batch
normalisation. Areas are those of pairs of classes, averaged. Cases are kept in ``benchmarks/results/mcgmenn_real.json``
as they are done; a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers import lmmnn_cells as cells
from benchmarks.papers.mcgmenn_cases import MODELS, Protocol, as_json, begin, case, summary, usable
from benchmarks.papers.mcgmenn_data import BESIDE, PUBLISHED, STUDIES, present

NAME = "mcgmenn_real"
FOLDS = 5
PROTOCOL = Protocol(hidden=(256, 128), dropout=0.1, lr=1e-3, batch=256, epochs=500, patience=20)


def labels_of(rows: int, fold: int) -> np.ndarray:
    """Part of each row."""
    mixed = np.arange(rows)
    np.random.RandomState(555).shuffle(mixed)
    labels = np.full(rows, "train", dtype="<U10")
    labels[np.array_split(mixed, FOLDS)[fold]] = "test"
    training = np.random.default_rng(fold).permutation(np.flatnonzero(labels == "train"))
    labels[training[: round(0.25 * len(training))]] = "validation"
    return labels


def main() -> None:
    """Fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--models", nargs="*", default=[name for name in MODELS if name != "armed"], choices=MODELS)
    parser.add_argument("--folds", nargs="*", type=int, default=list(range(FOLDS)))
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder of the public data")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no further case after so many")
    chosen = parser.parse_args()
    begin()
    until = time.monotonic() + chosen.seconds
    for name in chosen.studies:
        study = present(chosen.data, name) if time.monotonic() < until else None
        if study is None:
            continue

        def one(key: dict[str, Any], study: Any = study) -> dict[str, Any]:
            labels = labels_of(len(study.target), key["fold"])
            return case(PROTOCOL, key["model"], study.data(labels == "train"), labels, seed=key["fold"])

        keys = (
            {"study": name, "model": model, "fold": fold}
            for fold in chosen.folds
            for model in usable(chosen.models, len(study.factors))
            if time.monotonic() < until
        )
        cells.run_cases(NAME, {"folds": FOLDS, "hidden": list(PROTOCOL.hidden)}, keys, one)
    show()


def show() -> None:
    """The table of everything that is kept."""
    found = cells.kept(NAME)
    if found:
        published = {
            (study, model): (mean, spread / math.sqrt(FOLDS))
            for study, own in PUBLISHED.items()
            for model, (mean, spread) in own.items()
        }
        table = summary(found, ["study", "model"], published)
        cells.print_table("Areas under the curve (pairs of classes)", table)
        cells.keep(NAME, {"folds": FOLDS, "hidden": list(PROTOCOL.hidden)}, found, table=as_json(table))


if __name__ == "__main__":
    main()
