"""``nme init`` and ``nme import``: what was found out is shown, and taken when somebody says yes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from toolkit.cli.answers import Answer
from toolkit.cli.keeping import busy
from toolkit.data.columns import require_columns
from toolkit.data.dates import date_order, looks_like_dates
from toolkit.data.import_source import ImportSource
from toolkit.data.importing import ImportChoices, ImportedStudy, import_study
from toolkit.data.readers import ReadOptions, read_table
from toolkit.data.reshaping import columns_between, wide_to_long, with_partner_columns, with_person_table
from toolkit.data.roles import NONE, SEVERAL, Proposal, propose_roles, with_changes
from toolkit.errors import ConfigError, DataError

QUESTIONS = {
    "person": "Whose row is it",
    "cluster": "Family or site of a person",
    "group": "Groups to compare",
    "time": "Order of a person's rows",
    "sequence": "Day or session",
    "state": "States",
    "targets": "To predict (several with commas)",
    "features": "To predict from (several with commas)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the options say; see the commands."""

    roles: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    wide: tuple[str, ...] = ()
    join: Path | None = None
    partner: tuple[str, ...] = ()
    title: str | None = None
    unit: str = "row"
    keep: tuple[str, ...] = ()
    key: Path | None = None
    day_first: bool | None = None
    drop_empty: bool = False
    planned_per_day: int | None = None
    planned_days: int | None = None
    overwrite: bool = False

    def said(self) -> dict[str, Any]:
        """The roles that were named."""
        return {role: value for role, value in self.roles.items() if value}

    def choices(self, day_first: bool | None) -> ImportChoices:
        """What the import needs besides the roles."""
        return ImportChoices(
            title=self.title,
            unit=self.unit,
            keep=self.keep,
            day_first=day_first,
            key_path=self.key,
            drop_empty=self.drop_empty,
            planned_per_day=self.planned_per_day,
            planned_days=self.planned_days,
            overwrite=self.overwrite,
        )


def run_import(file: Path, out: Path, wishes: Wishes, *, yes: bool, as_json: bool) -> Answer:
    """Import a file, after what was found out was confirmed: by --yes, by options, or at the terminal."""
    with busy("Reading the file", quiet=as_json):
        source, proposal = _looked_at(file, wishes)
    open_questions = _open_questions(source, proposal, wishes)
    if open_questions and not yes:
        if as_json or not sys.stdin.isatty():
            raise ConfigError(
                f"found out and not confirmed: {'; '.join(open_questions)}",
                code="E131",
                column="--yes",
                remedy="Say --yes if this is right, or name what is not with the options of 'nme import --help'",
            )
        typer.echo(preview(source, proposal))
        if not typer.confirm("Is this right?", default=True):
            proposal = asked_roles(source, proposal)
    with busy("Writing the study", quiet=as_json):
        return _imported(source, proposal, out, wishes)


def run_init(file: Path, out: Path, wishes: Wishes) -> Answer:
    """Import a file, asking for each role."""
    with busy("Reading the file"):
        source, proposal = _looked_at(file, wishes)
    typer.echo(preview(source, proposal))
    typer.echo("Enter takes what is in brackets; '-' means none.")
    proposal = asked_roles(source, proposal)
    with busy("Writing the study"):
        return _imported(source, proposal, out, wishes)


def preview(source: ImportSource, proposal: Proposal) -> str:
    """The form of the file and the proposed roles; names and counts, no cell."""
    table = proposal.table()
    width = max(len(role) for role in table["role"])
    lines = [f"Read as {source.format.words()}: {source.rows} rows, {len(source.columns)} columns.", ""]
    for role, columns, reason in table.itertuples(index=False):
        shown = columns if len(columns) <= 70 else f"{columns[:70]} ..."
        lines.append(f"{role:<{width}}  {shown}" + (f"   ({reason})" if reason and shown != NONE else ""))
    return "\n".join(lines)


def asked_roles(source: ImportSource, proposal: Proposal) -> Proposal:
    """The roles as somebody at the terminal wants them; a column that is not there is asked for again."""
    for role, question in QUESTIONS.items():
        value = getattr(proposal.roles, role)
        default = (", ".join(value) if isinstance(value, tuple) else value) or NONE
        while True:
            answer = str(typer.prompt(question, default=default)).strip()
            names = [] if answer == NONE else [answer]
            if role in SEVERAL and answer not in (NONE, *source.columns):
                names = list(value) if answer == default else [name.strip() for name in answer.split(",")]
            try:
                require_columns(source.sample, {role: names})
            except DataError as error:
                typer.echo(error.sentence)
                continue
            break
        proposal = with_changes(proposal, role, names) if answer != default else proposal
    return proposal


def _looked_at(file: Path, wishes: Wishes) -> tuple[ImportSource, Proposal]:
    """The checked file in its final shape, and the roles that were named or found."""
    options = ReadOptions(**{name: value for name, value in wishes.reading.items() if value is not None})
    source = _reshaped(ImportSource.open(file, options), wishes)
    proposal = propose_roles(source.sample, said=wishes.said())
    state = proposal.roles.state
    if state is not None and state in source.value_labels and state not in options.value_labels:
        # states have names: those the file gives to their codes
        options = replace(options, value_labels=(*options.value_labels, state))
        source = _reshaped(ImportSource.open(file, options), wishes)
    return source, proposal


def _reshaped(source: ImportSource, wishes: Wishes) -> ImportSource:
    """Wide columns stacked, the table of persons joined, partners' columns added; these need the whole table."""
    if wishes.wide:
        measures = dict(_wide_columns(source.sample, words) for words in wishes.wide)
        source = source.with_frame(wide_to_long(source.whole(), measures))
    if wishes.join is not None:
        frame, person = source.whole(), wishes.roles.get("person")
        persons = read_table(wishes.join, text_columns=[person] if person else ())
        on = person or next((name for name in persons.columns if name in frame.columns), str(persons.columns[0]))
        source = source.with_frame(with_person_table(frame, persons, on=str(on)))
    if wishes.partner:
        roles = {role: wishes.roles.get(role) for role in ("cluster", "person", "time")}
        if not all(roles.values()):
            raise ConfigError("partners' columns need --cluster, --person and --time", code="E302", column="--partner")
        occasion = [name for name in (wishes.roles.get("sequence"), roles["time"]) if name and name != NONE]
        frame = with_partner_columns(
            source.whole(), wishes.partner, dyad=str(roles["cluster"]), person=str(roles["person"]), occasion=occasion
        )
        source = source.with_frame(frame)
    return source


def _wide_columns(frame: pd.DataFrame, words: str) -> tuple[str, list[str]]:
    """``NAME=FIRST:LAST`` as the new column's name and the columns it is made of."""
    name, mark, ends = words.partition("=")
    first, colon, last = ends.partition(":")
    if not (name and mark and colon):
        raise ConfigError(
            "wide columns are written NAME=FIRST:LAST",
            code="E302",
            column="--wide",
            remedy="Such as mood=mood_1:mood_7",
        )
    return name, columns_between(frame, first, last)


def _open_questions(source: ImportSource, proposal: Proposal, wishes: Wishes) -> list[str]:
    """What was found out and nobody has said: the form of the file, and roles."""
    found = [f"the file is {source.format.words()}"] if source.format.assumed else []
    said = wishes.said()
    for role, columns, _ in proposal.table().itertuples(index=False):
        if role not in said and columns != NONE and role != "features":
            found.append(f"{role} is '{columns}'")
    return found


def _day_first(source: ImportSource, proposal: Proposal, wishes: Wishes) -> bool | None:
    """The order of day and month, said or proved by the cells; asked for otherwise.

    Raises:
        DataError: E114 if the time column holds dates that can be read in two ways.
    """
    time = proposal.roles.time
    if time is None:
        return None
    series: pd.Series = source.sample[time]
    if not (pd.api.types.is_string_dtype(series.dtype) and looks_like_dates(series)):
        return None
    order = date_order(series) if wishes.day_first is None else wishes.day_first
    if order is None:
        raise DataError(
            f"dates in column '{time}' can be read in two ways",
            code="E114",
            column=time,
            remedy="Say whether the day or the month comes first: --day-first or --month-first",
        )
    return order


def _imported(source: ImportSource, proposal: Proposal, out: Path, wishes: Wishes) -> Answer:
    """Write the study and say what was done."""
    confirmed = tuple(notice for notice in source.notices if notice.code != "W220")  # the form was shown, and taken
    source = replace(source, format=source.format.confirmed(), notices=confirmed)
    made = import_study(source, proposal, out, choices=wishes.choices(_day_first(source, proposal, wishes)))
    return Answer(text="\n".join(_sentences(source, made)), data=_summary(source, proposal, made))


def _sentences(source: ImportSource, made: ImportedStudy) -> list[str]:
    clusters = f" in {made.clusters} clusters" if made.clusters else ""
    lines = [
        f"Read as {source.format.words()}.",
        f"Imported {made.rows} rows of {made.persons} persons{clusters}, {len(made.kept)} columns.",
        f"Study: {made.study_file} (open it: every role has its reason beside it)",
        f"Who is who: {made.key_path} (readable by you alone; do not pass it on)",
    ]
    if made.left_out:
        lines.append(f"Left out, because text and ids can hold names: {len(made.left_out)} column(s).")
    lines += [str(notice) for notice in made.notices]
    return [*lines, f"Next: nme check {made.study_file}"]


def _summary(source: ImportSource, proposal: Proposal, made: ImportedStudy) -> dict[str, Any]:
    return {
        "study": str(made.study_file),
        "key": str(made.key_path),
        "format": source.format.words(),
        "rows": made.rows,
        "persons": made.persons,
        "clusters": made.clusters,
        "columns": list(made.kept),
        "left_out": list(made.left_out),
        "roles": {role: columns for role, columns, _ in proposal.table().itertuples(index=False) if columns != NONE},
        "notes": [str(notice) for notice in made.notices],
    }
