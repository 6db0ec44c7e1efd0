"""How well variances can be found at all: the simulations of Table 3 of the MC-GMENN paper with the network known.

Run as ``python -m benchmarks.papers.mcgmenn_known [--scenarios base ...] [--seeds 1 ...]``. In place of the features,
which a network has to turn into logits, come the logits of the simulation, to which a linear network has to add nothing
but a factor of one. What is left of the errors of the variances is what the outcomes say about them (``variance_mae``,
next to it that of somebody who knew the effects, ``variance_mae_known``, and half of the published error). Cases are
kept in ``benchmarks/results/mcgmenn_known.json`` as they are done.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.papers import lmmnn_cells as cells
from benchmarks.papers.mcgmenn_cases import as_json, begin, fitted, variance_error, variances
from benchmarks.papers.mcgmenn_multiclass import PUBLISHED
from toolkit.data.simulate import multiclass
from toolkit.data.simulate.multiclass import SCENARIOS
from toolkit.data.split_designs import random_rows
from toolkit.effects.formula import RandomTerm
from toolkit.errors import ToolkitWarning
from toolkit.metrics import auc_one_vs_one
from toolkit.models import McGmenn

NAME = "mcgmenn_known"
ASKED = ("base", "variance-per-class", "dominant", "many-classes")


def judged(key: dict[str, Any]) -> dict[str, Any]:
    """One draw, the same as in `mcgmenn_multiclass`."""
    rng = np.random.default_rng([key["seed"], list(SCENARIOS).index(key["scenario"])])
    truth = multiclass(key["scenario"], rng=rng)
    labels = np.asarray(random_rows(truth.data, (0.72, 0.08, 0.2), rng=rng).labels)
    labels = np.where(labels == "validation", "train", labels)
    logits = tuple(f"logit{number}" for number in range(truth.fixed.shape[1]))
    data = replace(truth.data, features=truth.fixed, feature_names=logits)
    names = [factor.name for factor in data.groupings]
    config = McGmenn(
        task="multiclass", hidden=(), weight_decay=0.0, random=tuple(RandomTerm(grouping=name) for name in names)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        trained, spent = fitted(config, data, labels, seed=key["seed"])
    test = labels == "test"
    chances = trained.network.predict(data.take(test))
    drawn = {name: own.var(axis=0) for name, own in zip(names, truth.effects, strict=True)}
    asked = dict(zip(names, truth.variances, strict=True))
    return {
        "auc": auc_one_vs_one(np.asarray(data.target)[test].astype(np.int64), chances),
        "cpu_s": spent,
        "variance_mae": variance_error(variances(trained), asked),
        "variance_mae_known": variance_error(drawn, asked),
    }


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenarios", nargs="*", default=list(ASKED), choices=list(SCENARIOS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    chosen = parser.parse_args()
    begin()
    keys = ({"scenario": scenario, "seed": seed} for seed in chosen.seeds for scenario in chosen.scenarios)
    cells.run_cases(NAME, {}, keys, judged)
    found = cells.kept(NAME)
    rows = []
    for scenario, part in pd.DataFrame(found).groupby("scenario", sort=False):
        row = {"scenario": scenario, "fits": len(part), "auc": part["auc"].mean()}
        row |= {name: part[name].mean() for name in ("variance_mae", "variance_mae_known", "cpu_s")}
        rows.append(row | {"half of published": PUBLISHED[str(scenario)][3] / 2})
    table = pd.DataFrame(rows)
    cells.print_table("Errors of the variances with the network known", table)
    cells.keep(NAME, {}, found, table=as_json(table))


if __name__ == "__main__":
    main()
