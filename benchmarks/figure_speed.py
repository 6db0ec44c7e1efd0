"""How long each figure of the catalogue takes to print, once it is built.

``python -m benchmarks.figure_speed nme-demo/runs [--dpi 600]``

The first figure of a program loads matplotlib and its fonts and is timed apart. Every other is drawn and written at
183 mm in every format; the median of three is shown, and the slowest is compared with the goal of 1 s. Seconds are
those of the processor (drawing uses one thread), so that other work on the computer does not count.

Results are kept in ``benchmarks/results/figure_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from analyses.figures.presets import PRESETS, sheet
from analyses.figures.print_style import FORMATS
from analyses.report import catalogue
from analyses.report.catalogue import FigureOptions
from toolkit.errors import ToolkitError
from toolkit.runs.folder import SavedRun, find_runs, load_run

RESULTS = Path(__file__).parent / "results" / "figure_speed.json"
GOAL_S = 1.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("--dpi", type=int, default=600)
    arguments.add_argument("--repeats", type=int, default=3)
    asked = arguments.parse_args()
    warnings.simplefilter("ignore")
    runs = [load_run(path) for path in find_runs(asked.runs)]
    started = time.process_time()
    first = catalogue.figure("training", runs[0])
    sheet(first.print_figure, PRESETS["183mm"]).content("pdf")
    loading = time.process_time() - started
    print(f"first figure of a program: {loading:.2f} s")
    rows = [row for name in catalogue.names() for row in timed(name, runs, asked.dpi, asked.repeats)]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    kept = {
        "machine": platform.processor() or platform.machine(),
        "first_s": loading,
        "dpi": asked.dpi,
        "figures": rows,
    }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    slowest = table.set_index("figure")[list(FORMATS)].stack()
    print(f"slowest: {slowest.max():.2f} s ({' as '.join(slowest.idxmax())}); goal: {GOAL_S:.0f} s")  # pyright: ignore


def timed(name: str, runs: list[SavedRun], dpi: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds to draw and write a figure in each format, from the first run that has what it needs."""
    for run in runs:
        try:
            built = catalogue.figure(name, run, wishes(name, run, runs))
        except ToolkitError:
            continue
        row: dict[str, Any] = {"figure": name, "run": run.path.name}
        for kind in FORMATS:
            seconds = []
            for _ in range(repeats):
                started = time.process_time()
                sheet(built.print_figure, PRESETS["183mm"]).content(kind, dpi)
                seconds.append(time.process_time() - started)
            row[kind] = statistics.median(seconds)
        return [row]
    print(f"{name}: no run has what it needs")
    return []


def wishes(name: str, run: SavedRun, runs: list[SavedRun]) -> FigureOptions:
    """Options without which a figure cannot be built."""
    takes = catalogue.entry(name).options
    same = tuple(other for other in runs if other.path != run.path and other.manifest["task"] == run.manifest["task"])
    return FigureOptions(
        person=str(run.persons()["person"].iloc[0]) if "person" in takes else None,
        others=same[:1] if "others" in takes else (),
        resamples=999 if "resamples" in takes else 10_000,
    )


if __name__ == "__main__":
    main()
