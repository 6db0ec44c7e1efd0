"""What calibration scripts share: the bands of 2,000 simulations, and the file a table is kept in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
COVERAGE_BAND, ERROR_BAND = (0.9335, 0.9655), (0.0345, 0.0665)


def in_bands(row: dict[str, float]) -> dict[str, float | bool]:
    """A row of rates with, for each, whether it lies in its band: errors near .05, coverages near .95."""
    judged: dict[str, float | bool] = {name: float(rate) for name, rate in row.items()}
    for name, rate in row.items():
        low, high = ERROR_BAND if "error" in name else COVERAGE_BAND
        judged[f"{name}_in_band"] = bool(low <= rate <= high)
    return judged


def keep(name: str, settings: dict[str, Any], tables: dict[str, Any]) -> Path:
    """Write settings and tables to ``benchmarks/results/NAME.json``."""
    bands = {"coverage_band": COVERAGE_BAND, "error_band": ERROR_BAND}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"settings": settings | bands, **tables}, indent=2) + "\n", encoding="utf-8")
    return path
