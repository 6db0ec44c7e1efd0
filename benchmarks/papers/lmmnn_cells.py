"""What the tables of the LMMNN paper share: cells kept one by one, a network fitted and judged, a table printed."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from toolkit import fit
from toolkit.data.simulate.mixed_effects import MixedEffectsTruth
from toolkit.data.splits import Split
from toolkit.errors import ToolkitWarning
from toolkit.models import Lmmnn
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import moments
from toolkit.numerics.mixed.posterior import blups

RESULTS = Path(__file__).parents[1] / "results"


def random_split(rows: int, *, rng: np.random.Generator) -> Split:
    """Four fifths train, one fifth tests; a one-cycle schedule needs no rows to stop by."""
    labels = np.full(rows, "test", dtype="<U10")
    labels[rng.permutation(rows)[: round(0.8 * rows)]] = "train"
    return Split(labels=labels, name="random")


def kept(name: str) -> list[dict[str, Any]]:
    """Cases of an earlier run of the same script."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else []


def keep(name: str, settings: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], **tables: Any) -> None:
    """Write everything so far."""
    text = json.dumps({"settings": dict(settings), **tables, "cases": list(cases)}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def run_cases(
    name: str,
    settings: Mapping[str, Any],
    keys: Iterable[dict[str, Any]],
    case: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    again: bool = False,
) -> pd.DataFrame:
    """Every case that is not kept yet, each kept as soon as it is done.

    Args:
        name: of the result file.
        settings: of the run.
        keys: what tells the cases apart.
        case: from its key to its numbers.
        again: forget what is kept.
    """
    found = [] if again else kept(name)
    for key in keys:
        if any(all(row.get(word) == value for word, value in key.items()) for row in found):
            continue
        started = time.process_time()
        row = {**key, **case(key)}
        row.setdefault("cpu_s_with_simulation", round(time.process_time() - started, 1))  # unless in another process
        found.append(row)
        print({word: round(value, 3) if isinstance(value, float) else value for word, value in row.items()}, flush=True)
        keep(name, settings, found)
    return pd.DataFrame(found)


def fitted_case(config: Lmmnn, truth: MixedEffectsTruth, split: Split, *, seed: int) -> dict[str, Any]:
    """A network fitted to a simulation: test error with and without the truth known, variances, CPU seconds."""
    data, test = truth.data, np.asarray(split.labels) == "test"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        started = time.process_time()
        run = fit(config, data, seed=seed, split=split, progress=None)
        spent = time.process_time() - started
        error = run.predict(data)[test] - np.asarray(data.target)[test]
    components = run.variance_components()
    found: dict[str, Any] = {
        "mse": float(np.mean(error**2)),
        "noise": float(
            np.mean((np.asarray(data.target) - np.asarray(truth.fixed) - np.asarray(truth.random))[test] ** 2)
        ),
        "cpu_s": round(spent, 2),
        "epochs": run.manifest["config"]["epochs"],
    }
    for row in components.to_dict("records"):
        word = "residual" if row["term"] == "residual" else f"{row['term']}.{row['parameter']}"
        found[word] = float(row["variance"])
        if not np.isnan(row.get("range", np.nan)):
            found[f"{row['term']}.range"] = float(row["range"])
        if not np.isnan(row["correlation"]):
            found[f"{word}.correlation"] = float(row["correlation"])
    return found


def with_known_network(
    truth: MixedEffectsTruth, split: Split, columns: Sequence[np.ndarray], *, correlated: bool = True
) -> dict[str, Any]:
    """What could be had if the network were known: exact maximum likelihood of the variances, and its test error.

    Args:
        truth: a simulation with one grouping factor.
        split: its rows.
        columns: what the effects of a level are multiplied with, each (rows,).
        correlated: whether their correlations are estimated.
    """
    data = truth.data
    train, test = np.asarray(split.labels) == "train", np.asarray(split.labels) == "test"
    left, codes, design = (
        np.asarray(data.target) - np.asarray(truth.fixed),
        np.asarray(data.person),
        np.column_stack(columns),
    )
    factor = Factor(
        codes=codes[train], levels=data.n_persons, design=design[train],
        blocks=(len(columns),) if correlated else (1,) * len(columns),
    )  # fmt: skip
    sums = moments(Design(outcome=left[train], fixed=np.ones((int(train.sum()), 1)), factors=(factor,)))
    solution = maximise(sums, reml=False).solution
    effects = blups(sums, solution)[0]
    error = left - solution.beta[0] - (design * effects[codes]).sum(axis=1)
    covariance = solution.sigma2 * solution.relative[0] @ solution.relative[0].T
    sd = np.sqrt(np.diagonal(covariance))
    return {
        "mse, f known": float(np.mean(error[test] ** 2)),
        "f known": [float(solution.sigma2), *np.diagonal(covariance).tolist()],
        "r, f known": (covariance / np.outer(sd, sd))[0, 1:].tolist(),
    }


def print_table(title: str, table: pd.DataFrame) -> None:
    """A table as text."""
    print(f"\n{title}\n{table.round(3).to_string()}", flush=True)


def one_thread() -> None:
    """CPU seconds of one thread."""
    torch.set_num_threads(1)
