"""What the figures take from a run folder: group names, matrices, units, and errors in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.figures.labels import is_transition
from analyses.grouping_factors import Factor, cluster_nouns, factor_of, levels_of
from analyses.matrices import observed_transitions, transition_matrices
from analyses.report.guard import suppressed_counts
from analyses.shifted_matrices import warn_of_shifts
from toolkit.errors import ConfigError, DataError, RunFolderError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

VALUES = ("probability", "expected", "observed", "score")
NOT_SHOWN = "groups too small to show"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupedMatrices:
    """Persons with a group: pseudonyms, matrices (persons, S, S), group words, resampling unit (None: persons)."""

    persons: list[str]
    matrices: np.ndarray
    group: np.ndarray
    unit: np.ndarray | None
    unit_name: str


def group_words(run: SavedRun) -> Mapping[str, str]:
    """How each group label is written out."""
    return {str(key): str(text) for key, text in (run.manifest["study"].get("group_labels") or {}).items()}


def outcome(run: SavedRun) -> str:
    """Name of what is predicted."""
    return str(run.manifest["study"].get("target") or run.manifest.get("target") or "outcome")


def person_effects(run: SavedRun) -> pd.DataFrame:
    """The table of person effects.

    Raises:
        RunFolderError: E406 for a model without any.
    """
    effects = run.random_effects()
    if effects.empty:
        raise RunFolderError(
            f"{run.model} has no person effects", code="E406", remedy="choose a run of a personalised model"
        )
    return effects


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Effects of one grouping factor as figures draw them.

    Attributes:
        factor: whose effects. effects: their table. levels: one row per level (or person), groups written out.
        components: variance components of the factor. note: which groups lost their name.
    """

    factor: Factor
    effects: pd.DataFrame
    levels: pd.DataFrame
    components: pd.DataFrame
    note: str


def drawn_effects(run: SavedRun, term: str | None, min_group: int) -> Drawn:
    """What a figure of effects needs, of the persons or of the grouping factor ``term``.

    Raises:
        RunFolderError: E406 for a model without any. DataError: E302 for a factor the run does not have.
    """
    person_effects(run)
    factor, components = factor_of(run, term), run.variance_components()
    levels, note = _with_shown_groups(run, levels_of(run, factor), min_group)
    note = note.replace("persons", factor.nouns)
    return Drawn(
        factor=factor,
        effects=run.random_effects(None if factor.is_person else factor.term),
        levels=levels,
        components=components[components["term"] == factor.term].reset_index(drop=True),
        note=note,
    )


def chosen_parameter(run: SavedRun, effects: pd.DataFrame, asked: str | None) -> str:
    """The parameter asked for, or the one of the run in which persons differ most: a transition, else a bias.

    Raises:
        ConfigError: E302 for a parameter the run does not have.
    """
    names = [str(name) for name in dict.fromkeys(effects["parameter"])]
    if asked is not None:
        if asked not in names:
            few = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
            raise ConfigError(
                "this run has no such person effect", code="E302", column="parameter", remedy=f"it has: {few}"
            )
        return asked
    moves = [name for name in names if is_transition(name)]
    biases = [name for name in names if ".bias" in name]
    candidates = moves or biases or names
    components, term = run.variance_components(), effects["term"].iloc[0]
    variance = components[components["term"] == term].set_index("parameter")["variance"].reindex(candidates)
    return candidates[int(np.nan_to_num(variance.to_numpy(dtype=float), nan=-1.0).argmax())]


def chosen_unit(run: SavedRun, asked: str) -> str:
    """``cluster`` or ``person``; ``auto`` takes clusters where everybody has one and some share it.

    Raises:
        ConfigError: E302 for another word.
    """
    if asked not in ("auto", "person", "cluster"):
        raise ConfigError("the unit is 'auto', 'person' or 'cluster'", code="E302", column="unit")
    if asked != "auto":
        return asked
    clusters = run.persons()["cluster"]
    return "cluster" if bool(clusters.notna().all() and clusters.duplicated().any()) else "person"


def all_matrices(run: SavedRun, value: str) -> tuple[list[str], np.ndarray]:
    """All persons and their matrices (persons, S, S); counts become smoothed probabilities.

    Raises:
        RunFolderError: E406 for a model without states. ConfigError: E302 for an unknown value.
    """
    table = run.transitions()
    if value not in VALUES:
        raise ConfigError("this value is not known", code="E302", column="value", remedy=f"use {', '.join(VALUES)}")
    persons, _, matrices = transition_matrices(table, value, states=run.states)
    return list(persons), observed_transitions(matrices) if value == "observed" else matrices


def grouped_matrices(run: SavedRun, value: str, unit: str) -> GroupedMatrices:
    """Matrices of the persons with a group, and what is resampled.

    Raises:
        RunFolderError: E406 for a model without states.
        ConfigError: E302. DataError: E124 for a run without groups, E126 for persons without a cluster.
    """
    persons, matrices = all_matrices(run, value)
    warn_of_shifts(run.manifest, value)
    table = run.persons().set_index("person").reindex(persons)
    known = table["group"].notna().to_numpy()
    if not known.any():
        raise no_groups()
    kind = chosen_unit(run, unit)
    clusters = table["cluster"][known]
    if kind == "cluster" and clusters.isna().any():
        raise DataError(
            "not every person has a cluster", code="E126", column="unit", remedy="use the unit 'person' instead"
        )
    return GroupedMatrices(
        persons=[person for person, there in zip(persons, known, strict=True) if there],
        matrices=matrices[known],
        group=table["group"][known].astype(str).to_numpy(dtype=object),
        unit=clusters.to_numpy(dtype=object) if kind == "cluster" else None,
        unit_name="persons" if kind == "person" else cluster_nouns(run.manifest),
    )


def no_groups() -> DataError:
    """The run has no comparison groups."""
    return DataError(
        "this run has no groups", code="E124", column="group", remedy="name a group column in study.toml and fit again"
    )


def persons_to_show(run: SavedRun, min_group: int) -> tuple[pd.DataFrame, str]:
    """The run's persons with groups that may be shown, written out, and a sentence about those that may not.

    Groups of 1 to ``min_group - 1`` persons, and one more if that would give a single one away, lose their name:
    their persons are drawn together.
    """
    return _with_shown_groups(run, run.persons(), min_group)


def _with_shown_groups(run: SavedRun, persons: pd.DataFrame, min_group: int) -> tuple[pd.DataFrame, str]:
    """`persons_to_show` for a table of persons, or of the levels of another factor."""
    words = group_words(run)
    labels = [None if pd.isna(label) else words.get(str(label), str(label)) for label in persons["group"]]
    sizes = pd.Series(labels, dtype=object).value_counts()
    counts = {str(name): int(size) for name, size in sizes.items()}
    shown = suppressed_counts(counts, smallest=min_group)
    hidden = {name for name, text in shown.items() if text != str(counts[name])}
    known = ["" if label is None else NOT_SHOWN if label in hidden else label for label in labels]
    return persons.assign(group=known), hidden_note(len(hidden), min_group)


def hidden_note(hidden: int, min_group: int) -> str:
    """What is said when groups are drawn without their name."""
    if not hidden:
        return ""
    which = "One group is" if hidden == 1 else f"{hidden} groups are"
    return (
        f"{which} drawn without name: groups of fewer than {min_group} persons, and one that would give a single such "
        "group away, are not shown."
    )


def refuse_small_groups(group: np.ndarray, min_group: int) -> None:
    """Refuse to show what describes a group of few persons, such as its average (E124)."""
    _, counts = np.unique(group.astype(str), return_counts=True)
    if counts.size and counts.min() < min_group:
        raise DataError(
            f"a group has fewer than {min_group} persons, so what describes it is not shown",
            code="E124",
            column="min_group",
            remedy="choose another figure (differences name no group's own values), or lower --min-group to 5 at least",
        )
