"""Side-by-side timing: interleaved rounds, process CPU time, one thread, medians and ratios kept as JSON."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

RESULTS = Path(__file__).parents[1] / "results"


def interleave(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of each candidate per round, A B C A B C, after one warm-up call each."""
    spent: dict[str, list[float]] = {name: [] for name in candidates}
    with threadpool_limits(limits=1):
        for call in candidates.values():
            call()
        for _ in range(rounds):
            for name, call in candidates.items():
                started = time.process_time()
                call()
                spent[name].append(1000 * (time.process_time() - started))
    return spent


def compare(spent: dict[str, list[float]], scale: dict[str, float] | None = None) -> dict[str, dict[str, float]]:
    """Medians, and how many times longer each takes than the first; `scale` extrapolates shortened runs."""
    factor = scale or {}
    scaled = {name: [factor.get(name, 1.0) * value for value in values] for name, values in spent.items()}
    ours = next(iter(scaled.values()))
    found = {}
    for name, values in scaled.items():
        ratios = [theirs / mine for theirs, mine in zip(values, ours, strict=True)]
        found[name] = {
            "cpu_ms": statistics.median(values),
            "times_ours": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "extrapolated_by": factor.get(name, 1.0),
        }
    return found


def report(name: str, cases: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print a table per case and write it to benchmarks/results."""
    for case, rows in cases.items():
        print(f"\n{case}")
        for candidate, row in rows.items():
            note = f" (extrapolated x{row['extrapolated_by']:g})" if row["extrapolated_by"] != 1 else ""
            span = f"[{row['ratio_min']:.1f}-{row['ratio_max']:.1f}]"
            print(f"  {candidate:42s} {row['cpu_ms']:10.1f} ms CPU {row['times_ours']:8.1f}x {span}{note}")
    RESULTS.mkdir(exist_ok=True)
    python = platform.python_version()
    text = json.dumps({"unit": "process CPU ms, one thread, medians", "python": python, "cases": cases}, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
