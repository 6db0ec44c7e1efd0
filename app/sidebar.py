"""The sidebar: which study and run, and how every page groups, resamples, colours and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from analyses.figures.colour_sets import COLOUR_SETS, DEFAULT_SET
from app import studies
from app.inputs import LEVELS, PERSONS, Settings
from app.state import FoundRun, OpenRun

UNNAMED = "Runs whose study is not known"
WITHOUT_RUN = "none: the rows alone"
WANTED = "wanted_run"
WANTED_STUDY = "wanted_study"


def choose_run(found: Sequence[FoundRun]) -> Path | None:
    """Study and run, at the top of the sidebar; None where there is no run, or none is wanted."""
    by_study: dict[str, list[FoundRun]] = {}
    for run in found:
        by_study.setdefault(run.title or UNNAMED, []).append(run)
    files = studies.opened_files()
    names = list(dict.fromkeys([*by_study, *files]))
    if not names:
        return None
    _follow_wishes(found, names)
    study = st.sidebar.selectbox("Study", names, index=_first_study(by_study, names), key="study")
    runs = by_study.get(str(study), [])
    studies.look_at(files.get(str(study)))
    return _run_of(runs, bare=str(study) in files)


def want_run(run: FoundRun) -> None:
    """Open this run, and its study with it, when the page is drawn again."""
    st.session_state[WANTED] = run.label


def want_study(title: str) -> None:
    """Show this study when the page is drawn again."""
    st.session_state[WANTED_STUDY] = title


def _follow_wishes(found: Sequence[FoundRun], names: Sequence[str]) -> None:
    """What a page asked for: a widget's value can only be set before it is drawn."""
    wanted = st.session_state.pop(WANTED, None)
    run = next((one for one in found if one.label == wanted), None)
    if run is not None:
        st.session_state["study"] = run.title or UNNAMED
        st.session_state["run"] = run.label
        return
    study = st.session_state.pop(WANTED_STUDY, None)
    if study in names:
        st.session_state["study"] = study
        st.session_state.pop("run", None)


def _first_study(by_study: dict[str, list[FoundRun]], names: Sequence[str]) -> int:
    """The study of the first personal model of states: such a run can fill every page."""
    personal = (title for title, runs in by_study.items() if any(run.path.name.startswith("nme-crf") for run in runs))
    first = next(personal, names[0])
    return list(names).index(first)


def _run_of(runs: Sequence[FoundRun], *, bare: bool) -> Path | None:
    if not runs:
        st.sidebar.caption("No run of this study is open. The Data page shows its rows.")
        return None
    paths: dict[str, Path | None] = {run.label: run.path for run in runs}
    if bare:
        paths[WITHOUT_RUN] = None
    labels = list(paths)
    first = next((place for place, name in enumerate(labels) if name.startswith("nme-crf")), 0)
    if st.session_state.get("run") not in labels:
        st.session_state.pop("run", None)
    label = st.sidebar.selectbox("Run", labels, index=first, key="run")
    return paths.get(str(label))


def settings(path: Path | None, opened: OpenRun | None) -> Settings:
    """Everything below the run picker; only choices that exist are offered."""
    by_group, unit = True, PERSONS
    if opened is not None:
        left, right = st.sidebar.columns([1, 1.08], gap="small")
        with left:
            by_group = _group_choice(opened)
        with right:
            unit = _unit_choice(opened)
    left, right = st.sidebar.columns([1, 1.6], gap="small")
    level = left.selectbox(
        "Intervals", LEVELS, index=LEVELS.index(0.95), format_func=lambda value: f"{value:.0%}", key="level",
        help="Level of every interval: a 95% interval is wide enough to hold the true value 95 times in 100.",
    )  # fmt: skip
    palette = right.selectbox(
        "Colours", list(COLOUR_SETS), format_func=lambda name: COLOUR_SETS[name].title, key="palette",
        help="Of groups and states, on screen and in saved figures. All three can be told apart by colour-blind "
        "readers, and every group and state also has a shape of its own.",
    )  # fmt: skip
    identifiable = st.sidebar.toggle(
        "Identifiable view",
        key="identifiable",
        help="Off: lists and figures leave pseudonyms out. On: pseudonyms are shown, and files about single persons "
        "can be saved after a tick. Keep it off when others can see the screen.",
    )
    st.sidebar.caption("Nothing leaves this computer.")
    return Settings(
        path=path,
        by_group=by_group,
        unit=unit,
        level=float(level or 0.95),
        identifiable=identifiable,
        palette=str(palette or DEFAULT_SET),
    )


def _group_choice(opened: OpenRun) -> bool:
    if opened.group_name is None:
        st.caption("This study has no groups to compare.")
        return False
    options = [opened.group_name, "no grouping"]
    return st.selectbox("Group by", options, key="group_variable") != "no grouping"


def _unit_choice(opened: OpenRun) -> str:
    if opened.cluster_name is None:
        st.selectbox(
            "Resampling unit",
            [PERSONS],
            key="unit_persons",
            help="What is shuffled and drawn as a whole in tests. This study has no families or sites, so: persons.",
        )
        return PERSONS
    name = opened.cluster_name
    chosen = st.selectbox(
        "Resampling unit",
        [name, PERSONS],
        key="unit_cluster",
        help=f"What is shuffled and drawn as a whole in tests. Persons of one {name} resemble each other; testing "
        "them as if they did not makes differences look surer than they are.",
    )
    return PERSONS if chosen == PERSONS else name
