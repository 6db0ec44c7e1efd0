"""Robustness: the group test over whole families, and what it would have said over single persons."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analyses.figures import naive_block
from analyses.grouping_factors import cluster_nouns
from analyses.matrices import observed_transitions, transition_matrices
from analyses.naive_block import NaiveBlock, naive_against_block
from analyses.report.tables import p_cell
from app import group_comparison, inputs, jobs, kept_list, kept_result, obstacles, result_files, views
from app.inputs import Settings
from app.run_key import run_key
from app.state import OpenRun
from toolkit.errors import ToolkitWarning
from toolkit.runs.kept import KeptAnalysis, Recipe

COMMAND = "naive-block"
PERMUTATIONS = 9_999
READ = (
    "Each kind of transitions is tested twice. On the left whole families (or sites) trade labels, which is right; on "
    "the right single persons do, as if relatives were strangers. Where the p on the right is much smaller, ignoring "
    "families would have made the difference look surer than it is. Report the left one."
)


def show(opened: OpenRun, settings: Settings) -> None:
    """Both p-values of every kind of transitions."""
    if opened.cluster_name is None:
        st.info(
            "This study names no families or sites, so persons are the unit in every test and there is nothing to "
            "compare. If persons belong together, name the column when the study is imported (role: cluster), and fit "
            "again."
        )
        return
    # whole families have to carry one label, whatever the sidebar's unit
    obstacle = obstacles.group_inside_units(opened, replace(settings, unit=str(opened.cluster_name)))
    if obstacle:
        st.info(views.plain(obstacle))
        return
    made = _found(opened)
    if made is None:
        return
    found, frame = made
    headings = {"value": "Transitions", "unit": "Shuffled", "units": "How many", "statistic": "n × HSIC",
                "pvalue": "p"}  # fmt: skip
    kept_result.show(
        opened, found, title="p over families and over persons", module=naive_block,
        tidy=lambda one: frame, reading=READ, headings=headings, digits=3, table=_readable,
    )  # fmt: skip


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    words = [inputs.VALUES.get(str(value), str(value)) for value in frame["value"]]
    return frame.assign(value=words, pvalue=[p_cell(float(p)) for p in frame["pvalue"]])


def _found(opened: OpenRun) -> tuple[KeptAnalysis, pd.DataFrame] | None:
    """The result, and the frame its figure draws."""
    values = group_comparison.available_values(opened)
    groups = sorted(group_comparison.group_names(opened))
    nouns = cluster_nouns(opened.manifest)
    options = {"values": values, "groups": groups, "unit_name": nouns, "permutations": PERMUTATIONS, "seed": 1}
    recipe = Recipe(command=COMMAND, options=options)
    given = _given(opened, values)

    def work() -> NaiveBlock:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            return naive_against_block(*given, unit_name=nouns, permutations=PERMUTATIONS, rng=np.random.default_rng(1))

    key = (COMMAND, run_key(opened), json.dumps(options, sort_keys=True))
    keep = jobs.Keep(opened, COMMAND, recipe)
    result = jobs.job(key, work, label=f"Shuffling {nouns} and persons", keep=keep)
    if result is None:
        return None
    result_files.not_kept(keep)
    return kept_list.as_kept(COMMAND, result, recipe), naive_block.tidy(result, names=inputs.VALUES)


def _given(opened: OpenRun, values: list[str]) -> tuple[dict[str, Any], Any, Any]:
    """Matrices of the persons with a group and complete matrices, their labels and families."""
    matrices: dict[str, np.ndarray] = {}
    persons: tuple[Any, ...] = ()
    for value in values:
        persons, _, found = transition_matrices(opened.transitions, value, states=opened.run.states)
        matrices[value] = observed_transitions(found) if value == "observed" else found
    labels = opened.persons.set_index("person")["group"].reindex(list(persons))
    used = labels.notna().to_numpy()
    for found in matrices.values():
        used = used & np.isfinite(found).all(axis=(1, 2))
    inside = [str(person) for person, there in zip(persons, used, strict=True) if there]
    units = views.unit_labels(opened, inside, str(opened.cluster_name)) or inside
    chosen = {value: found[used] for value, found in matrices.items()}
    return chosen, labels[used].astype(str).to_numpy(), np.array(units, dtype=object)
