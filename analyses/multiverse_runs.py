"""The specification curve of one run or several: every definition of states and every value, of the same persons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.grouping_factors import cluster_nouns
from analyses.matrices import observed_transitions, transition_matrices
from analyses.multiverse import KERNELS, MULTIPLES, Multiverse, specification_curve
from toolkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

VALUES = ("score", "probability", "expected", "observed")


def multiverse_of_runs(  # noqa: PLR0913 - each option is a choice that is varied, or one a report has to name
    runs: Sequence[SavedRun],
    *,
    names: Sequence[str] | None = None,
    values: Sequence[str] = VALUES,
    kernels: Sequence[str] = KERNELS,
    multiples: Sequence[float | int] = MULTIPLES,
    diagonals: Sequence[bool] = (True, False),
    unit: str = "person",
    permutations: int = 999,
    alpha: float = 0.05,
    rng: np.random.Generator,
) -> Multiverse:
    """`specification_curve` of run folders; several runs are several definitions of the states.

    Args:
        runs: finished runs of chains, of the same persons in the same groups.
        names: how the definitions are called; the runs' names by default.
        values: which transitions: "score", "probability", "expected", "observed".
        kernels: of the test.
        multiples: of the median bandwidth.
        diagonals: with and without staying in a state.
        unit: "person", or "cluster" to shuffle whole clusters.
        permutations: at least 99.
        alpha: level of significance.
        rng: source of the permutations.

    Raises:
        DataError: E124 without groups or complete persons, E126 persons without a cluster, E407 runs of other persons
            or groups, and as `specification_curve`. RunFolderError: E406 for a model without states.
        ConfigError: E302 an unknown value or unit, or names that are not one for each run.
    """
    called = [run.name for run in runs] if names is None else list(names)
    if len(called) != len(runs) or len(set(called)) < len(called):
        raise ConfigError("every run needs a name of its own", code="E302", column="names")
    if not values or set(values) - set(VALUES) or unit not in ("person", "cluster"):
        raise ConfigError("this value or unit is not known", code="E302", column="value", remedy=", ".join(VALUES))
    persons, group = _same_persons(runs)
    matrices = {}
    for name, run in zip(called, runs, strict=True):
        for value in values:
            found = _by_person(run, value)
            matrices[name, value] = np.stack([found[person] for person in persons])
    finite = np.all([np.isfinite(found).all(axis=(1, 2)) for found in matrices.values()], axis=0)
    left = int((~finite).sum())
    notes = [f"{left} persons without expected transitions in some state are left out."] if left else []
    inside = [person for person, there in zip(persons, finite, strict=True) if there]
    return specification_curve(
        {key: found[finite] for key, found in matrices.items()},
        group[finite],
        cluster=_clusters(runs[0], inside) if unit == "cluster" else None,
        cluster_name="persons" if unit == "person" else cluster_nouns(runs[0].manifest),
        kernels=kernels,
        multiples=multiples,
        diagonals=diagonals,
        permutations=permutations,
        alpha=alpha,
        rng=rng,
        notes=notes,
    )


def _by_person(run: SavedRun, value: str) -> dict[str, np.ndarray]:
    persons, _, found = transition_matrices(run.transitions(), value, states=run.states)
    return dict(zip(persons, observed_transitions(found) if value == "observed" else found, strict=True))


def _labels(run: SavedRun) -> dict[str, str]:
    """Group of every person with transitions and a group, in the order of the transitions."""
    persons, _, _ = transition_matrices(run.transitions(), "observed", states=run.states)
    group = run.persons().set_index("person")["group"].reindex(list(persons)).dropna()
    return {str(person): str(label) for person, label in group.items()}


def _same_persons(runs: Sequence[SavedRun]) -> tuple[list[str], np.ndarray]:
    known = _labels(runs[0])
    if not known:
        raise DataError("this run has no groups", code="E124", remedy="name a group column in study.toml and fit again")
    if any(_labels(run) != known for run in runs[1:]):
        raise DataError(
            "the runs do not have the same persons in the same groups",
            code="E407",
            remedy="compare state definitions within one study",
        )
    return list(known), np.array(list(known.values()), dtype=object)


def _clusters(run: SavedRun, persons: list[str]) -> np.ndarray:
    clusters = run.persons().set_index("person")["cluster"].reindex(persons)
    if clusters.isna().any():
        raise DataError("not every person has a cluster", code="E126", remedy="shuffle persons instead")
    return clusters.to_numpy(dtype=object)
