"""The person a page is about, and what the run holds of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from analyses.report.document import Report, Section
from app import report_tables, views
from app.inputs import Settings
from app.state import OpenRun

TICK = "Save this person’s figure or table. I know that these files are identifiable."
AVERAGE = "the average person"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """One person of an open run.

    Attributes:
        opened: the run. settings: of the sidebar. name: the pseudonym.
    """

    opened: OpenRun
    settings: Settings
    name: str

    @property
    def row(self) -> Any:
        """The person's line of the persons table."""
        table = self.opened.persons
        return table[table["person"] == self.name].iloc[0]

    @property
    def place(self) -> int:
        """Where the person stands in the list: a tick given for one person must not count for the next."""
        return [str(name) for name in self.opened.persons["person"]].index(self.name)

    @property
    def effects(self) -> pd.DataFrame:
        """The person's effects, intervals at the level of the sidebar."""
        table = self.opened.effects
        return views.with_level(table[table["level"] == self.name], self.settings.level)

    @property
    def varying(self) -> pd.DataFrame:
        """Effects of the parameters in which persons differ at all; the others say nothing about this person."""
        components = self.opened.components
        fixed = components.loc[components["at_boundary"].astype(bool), "parameter"]
        effects = self.effects
        return effects[~effects["parameter"].isin(set(fixed))]

    def members(self, choice: str) -> list[str] | None:
        """Pseudonyms of the group a person is compared with; None for everybody."""
        labels = {self.group_choice(label): label for label in self.groups}
        if choice not in labels:
            return None
        table = self.opened.persons
        return [str(name) for name in table.loc[table["group"].astype("string") == labels[choice], "person"]]

    @property
    def groups(self) -> list[str]:
        """Labels of the groups, where persons are told apart by them."""
        if not self.settings.by_group:
            return []
        return sorted(str(label) for label in self.opened.persons["group"].dropna().unique())

    def group_choice(self, label: str) -> str:
        """How a group is called where a person is compared with it."""
        return f"the mean of {self.opened.group_of(label)}"


def compared_with(person: Person, key: str) -> str:
    """Whom the person is compared with: the average person, or the mean of a group."""
    choices = [AVERAGE, *(person.group_choice(label) for label in person.groups)]
    if len(choices) == 1:
        return AVERAGE
    chosen = st.selectbox("Compare with", choices, key=key)
    return str(chosen) if chosen in choices else AVERAGE


def save(person: Person, name: str, figure: tuple[Any, pd.DataFrame] | None, table: pd.DataFrame, text: str) -> None:
    """The files of one person, behind a tick that holds for this person and this figure alone."""
    if st.checkbox(TICK, key=f"person tick {person.place} {name}"):
        views.downloads(f"{name}-identifiable", figure=figure, frame=table, text=text)


def document(person: Person, sections: list[Section]) -> Report:
    """A page about one person."""
    return Report(
        title=f"One person: {person.name}",
        subtitle="IDENTIFIABLE: about a single person. Keep it as you keep the raw data.",
        blocks=sections,
    )


def offer_document(person: Person, make: Any) -> None:
    """Everything about this person on one page, behind a tick of its own."""
    tick = "Save one page about this person. I know that this file is identifiable."
    if st.checkbox(tick, key=f"person page tick {person.place}"):
        report_tables.document_files(
            lambda: document(person, make()), "one-person-identifiable-page", "Save the page",
            "Marked identifiable in its heading.",
        )  # fmt: skip
