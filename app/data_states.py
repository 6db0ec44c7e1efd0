"""The Data page on states: how often each occurs by group, with the test, and how often a state stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from analyses.base_rates import BaseRateResult, base_rate_test
from analyses.figures import base_rates, state_shares
from analyses.report.guard import SMALLEST_SHOWN, small_groups
from analyses.self_transitions import self_transitions
from app import jobs, result_files, views
from app.basket import Pinned
from app.data_over_time import SMALL
from app.inputs import PERSONS, Settings
from app.state import OpenRun
from app.study_rows import StudyRows
from toolkit.errors import DataError
from toolkit.runs.kept import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERMUTATIONS = 9_999
REPEATS_READING = (
    "A state that is never followed by itself was written down when it began, not at every prompt. The diagonal of "
    "every transition matrix is then empty by design, and should be forbidden in the model; a state that often stays "
    "is what the diagonal describes."
)


def rates(opened: OpenRun | None, rows: StudyRows, settings: Settings) -> None:
    """Base rates by group with the test; over everybody where there are no groups to compare."""
    sizes = rows.group_sizes
    if len(sizes) < 2:
        unchosen = rows.group_name is not None and not settings.by_group
        why = "No group variable is chosen" if unchosen else "This study has no groups to compare"
        if len(sizes) == 1:
            why = "This study has one group only"
        st.info(f"{why}: the shares of all persons together are shown, without a test.")
        _shares(opened, rows)
        return
    try:
        result = _tested(rows, settings)
    except DataError as problem:
        st.info(views.plain(f"The groups cannot be compared: {views.spoken(problem)}"))
        _shares(opened, rows)
        return
    if result is None:
        return
    small = bool(small_groups(sizes))
    frame = base_rates.tidy(result.to_frame().assign(group=lambda f: f["group"].astype(str)))
    table = frame.assign(percent=100 * frame["share"])
    pinned = Pinned(
        name="base-rates",
        title="How often the states occur, by group",
        text=[result.text()],
        apa=[result.apa()],
        figure=(base_rates, frame),
        table=table,
        headings={"state": "State", "group": "Group", "count": rows.unit.capitalize(), "percent": "Percent"},
        saved=None if small else table[["state", "group", "count", "percent"]],
        reading=("base_rates",),
        recipe=_recipe(opened, rows, result),
    )
    views.result(opened, pinned, digits=1, height=90 + 46 * len(result.states), can_save=SMALL if small else "")
    for note in result.notes:
        st.caption(views.plain(note))
    if opened is not None and pinned.recipe is not None:
        result_files.code(opened, pinned.recipe)
    with st.expander("Over the days and over the prompts of a day", icon=":material/stacked_bar_chart:"):
        _shares(opened, rows)


def _recipe(opened: OpenRun | None, rows: StudyRows, result: BaseRateResult) -> Recipe | None:
    """What the test was made with, where the run holds exactly the rows it was made from."""
    if opened is None or not opened.has_states or len(rows.persons) != len(opened.persons):
        return None
    if int(rows.rows["answered"].sum()) != int(opened.predictions["truth"].notna().sum()):
        return None
    unit = "person" if result.unit_name == "persons" else "cluster"
    if unit == "cluster" and opened.persons["cluster"].isna().any():
        return None
    options = {"unit": unit, "unit_name": result.unit_name, "seed": 1, "split": None,
               "permutations": result.permutations, "level": result.level}  # fmt: skip
    return Recipe(command="base-rates", options=options)


def _tested(rows: StudyRows, settings: Settings) -> BaseRateResult | None:
    """The test; computed beside the page where it takes long."""
    persons = rows.persons.set_index("person")
    known = rows.rows[rows.rows["person"].map(persons["group"]) != ""]
    group = known["person"].map(persons["group"]).to_numpy(dtype=object)
    person = known["person"].to_numpy(dtype=object)
    unit = _units(rows, known, settings)
    truth = known["truth"].to_numpy(dtype=object)
    named = None if unit is None else views.sentences.plural(settings.unit)
    key = ("base rates", rows.title, tuple(rows.persons["person"]), tuple(rows.persons["group"]), settings.unit,
           settings.level, len(known))  # fmt: skip
    return jobs.job(
        key,
        lambda: base_rate_test(
            truth, group, person=person, unit=unit, permutations=PERMUTATIONS, level=settings.level,
            rng=np.random.default_rng(1), states_order=rows.states, unit_name=named,
        ),
        label="Shuffling group labels",
    )  # fmt: skip


def _units(rows: StudyRows, known: pd.DataFrame, settings: Settings) -> NDArray[np.object_] | None:
    """The family of every row; None where persons are the unit."""
    if rows.cluster_name is None or settings.unit == PERSONS or "cluster" not in rows.persons:
        return None
    clusters = known["person"].map(rows.persons.set_index("person")["cluster"])
    # a person outside every family is a family of one
    return clusters.astype(object).where(clusters.notna(), "person " + known["person"].astype(str)).to_numpy()


def _shares(opened: OpenRun | None, rows: StudyRows) -> None:
    """Shares of states over days and prompts; times at which few persons answered are left out."""
    if not rows.rows["answered"].any():
        st.info("Nobody has an answer here.")
        return
    frame = state_shares.tidy(rows.rows, rows.persons, rows.states, fewest=SMALLEST_SHOWN)
    if frame.empty:
        st.caption("At no time did 11 persons of a group answer, so shares over time are not shown.")
        return
    common = frame.groupby("state", sort=False)["share"].mean().sort_values(ascending=False)
    pinned = Pinned(
        name="state-shares",
        title="How often states occur over days and prompts",
        text=[f"Most frequent over time: {common.index[0]}."],
        figure=(state_shares, frame),
        reading_text="Each bar is one day, or one prompt of the day; its parts are the shares of the states. Bars that "
        "change from left to right: the states become more or less frequent in the course of the study or of the day.",
    )
    views.result(opened, pinned, can_save=SMALL if small_groups(rows.group_sizes) else "")


def repeats(opened: OpenRun | None, rows: StudyRows) -> None:
    """How often a state is followed by itself."""
    table = rows.rows
    found = self_transitions(table["truth"], table["person"], table["sequence"], states=rows.states)
    frame = found.to_frame().assign(percent=lambda f: 100 * f["share"])
    if found.onset_coded:
        st.warning("No state ever follows itself. Forbid the diagonal when you fit a model of states.")
    pinned = Pinned(
        name="self-transitions",
        title="How often a state is followed by itself",
        text=[found.text()],
        table=frame,
        headings={"state": "State", "left": "Steps out of it", "stayed": "Into itself", "percent": "Percent"},
        saved=frame[["state", "left", "stayed", "percent"]] if len(rows.persons) >= SMALLEST_SHOWN else None,
        reading_text=REPEATS_READING,
    )
    views.result(opened, pinned, digits=1)
