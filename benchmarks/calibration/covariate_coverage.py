"""Coverage of transition covariates' intervals: ``python -m benchmarks.calibration.covariate_coverage``.

Onset-coded conversations of independent persons, and of persons in families, whose group shifts two of twelve
transitions. A chain with the group as a covariate of the transitions is fitted to each, with persons (and families) as
grouping factors; the twelve intervals should hold the true shifts in 95 % of data sets. ``--case "no person effects"``
measures one case, and the file keeps what it has of the others.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from statistics import fmean
from types import MappingProxyType

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.calibration.keeping import RESULTS, keep
from toolkit import fit
from toolkit.data.demo.dyads import FEATURES, STATES, dyads
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ToolkitWarning
from toolkit.models import GenericCrf, NmeCrf

SEED, PERSONS, ROWS = 31, 60, 60
# fits of two grouping factors take four times as long
DATA_SETS = {"independent persons": 16, "persons in families": 10, "no person effects": 40}
CASES = {
    "independent persons": {"families": False, "personal": True},
    "persons in families": {"families": True, "personal": True},
    "no person effects": {"families": False, "personal": False},
}


def true_shifts(effect: np.ndarray) -> np.ndarray:
    """Differences of log-odds against the mean of the row, over the cells that can occur."""
    kept = ~np.eye(len(effect), dtype=bool)
    known = np.where(kept, effect, np.nan)
    return (known - np.nanmean(known, axis=1, keepdims=True))[kept]


def one(seed: np.random.SeedSequence, *, families: bool, personal: bool) -> dict[str, np.ndarray]:
    """One data set: whether each interval holds, and how far off the estimates are in standard errors."""
    count = PERSONS // 2 if families else PERSONS
    frame, truth = dyads(
        rng=np.random.default_rng(seed), persons=PERSONS, families=count, segments=PERSONS * ROWS, sd=0.4,
        correlation=0.4 if families else 0.0,
    )  # fmt: skip
    data = GroupedDataset.from_frame(
        frame, target="state", features=list(FEATURES), groups=["person", "family"] if families else "person",
        time="segment", group="depressed", classes=STATES,
    )  # fmt: skip
    shared = {"hidden": (), "forbidden": ("self",), "transition_covariates": ("depressed",), "lr": 0.05, "epochs": 200}
    config = NmeCrf(effects="T", **shared) if personal else GenericCrf(**shared)
    table = fit(config, data, seed=1, split=None, progress=None).transition_covariates()
    known = true_shifts(np.asarray(truth.effect))
    return {
        "held": ((table["low"] <= known) & (known <= table["high"])).to_numpy(),
        "z": ((table["estimate"] - known) / table["se"]).to_numpy(),
        "error": (table["estimate"] - known).to_numpy(),
        "se": table["se"].to_numpy(),
    }


def measure(data_sets: Mapping[str, int] = MappingProxyType(DATA_SETS)) -> dict[str, dict[str, float]]:
    """The cases named, of independent persons, persons in families, and persons without effects of their own."""
    rows = {}
    for place, (name, how) in enumerate(CASES.items()):
        if name not in data_sets:
            continue
        found = [one(seed, **how) for seed in np.random.SeedSequence([SEED, place]).spawn(data_sets[name])]
        rows[name] = {
            "coverage": round(fmean(float(part["held"].mean()) for part in found), 4),
            "sd_of_z": round(float(np.concatenate([part["z"] for part in found]).std()), 3),
            "bias": round(float(np.abs(np.mean([part["error"] for part in found], axis=0)).max()), 3),
            "mean_se": round(fmean(float(part["se"].mean()) for part in found), 3),
            "data_sets": data_sets[name],
        }
        print(name, rows[name], flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=list(CASES))
    chosen = parser.parse_args().case
    warnings.simplefilter("ignore", ToolkitWarning)
    path = RESULTS / "covariate_coverage.json"
    before = json.loads(path.read_text(encoding="utf-8"))["coverage"] if chosen and path.exists() else {}
    with threadpool_limits(limits=1):
        measured = measure({chosen: DATA_SETS[chosen]} if chosen else DATA_SETS)
    keep("covariate_coverage", {"persons": PERSONS, "rows": ROWS, "seed": SEED}, {"coverage": before | measured})
