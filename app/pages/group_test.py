"""Group test: do the groups' transitions differ, all together and one by one."""

from __future__ import annotations

import streamlit as st

from analyses import wording
from analyses.figures import group_matrices, interval_matrix, null_distribution
from analyses.figures.labels import listed
from analyses.report import sentences, snippets
from analyses.report.group_sections import difference_table
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.tables import p_cell
from analyses.shifted_matrices import shift_warning
from analyses.stability_marks import cell_labels, cell_names
from app import group_comparison, inputs, state, views
from app.group_comparison import GroupTest
from app.inputs import PERSONS, Settings, TestSettings
from app.state import OpenRun

FEW_PERSONS = 20


def page() -> None:
    """The page of the group test."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    if opened is None:
        st.info("Open a run on the Start page first.")
        return
    views.header(opened, settings)
    obstacle = _obstacle(opened, settings)
    if obstacle:
        st.info(views.plain(obstacle))
        return
    chosen, pressed = inputs.test_settings(
        settings, group_comparison.available_values(opened), group_comparison.group_names(opened)
    )
    key = f"tested {opened.path}"
    if pressed:
        st.session_state[key] = chosen
    if key not in st.session_state:
        st.markdown(
            "Choose what to compare and press **Run**. The test shuffles the group labels many times and asks "
            "whether the "
            "groups’ transitions are further apart than shuffled ones."
        )
        _saved(opened)
        return
    tested: TestSettings = st.session_state[key]
    with st.spinner("Shuffling and resampling …"):
        result = group_comparison.run_test(opened, tested)
    _changed(tested, chosen)
    states = opened.run.states or ()
    views.unstable(opened, cell_names(states, tested.value), cell_labels(states))
    _overall(tested, result)
    _shared_effects(opened, tested)
    _single(tested, result)
    _code(opened, tested)
    _keep(opened, tested, result)
    _saved(opened)


def _obstacle(opened: OpenRun, settings: Settings) -> str:
    """Why this run cannot be tested, as a sentence; empty where it can."""
    if not opened.has_states:
        return "This model predicts a number, not states, so there are no transitions to compare. Choose a CRF run."
    if not settings.by_group:
        return "No group variable is chosen in the sidebar, so there is nothing to compare."
    groups = group_comparison.group_names(opened)
    if len(groups) == 2:
        return ""
    return f"A comparison needs two groups; this study has {len(groups)}."


def _changed(tested: TestSettings, chosen: TestSettings) -> None:
    if tested != chosen:
        st.info(
            "The settings have changed since. The results below belong to the earlier ones; press Run for new ones."
        )


def _overall(tested: TestSettings, result: GroupTest) -> None:
    st.subheader("All transitions together", anchor=False)
    subject, features = inputs.SUBJECTS[tested.value], "transitions"
    text = result.hsic.text(subject=subject, features=features)
    frame = null_distribution.tidy(result.hsic)
    left, right = st.columns([1, 1.25], gap="medium")
    with right:
        views.chart(null_distribution.screen(frame, height=250), null_distribution.alt_text(frame), "null")
    with left:
        views.sentence(text)
        if result.naive_p is not None:
            views.sentence(
                f"Shuffling single persons instead of whole {sentences.plural(tested.unit)} would give "
                f"{wording.p_text(result.naive_p)}; that treats relatives as strangers and is shown for comparison "
                f"only."
            )
        _caution(result)
    views.apa(result.hsic.apa(subject=subject, features=features), key="hsic")
    columns = st.columns([1, 1, 1.2])
    with columns[0]:
        views.explanation("null_distribution")
    with columns[1]:
        views.described(null_distribution.alt_text(frame))
    with columns[2]:
        bars = frame[["left", "right", "count", "beyond"]]
        views.downloads("hsic", figure=(null_distribution, frame), frame=bars, text=text)


def _shared_effects(opened: OpenRun, tested: TestSettings) -> None:
    """That a person's modelled transitions hold what persons share with a family."""
    shifted = shift_warning(opened.manifest, tested.value)
    if shifted is not None:
        st.warning(views.plain(f"{shifted[0].upper()}{shifted[1:]}."))
    if tested.value == "observed" or len(opened.factors) < 2:
        return
    named = listed([factor.nouns for factor in opened.factors[1:]])
    st.caption(views.plain(f"The modelled transitions of a person hold the effects of {named} as well."))


def _caution(result: GroupTest) -> None:
    notes = [*result.hsic.notes, *result.differences.notes]
    if result.smallest < FEW_PERSONS and not any("few" in note.lower() for note in notes):
        notes.append(
            f"The smaller group has {result.smallest} persons; with so few, only large differences can be found."
        )
    for note in dict.fromkeys(notes):
        st.caption(views.plain(note))


def _single(tested: TestSettings, result: GroupTest) -> None:
    comparison = result.differences
    st.subheader("Each transition on its own", anchor=False)
    st.markdown(views.plain(f"Differences are {comparison.group_names[0]} minus {comparison.group_names[1]}."))
    views.sentence(comparison.text())
    frame = interval_matrix.tidy(comparison)
    views.chart(interval_matrix.screen(frame), interval_matrix.alt_text(frame), "intervals")
    columns = st.columns([1, 1, 1.2])
    with columns[0]:
        views.explanation("interval_matrix")
    with columns[1]:
        views.described(interval_matrix.alt_text(frame))
    with columns[2]:
        if result.smallest < SMALLEST_SHOWN:
            st.caption("A group has 10 persons or fewer, so its differences cannot be saved.")
        else:
            text = f"{comparison.text()}\n\n{comparison.apa()}"
            exported = frame.drop(columns=["verdict"])
            views.downloads("differences", figure=(interval_matrix, frame), frame=exported, text=text)
    views.apa(comparison.apa(), key="differences")
    _difference_table(tested, result)
    _means(result)


def _difference_table(tested: TestSettings, result: GroupTest) -> None:
    table = difference_table(result.differences)
    scale = 1 if result.differences.scale == "score" else 100
    table["difference"] = scale * table["difference"]
    for column in ("pvalue", "pvalue_fdr"):
        table[column] = [p_cell(float(value)) for value in table[column]]
    level = wording.percent(tested.level)
    headings = {"from_state": "From", "to_state": "Into", "difference": "Difference", "raw": f"{level} interval, raw",
                "simultaneous": f"{level} interval, all together", "pvalue": "p", "pvalue_fdr": "p (FDR)"}  # fmt: skip
    views.table(
        table, headings, key="differences table", digits=2 if scale == 1 else 1, height=35 * (len(table) + 1) + 3
    )


def _means(result: GroupTest) -> None:
    if result.differences.scale == "score":
        return
    with st.expander("Average matrix of each group", icon=":material/grid_on:"):
        frame = group_matrices.tidy(result.differences)
        views.chart(group_matrices.screen(frame), group_matrices.alt_text(frame), "group means")
        st.markdown(views.plain(sentences.HOW_TO_READ["group_matrices"]))
        if result.smallest < SMALLEST_SHOWN:
            st.caption("A group has 10 persons or fewer, so its average matrix cannot be saved.")
            return
        views.downloads(
            "group-means", figure=(group_matrices, frame), frame=frame[["panel", "from_state", "to_state", "value"]]
        )


def _code(opened: OpenRun, tested: TestSettings) -> None:
    """The Python code that gives the same numbers."""
    with st.expander("Python code behind this result", icon=":material/code:"):
        st.markdown("Runs as it stands and gives the same numbers. It is kept with the result in the run folder.")
        st.code(snippets.snippet(group_comparison.recipe(opened, tested), opened.path), language="python")


def _keep(opened: OpenRun, tested: TestSettings, result: GroupTest) -> None:
    unit = "persons" if tested.unit == PERSONS else "clusters"
    name = f"group-test-{tested.value}-{unit}-{tested.permutations}-seed{tested.seed}"
    if st.button("Keep this result in the run folder", icon=":material/save:", key="keep"):
        try:
            snippets.keep_analysis(opened.run, name, result, group_comparison.recipe(opened, tested))
        except OSError:
            st.error(
                "Nothing can be written into this run folder. Check that it is not read-only and the disk not full."
            )
        else:
            st.success(views.plain(f"Kept as analyses/{name} in the run folder."))


def _saved(opened: OpenRun) -> None:
    kept = state.kept_results(opened)
    if not kept:
        return
    with st.expander(f"Results kept in the run folder ({len(kept)})", icon=":material/inventory_2:"):
        for name, text in kept.items():
            st.markdown(f"**{views.plain(name)}**")
            for paragraph in filter(None, text.split("\n\n")):
                st.markdown(views.plain(paragraph))


views.guarded(page)
