"""Linear mixed models beside lme4 and GPBoost: ``python -m benchmarks.peers.lmm [--rounds 3]``.

One grouping factor (100,000 rows, ten features, 1,000 and 10,000 levels; REML) and InstEval with three crossed factors
(73,421 rows, the intercept alone and with three features; ML). Timed is everything from arrays to estimates, effects
and their SDs; ``fit`` is the whole of `toolkit.fit` with predictions and tables. CPU seconds of one thread, medians; R
reports its own. lme4 is left out without Rscript, GPBoost without its package, InstEval without its data.
"""

from __future__ import annotations

import argparse
import io
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
from toolkit.models import Lmm
from toolkit.numerics.mixed.design import Design, Factor
from toolkit.numerics.mixed.maximise import maximise
from toolkit.numerics.mixed.moments import moments
from toolkit.numerics.mixed.posterior import blups, conditional_covariances

INSTEVAL = Path(__file__).parents[3] / "shared" / "data" / "insteval.parquet"
R_SCRIPT = """
suppressMessages(library(lme4))
args <- commandArgs(TRUE)
d <- read.csv(args[1])
for (g in strsplit(args[2], ",")[[1]]) d[[g]] <- factor(d[[g]])
spent <- system.time({
  m <- lmer(as.formula(args[3]), d, REML = args[4] == "TRUE")
  r <- ranef(m, condVar = TRUE)
})
sds <- as.data.frame(VarCorr(m))$sdcor
cat(sprintf("%.6f,%.10f,%s\\n", sum(spent[1:2]), as.numeric(logLik(m)), paste(sprintf("%.10f", sds), collapse = ",")))
"""


def one_factor(levels: int, rows: int = 100_000, features: int = 10, seed: int = 1) -> pd.DataFrame:
    """Rows of Simchoni and Rosset's design with a linear fixed part; levels of unequal size."""
    rng = np.random.default_rng(seed)
    share = rng.poisson(3, size=levels) + 1.0
    group = rng.choice(levels, size=rows, p=share / share.sum())
    x = rng.uniform(-1, 1, size=(rows, features))
    frame = pd.DataFrame(x, columns=[f"x{place}" for place in range(features)]).assign(group=group)
    effects, noise = rng.normal(size=levels), rng.normal(size=rows)
    return frame.assign(y=1.0 + x.sum(axis=1) + effects[group] + noise)


def ours(frame: pd.DataFrame, target: str, features: list[str], groups: list[str], *, reml: bool) -> Found:
    """From arrays to estimates, effects and SDs."""
    y = frame[target].to_numpy(float)
    fixed = np.column_stack([np.ones(len(frame)), frame[features].to_numpy(float)])
    codes = {name: np.unique(frame[name].to_numpy(), return_inverse=True)[1] for name in groups}
    started = time.process_time()
    ones = np.ones((len(frame), 1))
    factors = tuple(Factor(codes=own, levels=int(own.max()) + 1, design=ones, blocks=(1,)) for own in codes.values())
    sums = moments(Design(outcome=y, fixed=fixed, factors=factors))
    best = maximise(sums, reml=reml)
    blups(sums, best.solution)
    conditional_covariances(sums, best.solution)
    spent = time.process_time() - started
    sigma = np.sqrt(best.solution.sigma2)
    sd = [float(sigma * best.theta[sums.order.index(place)]) for place in range(len(groups))]
    return {"cpu_s": spent, "log_likelihood": -0.5 * best.solution.deviance, "sd": [*sd, float(sigma)]}


def whole_fit(frame: pd.DataFrame, target: str, features: list[str], groups: list[str], *, reml: bool) -> Found:
    """`fit` with everything a run holds."""
    data = GroupedDataset.from_frame(frame, target=target, features=features, groups=groups)
    random = " + ".join(f"(1 | {name})" for name in groups)
    started = time.process_time()
    run = fit(Lmm(random=random, reml=reml), data, seed=1, split=None)
    spent = time.process_time() - started
    found = run.likelihood()["log_likelihood"].tolist()[0]
    return {"cpu_s": spent, "log_likelihood": found, "sd": run.variance_components()["sd"].tolist()}


def gpboost(frame: pd.DataFrame, target: str, features: list[str], groups: list[str], *, reml: bool) -> Found | None:
    """GPBoost's GPModel with grouped effects and a linear fixed part; it has no REML."""
    try:
        import gpboost as gpb  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    y = frame[target].to_numpy(float)
    fixed = np.column_stack([np.ones(len(frame)), frame[features].to_numpy(float)])
    group = frame[groups].to_numpy()
    started = time.process_time()
    model = gpb.GPModel(group_data=group, likelihood="gaussian", num_parallel_threads=1)
    model.fit(y=y, X=fixed, params={"optimizer_cov": "lbfgs"})
    spent = time.process_time() - started
    variances = np.ravel(model.get_cov_pars(format_pandas=False))
    sd = [*np.sqrt(variances[1:]).tolist(), float(np.sqrt(variances[0]))]
    loss = model.get_current_neg_log_likelihood()
    return {"cpu_s": spent, "log_likelihood": np.nan if loss is None else -float(loss), "sd": sd}


def lme4(frame: pd.DataFrame, target: str, features: list[str], groups: list[str], *, reml: bool) -> Found | None:
    """lme4's lmer with conditional variances, timed by R itself."""
    if shutil.which("Rscript") is None:
        return None
    formula = f"{target} ~ {' + '.join(['1', *features, *(f'(1 | {name})' for name in groups)])}"
    with tempfile.TemporaryDirectory() as folder:
        path, script = Path(folder) / "data.csv", Path(folder) / "fit.R"
        frame.to_csv(path, index=False)
        script.write_text(R_SCRIPT)
        words = ["Rscript", str(script), str(path), ",".join(groups), formula, str(reml).upper()]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"lme4 is left out: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'Rscript failed'}")
        return None
    numbers = [float(word) for word in io.StringIO(done.stdout).read().strip().split(",")]
    return {"cpu_s": numbers[0], "log_likelihood": numbers[1], "sd": numbers[2:]}


MODELS: dict[str, Callable[..., Found | None]] = {"ours": ours, "fit": whole_fit, "GPBoost": gpboost, "lme4": lme4}


def case(frame: pd.DataFrame, target: str, features: list[str], groups: list[str], *, reml: bool, rounds: int) -> Found:
    """Every model in turn, some rounds; medians and the last estimates."""
    spent: dict[str, list[float]] = {name: [] for name in MODELS}
    found: Found = {}
    with threadpool_limits(limits=1):
        for place in range(rounds + 1):
            for name, model in MODELS.items():
                result = model(frame, target, features, groups, reml=reml)
                if result is not None and (place or name == "lme4"):  # the first round warms up; R starts anew anyway
                    spent[name].append(result.pop("cpu_s"))
                    found[name] = result
    return against_ours(found, spent)


def main() -> None:
    """All cases."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    cases: Found = {}
    features = [f"x{place}" for place in range(10)]
    for levels in (1_000, 10_000):
        name = f"one factor, 100,000 rows, {levels:,} levels, REML"
        cases[name] = case(one_factor(levels), "y", features, ["group"], reml=True, rounds=rounds)
        shown(name, cases[name])
    if INSTEVAL.exists():
        frame = pd.read_parquet(INSTEVAL)
        for words, chosen in (("intercept", []), ("three features", ["service", "studage", "lectage"])):
            name = f"InstEval, three crossed factors, {words}, ML"
            cases[name] = case(frame, "y", chosen, ["s", "d", "dept"], reml=False, rounds=rounds)
            shown(name, cases[name])
    else:
        print("InstEval is left out: its data are not at hand")
    path = RESULTS / "lmm.json"
    path.write_text(json.dumps({"unit": "CPU seconds, one thread, medians", "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
