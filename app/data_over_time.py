"""The Data page over time: who answered on which day, how high the outcome was, which states followed each other."""

from __future__ import annotations

import streamlit as st

from analyses import wording
from analyses.figures import answer_strip, sequence_index
from analyses.report.guard import small_groups
from app import views
from app.basket import Pinned
from app.state import OpenRun
from app.study_rows import StudyRows

MOST_LINES = 300  # persons of one strip
MOST_SEQUENCES = 100  # persons of one sequence plot: more cannot be told apart on a screen
SMALL = "A group has 10 persons or fewer, so figures by group cannot be saved. Choose “no grouping” in the sidebar."
STRIP_READING = (
    "Each line is one person, each column a day of their record. The darker, the more was answered; white: nothing. "
    "Persons with most answers stand on top. White at the right: somebody stopped early. White columns: a day on which "
    "something went wrong for everybody."
)
LEVEL_READING = (
    "Each line is one person, each column a day of their record; the colour is the mean of that day. Lines of one "
    "colour: persons differ in their usual level. Lines that change: the level moves from day to day."
)
INDEX_READING = (
    "Each line is one person from the first to the last prompt; each colour a state. Persons with much of the most "
    "frequent state stand together at the end. Long stretches of one colour: the state lasts; quick changes: it does "
    "not. Gaps: nothing was answered."
)


def answers(opened: OpenRun | None, rows: StudyRows) -> None:
    """Answered rows of every person and day."""
    shown = _one_page(rows, MOST_LINES)
    frame = answer_strip.tidy(shown.rows, shown.persons, unit=rows.unit)
    if frame.empty:
        st.info("Nobody has an answer here.")
        return
    counts = rows.persons["answered"]
    said = (
        f"{wording.thousands(int(counts.sum()))} {rows.unit} were answered by {wording.thousands(len(counts))} "
        f"persons: median {wording.number(float(counts.median()), 0)} for each, from {int(counts.min())} to "
        f"{int(counts.max())}."
    )
    pinned = Pinned(
        name="answers-over-time", title="Answers of every person by day", text=[said], figure=(answer_strip, frame),
        reading_text=STRIP_READING,
    )  # fmt: skip
    views.result(opened, pinned, height=_height(shown), can_save=_can_save(rows))


def levels(opened: OpenRun | None, rows: StudyRows) -> None:
    """Mean outcome of every person and day."""
    shown = _one_page(rows, MOST_LINES)
    name = str(rows.number or rows.outcome)
    levelled = shown.rows.assign(truth=shown.rows["level"], answered=shown.rows["level"].notna())
    frame = answer_strip.tidy(levelled, shown.persons, value="level", outcome=name, unit=rows.unit)
    if frame.empty:
        st.info("Nobody has an answer here.")
        return
    means = rows.rows.groupby("person")["level"].mean()
    within = rows.rows.groupby("person")["level"].std()
    said = (
        f"Persons’ means of {name} lie between {wording.number(float(means.min()), 1)} and "
        f"{wording.number(float(means.max()), 1)} (standard deviation {wording.number(float(means.std()), 1)}); within "
        f"a person, answers spread by {wording.number(float(within.mean()), 1)} on average."
    )
    pinned = Pinned(
        name="outcome-over-time", title="Mean outcome of every person by day", text=[said],
        figure=(answer_strip, frame), reading_text=LEVEL_READING,
    )  # fmt: skip
    views.result(opened, pinned, height=_height(shown), can_save=_can_save(rows))


def states(opened: OpenRun | None, rows: StudyRows) -> None:
    """The states of every person over time: the sequence index plot."""
    shown = _one_page(rows, MOST_SEQUENCES)
    if not shown.rows["answered"].any():
        st.info("Nobody has an answer here.")
        return
    frame = sequence_index.tidy(shown.rows, shown.persons, rows.states, most=MOST_SEQUENCES)
    common = rows.rows["truth"].value_counts(normalize=True)
    said = (
        f"The most frequent state is {common.index[0]}, at {100 * float(common.iloc[0]):.0f} % of the answered "
        f"{rows.unit}."
    )
    pinned = Pinned(
        name="states-over-time", title="States of every person over time", text=[said], figure=(sequence_index, frame),
        reading_text=INDEX_READING,
    )  # fmt: skip
    views.result(opened, pinned, height=_height(shown), can_save=_can_save(rows))


def _height(rows: StudyRows) -> int:
    """As much as fits above the fold for a usual study, more for many persons."""
    return int(min(max(150 + 3.3 * len(rows.persons), 240), 560))


def _can_save(rows: StudyRows) -> str:
    return SMALL if small_groups(rows.group_sizes) else ""


def _one_page(rows: StudyRows, most: int) -> StudyRows:
    """The persons that are drawn; with many, a page of them, as many of each group as its part of all."""
    count = len(rows.persons)
    if count <= most:
        return rows
    pages = -(-count // most)
    page = st.selectbox(
        "Persons drawn",
        list(range(pages)),
        format_func=lambda place: f"Part {place + 1} of {pages}: {min(most, count - place * most)} persons",
        help="So many persons cannot be told apart in one figure. Each part holds persons of every group.",
        key=f"data part {pages}",
    )
    # every group keeps its share in each part: the order is by group, so persons are dealt out like cards
    part = rows.persons.iloc[int(page) :: pages]
    return rows.of_persons([str(name) for name in part["person"]])
