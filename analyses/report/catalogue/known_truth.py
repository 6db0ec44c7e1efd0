"""Estimates of a run beside the truth behind simulated data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

NEEDED = ("level", "parameter", "true")
_CELL = re.compile(r"^(probability|expected|score)\[([^,\]]*),\s*([^\]]*)\]$")


def effects_beside_truth(run: SavedRun, asked: list[str]) -> pd.DataFrame:
    """level, parameter, true, estimate, low, high: the run's estimates of what a table says is true.

    Parameters are named as in the run's table of random effects, or ``probability[from,to]``, ``expected[from,to]`` and
    ``score[from,to]`` for the cells of a chain's transitions, which have no interval.

    Args:
        run: the run.
        asked: path of the table (parquet or csv with level, parameter, true).

    Raises:
        ConfigError: E302 when there is no such file. DataError: E103 a missing column, E124 nothing in common.
    """
    truth = _read(Path(asked[0]) if asked else None)
    cells = truth["parameter"].astype(str).str.match(_CELL.pattern).astype(bool)
    parts = [_of_effects(run, truth[~cells]), _of_cells(run, truth[cells])]
    found = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else parts[0]
    if found.empty:
        raise DataError(
            "the table of the truth and the run have no person and parameter in common",
            code="E124",
            column="truth",
            remedy="name persons and parameters as the run does",
        )
    return found


def _read(path: Path | None) -> pd.DataFrame:
    if path is None or not path.is_file():
        raise ConfigError(
            "there is no table of the truth",
            code="E302",
            column="truth",
            remedy="write truth=FILE: parquet or csv with the columns level, parameter, true",
        )
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype={"level": str})
    except (OSError, ValueError):
        raise DataError("the table of the truth cannot be read", code="E101", column="truth") from None
    absent = [name for name in NEEDED if name not in table.columns]
    if absent:
        raise DataError(f"the table of the truth has no column {', '.join(absent)}", code="E103", column=absent[0])
    return table[list(NEEDED)].astype({"level": str, "parameter": str, "true": float})


def _of_effects(run: SavedRun, truth: pd.DataFrame) -> pd.DataFrame:
    columns = [*NEEDED, "estimate", "low", "high"]
    if truth.empty:
        return pd.DataFrame(columns=columns)
    effects = run.random_effects().astype({"level": str, "parameter": str})
    return truth.merge(effects, on=["level", "parameter"])[columns]


def _of_cells(run: SavedRun, truth: pd.DataFrame) -> pd.DataFrame:
    columns = [*NEEDED, "estimate", "low", "high"]
    if truth.empty:
        return pd.DataFrame(columns=columns)
    parts = truth["parameter"].str.extract(_CELL)
    wanted = truth.assign(value=parts[0], from_state=parts[1].str.strip(), to_state=parts[2].str.strip())
    long = run.transitions().melt(
        id_vars=["person", "from_state", "to_state"], value_vars=["probability", "expected", "score"],
        var_name="value", value_name="estimate",
    )  # fmt: skip
    long = long.astype({"person": str, "from_state": str, "to_state": str}).rename(columns={"person": "level"})
    found = wanted.merge(long, on=["level", "value", "from_state", "to_state"])
    words = found["from_state"] + " → " + found["to_state"]
    return found.assign(parameter=words, low=float("nan"), high=float("nan"))[columns]
