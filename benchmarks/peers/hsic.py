"""HSIC permutation test beside re-indexing the Gram matrix, hyppo, and R: ``python -m benchmarks.peers.hsic``.

R's dHSIC is timed where it is installed. Elsewhere its loop is: permute one Gram matrix, multiply, take dHSIC's three
terms, in base R. That stands in for the package, whose own permuting is compiled, and is named as what it is.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np

from analyses.hsic import hsic_test
from analyses.kernels import centred, kernel_matrix, median_bandwidth
from benchmarks.peers.timing import RESULTS, compare, interleave, report

PERMUTATIONS = 9_999
R_SCRIPT = """
a <- as.integer(commandArgs(TRUE)); n <- a[1]; b <- a[2]; set.seed(1)
x <- matrix(rnorm(16 * n), n); y <- rep(0:1, length.out = n)
if (requireNamespace("dHSIC", quietly = TRUE)) {
  f <- function() dHSIC::dhsic.test(x, y, kernel = c("gaussian", "discrete"), method = "permutation", B = b)
  name <- "R dHSIC"
} else {
  d <- as.matrix(dist(x))^2; k <- exp(-d / median(d[upper.tri(d)])); m <- outer(y, y, "==") * 1
  f <- function() for (i in seq_len(b)) {
    p <- sample(n); l <- m[p, p]; mean(k * l) + mean(k) * mean(l) - 2 * mean(colMeans(k) * colMeans(l))
  }
  name <- "base R loop with the terms of dHSIC"
}
t <- proc.time(); f(); t <- proc.time() - t
cat(name, (t[1] + t[2]) * 1000, sep = "|")
"""
LARGE = """
import numpy, time
from analyses.hsic import hsic_test
rng = numpy.random.default_rng(1)
x, group = rng.standard_normal((5000, 16)), numpy.arange(5000) % 2
started = time.perf_counter(), time.process_time()
hsic_test(x, group, rng=rng)
print(time.perf_counter() - started[0], time.process_time() - started[1])
"""


def reindex(x: np.ndarray, group: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """The textbook loop: permute rows and columns of one Gram matrix, multiply, sum."""
    gram = centred(kernel_matrix(x, "gaussian", median_bandwidth(x)))
    label = (group[:, None] == group[None, :]).astype(float)
    observed, exceeding = np.sum(gram * label), 0
    for _ in range(permutations):
        order = rng.permutation(len(x))
        exceeding += np.sum(gram * label[np.ix_(order, order)]) >= observed - 1e-9
    return (exceeding + 1) / (permutations + 1)


def hyppo_test(x: np.ndarray, group: np.ndarray, permutations: int) -> float:
    """The biased HSIC of hyppo with its own permutation loop (other kernel on the label, same work)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyppo.independence import Hsic

        return Hsic(bias=True).test(x, group[:, None].astype(float), reps=permutations, auto=False).pvalue


def measure(n: int, rounds: int, loop: int, hyppo_reps: int) -> dict[str, dict[str, float]]:
    """One size; the slow candidates run `loop` and `hyppo_reps` permutations and are extrapolated."""
    rng = np.random.default_rng(1)
    x, group, family = rng.standard_normal((n, 16)), np.arange(n) % 2, np.arange(n) // 2
    by_family = family % 2
    candidates = {
        "ours": lambda: hsic_test(x, group, permutations=PERMUTATIONS, rng=rng),
        "ours, families permuted": lambda: hsic_test(x, by_family, unit=family, permutations=PERMUTATIONS, rng=rng),
        "ours, within pairs": lambda: hsic_test(x, group, strata=family, permutations=PERMUTATIONS, rng=rng),
        "re-indexing the Gram matrix": lambda: reindex(x, group, loop, rng),
        "hyppo Hsic (permutation)": lambda: hyppo_test(x, group, hyppo_reps),
    }
    scale = {
        "re-indexing the Gram matrix": PERMUTATIONS / loop,
        "hyppo Hsic (permutation)": PERMUTATIONS / hyppo_reps,
    }
    return compare(interleave(candidates, rounds), scale)


def r_loop(n: int, permutations: int) -> dict[str, Any] | None:
    """CPU time of R, extrapolated to 9,999 permutations; None without R."""
    program = shutil.which("Rscript")
    if program is None:
        return None
    words = [program, "-e", R_SCRIPT, str(n), str(permutations)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    name, spent = said.split("|")
    return {"what": name, "cpu_ms": float(spent) * PERMUTATIONS / permutations, "measured_permutations": permutations}


def large() -> dict[str, float]:
    """5,000 persons in a fresh process: wall and CPU seconds of the test, peak memory of the process in GB."""
    said = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True).stdout.split()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    # Wall time means little on a machine that is busy with other work; the load says whether it was.
    return {"wall_s": float(said[0]), "cpu_s": float(said[1]), "peak_gb": peak, "load_average": os.getloadavg()[0]}


def million() -> float:
    """Wall seconds of 999,999 permutations at 195 persons."""
    rng = np.random.default_rng(1)
    x, group = rng.standard_normal((195, 16)), np.arange(195) % 2
    started = time.perf_counter()
    hsic_test(x, group, permutations=999_999, rng=rng)
    return time.perf_counter() - started


def main() -> None:
    """Measure everything in one run and keep it."""
    single = large()
    cases = {
        "195 persons x 16 values, 9,999 permutations": measure(195, 7, 2000, 400),
        "1,000 persons x 16 values, 9,999 permutations": measure(1000, 3, 60, 20),
    }
    report("hsic", cases)
    more: dict[str, Any] = {"5,000 persons, 9,999 permutations": single}
    more["a million permutations at 195 persons, wall_s"] = million()
    for (name, rows), (n, permutations) in zip(cases.items(), ((195, 1000), (1000, 40)), strict=True):
        found = r_loop(n, permutations)
        if found is not None:
            found["times_ours"] = found["cpu_ms"] / rows["ours"]["cpu_ms"]
            more[f"{name}, R"] = found
    path = RESULTS / "hsic.json"
    kept = json.loads(path.read_text(encoding="utf-8")) | {"more": more}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(more, indent=1))


if __name__ == "__main__":
    main()
