"""Tables 3 and 16 of Simchoni and Rosset (2023): repeated measures with intercepts, slopes and quadratic terms.

Run as ``python -m benchmarks.papers.lmmnn_longitudinal [--seeds 2] [--modes random future] [--again]``. Test error
beside the published one, and how far the variances are from the truth beside how far the published ones were (mean
absolute difference of the logarithms; of correlations the mean absolute difference), and beside how far exact maximum
likelihood is when the network is known: few measures at early times say little of a quadratic term. Cases are kept in
``benchmarks/results/lmmnn_longitudinal.json`` as they are done.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.papers import lmmnn_cells as cells
from toolkit.data import simulate
from toolkit.data.simulate.mixed_effects import MixedEffectsTruth
from toolkit.data.split_designs import latest_rows
from toolkit.models import Lmmnn

NAME = "lmmnn_longitudinal"
CELLS = list(itertools.product((0.3, 3.0), repeat=3))
# published test error of LMMNN (Table 3), by the cells in order
MSE = {"random": (1.23, 1.23, 1.25, 1.26, 1.29, 1.26, 1.27, 1.29),
       "future": (1.27, 1.36, 1.43, 1.47, 1.29, 1.35, 1.43, 1.47)}  # fmt: skip
# its estimates (Table 16): residual, three variances, correlations of the intercept with slope and quadratic term
ESTIMATES = {
    "random": ((1.14, .31, .47, .33, .17, .18), (1.12, .31, .76, 2.16, .08, .30), (1.13, .31, 2.74, 1.88, .32, .12),
               (1.14, .31, 2.85, 2.84, .29, .40), (1.13, 3.01, .34, .57, .36, -.01), (1.11, 2.98, .59, 2.33, .29, .24),
               (1.11, 3.00, 2.71, 1.78, .32, .12), (1.13, 3.04, 3.02, 3.45, .34, .16)),
    "future": ((1.12, .31, .69, .99, .11, .21), (1.12, .31, .69, 1.19, .13, .36), (1.12, .31, 2.62, 2.29, .28, .29),
               (1.12, .30, 2.65, 2.28, .31, .53), (1.12, 3.02, .53, .73, .27, .11), (1.12, 3.06, .66, .78, .27, .05),
               (1.12, 2.99, 2.85, 2.77, .35, -.02), (1.12, 2.99, 2.70, 2.82, .39, .17)),
}  # fmt: skip
RANDOM = "(1 + t + I(t^2) | subject)"


def case(key: dict[str, Any]) -> dict[str, Any]:
    """One simulation, fitted."""
    rng = np.random.default_rng([key["seed"], CELLS.index(tuple(key["variances"]))])
    truth = simulate.lmmnn("longitudinal", variances=tuple(key["variances"]), rng=rng)
    split = (
        cells.random_split(truth.data.n_rows, rng=rng)
        if key["mode"] == "random"
        else latest_rows(truth.data, validation=0.0, rng=rng)
    )
    time = np.asarray(truth.data.time)
    known = cells.with_known_network(truth, split, [np.ones(len(time)), time, time**2])
    return cells.fitted_case(Lmmnn(random=RANDOM), _with_time_only(truth), split, seed=key["seed"]) | known


def _with_time_only(truth: MixedEffectsTruth) -> MixedEffectsTruth:
    """As in the paper the network sees t, not its square as well."""
    data = truth.data
    kept = [place for place, name in enumerate(data.feature_names) if name != "t2"]
    names = tuple(data.feature_names[place] for place in kept)
    features = np.ascontiguousarray(np.asarray(data.features)[:, kept])
    return replace(truth, data=replace(data, features=features, feature_names=names))


def distance(estimate: np.ndarray, variances: tuple[float, ...]) -> tuple[float, float]:
    """How far estimates are from the truth: variances in logarithms, correlations as they are."""
    truth = np.array([1.0, *variances])
    logs = np.abs(np.log(np.maximum(estimate[:4], 1e-3) / truth)).mean()
    return float(logs), float(np.abs(estimate[4:] - 0.3).mean())


def tables(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over seeds beside the published numbers, by mode."""
    words = ["residual", "subject.output.bias", "subject.slopes[t]", "subject.slopes[t^2]"]
    words += ["subject.slopes[t].correlation", "subject.slopes[t^2].correlation"]
    found = {}
    for mode in dict.fromkeys(cases["mode"]):
        rows = []
        for place, variances in enumerate(CELLS):
            part = cases[(cases["mode"] == mode) & (cases["variances"].map(tuple) == variances)]
            if not len(part):
                continue
            means = part[words].mean().to_numpy()
            mine = distance(means, variances)
            theirs = distance(np.array(ESTIMATES[mode][place]), variances)
            known = np.mean([[*a, *b] for a, b in zip(part["f known"], part["r, f known"], strict=True)], axis=0)
            best = distance(known, variances)
            row = {"variances": variances, "seeds": len(part), "mse": part["mse"].mean(), "published": MSE[mode][place]}
            row |= dict(zip(["e", "b0", "b1", "b2", "r01", "r02"], means, strict=True))
            row |= {"mse, f known": part["mse, f known"].mean()}
            row |= {"off (log)": mine[0], "f known, off": best[0], "published off": theirs[0]}
            row |= {"off r": mine[1], "f known, off r": best[1], "published off r": theirs[1]}
            rows.append(row | {"cpu_s": part["cpu_s"].median()})
        found[f"Table 3 and 16, {mode}"] = pd.DataFrame(rows)
    return found


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--modes", nargs="*", default=["random", "future"])
    parser.add_argument("--again", action="store_true", help="forget the cases that are kept")
    chosen = parser.parse_args()
    cells.one_thread()
    keys = [
        {"mode": mode, "seed": seed, "variances": list(variances)}
        for seed in range(1, chosen.seeds + 1)
        for mode in chosen.modes
        for variances in CELLS
    ]
    settings = {"rows": 100_000, "subjects": 10_000, "random": RANDOM, "model": "Lmmnn() with its defaults"}
    cases = cells.run_cases(NAME, settings, keys, case, again=chosen.again)
    found = tables(cases)
    for title, table in found.items():
        cells.print_table(title, table)
    cells.keep(NAME, settings, cells.kept(NAME), **{title: table.to_dict("records") for title, table in found.items()})


if __name__ == "__main__":
    main()
