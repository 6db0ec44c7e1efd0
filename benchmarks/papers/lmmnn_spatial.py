"""Tables 4, 5, 17 and 18 of Simchoni and Rosset (2023): places alone, and places with two factors.

Run as ``python -m benchmarks.papers.lmmnn_spatial [--seeds 1] [--tables four five embedded known] [--cases 5]``.
Data are simulated (`toolkit.data.simulate.lmmnn`, 100,000 rows, 80 % train), one network is fitted to each, and test
error and estimates stand beside the published ones and the truth; ``--tables known`` puts beside Table 5 what exact
maximum likelihood reaches when the network is known. With 10,000 places the rows of a place stay in one
batch. Cases are kept in ``benchmarks/results/lmmnn_spatial.json`` as they are done; a run that was broken off goes on,
and ``--cases`` ends it after so many.
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
from toolkit.models.field_polish import Begin, Site, polish_beside
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.spatial.beside_estimation import effects_beside
from toolkit.numerics.spatial.locations import unique_places

NAME = "lmmnn_spatial"
HERE = ("x_coord", "y_coord")
# LMMNN-R: test error (Table 4), residual variance, field's variance, squared length (Table 17), and LMMNN-E's test
# error, by variance, squared length and number of places
FOUR = {
    (0.1, 0.1, 100): (1.10, 1.12, 0.12, 0.71, 1.22), (0.1, 0.1, 1000): (1.13, 1.12, 0.10, 0.27, 1.20),
    (0.1, 0.1, 10_000): (1.17, 1.13, 0.11, 0.12, 1.23), (0.1, 1.0, 100): (1.11, 1.13, 0.11, 1.77, 1.13),
    (0.1, 1.0, 1000): (1.10, 1.12, 0.10, 1.12, 1.19), (0.1, 1.0, 10_000): (1.10, 1.13, 0.10, 1.08, 1.23),
    (0.1, 10.0, 100): (1.10, 1.13, 0.13, 2.16, 1.12), (0.1, 10.0, 1000): (1.12, 1.15, 0.12, 3.11, 1.12),
    (0.1, 10.0, 10_000): (1.12, 1.13, 0.11, 7.71, 1.11), (1.0, 0.1, 100): (1.14, 1.13, 0.90, 1.29, 1.12),
    (1.0, 0.1, 1000): (1.29, 1.12, 0.99, 0.48, 1.26), (1.0, 0.1, 10_000): (1.30, 1.13, 0.98, 0.10, 1.66),
    (1.0, 1.0, 100): (1.10, 1.13, 0.93, 1.11, 1.11), (1.0, 1.0, 1000): (1.13, 1.12, 1.10, 1.49, 1.18),
    (1.0, 1.0, 10_000): (1.16, 1.15, 0.91, 0.83, 1.18), (1.0, 10.0, 100): (1.11, 1.12, 0.91, 3.05, 1.13),
    (1.0, 10.0, 1000): (1.10, 1.11, 0.74, 4.93, 1.10), (1.0, 10.0, 10_000): (1.09, 1.11, 1.13, 8.69, 1.11),
    (10.0, 0.1, 100): (1.09, 1.12, 8.07, 0.50, 1.17), (10.0, 0.1, 1000): (1.24, 1.11, 8.99, 0.12, 1.52),
    (10.0, 0.1, 10_000): (1.57, 1.13, 10.11, 0.11, 2.92), (10.0, 1.0, 100): (1.09, 1.12, 8.39, 1.01, 1.11),
    (10.0, 1.0, 1000): (1.14, 1.12, 9.24, 0.86, 1.25), (10.0, 1.0, 10_000): (1.15, 1.12, 9.00, 0.99, 1.30),
    (10.0, 10.0, 100): (1.11, 1.13, 7.04, 2.68, 1.12), (10.0, 10.0, 1000): (1.12, 1.12, 6.54, 4.51, 1.14),
    (10.0, 10.0, 10_000): (1.12, 1.11, 9.42, 8.24, 1.13),
}  # fmt: skip
# test error (Table 5), residual variance, two factors' variances, the field's variance and squared length (Table 18)
FIVE = {
    (0.3, 0.3, 0.3): (1.38, 1.12, 0.30, 0.31, 0.28, 1.06), (0.3, 0.3, 3.0): (1.42, 1.14, 0.29, 0.29, 2.98, 0.95),
    (0.3, 3.0, 0.3): (1.70, 1.12, 0.30, 3.03, 0.30, 1.03), (0.3, 3.0, 3.0): (1.68, 1.12, 0.29, 3.04, 3.06, 1.04),
    (3.0, 0.3, 0.3): (1.72, 1.13, 2.97, 0.31, 0.28, 1.03), (3.0, 0.3, 3.0): (1.73, 1.12, 2.98, 0.30, 2.76, 0.97),
    (3.0, 3.0, 0.3): (2.12, 1.13, 3.05, 3.10, 0.32, 1.16), (3.0, 3.0, 3.0): (2.13, 1.14, 2.91, 2.90, 3.01, 0.98),
}  # fmt: skip
EMBEDDED = [(10.0, 0.1, 10_000), (10.0, 1.0, 1000), (1.0, 10.0, 10_000)]
# names under which a case keeps the estimates: a grouping factor is called location already, so the field is place
FIELD, RANGE = "place.output.bias", "place.range"
KNOWN = {"mse": "mse", "field": FIELD, "range": RANGE}


def case(key: dict[str, Any]) -> dict[str, Any]:
    """One simulation, fitted."""
    s0, s1, places = key["field"]
    if key["table"] == "five":
        rng = np.random.default_rng([key["seed"], 5])
        truth = simulate.lmmnn("mixed", variances=tuple(key["variances"]), rng=rng)
        config = Lmmnn(random="(1 | group1) + (1 | group2)", spatial=HERE, batch=256)
    else:
        rng = np.random.default_rng([key["seed"], 4])
        truth = simulate.lmmnn("spatial", variances=s0, squared_scale=s1, levels=places, rng=rng)
        own: dict[str, Any] = {"kernel": "embedded"} if key["table"] == "embedded" else {}
        config = Lmmnn(spatial=HERE, batch=256, batch_by="persons" if places >= 10_000 else None, **own)
    split = cells.random_split(truth.data.n_rows, rng=rng)
    found = cells.fitted_case(config, truth, split, seed=key["seed"])
    sample = float(np.var(np.asarray(truth.data.target) - np.asarray(truth.fixed) - np.asarray(truth.random)))
    return found | {"sample residual": sample}


def known(key: dict[str, Any]) -> dict[str, Any]:
    """The same simulation of places and factors, the network known: maximum likelihood of what it leaves over."""
    rng = np.random.default_rng([key["seed"], 5])
    truth = simulate.lmmnn("mixed", variances=tuple(key["variances"]), rng=rng)
    split = cells.random_split(truth.data.n_rows, rng=rng)
    train, test = np.asarray(split.labels) == "train", np.asarray(split.labels) == "test"
    assert truth.locations is not None
    left = np.asarray(truth.data.target) - np.asarray(truth.fixed)
    names = list(truth.data.feature_names)
    coordinates = np.asarray(truth.data.features)[:, [names.index(name) for name in HERE]]
    places = unique_places(coordinates[train])
    site = Site(term="place", names=HERE, places=places.places, codes=places.codes, kernel="rbf", embedding={})
    codes = [np.asarray(own.codes) for own in truth.data.groupings if own.name in ("group1", "group2")]
    factors = tuple(
        Factor(codes=own[train], levels=int(own.max()) + 1, design=np.ones((int(train.sum()), 1)), blocks=(1,))
        for own in codes
    )
    design = Design(outcome=left[train], fixed=np.ones((int(train.sum()), 1)), factors=factors)
    found = polish_beside(site, design, np.ones(2), Begin(variance=1.0, reach=1.0, sigma2=1.0), polish=True)
    assert found.moments is not None
    assert found.maximum is not None
    solution, order = found.maximum.solution, found.moments.factors.order
    means = effects_beside(found.moments, solution).means
    predicted = found.level + found.field.field.predict(coordinates[test])[0]
    for place, factor in enumerate(order):
        predicted = predicted + means[place][codes[factor][test], 0]
    variances = {
        factor: solution.sigma2 * float(solution.relative[place][0, 0]) ** 2 for place, factor in enumerate(order)
    }
    return {
        "mse": float(np.mean((left[test] - predicted) ** 2)), "residual": solution.sigma2,
        "group1.output.bias": variances[0], "group2.output.bias": variances[1], FIELD: found.field.variance,
        RANGE: found.field.reach,
    }  # fmt: skip


def tables(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over seeds beside the published numbers."""
    found = {}
    for name, title in (("four", "Tables 4 and 17, places"), ("embedded", "Table 4, embedded places")):
        own = cases[cases["table"] == name]
        rows = [_four(own[own["field"].map(tuple) == key], key, name) for key in FOUR]
        if len(own):
            found[title] = pd.DataFrame([row for row in rows if row["seeds"]])
    own = cases[cases["table"] == "five"]
    if len(own):
        other = cases[cases["table"] == "known"]
        rows = [_five(own[own["variances"].map(tuple) == key], key) for key in FIVE]
        for row in rows:
            part = other[other["variances"].map(tuple) == row["variances"]] if len(other) else other
            row |= {f"{word}, f known": part[name].mean() for word, name in KNOWN.items() if len(part)}
        found["Tables 5 and 18, places and two factors"] = pd.DataFrame([row for row in rows if row["seeds"]])
    return found


def _four(part: pd.DataFrame, key: tuple[float, float, int], name: str) -> dict[str, Any]:
    """A line of Table 4."""
    mse, residual, variance, reach, embedded = FOUR[key]
    row = {"s0": key[0], "s1": key[1], "places": key[2], "seeds": len(part), "mse": part["mse"].mean()}
    if name == "embedded":
        return row | {"published": embedded, "noise": part["noise"].mean(), "cpu_s": part["cpu_s"].median()}
    return row | {
        "published": mse, "noise": part["noise"].mean(), "residual": part["residual"].mean(),
        "published residual": residual, "field": part[FIELD].mean(), "published field": variance,
        "range": part[RANGE].mean() if RANGE in part else np.nan, "published range": reach,
        "cpu_s": part["cpu_s"].median(),
    }  # fmt: skip


def _five(part: pd.DataFrame, key: tuple[float, float, float]) -> dict[str, Any]:
    """A line of Table 5."""
    mse, *published = FIVE[key]
    names = ("residual", "group1.output.bias", "group2.output.bias", FIELD, RANGE)
    words = ("residual", "group1", "group2", "field", "range")
    row = {"variances": key, "seeds": len(part), "mse": part["mse"].mean(), "published": mse}
    row["noise"] = part["noise"].mean()
    for word, name, value in zip(words, names, published, strict=True):
        row |= {word: part[name].mean(), f"published {word}": value}
    return row | {"cpu_s": part["cpu_s"].median()}


def _of_key(key: dict[str, Any]) -> dict[str, Any]:
    return known(key) if key["table"] == "known" else case(key)


def main() -> None:
    """Simulate, fit, print, keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tables", nargs="*", default=["four", "five", "embedded"])
    parser.add_argument("--cases", type=int, default=None, help="end after so many new cases")
    parser.add_argument("--again", action="store_true", help="forget the cases that are kept")
    chosen = parser.parse_args()
    cells.one_thread()
    keys: list[dict[str, Any]] = []
    for seed in range(1, chosen.seeds + 1):
        if "four" in chosen.tables:
            keys += [{"table": "four", "seed": seed, "field": list(key)} for key in FOUR]
        if "five" in chosen.tables:
            keys += [
                {"table": "five", "seed": seed, "field": [variances[2], 1.0, 10_000], "variances": list(variances)}
                for variances in itertools.product((0.3, 3.0), repeat=3)
            ]
        if "known" in chosen.tables:
            keys += [{"table": "known", "seed": seed, "variances": list(variances)} for variances in FIVE]
        if "embedded" in chosen.tables:
            keys += [{"table": "embedded", "seed": seed, "field": list(key)} for key in EMBEDDED]
    kept = [] if chosen.again else cells.kept(NAME)
    new = [key for key in keys if not any(all(row.get(word) == own for word, own in key.items()) for row in kept)]
    settings = {"rows": 100_000, "train": 0.8, "model": "Lmmnn(spatial=, batch=256), whole places with 10,000 of them"}
    cases = cells.run_cases(NAME, settings, new[: chosen.cases], _of_key, again=chosen.again)
    found = tables(cases)
    for title, table in found.items():
        cells.print_table(title, table)
    cells.keep(NAME, settings, cells.kept(NAME), **{title: table.to_dict("records") for title, table in found.items()})


if __name__ == "__main__":
    main()
