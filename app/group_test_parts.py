"""The results of a group test, from whole to part: one test, its size, each transition, the groups' averages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures import effect_forest, group_matrices, interval_matrix, null_distribution
from analyses.figures.interval_matrix import CLEAR
from analyses.figures.labels import listed
from analyses.report import sentences
from analyses.report.gallery_words import READING
from analyses.report.group_sections import difference_table
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.standard_tables.differences import MOST_STATES, difference_list, difference_matrix
from analyses.report.standard_tables.group_tests import VALUE_WORDS, hsic_table
from analyses.report.tables import ReportTable, p_cell
from analyses.shifted_matrices import shift_warning
from app import inputs, result_files, views
from app.basket import Pinned
from app.group_comparison import GroupTest
from app.group_test_form import TestSettings, units
from app.state import OpenRun

FEW_PERSONS = 20
MATRIX, FOREST = "Matrix", "Forest plot"
EFFECT_READING = (
    "Normalised HSIC and the energy coefficient say how much of the differences between persons goes with the group: "
    "0 is nothing, 1 the most there can be. The test above says whether there is a difference; this says how large it "
    "is. Below about .1 the groups overlap almost entirely."
)
HOW_CLEAR = {
    "simultaneous": "their intervals for all transitions together leave out zero",
    "fdr": "their p, corrected so that at most 5 % of the findings are false ones, is below .05",
    "raw": "their own intervals leave out zero, without correction: some will do so by chance",
}


def overall(opened: OpenRun, tested: TestSettings, result: GroupTest) -> None:
    """One test for all transitions, with its null distribution."""
    st.subheader("All transitions together", anchor=False)
    subject, features = inputs.SUBJECTS[tested.value], "transitions"
    frame = null_distribution.tidy(result.hsic)
    summary = result.hsic.summary() | ({} if result.effect is None else {"effect": result.effect.summary()})
    pinned = Pinned(
        name="hsic", title="Group test, all transitions together",
        text=[result.hsic.text(subject=subject, features=features), *_beside(tested, result)],
        apa=[result.hsic.apa(subject=subject, features=features)],
        figure=(null_distribution, frame), saved=frame[["left", "right", "count", "beyond"]],
        reading=["null_distribution"], recipe=tested.recipe(opened),
    )  # fmt: skip
    left, right = st.columns([1, 1.25], gap="medium")
    with right:
        views.chart(null_distribution.screen(frame, height=250), pinned.in_words, "null")
    with left:
        for text in pinned.text:
            views.sentence(text)
        for note in _cautions(result):
            st.caption(views.plain(note))
    views.apa(*pinned.apa, key="hsic")
    made = hsic_table({VALUE_WORDS[tested.value]: summary}, smallest=SMALLEST_SHOWN)
    result_files.below(opened, pinned, tables={"hsic": made})


def _beside(tested: TestSettings, result: GroupTest) -> list[str]:
    """What ignoring families would give, and what was shuffled where the group varies inside them."""
    said = []
    if result.within:
        said.append(
            f"The group varies inside {sentences.plural(tested.unit)}, so labels were shuffled inside them only."
        )
    if result.naive_p is not None and not result.within:
        said.append(
            f"Shuffling single persons instead of whole {sentences.plural(tested.unit)} would give "
            f"{wording.p_text(result.naive_p)}; that treats relatives as strangers and is shown for comparison only."
        )
    return said


def _cautions(result: GroupTest) -> list[str]:
    notes = [*result.hsic.notes]
    every = [*notes, *result.differences.notes]
    if result.smallest < FEW_PERSONS and not any("few" in note.lower() for note in every):
        notes.append(
            f"The smaller group has {result.smallest} persons; with so few, only large differences can be found."
        )
    return list(dict.fromkeys(notes))


def shared_effects(opened: OpenRun, tested: TestSettings) -> None:
    """That a person's modelled transitions hold what persons share with a family."""
    shifted = shift_warning(opened.manifest, tested.value)
    if shifted is not None:
        st.warning(views.plain(f"{shifted[0].upper()}{shifted[1:]}."))
    if tested.value == "observed" or len(opened.factors) < 2:
        return
    named = listed([factor.nouns for factor in opened.factors[1:]])
    st.caption(views.plain(f"The modelled transitions of a person hold the effects of {named} as well."))


def size(opened: OpenRun, tested: TestSettings, result: GroupTest) -> None:
    """Effect sizes with intervals."""
    st.subheader("How large is the difference?", anchor=False)
    if result.effect is None:
        st.caption(
            views.plain(f"There are too few {units(tested.unit)} in a group to say how large the difference is.")
        )
        return
    pinned = Pinned(
        name="effect-size", title="Group test, effect sizes", text=[result.effect.text()], apa=[result.effect.apa()],
        saved=result.effect.to_frame(), reading_text=EFFECT_READING, recipe=tested.recipe(opened),
    )  # fmt: skip
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        views.sentence(pinned.text[0])
    with right:
        level = wording.percent(result.effect.level)
        headings = {"measure": "Effect size", "estimate": "Value", "low": f"{level} interval, from", "high": "to"}
        views.table(result.effect.to_frame(), headings, key="effect sizes", digits=3)
    views.apa(*pinned.apa, key="effect")
    result_files.below(opened, pinned, can_save=_few(result, "its size"))


def single(opened: OpenRun, tested: TestSettings, result: GroupTest, correction: str) -> None:
    """Each transition with its intervals, as a matrix or as a forest plot."""
    comparison = result.differences
    st.subheader("Each transition on its own", anchor=False)
    many = len(comparison.states) > interval_matrix.MOST_FORESTS
    left, right = st.columns([2.4, 1], vertical_alignment="center")
    left.markdown(
        views.plain(f"Differences are {' minus '.join(comparison.group_names)}. Yellow marks those that are clear.")
    )
    drawn = right.segmented_control(
        "View", [MATRIX, FOREST], default=FOREST if many else MATRIX, required=True, label_visibility="collapsed",
        key="difference view",
    )  # fmt: skip
    module = effect_forest if drawn == FOREST else interval_matrix
    frame = module.tidy(comparison, correction=correction)
    pinned = Pinned(
        name="differences", title="Group test, each transition",
        text=[_found(frame, correction, comparison.level), comparison.text()], apa=[comparison.apa()],
        figure=(module, frame), saved=comparison.to_frame(),
        reading_text=READING["forest" if drawn == FOREST else "differences"], recipe=tested.recipe(opened),
    )  # fmt: skip
    for text in pinned.text:
        views.sentence(text)
    views.chart(module.screen(frame), pinned.in_words, "intervals")
    for note in comparison.notes:
        st.caption(views.plain(note))
    views.apa(*pinned.apa, key="differences")
    few = _few(result, "its differences")
    result_files.below(opened, pinned, can_save=few, tables=_tables(result, correction))
    _table(tested, result)


def _found(frame: pd.DataFrame, correction: str, level: float) -> str:
    """Which transitions count as different under the correction that was chosen."""
    mine = frame[frame["verdict"] == CLEAR]
    how = HOW_CLEAR[correction].replace(".05", wording.bounded(1 - level)).replace("5 %", f"{100 * (1 - level):.0f} %")
    if mine.empty:
        return f"No transition differs clearly: of none can it be said that {how}."
    steps = [f"{row.from_state} to {row.to_state}" for row in mine.head(6).itertuples()]
    more = f" and {len(mine) - 6} more" if len(mine) > 6 else ""
    return f"Clearly different: {listed(steps)}{more} ({how})."


def _few(result: GroupTest, what: str) -> str:
    return result_files.FEW.format(what) if result.smallest < SMALLEST_SHOWN else ""


def _tables(result: GroupTest, correction: str) -> dict[str, ReportTable]:
    summary = result.differences.summary()
    made = {"differences": difference_list(summary, smallest=SMALLEST_SHOWN)}
    if len(result.differences.states) <= MOST_STATES:
        interval = "simultaneous" if correction == "simultaneous" else "raw"
        made["differences-matrix"] = difference_matrix(summary, smallest=SMALLEST_SHOWN, interval=interval)
    return made


def _table(tested: TestSettings, result: GroupTest) -> None:
    table = difference_table(result.differences)
    scale = 1 if result.differences.scale == "score" else 100
    table["difference"] = scale * table["difference"]
    for column in ("pvalue", "pvalue_fdr"):
        table[column] = [p_cell(float(value)) for value in table[column]]
    level = wording.percent(tested.level)
    headings = {"from_state": "From", "to_state": "Into", "difference": "Difference", "raw": f"{level} interval, raw",
                "simultaneous": f"{level} interval, all together", "pvalue": "p", "pvalue_fdr": "p (FDR)"}  # fmt: skip
    height = int(np.clip(35 * (len(table) + 1) + 3, 100, 640))
    views.table(table, headings, key="differences table", digits=2 if scale == 1 else 1, height=height)


def means(opened: OpenRun, result: GroupTest) -> None:
    """The average matrix of each group."""
    if result.differences.scale == "score":
        return
    with st.expander("Average matrix of each group", icon=":material/grid_on:"):
        frame = group_matrices.tidy(result.differences)
        views.chart(group_matrices.screen(frame), group_matrices.alt_text(frame), "group means")
        st.markdown(views.plain(sentences.HOW_TO_READ["group_matrices"]))
        few = _few(result, "its average matrix")
        if few:
            st.caption(few)
            return
        saved = frame[["panel", "from_state", "to_state", "value"]]
        views.downloads("group-means", figure=(group_matrices, frame), frame=saved)
