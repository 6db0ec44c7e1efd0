"""Logistic mixed models beside lme4 and GPBoost: ``python -m benchmarks.peers.glmm [--cases 0 1] [--rounds 3]``.

80,000 rows of Simchoni and Rosset's design for two classes, ten features with linear effects, an intercept of 1,000 or
10,000 levels; two crossed factors. Timed is everything from arrays to estimates with standard errors, effects and their
SDs; ``fit`` is the whole of `toolkit.fit` with predictions and tables. CPU seconds of one thread, medians; R reports
its own, once. Results are kept after every case.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.peers.mixed_models import Found, against_ours, shown
from benchmarks.peers.timing import RESULTS
from toolkit import GroupedDataset, fit
from toolkit.data.simulate.lmmnn import lmmnn
from toolkit.models import Glmm
from toolkit.numerics.binary_effects.model import maximise_binary
from toolkit.numerics.mixed.design import Design, Factor

R_SCRIPT = """
suppressMessages(library(lme4))
args <- commandArgs(TRUE)
d <- read.csv(args[1])
for (g in strsplit(args[2], ",")[[1]]) d[[g]] <- factor(d[[g]])
spent <- system.time({
  m <- glmer(as.formula(args[3]), d, family = binomial, nAGQ = as.integer(args[4]))
  r <- ranef(m, condVar = TRUE)
})
sds <- as.data.frame(VarCorr(m))$sdcor
numbers <- c(sum(spent[1:2]), as.numeric(logLik(m)), sds, fixef(m))
cat(paste(sprintf("%.10f", numbers), collapse = ","), "\\n")
"""


def one_factor(levels: int) -> pd.DataFrame:
    """80,000 rows of the paper's Table 12, an intercept of variance 1."""
    data = lmmnn("binary", rng=np.random.default_rng(1), rows=80_000, levels=levels).data
    frame = pd.DataFrame(np.asarray(data.features), columns=[f"x{place}" for place in range(10)])
    return frame.assign(y=np.asarray(data.target).astype(int), group=np.asarray(data.person))


def crossed() -> pd.DataFrame:
    """20,000 rows, 1,000 levels of one factor and 200 of another."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.uniform(-1, 1, size=(20_000, 3)), columns=["x0", "x1", "x2"])
    frame = frame.assign(group=rng.integers(0, 1_000, 20_000), item=rng.integers(0, 200, 20_000))
    effects = rng.normal(size=1_000)[frame["group"]] + 0.7 * rng.normal(size=200)[frame["item"]]
    logits = frame[["x0", "x1", "x2"]].sum(axis=1) + effects
    return frame.assign(y=(rng.random(20_000) < 1.0 / (1.0 + np.exp(-logits))).astype(int))


def ours(frame: pd.DataFrame, features: list[str], groups: list[str], nodes: int) -> Found:
    """From arrays to estimates, effects and SDs."""
    y = frame["y"].to_numpy(float)
    fixed = np.column_stack([np.ones(len(frame)), frame[features].to_numpy(float)])
    codes = [frame[name].to_numpy() for name in groups]
    started = time.process_time()
    ones = np.ones((len(frame), 1))
    factors = tuple(Factor(codes=own, levels=int(own.max()) + 1, design=ones, blocks=(1,)) for own in codes)
    design = Design(outcome=y, fixed=fixed, factors=factors)
    best = maximise_binary(design, np.zeros(len(y)), nodes=nodes, curvature=True)
    spent = time.process_time() - started
    sd = [float(np.sqrt(own[0, 0])) for own in best.covariances]
    return {"cpu_s": spent, "log_likelihood": best.value, "sd": sd, "beta": best.beta.tolist()}


def whole_fit(frame: pd.DataFrame, features: list[str], groups: list[str], nodes: int) -> Found:
    """`fit` with everything a run holds."""
    data = GroupedDataset.from_frame(frame, target="y", features=features, groups=groups).as_classes(("0", "1"))
    random = " + ".join(f"(1 | {name})" for name in groups)
    started = time.process_time()
    run = fit(Glmm(random=random, nodes=nodes), data, seed=1, split=None)
    spent = time.process_time() - started
    found = run.likelihood()["log_likelihood"].tolist()[0]
    fixed = run.fixed_effects()["estimate"].tolist()
    return {"cpu_s": spent, "log_likelihood": found, "sd": run.variance_components()["sd"].tolist(), "beta": fixed}


def gpboost(frame: pd.DataFrame, features: list[str], groups: list[str], nodes: int) -> Found | None:
    """GPBoost's GPModel by Laplace's approximation with a linear fixed part."""
    try:
        import gpboost as gpb  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    if nodes > 1:
        return None
    y = frame["y"].to_numpy(float)
    fixed = np.column_stack([np.ones(len(frame)), frame[features].to_numpy(float)])
    started = time.process_time()
    model = gpb.GPModel(group_data=frame[groups].to_numpy(), likelihood="bernoulli_logit", num_parallel_threads=1)
    model.fit(y=y, X=fixed)
    spent = time.process_time() - started
    sd = np.sqrt(np.ravel(model.get_cov_pars(format_pandas=False))).tolist()
    beta = np.ravel(model.get_coef(format_pandas=False)).tolist()
    loss = model.get_current_neg_log_likelihood()
    return {"cpu_s": spent, "log_likelihood": np.nan if loss is None else -float(loss), "sd": sd, "beta": beta}


def lme4(frame: pd.DataFrame, features: list[str], groups: list[str], nodes: int) -> Found | None:
    """lme4's glmer with conditional variances, timed by R itself."""
    if shutil.which("Rscript") is None:
        return None
    formula = f"y ~ {' + '.join(['1', *features, *(f'(1 | {name})' for name in groups)])}"
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder) / "data.csv", Path(folder) / "fit.R"
        frame.to_csv(path, index=False)
        script.write_text(R_SCRIPT)
        words = ["Rscript", str(script), str(path), ",".join(groups), formula, str(nodes)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"lme4 is left out: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'Rscript failed'}")
        return None
    numbers = [float(word) for word in done.stdout.strip().splitlines()[-1].split(",")]
    count = len(groups)
    return {
        "cpu_s": numbers[0],
        "log_likelihood": numbers[1],
        "sd": numbers[2 : 2 + count],
        "beta": numbers[2 + count :],
    }


MODELS: dict[str, Callable[..., Found | None]] = {"ours": ours, "fit": whole_fit, "GPBoost": gpboost, "lme4": lme4}
LINEAR = [f"x{place}" for place in range(10)]
CASES: list[tuple[str, Callable[[], pd.DataFrame], list[str], list[str], int]] = [
    ("80,000 rows, 1,000 levels, Laplace", lambda: one_factor(1_000), LINEAR, ["group"], 1),
    ("80,000 rows, 10,000 levels, Laplace", lambda: one_factor(10_000), LINEAR, ["group"], 1),
    ("80,000 rows, 1,000 levels, 9 nodes", lambda: one_factor(1_000), LINEAR, ["group"], 9),
    ("20,000 rows, crossed 1,000 and 200 levels", crossed, LINEAR[:3], ["group", "item"], 1),
]


def case(frame: pd.DataFrame, features: list[str], groups: list[str], nodes: int, rounds: int) -> Found:
    """Every model in turn, some rounds (lme4 once); medians and the last estimates."""
    spent: dict[str, list[float]] = {name: [] for name in MODELS}
    found: Found = {}
    with threadpool_limits(limits=1):
        for place in range(rounds + 1):
            for name, model in MODELS.items():
                if name == "lme4" and place:
                    continue
                result = model(frame, features, groups, nodes)
                if result is not None and (place or name == "lme4"):  # the first round warms up
                    spent[name].append(result.pop("cpu_s"))
                    found[name] = result
    return against_ours(found, spent)


def main() -> None:
    """The chosen cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, nargs="*", default=list(range(len(CASES))))
    chosen = parser.parse_args()
    path = RESULTS / "glmm.json"
    cases: Found = json.loads(path.read_text())["cases"] if path.exists() else {}
    for place in chosen.cases:
        name, frame, features, groups, nodes = CASES[place]
        cases[name] = case(frame(), features, groups, nodes, chosen.rounds)
        shown(name, cases[name])
        path.write_text(json.dumps({"unit": "CPU seconds, one thread, medians", "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
