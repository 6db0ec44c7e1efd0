"""Two classes, Table 12 of the LMMNN paper: ``python -m benchmarks.papers.lmmnn_binary [--cells 0 1] [--seeds 1 2 3]``.

100,000 rows of the paper's simulation, 100, 1,000 and 10,000 levels, variances of .1, 1 and 10; four fifths train.
Shown are the test AUC and the variance beside those of Tables 12 and 19 (five draws each), the same with the true
network (only the variance and the effects are estimated) and the variance of the effects that were drawn. Results are
kept after every fit; a broken run goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers.timing import RESULTS
from toolkit import fit
from toolkit.data.simulate.lmmnn import lmmnn
from toolkit.errors import ToolkitWarning
from toolkit.metrics import auc
from toolkit.models import Lmmnn
from toolkit.numerics.binary_effects.level_rows import level_rows
from toolkit.numerics.binary_effects.one_factor import maximise

PATH = RESULTS / "lmmnn_binary.json"
# variance, levels: published test AUC (Table 12) and estimated variance (Table 19) of LMMNN, and those of lme4
PUBLISHED = {
    (0.1, 100): (0.80, 0.08, 0.67, 0.06),
    (0.1, 1_000): (0.79, 0.09, 0.66, 0.06),
    (0.1, 10_000): (0.79, 0.10, 0.66, 0.06),
    (1.0, 100): (0.82, 0.77, 0.73, 0.52),
    (1.0, 1_000): (0.83, 0.87, 0.73, 0.60),
    (1.0, 10_000): (0.80, 0.95, 0.70, 0.56),
    (10.0, 100): (0.92, 3.64, 0.90, 6.47),
    (10.0, 1_000): (0.92, 3.59, 0.90, 6.22),
    (10.0, 10_000): (0.90, 5.35, 0.87, 5.77),
}
TEST = 0.2


def one_fit(variance: float, levels: int, seed: int, settings: dict[str, Any]) -> dict[str, float]:
    """AUC and variance of one draw, beside those with the true network."""
    rng = np.random.default_rng([seed, levels, round(10 * variance)])
    truth = lmmnn("binary", rng=rng, levels=levels, variances=variance)
    test = rng.permutation(truth.data.n_rows) < TEST * truth.data.n_rows
    labels = np.where(test, "test", "train")
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        run = fit(Lmmnn(task="binary", **settings), truth.data, seed=seed, split=labels, progress=None)
    spent = time.process_time() - started
    target = np.asarray(truth.data.target)
    codes = np.asarray(truth.data.person)
    rows = level_rows(target[~test], codes[~test], int(codes.max()) + 1)
    known = maximise(rows, np.asarray(truth.fixed)[~test], np.ones(((~test).sum(), 1)), nodes=15)
    best = np.asarray(truth.fixed) + known.evaluation.mean[codes]
    return {
        "auc": auc(target[test], run.predict(truth.data)[test, 1]),
        "variance": float(run.variance_components()["variance"].iloc[0]),
        "auc_true_network": auc(target[test], best[test]),
        "variance_true_network": known.theta**2,
        "variance_drawn": float(np.var(truth.effects[0])),
        "variance_batches": float(run.trained.batch_variances[0]),  # pyright: ignore[reportAttributeAccessIssue]
        "cpu_s": spent,
    }


def shown(variance: float, levels: int, fits: dict[str, dict[str, float]]) -> None:
    """A cell as a line: means over the draws, the spread of the variance between them."""
    mean = {name: statistics.fmean(own[name] for own in fits.values()) for name in next(iter(fits.values()))}
    published = PUBLISHED[variance, levels]
    print(
        f"variance {variance:4g}, {levels:6,d} levels, {len(fits)} draws: AUC {mean['auc']:.4f} (published "
        f"{published[0]:.2f}, true network {mean['auc_true_network']:.4f}); variance {mean['variance']:.3f} (published "
        f"{published[1]:.2f}, true network {mean['variance_true_network']:.3f}, drawn {mean['variance_drawn']:.3f}); "
        f"{mean['cpu_s']:.1f} s CPU",
        flush=True,
    )


def main() -> None:
    """The chosen cells and seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, nargs="*", default=list(range(len(PUBLISHED))))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="train for so many epochs instead; such fits are not kept")
    parser.add_argument("--again", action="store_true", help="fit what is there already")
    chosen = parser.parse_args()
    kept: dict[str, dict[str, dict[str, float]]] = {}
    if PATH.exists():
        kept = json.loads(PATH.read_text(encoding="utf-8"))["cells"]
    cells = list(PUBLISHED)
    for place in chosen.cells:
        variance, levels = cells[place]
        if chosen.epochs is not None:
            with threadpool_limits(limits=1):
                found = {str(k): one_fit(variance, levels, k, {"epochs": chosen.epochs}) for k in chosen.seeds}
            shown(variance, levels, found)
            continue
        own = kept.setdefault(f"{variance:g}, {levels}", {})
        for seed in chosen.seeds:
            if str(seed) in own and not chosen.again:
                continue
            with threadpool_limits(limits=1):
                own[str(seed)] = one_fit(variance, levels, seed, {})
            text = json.dumps({"cells": kept}, indent=1)
            PATH.write_text(text + "\n", encoding="utf-8")
        shown(variance, levels, own)


if __name__ == "__main__":
    main()
