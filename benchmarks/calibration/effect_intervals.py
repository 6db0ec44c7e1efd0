"""Coverage of the intervals of person effects: ``python -m benchmarks.calibration.effect_intervals``.

500 persons with an intercept and a slope of their own (SDs 1 and 0.5), fitted by a linear NME with `em` variances from
all rows, 20 data sets a case: a numeric outcome with residual SD 1, or a binary one. An interval holds where the
person's true deviation lies in it. Band 92 to 98 % for 95 % intervals.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from toolkit import GroupedDataset, fit
from toolkit.errors import ToolkitWarning
from toolkit.models import NmeMlp

RESULTS = Path(__file__).parents[1] / "results"
SEED = 20_281
BAND = (0.92, 0.98)
PERSONS = 500
SDS = {"layers.0.weight[x]": 0.5, "layers.0.bias": 1.0}
CASES: list[tuple[Literal["regression", "binary"], int]] = [
    ("regression", 10), ("regression", 4), ("binary", 30), ("binary", 10),
]  # fmt: skip


def simulated(task: str, rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Rows of all persons, and their true deviations by parameter (persons,)."""
    true = {name: sd * rng.standard_normal(PERSONS) for name, sd in SDS.items()}
    code = np.repeat(np.arange(PERSONS), rows)
    x = rng.standard_normal(len(code))
    slope, bias = (true[name][code] for name in SDS)
    latent = 0.3 + bias + (0.8 + slope) * x
    noise = rng.standard_normal(len(code)) if task == "regression" else rng.logistic(size=len(code))
    y = latent + noise if task == "regression" else (latent + noise > 0).astype(float)
    frame = pd.DataFrame({"x": x, "y": y, "person": [f"p{c:03d}" for c in code], "t": np.arange(len(code))})
    return frame, true


def covered(task: Literal["regression", "binary"], rows: int, rng: np.random.Generator) -> list[dict]:
    """Of one data set: share of persons whose interval holds, and the estimated SD, by parameter."""
    frame, true = simulated(task, rows, rng)
    data = GroupedDataset.from_frame(frame, target="y", features="x", groups="person", time="t")
    config = NmeMlp(task=task, hidden=(), effects="last", epochs=400, patience=50)
    run = fit(config, data, seed=1, split=None)
    effects, components = run.random_effects(), run.variance_components().set_index("parameter")
    found = []
    for place, name in enumerate(SDS):
        mine = effects[effects["parameter"] == effects["parameter"].unique()[place]].set_index("level")
        values = pd.Series(true[name], index=[f"p{c:03d}" for c in range(PERSONS)])[mine.index]
        holds = (mine["low"] <= values) & (values <= mine["high"])
        label = str(mine["parameter"].iloc[0])
        error = float(np.sqrt(((mine["estimate"] - values) ** 2).mean() / (mine["sd"] ** 2).mean()))
        found.append(
            {
                "parameter": name,
                "held": float(holds.mean()),
                "sd": float(components["sd"].to_dict()[label]),
                "error": error,
            }
        )
    return found


def main(data_sets: int = 20) -> None:
    """Measure, print and keep the results."""
    started, lines = time.process_time(), []
    for case, (task, rows) in enumerate(CASES):
        streams = np.random.SeedSequence(SEED + case).spawn(data_sets)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            found = pd.DataFrame([one for s in streams for one in covered(task, rows, np.random.default_rng(s))])
        for name, sd in SDS.items():
            part = found[found["parameter"] == name]
            rate = float(part["held"].mean())
            lines.append(
                {
                    "task": task, "rows_per_person": rows, "parameter": name, "coverage": round(rate, 4),
                    "lowest": round(float(part["held"].min()), 3), "highest": round(float(part["held"].max()), 3),
                    "true_sd": sd, "mean_estimated_sd": round(float(part["sd"].mean()), 4),
                    "error_to_posterior_sd": round(float(part["error"].mean()), 4),
                    "in_band": BAND[0] <= rate <= BAND[1],
                }
            )  # fmt: skip
            print(lines[-1], flush=True)
    settings = {"seed": SEED, "data_sets": data_sets, "persons": PERSONS, "band": BAND}
    settings |= {"cpu_seconds": round(time.process_time() - started)}
    text = json.dumps({"settings": settings, "coverage": lines}, indent=1)
    (RESULTS / "effect_intervals.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with threadpool_limits(limits=1):
        main()
