"""Tables 1, 2, 14 and 15 of Simchoni and Rosset (2023), g(Z) = Z: test error and variances with one and three factors.

Run as ``python -m benchmarks.papers.lmmnn_categorical [--seeds 3] [--tables one three] [--again]``. Data are simulated
(`toolkit.data.simulate.lmmnn`, 100,000 rows, 80 % train), one network is fitted to each with the defaults of `Lmmnn`,
and the test error stands beside the published one, the estimated variances beside the sample's. Cases are kept in
``benchmarks/results/lmmnn_categorical.json`` as they are done; a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.papers import lmmnn_cells as cells
from toolkit.data import simulate
from toolkit.models import Lmmnn

NAME = "lmmnn_categorical"
# published test error of LMMNN (Table 1), by variance and levels, and its estimates (Table 14)
ONE = {(0.1, 100): 1.10, (0.1, 1000): 1.09, (0.1, 10_000): 1.18, (1.0, 100): 1.10, (1.0, 1000): 1.10,
       (1.0, 10_000): 1.24, (10.0, 100): 1.11, (10.0, 1000): 1.09, (10.0, 10_000): 1.29}  # fmt: skip
ONE_VARIANCES = {(0.1, 100): (1.14, 0.11), (0.1, 1000): (1.12, 0.10), (0.1, 10_000): (1.14, 0.10),
                 (1.0, 100): (1.12, 1.08), (1.0, 1000): (1.12, 1.03), (1.0, 10_000): (1.13, 1.00),
                 (10.0, 100): (1.12, 8.80), (10.0, 1000): (1.12, 8.68), (10.0, 10_000): (1.12, 10.0)}  # fmt: skip
# Table 2, by the three variances
THREE = {(0.3, 0.3, 0.3): 1.16, (0.3, 0.3, 3.0): 1.17, (0.3, 3.0, 0.3): 1.15, (0.3, 3.0, 3.0): 1.18,
         (3.0, 0.3, 0.3): 1.16, (3.0, 0.3, 3.0): 1.16, (3.0, 3.0, 0.3): 1.15, (3.0, 3.0, 3.0): 1.17}  # fmt: skip


def case(key: dict[str, Any]) -> dict[str, Any]:
    """One simulation, fitted."""
    rng = np.random.default_rng([key["seed"], len(key["variances"])])
    if key["table"] == "one":
        truth = simulate.lmmnn("single", levels=key["levels"], variances=key["variances"][0], rng=rng)
    else:
        truth = simulate.lmmnn("multiple", variances=tuple(key["variances"]), rng=rng)
    random = " + ".join(f"(1 | {grouping.name})" for grouping in truth.data.groupings)
    split = cells.random_split(truth.data.n_rows, rng=rng)
    found = cells.fitted_case(Lmmnn(random=random), truth, split, seed=key["seed"])
    if key["table"] == "one":
        found |= cells.with_known_network(truth, split, [np.ones(truth.data.n_rows)])
    samples = {f"sample {place}": float(np.var(effects)) for place, effects in enumerate(truth.effects)}
    return found | samples | {"sample residual": _residual(truth)}


def _residual(truth: Any) -> float:
    return float(np.var(np.asarray(truth.data.target) - np.asarray(truth.fixed) - np.asarray(truth.random)))


def tables(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over seeds beside the published numbers."""
    found = {}
    one = cases[cases["table"] == "one"]
    if len(one):
        rows = []
        for variance, levels in ONE:
            part = one[(one["variances"].str[0] == variance) & (one["levels"] == levels)]
            effect = part["group.output.bias"]
            known = np.array([own[1] for own in part["f known"].tolist()])
            rows.append(
                {
                    "variance": variance, "levels": levels, "seeds": len(part), "mse": part["mse"].mean(),
                    "published": ONE[variance, levels], "mse, f known": part["mse, f known"].mean(),
                    "residual": part["residual"].mean(), "published residual": ONE_VARIANCES[variance, levels][0],
                    "effect": effect.mean(), "sample": part["sample 0"].mean(),
                    "published effect": ONE_VARIANCES[variance, levels][1],
                    "effect off by %": float(100 * (effect / part["sample 0"] - 1).abs().mean()),
                    "f known, off by %": float(100 * np.abs(known / part["sample 0"].to_numpy() - 1).mean()),
                    "cpu_s": part["cpu_s"].median(),
                }
            )  # fmt: skip
        found["Table 1 and 14, one factor"] = pd.DataFrame(rows)
    three = cases[cases["table"] == "three"]
    if len(three):
        rows = []
        for variances in THREE:
            part = three[three["variances"].map(tuple) == variances]
            row = {"variances": variances, "seeds": len(part), "mse": part["mse"].mean(), "published": THREE[variances]}
            row |= {f"effect {k}": part[f"group{k}.output.bias"].mean() for k in (1, 2, 3)}
            rows.append(row | {"residual": part["residual"].mean(), "cpu_s": part["cpu_s"].median()})
        found["Table 2 and 15, three factors"] = pd.DataFrame(rows)
    return found


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="*", default=["one", "three"])
    parser.add_argument("--again", action="store_true", help="forget the cases that are kept")
    chosen = parser.parse_args()
    cells.one_thread()
    keys: list[dict[str, Any]] = []
    for seed in range(1, chosen.seeds + 1):
        if "one" in chosen.tables:
            keys += [{"table": "one", "seed": seed, "levels": q, "variances": [variance]} for variance, q in ONE]
        if "three" in chosen.tables:
            keys += [
                {"table": "three", "seed": seed, "levels": 0, "variances": list(variances)}
                for variances in itertools.product((0.3, 3.0), repeat=3)
            ]
    settings = {"rows": 100_000, "train": 0.8, "model": "Lmmnn() with its defaults"}
    cases = cells.run_cases(NAME, settings, keys, case, again=chosen.again)
    found = tables(cases)
    for title, table in found.items():
        cells.print_table(title, table)
    cells.keep(NAME, settings, cells.kept(NAME), **{title: table.to_dict("records") for title, table in found.items()})


if __name__ == "__main__":
    main()
