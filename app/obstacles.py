"""Why a page cannot work on a run, as a sentence that says what to do; empty where it can."""

from __future__ import annotations

from app.inputs import PERSONS, Settings
from app.state import OpenRun

CHOOSE_CHAIN = "Choose a run whose name starts with nme-crf or generic-crf in the sidebar."


def without_states(opened: OpenRun) -> str:
    """A model of numbers has no transitions."""
    if opened.has_states:
        return ""
    return f"This model predicts {opened.outcome}, not states, so there are no transitions to look at. {CHOOSE_CHAIN}"


def without_effects(opened: OpenRun) -> str:
    """A model that is the same for everybody."""
    if opened.is_personal:
        return ""
    return (
        "This model has the same parameters for everybody, so no person has a bias of their own. Choose a run of a "
        "personal model in the sidebar: its name starts with nme, unme, specific, lmm, glmm, lmmnn, mc-gmenn, mlp-lme "
        "or pen."
    )


def without_group_choice(settings: Settings) -> str:
    """No group variable chosen, or none there."""
    return "" if settings.by_group else "No group variable is chosen in the sidebar, so there is nothing to compare."


def too_few_groups(count: int) -> str:
    """A comparison needs two groups."""
    if count >= 2:
        return ""
    there = "this study has one" if count == 1 else "this study has none"
    return (
        f"A comparison needs two groups; {there}. Name a group column of two or more labels when the study is "
        "imported, and fit again."
    )


def without_units(opened: OpenRun, settings: Settings) -> str:
    """Whole families are asked for, but somebody belongs to none."""
    if settings.unit == PERSONS or opened.cluster_name is None:
        return ""
    alone = int(opened.persons["cluster"].isna().sum())
    if not alone:
        return ""
    who = "One person belongs" if alone == 1 else f"{alone} persons belong"
    return (
        f"{who} to no {opened.cluster_name}, so that this result cannot be worked out over whole ones. Choose "
        f"“{PERSONS}” as the resampling unit in the sidebar."
    )


def group_inside_units(opened: OpenRun, settings: Settings) -> str:
    """Whole families are to trade labels, but the group varies inside one."""
    if settings.unit == PERSONS or opened.cluster_name is None:
        return ""
    known = opened.persons.dropna(subset=["group", "cluster"])
    if not (known.groupby("cluster")["group"].nunique() > 1).any():
        return ""
    return (
        f"The group varies inside a {opened.cluster_name}, so that whole ones cannot trade labels here. Choose "
        f"“{PERSONS}” as the resampling unit in the sidebar; the page Group test shuffles inside them."
    )


def first_of(*sentences: str) -> str:
    """The first obstacle there is."""
    return next((sentence for sentence in sentences if sentence), "")
