"""Who and what carries a group difference in one cell of a run's transitions."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.drivers import CellDrivers, cell_drivers
from analyses.drivers_sequences import SequenceDrivers, sequence_drivers
from analyses.grouping_factors import cluster_nouns
from analyses.matrices import observed_transitions, transition_matrices
from toolkit.errors import ConfigError, DataError
from toolkit.runs.folder import SavedRun

if TYPE_CHECKING:
    import pandas as pd

VALUES = ("probability", "expected", "observed", "score")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriversReport:
    """Outcome of `drivers_of_run`: persons, units and sequences behind one cell.

    Attributes:
        cell: persons and units. sequences: None when the run keeps no sequence of states with the cell's first state.
    """

    cell: CellDrivers
    sequences: SequenceDrivers | None

    def to_frame(self) -> pd.DataFrame:
        """One row per person, see `CellDrivers.to_frame`."""
        return self.cell.to_frame()

    def summary(self) -> dict[str, Any]:
        """Both summaries."""
        return self.cell.summary() | {"sequences": None if self.sequences is None else self.sequences.summary()}

    def text(self, *, names: bool = True) -> str:
        """Plain sentences; without ``names`` no person, unit or sequence is called by its label."""
        found = [self.cell.text(names=names)]
        if self.sequences is not None and names:
            found.append(self.sequences.text(self.cell.difference >= 0))
        return "\n".join([*found, *self.cell.notes])

    def apa(self) -> str:
        """Sentences for the results section."""
        return self.cell.apa() if self.sequences is None else f"{self.cell.apa()} {self.sequences.apa()}"


def drivers_of_run(
    run: SavedRun,
    cell: tuple[str, str],
    *,
    value: str = "probability",
    unit: str = "person",
    groups: tuple[str, str] | None = None,
    level: float = 0.95,
) -> DriversReport:
    """Drivers of one cell from a run folder.

    Sequences come from the observed states of all rows. Each is held against the pooled observed probability of the
    other group: ``sum of moves / sum of departures`` over its persons.

    Args:
        run: a finished run of a chain model.
        cell: (from, into).
        value: what is compared over persons: "probability", "expected", "observed" or "score".
        unit: "person", or "cluster" to leave out the persons of a cluster together.
        groups: labels of the two groups, the one whose difference is positive first; needed when there are more.
        level: of the intervals.

    Raises:
        RunFolderError: E406 for a model without states.
        ConfigError: E302 an unknown state, value, unit or group. DataError: E124 no groups or more than two, E126
            persons without a cluster, and as `cell_drivers`.
    """
    if value not in VALUES or unit not in ("person", "cluster"):
        wrong, known = ("value", VALUES) if value not in VALUES else ("unit", ("person", "cluster"))
        raise ConfigError(f"this {wrong} is not known", code="E302", column=wrong, remedy=f"use {', '.join(known)}")
    table = run.transitions()
    states = run.states or ()
    if len(cell) != 2 or not {*cell} <= {*states}:
        raise ConfigError("this cell is not known", code="E302", column="cell", remedy=f"states: {', '.join(states)}")
    persons, _, matrices = transition_matrices(table, value, states=states)
    if value == "observed":
        matrices = observed_transitions(matrices, smoothing=0)
    known = run.persons().set_index("person").reindex(list(persons))
    first, second = _two_groups(known["group"], groups)
    inside = known["group"].astype(str).isin([first, second]).to_numpy() & known["group"].notna().to_numpy()
    kept = known[inside]
    clusters = kept["cluster"]
    if unit == "cluster" and clusters.isna().any():
        raise DataError(
            "not every person has a cluster",
            code="E126",
            column="cluster",
            remedy="use --unit person, or name a cluster column in study.toml",
        )
    words = run.manifest["study"].get("group_labels") or {}
    side = (kept["group"].astype(str) == first).to_numpy()
    found = cell_drivers(
        matrices[inside, states.index(cell[0]), states.index(cell[1])],
        side,
        persons=kept.index.to_numpy(dtype=object),
        unit=clusters.to_numpy(dtype=object) if unit == "cluster" else None,
        unit_name=cluster_nouns(run.manifest) if unit == "cluster" else None,
        cell=cell,
        group_names=(str(words.get(first, first)), str(words.get(second, second))),
        scale="score" if value == "score" else "probability",
        level=level,
    )
    sides = dict(zip(kept.index.tolist(), side.tolist(), strict=True))
    return DriversReport(cell=found, sequences=_sequences(run, cell, sides))


def _two_groups(group: pd.Series, asked: tuple[str, str] | None) -> tuple[str, str]:
    """The labels to compare: those asked for, or the later of two against the earlier."""
    labels = sorted({str(label) for label in group.dropna()})
    if asked is not None:
        if len(set(asked)) != 2 or not set(asked) <= set(labels):
            raise ConfigError(
                "these groups are not two of the run's", code="E302", column="groups", remedy=f"it has {labels}"
            )
        return asked
    if len(labels) != 2:
        raise DataError(
            f"drivers compare two groups; this run has {len(labels)}",
            code="E124",
            column="group",
            remedy="name two of them with --groups A,B"
            if labels
            else "name a group column in study.toml and fit again",
        )
    return labels[1], labels[0]


def _sequences(run: SavedRun, cell: tuple[str, str], sides: dict[Any, bool]) -> SequenceDrivers | None:
    """Sequences of the persons compared, each against the pooled probability of the other group."""
    rows = run.predictions()
    rows = rows[rows["person"].isin(list(sides))].sort_values(["person", "sequence", "row"], kind="stable")
    order = ["person", "sequence", "time", "row"] if rows["time"].notna().all() else ["person", "sequence", "row"]
    rows = rows.sort_values(order, kind="stable")
    on = rows["person"].map(sides).to_numpy(dtype=bool)
    same = (rows["person"].eq(rows["person"].shift(-1)) & rows["sequence"].eq(rows["sequence"].shift(-1))).to_numpy()
    following = rows["truth"].shift(-1)
    leaves = same & (rows["truth"] == cell[0]).to_numpy() & following.notna().to_numpy()
    moves = leaves & (following == cell[1]).to_numpy()
    if not leaves[on].any() or not leaves[~on].any() or not (rows["truth"] == cell[1]).any():
        return None
    pooled = {group: moves[on == group].sum() / leaves[on == group].sum() for group in (True, False)}
    return sequence_drivers(
        rows["truth"].to_numpy(dtype=object),
        person=rows["person"].to_numpy(dtype=object),
        sequence=rows["sequence"].to_numpy(dtype=object),
        cell=cell,
        expected=np.where(on, pooled[False], pooled[True]),
        side=np.where(on, 1, -1),
    )
