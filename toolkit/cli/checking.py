"""``nme check``: everything that is wrong or odd about a study, as a table for people or as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit.cli.answers import Answer
from toolkit.data.findings import Findings
from toolkit.data.study import Study
from toolkit.data.study_checks import StudyCheck, check_study
from toolkit.errors import DataError

MOST_GROUPS = 12  # more, and the column may hold names


def check(path: Path) -> tuple[Answer, DataError | None]:
    """Read a study and say what is in it and what is wrong with it; the first fault, if there is one."""
    try:
        study = Study.read(path)
    except DataError as error:
        findings = Findings()
        findings.add_error(error)
        return _checked(StudyCheck(findings=findings), None), error
    result = check_study(study)
    return _checked(result, study), result.findings.first_error()


def _checked(result: StudyCheck, study: Study | None) -> Answer:
    """Counts, the table of findings, and whether the study can be fitted."""
    faults = len(result.findings.faults)
    verdict = f"{faults} fault(s) to correct before the study can be fitted." if faults else "The study can be fitted."
    groups = {study.group_labels.get(name, name): count for name, count in result.groups.items()} if study else {}
    lines = [*_counts(result, study, groups), findings_table(result.findings), verdict]
    return Answer(
        text="\n".join(line for line in lines if line),
        data={
            "title": study.title if study else None,
            "persons": result.persons,
            "rows": result.rows,
            "groups": groups if len(groups) <= MOST_GROUPS else {},
            "groupings": result.levels,
            "classes": {target: len(labels) for target, labels in result.classes.items()},
            "usable": not faults,
            "findings": [finding.as_data() for finding in result.findings.ordered()],
            "notes": [f"{f.code}: {f.message}" for f in result.findings.ordered() if not f.is_fault],
        },
    )


def _counts(result: StudyCheck, study: Study | None, groups: dict[str, int]) -> list[str]:
    """What is in the study, as sentences."""
    if study is None or not result.persons:
        return []
    per_person = result.rows_per_person
    spread = f"{per_person.min()} to {per_person.max()} a person"
    lines = [
        f"{study.title}: {result.persons} persons, {result.rows} rows ({spread}).",
        f"Targets: {', '.join(study.targets) or 'none'}. Features: {len(study.features)}.",
    ]
    if result.levels:
        levels = ", ".join(f"{name} ({count} levels)" for name, count in result.levels.items())
        lines.append(f"Effects of their own beside the persons: {levels}.")
    if len(groups) > MOST_GROUPS:
        lines.append(f"Groups ({study.group}): {len(groups)} different ones.")
    elif groups:
        lines.append(f"Groups ({study.group}): " + ", ".join(f"{name} {count}" for name, count in groups.items()) + ".")
    for target, labels in result.classes.items():
        # words are shown if the study file names them; others may be anything, names included
        named = target == study.state and study.states
        shown = f"in the order of their codes: {', '.join(labels)}" if named else f"{len(labels)} different ones"
        lines.append(f"Values of {target}: {shown}.")
    return lines


def findings_table(findings: Findings) -> str:
    """Code, column, rows, what was found and what to do, in columns as wide as the terminal allows."""
    if not findings.found:
        return ""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    frame = findings.to_frame()
    for heading in frame.columns:
        table.add_column(heading, overflow="fold", no_wrap=heading == "code")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(str(cell)) for cell in row))  # Text: a column's name is no markup
    console = Console(width=None if sys.stdout.isatty() else 160)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
