"""Robustness: how many persons and transitions would a study need?"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from analyses.figures import power_curve as power_figure
from analyses.power import model_of_run, power_curve
from analyses.report.gallery_words import READING
from app import jobs, kept_list, kept_result, obstacles, result_files, views
from app.run_key import run_key
from app.state import OpenRun
from toolkit.errors import DataError, ToolkitWarning
from toolkit.runs.kept import KeptAnalysis, Recipe

COMMAND = "power"
GROUPS, MOVES = (10, 20, 40, 80, 160), (25, 50, 100, 200)
ASKED = "asked power"
BASES = {"expected": "What the model expects in these data", "generic": "The model’s scores alone"}


def show(opened: OpenRun) -> None:
    """The form, and the curve."""
    obstacle = obstacles.first_of(obstacles.without_effects(opened), _without_transitions(opened))
    if obstacle:
        st.info(views.plain(obstacle))
        return
    options, pressed = _ask(opened)
    key = f"{ASKED} {opened.path}"
    if pressed and options is not None:
        st.session_state[key] = options
    asked = st.session_state.get(key)
    found = _found(opened, asked) if asked is not None else kept_list.newest(opened, COMMAND)
    if found is None:
        if asked is None:
            st.markdown(
                "Studies are simulated from this run’s transitions, with a difference between two groups that you "
                "choose, and tested as the page Group test does. The curve shows how often the difference is found."
            )
        return
    headings = {"clusters_per_group": "Per group", "persons": "Persons in all", "transitions": "Transitions a person",
                "cell_power": "Power, this transition", "cell_low": "from", "cell_high": "to",
                "hsic_power": "Power, all together"}  # fmt: skip
    kept_result.show(
        opened, found, title="Power by number of persons and transitions", module=power_figure,
        tidy=lambda one: power_figure.tidy(one.frame, summary=one.summary), reading=READING["power"], headings=headings,
    )  # fmt: skip


def _without_transitions(opened: OpenRun) -> str:
    try:
        model_of_run(opened.run)
    except DataError:
        return (
            "The transitions of this run do not vary from person to person, so there is nothing to simulate from. "
            "Choose a run of nme-crf with person effects in its transitions (effects last+T)."
        )
    return ""


def _ask(opened: OpenRun) -> tuple[dict[str, Any] | None, bool]:
    states = [str(state) for state in opened.run.states or ()]
    with st.form("power", border=True):
        columns = st.columns([1, 1, 1, 1.4, 0.6], vertical_alignment="bottom")
        start = columns[0].selectbox("From", states, key="power_from")
        end = columns[1].selectbox("Into", states, index=min(1, len(states) - 1), key="power_into")
        points = columns[2].number_input(
            "Difference, points", min_value=0.0, max_value=50.0, value=5.0, step=1.0, key="power_points",
            help="In percentage points between two groups; 0 gives the rate of false alarms.",
        )  # fmt: skip
        groups = columns[3].multiselect("Persons (or clusters) per group", GROUPS, default=[10, 20, 40, 80], key="pg")
        pressed = columns[4].form_submit_button("Run", type="primary", width="stretch")
        more = _more()
    if not groups or not more["transitions"]:
        st.info("Choose at least one number of persons and one number of transitions.")
        return None, False
    options = {"cell": [str(start), str(end)], "difference": float(points) / 100, "clusters": sorted(groups)}
    return options | more | {"seed": 1}, pressed


def _more() -> dict[str, Any]:
    with st.expander("Transitions per person, clusters, number of simulations", icon=":material/tune:"):
        columns = st.columns([1.4, 1, 1, 1])
        moves = columns[0].multiselect("Transitions per person", MOVES, default=[50, 100], key="power_moves")
        size = columns[1].number_input("Persons per cluster", min_value=1, max_value=50, value=1, key="power_size")
        alike = columns[2].number_input(
            "How alike they are", min_value=0.0, max_value=0.95, value=0.0, step=0.1, key="power_alike",
            help="Correlation of two persons of one cluster, from 0 to below 1.",
        )  # fmt: skip
        count = columns[3].selectbox("Simulated studies", (200, 500, 2_000), index=1, key="power_count")
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        base = left.selectbox("Start from", list(BASES), format_func=BASES.__getitem__, key="power_base")
        hsic = right.checkbox("Also test all transitions together", value=True, key="power_hsic")
    return {
        "transitions": sorted(moves), "cluster_size": int(size), "correlation": float(alike),
        "simulations": int(count or 500), "base": str(base), "hsic": bool(hsic),
    }  # fmt: skip


def _found(opened: OpenRun, options: Mapping[str, Any]) -> KeptAnalysis | None:
    recipe = Recipe(command=COMMAND, options=options)
    scores, variances, states, notes = model_of_run(opened.run, str(options["base"]))
    cell = (states.index(options["cell"][0]), states.index(options["cell"][1]))
    settings = {name: value for name, value in options.items() if name not in ("cell", "base", "seed")}

    def work() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            return power_curve(
                scores, variances, cell=cell, states=states, notes=notes, rng=np.random.default_rng(1), **settings
            )

    said = json.dumps(dict(options), sort_keys=True)
    name = f"{COMMAND}-{result_files.short_hash(said)}"
    keep = jobs.Keep(opened, name, recipe)
    result = jobs.job((COMMAND, run_key(opened), said), work, label="Simulating studies", keep=keep)
    if result is None:
        return None
    result_files.not_kept(keep)
    return kept_list.as_kept(name, result, recipe)
