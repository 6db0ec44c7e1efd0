"""Robustness: would the group difference be found under other reasonable choices?"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analyses.figures import specification_curve
from analyses.multiverse import KERNELS, MULTIPLES
from analyses.multiverse_runs import multiverse_of_runs
from analyses.report.gallery_words import READING
from analyses.report.tables import p_cell
from app import (
    group_comparison,
    group_test_form,
    inputs,
    jobs,
    kept_list,
    kept_result,
    obstacles,
    result_files,
    state,
    views,
)
from app.inputs import PERSONS, Settings
from app.run_key import run_key
from app.state import OpenRun
from toolkit.errors import ToolkitError, ToolkitWarning
from toolkit.runs.kept import KeptAnalysis, Recipe, near

COMMAND = "multiverse"
WITH, WITHOUT = "with", "without"
ASKED = "asked multiverse"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """What is varied: other runs are other definitions of the states."""

    values: tuple[str, ...]
    kernels: tuple[str, ...]
    multiples: tuple[float, ...]
    diagonals: tuple[bool, ...]
    others: tuple[OpenRun, ...]
    permutations: int
    unit: str

    @property
    def count(self) -> int:
        """How many combinations there are."""
        widths = sum(1 if kernel == "linear" else len(self.multiples) for kernel in self.kernels)
        return len(self.values) * widths * len(self.diagonals) * (1 + len(self.others)) * (1 + (self.unit == "cluster"))

    def recipe(self, opened: OpenRun) -> Recipe:
        """What the curve is made with."""
        runs = [opened, *self.others]
        names = [one.run.name for one in runs]
        if len(set(names)) < len(names):
            names = [f"{place + 1}: {name}" for place, name in enumerate(names)]
        options: dict[str, Any] = {
            "names": names, "unit": self.unit, "values": list(self.values), "kernels": list(self.kernels),
            "multiples": list(self.multiples), "diagonals": list(self.diagonals), "permutations": self.permutations,
            "alpha": 0.05, "seed": 1,
        }  # fmt: skip
        return Recipe(command=COMMAND, options=options, runs=tuple(near(opened.run, one.path) for one in self.others))


def show(opened: OpenRun, settings: Settings) -> None:
    """The form, and the curve."""
    obstacle = obstacles.first_of(
        obstacles.without_units(opened, settings), obstacles.group_inside_units(opened, settings)
    )
    if obstacle:
        st.info(views.plain(obstacle))
        return
    key = f"{ASKED} {opened.path}"
    known = key in st.session_state or kept_list.newest(opened, COMMAND) is not None
    with st.expander("What is varied", expanded=not known, icon=":material/tune:"):
        chosen, pressed = _ask(opened, settings)
    if pressed and chosen is not None:
        st.session_state[key] = chosen
    asked: Choices | None = st.session_state.get(key)
    found = _found(opened, asked) if asked is not None else kept_list.newest(opened, COMMAND)
    if found is None:
        if asked is None:
            st.markdown(
                "The same comparison of the groups is made under every combination of choices that could have been "
                "made as well. A difference that is found under one of them only hangs on that choice."
            )
        return
    headings = {"states": "States", "value": "Transitions", "kernel": "Kernel", "bandwidth": "Bandwidth",
                "diagonal": "With stays", "unit": "Shuffled", "effect": "Effect", "expected": "By chance",
                "pvalue": "p"}  # fmt: skip
    kept_result.show(
        opened, found, title="The group difference under other choices", module=specification_curve,
        tidy=lambda one: specification_curve.tidy(one.frame, summary=one.summary), reading=READING["multiverse"],
        headings=headings, digits=3, table=_readable,
    )  # fmt: skip


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(pvalue=[p_cell(float(p)) for p in frame["pvalue"]])


def _ask(opened: OpenRun, settings: Settings) -> tuple[Choices | None, bool]:
    values = group_comparison.available_values(opened)
    labels = {run.label: run.path for run in state.other_runs(opened)}
    with st.form("multiverse", border=False):
        first, second, third = st.columns([1.6, 1.2, 1.2])
        transitions = first.multiselect(
            "Transitions", values, default=values, format_func=inputs.VALUES.__getitem__, key="mv_values"
        )
        stays = second.multiselect("Stays in a state", [WITH, WITHOUT], default=[WITH, WITHOUT], key="mv_diagonals")
        kernels = third.multiselect("Kernels", KERNELS, default=list(KERNELS), key="mv_kernels")
        fourth, fifth, sixth, last = st.columns([1.6, 1.2, 0.8, 0.4], vertical_alignment="bottom")
        runs = fourth.multiselect(
            "Other definitions of the states (runs)", list(labels), key=f"mv_runs {opened.path}",
            help="Runs of the same persons whose states are defined in another way, such as relative to the person.",
        )  # fmt: skip
        multiples = fifth.multiselect(
            "Bandwidths", MULTIPLES, default=list(MULTIPLES), format_func=group_test_form.MULTIPLES.__getitem__,
            key="mv_multiples",
        )  # fmt: skip
        permutations = sixth.selectbox("Permutations", (999, 9_999), format_func="{:,}".format, key="mv_permutations")
        pressed = last.form_submit_button("Run", type="primary", width="stretch")
    others, refused = _others(opened, [labels[name] for name in runs])
    for sentence in refused:
        st.warning(views.plain(sentence))
    if not (transitions and stays and kernels and (multiples or list(kernels) == ["linear"])):
        st.info("Choose at least one option of each kind.")
        return None, False
    chosen = Choices(
        values=tuple(transitions), kernels=tuple(kernels), multiples=tuple(multiples) or (1.0,),
        diagonals=tuple(word == WITH for word in stays), others=tuple(others), permutations=int(permutations or 999),
        unit="person" if settings.unit == PERSONS else "cluster",
    )  # fmt: skip
    st.caption(f"{chosen.count} ways to make the comparison.")
    return chosen, pressed


def _others(opened: OpenRun, paths: list[Any]) -> tuple[list[OpenRun], list[str]]:
    """Runs that can be other definitions of the states, and why others cannot."""
    mine = _groups(opened)
    found, refused = [], []
    for path in paths:
        try:
            other = state.open_run(path)
        except ToolkitError as problem:
            refused.append(views.spoken(problem))
            continue
        if not other.has_states:
            refused.append(f"{other.run.name} has no states, so it is left out.")
        elif not mine.equals(_groups(other)):
            refused.append(f"{other.run.name} holds other persons or other groups than this run, so it is left out.")
        else:
            found.append(other)
    return found, refused


def _groups(opened: OpenRun) -> pd.Series:
    known = opened.persons.set_index("person")["group"].dropna().astype(str)
    return known.sort_index()


def _found(opened: OpenRun, asked: Choices) -> KeptAnalysis | None:
    recipe = asked.recipe(opened)
    runs = [opened.run, *(one.run for one in asked.others)]
    options = {name: value for name, value in recipe.options.items() if name != "seed"}

    def work() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolkitWarning)
            return multiverse_of_runs(runs, rng=np.random.default_rng(1), **options)

    said = json.dumps(recipe.as_data(), sort_keys=True)
    name = f"{COMMAND}-{result_files.short_hash(said)}"
    keep = jobs.Keep(opened, name, recipe)
    result = jobs.job((COMMAND, run_key(opened), said), work, label="Testing every combination", keep=keep)
    if result is None:
        return None
    result_files.not_kept(keep)
    return kept_list.as_kept(name, result, recipe)
