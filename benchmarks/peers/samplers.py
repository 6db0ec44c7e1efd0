"""Effective draws per CPU second of the posterior of random effects: the block sampler beside NUTS of other libraries.

    python -m benchmarks.peers.samplers                                   ours on both problems, ratios to what is kept
    python -m benchmarks.peers.samplers --who numpyro --problem binary --python ENV/bin/python

Network and variances are given. "multiclass": 5 classes, 100,000 rows, factors of 1000, 10 and 1000 levels, variances
.0001, .5, .5. "binary": one factor of 10,000 levels, 100,000 rows, variance 1. The peers are no dependency: install
numpyro, blackjax, pyro-ppl into an environment of their own and name its Python by --python or NME_PEERS_PYTHON; each
run is one process with one thread, kept in benchmarks/results/samplers.json, so that runs can be made one at a time.

Three monitors, each over the worst factor: `effects`, the median over single effects; `mean_square` over the levels of
a factor and class (what variances are estimated from), the median over classes; `mean`, likewise. ESS by Geyer's
initial monotone sequence on split chains. NUTS runs are short (a transition takes a second), their ESS rough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.sampling import Bernoulli, Blocks, Categorical, Clusters, Nuts, Target
from toolkit.sampling.diagnostics import ess

RESULT = Path(__file__).parents[1] / "results" / "samplers.json"
PEER = Path(__file__).with_name("samplers_peer.py")
ROWS = 100_000
PROBLEMS = {
    "multiclass": {"classes": 5, "levels": (1000, 10, 1000), "variances": (0.0001, 0.5, 0.5)},
    "binary": {"classes": 1, "levels": (10_000,), "variances": (1.0,)},
}
SIZES = {
    ("numpyro", "multiclass"): (60, 20, 8),
    ("blackjax", "multiclass"): (60, 20, 8),
    ("pyro", "multiclass"): (20, 8, 6),
    ("numpyro", "binary"): (300, 300, 10),
    ("blackjax", "binary"): (300, 300, 10),
    ("pyro", "binary"): (200, 200, 10),
}
MONITORS = ("effects", "mean_square", "mean")


def problem(name: str) -> Target:
    """The posterior of one problem, drawn with a fixed seed."""
    case, g = PROBLEMS[name], torch.Generator().manual_seed(11)
    classes = case["classes"]
    fixed = torch.randn((classes, ROWS), generator=g)
    clusters = tuple(Clusters(torch.randint(q, (ROWS,), generator=g), q) for q in case["levels"])
    logits = fixed.clone()
    for part, variance in zip(clusters, case["variances"], strict=True):
        logits += part.spread(variance**0.5 * torch.randn((classes, part.levels), generator=g))
    if classes == 1:
        density = Bernoulli(torch.bernoulli(torch.sigmoid(logits[0]), generator=g))
    else:
        density = Categorical(torch.multinomial(torch.softmax(logits, 0).T, 1, generator=g)[:, 0], classes)
    return Target(fixed, density, clusters, tuple(v * torch.eye(classes) for v in case["variances"]))


def monitors(draws: list[np.ndarray], seconds: float) -> dict[str, float]:
    """Effective draws per CPU second of the three monitors, the worst factor's."""

    def of(values: np.ndarray) -> float:
        return float(np.median(np.nan_to_num(ess(values[None], kind="mean")))) / seconds  # 0: it never moved

    return {
        "effects": min(of(part) for part in draws),
        "mean_square": min(of((part**2).mean(2)) for part in draws),
        "mean": min(of(part.mean(2)) for part in draws),
    }


def ours(name: str, sampler: Blocks | Nuts, transitions: int, warm: int) -> dict[str, Any]:
    """Warm-up and draws of one of our samplers."""
    target, g, kept = problem(name), torch.Generator().manual_seed(1), []
    started = time.process_time()
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=warm, generator=g)
    middle = time.process_time()
    state = sampler.advance(target, state, transitions=transitions, generator=g, keep=kept.append)
    spent = time.process_time() - middle
    draws = [torch.stack([draw[place] for draw in kept]).double().numpy() for place in range(len(target.clusters))]
    return {
        "warm_up_s": middle - started,
        "transition_ms": 1000 * spent / transitions,
        "draws": transitions,
        "mean_squares": [float((part**2).mean()) for part in draws],
        "acceptance": list(state.diagnostics.acceptance),
        "per_second": monitors(draws, spent),
    }


def e_step(name: str) -> dict[str, float]:
    """CPU milliseconds of what an EM iteration asks for: new logits, references renewed, two sweeps."""
    target, g, sampler = problem(name), torch.Generator().manual_seed(1), Blocks()
    state = sampler.advance(target, sampler.begin(target, generator=g), transitions=5, generator=g)
    spent = []
    for turn in range(7):
        moved = Target(target.fixed * (1 + 0.01 * (turn + 1)), target.density, target.clusters, target.covariances)
        started = time.process_time()
        state = sampler.advance(moved, state, transitions=2, generator=g)
        spent.append(1000 * (time.process_time() - started))
    return {"e_step_ms": float(np.median(spent))}


def theirs(who: str, name: str, python: str) -> dict[str, Any]:
    """One short NUTS run of a peer in a process of its own."""
    target, (warm, draws, depth) = problem(name), SIZES[who, name]
    density = target.density
    assert isinstance(density, Bernoulli | Categorical)
    codes: dict[str, Any] = {f"codes{place}": part.codes.numpy() for place, part in enumerate(target.clusters)}
    with tempfile.TemporaryDirectory() as folder:
        given, found = str(Path(folder, "problem.npz")), str(Path(folder, "draws.npz"))
        sds = np.sqrt(np.array(PROBLEMS[name]["variances"], dtype=np.float32))
        np.savez(
            given, fixed=target.fixed.numpy(), target=density.target.numpy(), sds=sds,
            levels=np.array(PROBLEMS[name]["levels"]), **codes,
        )  # fmt: skip
        sizes = ["--warm", str(warm), "--draws", str(draws), "--depth", str(depth)]
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        subprocess.run([python, str(PEER), who, given, found, *sizes], check=True, env=environment)
        kept = np.load(found)
        parts = [kept[f"b{place}"].astype(float) for place in range(len(target.clusters))]
        spent = float(kept["spent"])
        return {
            "warm_up_s": float(kept["warm"]),
            "transition_ms": 1000 * spent / draws,
            "draws": draws,
            "leapfrogs": float(kept["leapfrogs"]),
            "mean_squares": [float((part**2).mean()) for part in parts],
            "per_second": monitors(parts, spent),
        }


def print_ratios(results: dict) -> None:
    """Every kept run, and how many times the best peer's effective draws ours are."""
    for name, runs in results.items():
        print(f"\n{name}")
        for who, run in runs.items():
            rates = "  ".join(f"{monitor} {run['per_second'][monitor]:9.2f}/s" for monitor in MONITORS)
            print(f"  {who:10s} warm-up {run['warm_up_s']:7.2f} s  transition {run['transition_ms']:8.2f} ms  {rates}")
        peers = [run for who, run in runs.items() if who in ("numpyro", "blackjax", "pyro")]
        if "blocks" in runs and peers:
            mine = runs["blocks"]["per_second"]
            best = {m: max(run["per_second"][m] for run in peers) for m in MONITORS}
            print("  blocks over the best peer: " + "  ".join(f"{m} {mine[m] / best[m]:.1f}x" for m in MONITORS))
            if "e_step_ms" in runs["blocks"]:
                print(f"  references renewed and two sweeps: {runs['blocks']['e_step_ms']:.0f} ms CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--who", nargs="*", default=["blocks"], help="blocks, nuts, numpyro, blackjax, pyro")
    parser.add_argument("--problem", nargs="*", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--python", default=os.environ.get("NME_PEERS_PYTHON", ""), help="Python that has the peers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in options.problem:
        for who in options.who:
            if who == "blocks":
                found = ours(name, Blocks(), 600, 30) | e_step(name)
            elif who == "nuts":
                found = ours(name, Nuts(adapt=True, adaptation=30, max_depth=8), 15, 30)
            elif Path(options.python).is_file():
                found = theirs(who, name, options.python)
            else:
                print(f"{who} skipped: name a Python that has it by --python or NME_PEERS_PYTHON")
                continue
            results.setdefault(name, {})[who] = found
            RESULT.write_text(json.dumps(results, indent=1) + "\n")
    print_ratios(results)


if __name__ == "__main__":
    main()
