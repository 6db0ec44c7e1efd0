"""Person effects in all layers, with a known residual: ``python -m benchmarks.simulations.deep_effects``.

195 persons with 80 rows each: a curved surface that all share, and persons who differ in their level (SD 0.6) and in
the slope of one feature (SD 0.5); residual SD 0.5. Networks with effects in the last layer or in all layers, the
largest with 7,350 effects a person, fitted in mini-batches. Printed: the residual SD that is found, the error on test
rows (never below 0.5) with and without the person's effects, and the CPU seconds of the fit.
Result in ``benchmarks/results/deep_effects.json``.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from toolkit import GroupedDataset, fit
from toolkit.errors import ToolkitWarning
from toolkit.models import NmeMlp
from toolkit.models.training import Trained

RESULTS = Path(__file__).parents[1] / "results"
PERSONS, ROWS, FEATURES, RESIDUAL = 195, 80, 6, 0.5
SEEDS = (1, 2)
CASES: list[tuple[str, tuple[int, ...]]] = [
    ("last", (10, 3)), ("all", (10, 3)), ("last", (100, 50, 25, 12)), ("all", (100, 50, 25, 12)),
]  # fmt: skip


def simulated(seed: int) -> GroupedDataset:
    """One study."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(PERSONS), ROWS)
    x = rng.standard_normal((len(code), FEATURES))
    level, slope = rng.normal(0, 0.6, PERSONS)[code], rng.normal(0, 0.5, PERSONS)[code]
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + level + slope * x[:, 3] + rng.normal(0, RESIDUAL, len(code))
    names = [f"x{k}" for k in range(FEATURES)]
    frame = pd.DataFrame(x, columns=names).assign(person=[f"p{k:03d}" for k in code], y=y)
    return GroupedDataset.from_frame(frame, target="y", features=names, groups="person")


def measured(effects: str, hidden: tuple[int, ...], data: GroupedDataset, seed: int) -> dict[str, float]:
    """Residual SD, test errors and CPU seconds of one fit."""
    started = time.process_time()
    config = NmeMlp(hidden=hidden, effects=effects, batch=256, epochs=60, lr=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(config, data, seed=seed, device="cpu", progress=None)
    spent = time.process_time() - started
    rows = run.metrics().query("scope == 'pooled' and split == 'test' and metric == 'rmse'").set_index("level")["value"]
    assert isinstance(run.trained, Trained)
    deviations = run.variance_components().set_index("parameter")["sd"].to_dict()
    return {
        "effects": run.trained.network.effects.layout.size, "residual_sd": float(deviations["residual"]),
        "rmse_person": float(rows["person"]), "rmse_population": float(rows["population"]), "cpu_s": spent,
    }  # fmt: skip


def main() -> None:
    """All cases and seeds; write benchmarks/results/deep_effects.json."""
    found = {}
    with threadpool_limits(limits=1):
        for effects, hidden in CASES:
            name = f"{effects}, {'-'.join(map(str, hidden))}"
            each = [measured(effects, hidden, simulated(seed), seed) for seed in SEEDS]
            found[name] = {"mean": {key: float(np.mean([one[key] for one in each])) for key in each[0]}, "each": each}
            print(name, {key: round(value, 3) for key, value in found[name]["mean"].items()}, flush=True)
    about = {"persons": PERSONS, "rows": ROWS, "residual_sd": RESIDUAL, "seeds": SEEDS}
    (RESULTS / "deep_effects.json").write_text(json.dumps({**about, "cases": found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
