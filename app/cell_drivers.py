"""Below the average matrices: who drives one transition, in which sequences, and what leaving one out changes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from analyses.drivers_run import DriversReport, drivers_of_run
from analyses.figures import cell_drivers, sequence_snippets
from analyses.figures.labels import ARROW
from analyses.grouping_factors import cluster_nouns
from analyses.report.gallery_words import READING
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.tables import p_cell
from app import result_files, views
from app.basket import Pinned
from app.inputs import PERSONS, Settings
from app.run_key import run_key
from app.state import OpenRun
from toolkit.runs.kept import Recipe

SNIPPETS_READING = (
    "Each line is one sequence (such as a day) in which the transition occurs more often than the other group leads "
    "to expect; thick lines mark it. Beside each line: how many of the steps out of the first state make it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellQuestion:
    """Which transition, of which groups (the one whose difference is positive first), over which units."""

    cell: tuple[str, str]
    value: str
    pair: tuple[str, str]
    unit: str
    level: float

    def recipe(self) -> Recipe:
        """What the answer is made with."""
        return Recipe(
            command="drivers",
            options={
                "cell": list(self.cell),
                "value": self.value,
                "unit": self.unit,
                "groups": list(self.pair),
                "level": self.level,
            },
        )


def question(settings: Settings, cell: tuple[str, str], value: str, pair: tuple[str, str]) -> CellQuestion:
    """The question that the page asks."""
    unit = "person" if settings.unit == PERSONS else "cluster"
    return CellQuestion(cell=cell, value=value, pair=pair, unit=unit, level=settings.level)


def show(opened: OpenRun, settings: Settings, asked: CellQuestion) -> None:
    """Persons and units behind one cell, then its sequences, table, files and code."""
    st.subheader(views.plain(f"Who drives {asked.cell[0]}{ARROW}{asked.cell[1]}?"), anchor=False)
    found = _found(opened.run, asked, run_key(opened))
    for paragraph in found.text(names=settings.identifiable).split("\n"):
        views.sentence(paragraph)
    pinned = _pinned(asked, found)
    frame = cell_drivers.tidy(found.cell)
    views.chart(cell_drivers.screen(frame, names=settings.identifiable, height=340), pinned.in_words, "drivers")
    views.apa(found.apa(), key="drivers")
    sizes = [int(found.cell.group.sum()), int((~found.cell.group).sum())]
    few = result_files.FEW.format("what describes it") if min(sizes) < SMALLEST_SHOWN else ""
    result_files.below(opened, pinned, can_save=few)
    _sequences(opened, settings, asked, found)
    _left_out(opened, settings, found)
    result_files.code(opened, asked.recipe(), what="who drives this step")


def _pinned(asked: CellQuestion, found: DriversReport) -> Pinned:
    """As it may leave the page: without pseudonyms."""
    whole = found.cell.distribution_frame()[["group", "persons", "mean", "sd", "quartile_1", "median", "quartile_3"]]
    return Pinned(
        name="drivers",
        title=f"Who drives {asked.cell[0]}{ARROW}{asked.cell[1]}",
        text=found.text(names=False).split("\n"),
        apa=[found.apa()],
        figure=(cell_drivers, cell_drivers.tidy(found.cell)),
        saved=whole,
        reading_text=READING["drivers"],
        recipe=asked.recipe(),
    )


@st.cache_data(scope="session", show_spinner=False, max_entries=32)
def _found(_run: object, asked: CellQuestion, key: str) -> DriversReport:
    return drivers_of_run(
        _run,  # pyright: ignore[reportArgumentType]
        asked.cell,
        value=asked.value,
        unit=asked.unit,
        groups=asked.pair,
        level=asked.level,
    )


def _left_out(opened: OpenRun, settings: Settings, found: DriversReport) -> None:
    """The difference without each person or family, most influential first."""
    by_person = found.cell.unit_name == PERSONS
    noun = "person" if by_person else str(opened.cluster_name or "cluster")
    with st.expander(f"The difference without each {views.plain(noun)}", icon=":material/table:"):
        table = found.cell.influence_frame().copy()
        size = 1 if found.cell.scale == "score" else 100
        for name in ("difference", "low", "high", "moved"):
            table[name] = size * table[name]
        table["pvalue"] = [p_cell(float(value)) for value in table["pvalue"]]
        table.insert(0, "position", range(1, len(table) + 1))
        headings = {"position": "No.", "persons": "Persons in it", "difference": "Difference without it",
                    "low": "Interval, from", "high": "to", "pvalue": "p", "moved": "Moves by"}  # fmt: skip
        if settings.identifiable:
            headings = {"position": "No.", "unit": "Pseudonym" if by_person else noun.capitalize()} | headings
        if by_person:
            headings.pop("persons")
        views.table(table, headings, key="influence", height=260)
        nouns = PERSONS if by_person else cluster_nouns(opened.manifest)
        st.caption(
            views.plain(
                f"These p-values show how much one of the {nouns} matters. The test to report is the one on the page "
                "Group test."
            )
        )


def _sequences(opened: OpenRun, settings: Settings, asked: CellQuestion, found: DriversReport) -> None:
    """The sequences that push the difference most, as strips of states."""
    st.markdown("**Sequences that push the difference most**")
    if found.sequences is None:
        st.caption("No observed sequence of these groups holds both states of this step, so there is none to show.")
        return
    frame = _snippet_frame(opened, asked, found)
    if frame.empty:
        st.caption("No observed sequence makes this step more often than the other group leads to expect.")
        return
    alt = sequence_snippets.alt_text(frame)
    views.chart(sequence_snippets.screen(frame, names=settings.identifiable), alt, "snippets")
    left, right = st.columns(2)
    with left:
        views.explanation(text=SNIPPETS_READING)
    with right:
        views.described(alt)


def _snippet_frame(opened: OpenRun, asked: CellQuestion, found: DriversReport) -> pd.DataFrame:
    assert found.sequences is not None
    table = found.sequences.to_frame()
    upwards = found.cell.difference >= 0
    # those that push the difference the way it goes, and in which the step occurs at all
    table = table.assign(way=table["push"] * (1 if upwards else -1))
    table = table[(table["way"] > 0) & (table["moves"] > 0)].sort_values("way", ascending=False, kind="stable")
    labels = opened.persons.set_index("person")["group"]
    groups = [opened.group_of(labels.get(person)) for person in table["person"]]
    return sequence_snippets.tidy(
        opened.predictions, table.assign(group=groups), asked.cell, [str(state) for state in opened.run.states or ()]
    )
