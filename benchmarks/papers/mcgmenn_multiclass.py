"""Several classes, Tables 2 and 3 of the MC-GMENN paper: nine scenarios, areas under the curve, variances, times.

Run as ``python -m benchmarks.papers.mcgmenn_multiclass [--scenarios base ...] [--models ignore ...] [--seeds 1 ...]
[--layouts independent published] [--seconds 170]``. 80 % of the rows train, a tenth of them validates the models that
stop by it. Layers of 100, 50, 25 and 12 units with a quarter left out, batches of 100, Adam at .001, at most 200
epochs, patience 5, as published; ``mcgmenn`` are the toolkit's defaults, ``mcgmenn-published`` the paper's. Areas are
those of pairs of classes, averaged. ``variance_mae`` is the error of the variances, ``variance_mae_drawn`` their
distance from the variances of the effects that were drawn, ``variance_mae_known`` the error of somebody who knew these
effects. Published standard errors are those of five draws. Cases of ``many-rows`` run in processes of their own, whose
peak of memory (simulating, fitting, predicting, and the network without effects) is ``peak_gib``. Cases are kept in
``benchmarks/results/mcgmenn_multiclass.json`` as they are done.
"""

from __future__ import annotations

import argparse
import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.papers import lmmnn_cells as cells
from benchmarks.papers.mcgmenn_cases import (
    MODELS,
    Protocol,
    as_json,
    begin,
    case,
    peak_gib,
    summary,
    usable,
    variance_error,
)
from toolkit.data.simulate import multiclass
from toolkit.data.simulate.multiclass import SCENARIOS
from toolkit.data.split_designs import random_rows

NAME = "mcgmenn_multiclass"
PROTOCOL = Protocol(hidden=(100, 50, 25, 12), dropout=0.25, lr=1e-3, batch=100, epochs=200, patience=5)
DRAWS = 5
APART = ("many-rows",)
NAMES = ("mcgmenn", "target-encoding", "one-hot", "embeddings", "ignore")
# means and standard deviations in the order of the names, time relative to ignoring, mean absolute error of variances
PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...], float, float]] = {
    "base": ((0.7709, 0.632, 0.735, 0.754, 0.625), (0.011, 0.013, 0.014, 0.014, 0.007), 1.13, 0.11),
    "many-rows": ((0.7845, 0.616, 0.775, 0.779, 0.628), (0.015, 0.010, 0.015, 0.014, 0.010), 2.32, 0.11),
    "many-features": ((0.5536, 0.501, 0.522, 0.519, 0.502), (0.012, 0.003, 0.008, 0.003, 0.003), 1.68, 0.32),
    "many-classes": ((0.7051, 0.523, 0.626, 0.637, 0.584), (0.004, 0.011, 0.006, 0.013, 0.003), 4.87, 0.18),
    "many-levels": ((0.6122, 0.560, math.nan, 0.594, 0.621), (0.011, 0.013, math.nan, 0.004, 0.004), 2.46, 0.55),
    "dominant": ((0.9136, 0.578, 0.898, 0.907, 0.576), (0.002, 0.021, 0.002, 0.002, 0.006), 2.33, 0.31),
    "irrelevant": ((0.6418, 0.645, 0.603, 0.614, 0.646), (0.007, 0.009, 0.007, 0.006, 0.006), 2.67, 0.01),
    "variance-per-class": ((0.7491, 0.629, 0.715, 0.730, 0.629), (0.012, 0.013, 0.010, 0.011, 0.008), 1.73, 0.09),
    "ten-factors": ((0.9005, 0.554, 0.880, 0.887, 0.579), (0.001, 0.011, 0.002, 0.002, 0.005), 2.36, 0.11),
}


def one(key: dict[str, Any]) -> dict[str, Any]:
    """One model fitted to one draw, in a process of its own where its memory is measured."""
    if key["scenario"] not in APART:
        return judged(key)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=begin) as process:
        return process.submit(measured, key).result()


def measured(key: dict[str, Any]) -> dict[str, Any]:
    """One model fitted to one draw, with the peak of memory of this process, which does nothing else."""
    started = time.process_time()
    found = judged(key)
    spent = round(time.process_time() - started, 1)
    return {**found, "peak_gib": round(peak_gib(), 2), "cpu_s_with_simulation": spent}


def judged(key: dict[str, Any]) -> dict[str, Any]:
    """One model fitted to one draw."""
    rng = np.random.default_rng([key["seed"], list(SCENARIOS).index(key["scenario"])])
    truth = multiclass(key["scenario"], rng=rng, as_published=key["layout"] == "published")
    labels = np.asarray(random_rows(truth.data, (0.72, 0.08, 0.2), rng=rng).labels)
    found = case(PROTOCOL, key["model"], truth.data, labels, seed=key["seed"])
    if "variances" in found:
        names = [factor.name for factor in truth.data.groupings]
        found["variance_mae"] = variance_error(found["variances"], dict(zip(names, truth.variances, strict=True)))
        drawn = {name: own.var(axis=0) for name, own in zip(names, truth.effects, strict=True)}
        found["variance_mae_drawn"] = variance_error(found["variances"], drawn)
        found["variance_mae_known"] = variance_error(drawn, dict(zip(names, truth.variances, strict=True)))
    return found


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--models", nargs="*", default=[*MODELS], choices=MODELS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--layouts", nargs="*", default=["independent"], choices=["independent", "published"])
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no further case after so many")
    chosen = parser.parse_args()
    begin()
    until = time.monotonic() + chosen.seconds
    keys = (
        {"scenario": scenario, "layout": layout, "model": model, "seed": seed}
        for seed in chosen.seeds
        for layout in chosen.layouts
        for scenario in chosen.scenarios
        for model in usable(chosen.models, 3)
        if time.monotonic() < until
    )
    cells.run_cases(NAME, {}, keys, one)
    show()


def show() -> None:
    """The table of everything that is kept."""
    found = cells.kept(NAME)
    if not found:
        return
    published = {
        (scenario, layout, model): (mean, spread / math.sqrt(DRAWS))
        for scenario, (means, spreads, _, _) in PUBLISHED.items()
        for model, mean, spread in zip(NAMES, means, spreads, strict=True)
        for layout in ("independent", "published")
    }
    table = summary(found, ["scenario", "layout", "model"], published)
    ours = [model.startswith("mcgmenn") for model in table["model"]]
    for place, name in ((2, "published relative"), (3, "published mae")):
        values = [PUBLISHED[scenario][place] for scenario in table["scenario"]]
        table[name] = np.where(ours, values, math.nan)
    cells.print_table("Several classes: areas under the curve (pairs of classes); errors of the variances", table)
    cells.keep(NAME, {}, found, table=as_json(table))


if __name__ == "__main__":
    main()
