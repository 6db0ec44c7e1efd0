"""Group test: do the groups' transitions differ, all together and one by one."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from analyses.stability_marks import cell_labels, cell_names
from app import (
    group_comparison,
    group_test_form,
    group_test_parts,
    jobs,
    keeping,
    kept_list,
    obstacles,
    result_files,
    views,
)
from app.group_test_form import COMMAND, TestSettings
from app.inputs import Settings
from app.state import OpenRun

RELATED = (COMMAND, "hsic", "differences", "differences-pairs", "base-rates", "plausible")


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of the group test."""
    groups = group_comparison.group_names(opened)
    obstacle = obstacles.first_of(
        obstacles.without_states(opened),
        obstacles.without_group_choice(settings) if groups else "",
        obstacles.too_few_groups(len(groups)),
    )
    if obstacle:
        st.info(views.plain(obstacle))
        return
    chosen, pressed = group_test_form.ask(settings, group_comparison.available_values(opened), groups)
    key = f"tested {opened.path}"
    if pressed:
        st.session_state[key] = chosen
        # one that was cancelled before is wanted again; one that is kept in the run folder is found there
        jobs.forget(group_comparison.key(opened, chosen))
    tested: TestSettings | None = st.session_state.get(key) or _earlier(opened, groups)
    if tested is None:
        _invitation()
    elif not _show(opened, tested, chosen):
        return
    kept_list.listed(opened, lambda one: one.recipe is not None and one.recipe.command in RELATED)


def _invitation() -> None:
    st.markdown(
        "Choose what to compare and press **Run**. The test shuffles the group labels many times and asks whether the "
        "groups’ transitions are further apart than shuffled ones. What persons of one family have in common stays "
        "together when families are the unit in the sidebar. The result is kept in the run folder."
    )


def _earlier(opened: OpenRun, groups: dict[str, str]) -> TestSettings | None:
    """The newest test kept in the run folder that can be shown again without computing."""
    found, _ = kept_list.of_command(opened, COMMAND)
    for one in found:
        try:
            settings = group_test_form.settings_of(opened, one.recipe) if one.recipe else None
        except (KeyError, ValueError, TypeError):
            continue
        if settings is None or not {settings.first, settings.second} <= set(groups):
            continue
        if keeping.found(group_comparison.keep(opened, settings)) is not None:
            return settings
    return None


def _show(opened: OpenRun, tested: TestSettings, chosen: TestSettings) -> bool:
    """Everything about one test; False while it is still on its way."""
    result = group_comparison.run_test(opened, tested)
    if result is None:
        return False
    _changed(opened, tested, chosen)
    result_files.not_kept(group_comparison.keep(opened, tested))
    states = opened.run.states or ()
    views.unstable(opened, cell_names(states, tested.value), cell_labels(states))
    group_test_parts.overall(opened, tested, result)
    group_test_parts.shared_effects(opened, tested)
    group_test_parts.single(opened, tested, result, chosen.correction)
    group_test_parts.size(opened, tested, result)
    group_test_parts.means(opened, result)
    result_files.code(opened, tested.recipe(opened))
    return True


def _changed(opened: OpenRun, tested: TestSettings, chosen: TestSettings) -> None:
    if replace(tested, correction=chosen.correction) == chosen:
        return
    what = group_test_form.told(opened, tested)
    st.info(views.plain(f"Shown is an earlier test: {what}. Press Run for the settings above."))


views.of_run(page)
