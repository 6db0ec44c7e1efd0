"""Start: open runs, bundled studies or a file; what is in the open run; what happens to the data (nothing)."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analyses.report import sentences
from app import run_list, sidebar, state, studies, views
from app.inputs import Settings
from app.state import OpenRun
from app.studies import OpenStudy

THIS, SIDE_BY_SIDE, BUNDLED, IMPORT = "This run", "Runs side by side", "Bundled studies", "Import a file"


def page() -> None:
    """The start page."""
    opened: OpenRun | None = st.session_state["opened"]
    settings: Settings = st.session_state["settings"]
    st.markdown(
        "Look at a study through models in which every person has their own parameters: who differs, how, how sure "
        "we are, and whether groups differ."
    )
    view = _view(opened)
    # the readers of files are loaded only when a file is to be read
    if view == IMPORT:
        from app import import_wizard

        import_wizard.draw(settings)
    elif view == BUNDLED:
        from app import bundled

        bundled.draw()
    elif view == SIDE_BY_SIDE:
        run_list.draw(opened)
    else:
        _this(opened, settings)


def _this(opened: OpenRun | None, settings: Settings) -> None:
    """The open run, or how to begin; beside it what happens to the data, and how to open something else."""
    if opened is not None:
        views.header(opened, settings)
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        if opened is not None:
            _contents(opened)
        else:
            _nothing_open()
    with right:
        _privacy()
        _open_folder()
        _report()


def _view(opened: OpenRun | None) -> str:
    views_ = [THIS, SIDE_BY_SIDE, BUNDLED, IMPORT]
    chosen = st.segmented_control(
        "What to see", views_, default=THIS, required=True, key="start view", label_visibility="collapsed",
        format_func=lambda name: "Begin" if name == THIS and opened is None else name,
    )  # fmt: skip
    return str(chosen or THIS)


def _nothing_open() -> None:
    study: OpenStudy | None = st.session_state["opened_study"]
    if study is not None:
        st.subheader(views.plain(study.title), anchor=False)
        st.markdown("The rows of this study are open, and no run of it yet. Its rows are on the Data page.")
        st.page_link(Path(__file__).parent / "data.py", label="Data: the rows", icon=":material/arrow_forward:")
        return
    st.info(
        "No run is open yet. Choose **Bundled studies** above to try everything on a study that comes with this "
        "program (in a terminal: nme demo), choose **Import a file** to bring your own, or type the path of a run "
        "folder on the right."
    )


def _contents(opened: OpenRun) -> None:
    st.subheader(views.plain(opened.study.get("title") or opened.study.get("name") or "This run"), anchor=False)
    views.sentence(sentences.model_sentence(opened.manifest))
    outcome = f"Outcome: {opened.outcome}"
    if opened.has_states:
        outcome += f" (states: {', '.join(str(state) for state in opened.run.states or ())})"
    views.sentence(f"{outcome}.")
    st.markdown("**How well it predicts, on rows it never saw**")
    table = sentences.metric_table(opened.metrics)
    if table.empty:
        st.caption("This run has no test rows.")
    else:
        headings = {"metric": "Metric", "level": "Prediction", "pooled": "Pooled", "mean_per_person": "Per person",
                    "persons": "Persons", "excluded": "Undefined"}  # fmt: skip
        views.table(table, headings, key="metrics")
        st.caption(
            "Per person: mean over persons. Undefined: persons whose test rows hold one value only; "
            "they are left out of the mean, and counted."
        )
        several = sentences.effects_note(opened.manifest)
        if several:
            st.caption(views.plain(several))
    _next_steps(opened)


def _next_steps(opened: OpenRun) -> None:
    st.markdown("**Where to look next**")
    steps = {
        "data.py": "Data: who answered when, and what is missing",
        "persons.py": "Persons: who differs, and how sure we are",
        "one_person.py": "One person: own pattern beside the average",
        "group_test.py": "Group test: do the groups differ?",
    }
    for name, label in steps.items():
        if name != "group_test.py" or opened.has_states:
            st.page_link(Path(__file__).parent / name, label=label, icon=":material/arrow_forward:")


def _open_folder() -> None:
    st.subheader("Open runs or a study", anchor=False)
    with st.form("open", border=False):
        typed = st.text_input("Folder on this computer", placeholder="/home/me/study/runs", key="folder")
        pressed = st.form_submit_button("Open folder")
    if not pressed or not typed.strip():
        return
    folder = Path(typed.strip()).expanduser()
    found = state.open_folder(folder)
    if found:
        sidebar.want_run(found[0])
        st.rerun()
    if (folder if folder.name.endswith(".toml") else folder / studies.STUDY_FILE).is_file():
        sidebar.want_study(studies.choose_study(folder).title)
        st.rerun()
    st.error(
        "There is no run in this folder, and no study: a run folder holds a file manifest.json, a study a file "
        "study.toml."
    )


def _report() -> None:
    for path in state.find_reports(state.folders())[:1]:
        st.subheader("The report", anchor=False)
        st.markdown("All results of the demonstration on one page, to read or to print.")
        st.download_button("Save report.html", path.read_bytes, "report.html", "text/html", on_click="ignore")


def _privacy() -> None:
    st.subheader("Your data", anchor=False)
    st.success(
        "**Nothing leaves this computer.** The dashboard answers this computer only (127.0.0.1), sends nothing, and "
        "loads "
        "nothing from elsewhere. Persons are pseudonyms.",
        icon=":material/lock:",
    )
    st.caption("For research, not for diagnosis.")


views.guarded(page)
