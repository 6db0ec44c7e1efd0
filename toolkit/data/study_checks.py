"""Everything that can be said about a study before a model is fitted, column by column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from toolkit.data import columns, oddities
from toolkit.data.checks import require_own_levels, require_several_persons, require_varying_target
from toolkit.data.findings import Findings
from toolkit.data.groupings import Grouping, grouping, person_labels, sequence_codes
from toolkit.data.labels import recode, row_numbers
from toolkit.data.sequences import is_unsorted, refuse_same_time
from toolkit.data.splits import by_person_and_time
from toolkit.data.targets import target_values
from toolkit.errors import DataError, ToolkitWarning

if TYPE_CHECKING:
    from toolkit.data.study import Study


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StudyCheck:
    """The findings, and what there is to count.

    Attributes:
        findings: faults and oddities.
        rows: number of rows.
        rows_per_person: of each person, in the order of the labels.
        groups: label of the comparison group -> number of persons.
        classes: target -> its classes in the order of their codes, for targets that are no numbers.
        levels: further grouping factor -> number of its levels.
    """

    findings: Findings
    rows: int = 0
    rows_per_person: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    groups: dict[str, int] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)

    @property
    def persons(self) -> int:
        """Number of persons."""
        return len(self.rows_per_person)


def check_frame(frame: pd.DataFrame, study: Study) -> StudyCheck:
    """Look at every column with a role, and at what they are together.

    Args:
        frame: the study's table, as :meth:`Study.frame` gives it.
        study: the roles.
    """
    findings = Findings()
    roles = {"target": study.targets, "feature": study.features, "person": study.person, "time": study.time}
    roles |= {"sequence": study.sequence, "group": study.group, "cluster": study.cluster}
    roles |= {"grouping": study.grouping_names}
    if findings.tried(lambda: _table(frame, roles)) is None:
        return StudyCheck(findings=findings, rows=len(frame))
    notices: list[ToolkitWarning] = []
    person = findings.tried(lambda: grouping(frame[study.person], notices))
    features = _features(findings, frame, study)
    targets, classes = _targets(findings, frame, study, notices)
    for name, values in targets.items():
        oddities.add_giveaways(findings, features, values, name, is_classification=name in classes)
    groups: tuple[str | None, ...] = ()
    levels: dict[str, int] = {}
    if person is not None:
        levels = _further(findings, frame, study, person, notices)
        groups = _persons(findings, frame, study, person, notices)
        _together(findings, frame, study, person, features, targets)
    findings.add_notices(notices)
    used = [name for role in roles.values() for name in ([role] if isinstance(role, str) else role or ())]
    oddities.add_repeated_rows(findings, frame, list(dict.fromkeys(used)))
    return StudyCheck(
        findings=findings,
        rows=len(frame),
        rows_per_person=np.zeros(0, dtype=np.int64) if person is None else np.bincount(person.codes),
        groups={name: groups.count(name) for name in sorted({group for group in groups if group is not None})},
        classes=classes,
        levels=levels,
    )


def _table(frame: pd.DataFrame, roles: dict[str, object]) -> bool:
    """The columns are there, each once, with rows below them (E102, E103, E104, E302)."""
    columns.require_unique_names(list(frame.columns))
    columns.require_columns(frame, roles)  # pyright: ignore[reportArgumentType]
    columns.require_rows(frame)
    return True


def _features(findings: Findings, frame: pd.DataFrame, study: Study) -> dict[str, Float[np.ndarray, " rows"]]:
    """The features that are numbers; the others, and empty cells, are findings (E109, E110, E111)."""
    found: dict[str, np.ndarray] = {}
    for name in study.features:
        values = findings.tried(lambda name=name: columns.numeric(frame[name]))
        if values is None:
            continue
        findings.tried(lambda name=name, values=values: columns.refuse_infinite(values, name))
        empty = np.isnan(values)
        if empty.any() and not study.drops_empty:
            findings.add(
                "E111",
                f"{int(empty.sum())} empty cell(s) in feature column '{name}'",
                column=name,
                rows=row_numbers(empty),
                remedy='Choose: drop these rows (empty_cells = "drop" in [data]), or impute (fill in) the cells',
            )
        found[name] = values
    for target in study.targets:
        findings.tried(lambda target=target: columns.require_known_before(target, study.features))
    oddities.add_column_oddities(findings, found)
    return found


def _targets(
    findings: Findings, frame: pd.DataFrame, study: Study, notices: list[ToolkitWarning]
) -> tuple[dict[str, Float[np.ndarray, " rows"]], dict[str, tuple[str, ...]]]:
    """The targets as numbers or class codes, and the classes."""
    found: dict[str, np.ndarray] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for name in study.targets:
        is_state = name == study.state
        outcome = findings.tried(
            lambda name=name, is_state=is_state: target_values(
                frame[name],
                allow_missing=is_state or study.drops_empty or study.keeps_empty_targets,
                as_labels=is_state,
            )
        )
        if outcome is None:
            continue
        values, labels, found_notices = outcome
        notices.extend(found_notices)
        if is_state and study.states and labels is not None:
            findings.tried(
                lambda name=name, values=values, labels=labels: recode(
                    values, labels, study.states, column=name, origin=np.arange(len(values))
                )
            )
            labels = study.states
        if labels is not None:
            classes[name] = labels
        else:
            oddities.add_column_oddities(findings, {name: values} if len(np.unique(values)) > 1 else {})
        findings.tried(
            lambda name=name, values=values, labels=labels: require_varying_target(
                values, name, is_classification=labels is not None
            )
        )
        found[name] = values
    return found, classes


def _persons(
    findings: Findings, frame: pd.DataFrame, study: Study, person: Grouping, notices: list[ToolkitWarning]
) -> tuple[str | None, ...]:
    """What belongs to persons: enough rows, one group and one cluster each; returns the groups."""
    findings.tried(lambda: require_several_persons(np.bincount(person.codes), study.person))
    oddities.add_person_oddities(findings, person.codes, person.levels, study.person)
    groups: tuple[str | None, ...] | None = None
    clusters: tuple[str | None, ...] | None = None
    if study.group is not None:
        groups = findings.tried(lambda: person_labels(frame[study.group], person, "group", notices))
    if study.cluster is not None:
        clusters = findings.tried(lambda: person_labels(frame[study.cluster], person, "cluster", notices))
    if groups is not None and study.group is not None:
        unknown = (None,) * len(groups)
        oddities.add_group_oddities(findings, groups, clusters or unknown, study.group)
    return groups or ()


def _further(
    findings: Findings, frame: pd.DataFrame, study: Study, person: Grouping, notices: list[ToolkitWarning]
) -> dict[str, int]:
    """Levels of every further grouping factor that can have effects of its own (E112, E138)."""
    known, found = [person], {}
    for name in study.grouping_names:
        factor = findings.tried(lambda name=name: grouping(frame[name], notices, kind=name))
        if factor is None:
            continue
        findings.tried(lambda factor=factor: require_own_levels(factor, known))
        known.append(factor)
        found[name] = len(factor.levels)
    return found


def _together(
    findings: Findings,
    frame: pd.DataFrame,
    study: Study,
    person: Grouping,
    features: dict[str, Float[np.ndarray, " rows"]],
    targets: dict[str, Float[np.ndarray, " rows"]],
) -> None:
    """What columns say together: order in time, sequences, change within persons, the training rows."""
    time: np.ndarray | None = None
    if study.time is not None:
        time = findings.tried(lambda: columns.time_seconds(frame[study.time]))
    if study.sequence is not None:
        findings.tried(lambda: sequence_codes(frame[study.sequence]))
    if time is not None:
        if study.state is not None:
            findings.tried(lambda: refuse_same_time(person.codes, time, np.arange(len(frame))))
        if is_unsorted(person.codes, time):
            findings.add("W203", "rows do not stand in the order of time within each person; they are put into it")
    for name, values in targets.items():
        oddities.add_target_oddities(findings, values, person.codes, name)
    training = by_person_and_time(person.codes, time) == "train"
    oddities.add_training_oddities(findings, features, training)


def check_study(study: Study) -> StudyCheck:
    """Read a study and check it; a file that cannot be read is one finding."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ToolkitWarning)
        try:
            frame = study.frame()
        except DataError as error:
            findings = Findings()
            findings.add_error(error)
            return StudyCheck(findings=findings)
        result = check_frame(frame, study)
    result.findings.add_notices(entry.message for entry in caught if isinstance(entry.message, ToolkitWarning))
    return result
