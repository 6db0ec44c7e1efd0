"""The effects behind the Persons page: of one parameter, in an order, as differences or with the shared part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from analyses.figures import caterpillar
from analyses.figures.labels import is_transition, parameter_label
from analyses.report import sentences
from analyses.report.guard import small_groups
from analyses.shared_values import shared_values
from analyses.wording import number, plural
from app import views
from app.inputs import PersonsSettings, Settings
from app.state import FactorTables, OpenRun

NO_INTERVALS = "This model gives no intervals of single persons, so the marks have no lines."
TOO_WIDE = (
    "Each person’s data alone leave this parameter open: intervals would be many times as wide as the differences "
    "between persons, and are not drawn."
)
WIDER = 25.0  # intervals that much wider than persons differ would squeeze all marks onto one line


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """What is shown of one parameter.

    Attributes:
        parameter: its name.
        differences: `caterpillar.tidy` frame of the effects, groups written out.
        frame: the same, with the shared part added where that was asked for.
        settings: of the sidebar. trouble: why there are no intervals; empty where there are.
        sizes: persons by group, without those of no group.
    """

    parameter: str
    differences: pd.DataFrame
    frame: pd.DataFrame
    settings: Settings
    trouble: str
    sizes: dict[str, int]

    @property
    def small(self) -> bool:
        """Whether what is drawn by group must not be saved."""
        return bool(self.settings.by_group and small_groups(self.sizes))

    @property
    def cannot_save(self) -> str:
        """The same as a sentence."""
        if not self.small:
            return ""
        nouns = plural(caterpillar.noun_of(self.frame))
        few = f"A group has 10 {nouns} or fewer, so figures by group cannot be saved."
        return f"{few} Choose “no grouping” in the sidebar."


def effects_shown(
    opened: OpenRun, shown: FactorTables, settings: Settings, chosen: PersonsSettings, *, total: bool
) -> Shown:
    """The effects of one parameter; with the shared part where ``total`` is set and the run tells it."""
    differences = sorted_effects(opened, shown, settings, chosen.parameter, order=chosen.order)
    trouble = _trouble(differences)
    if trouble:
        differences = differences.assign(low=differences["estimate"], high=differences["estimate"])
    shared = shared_of(opened, shown, chosen.parameter) if total else None
    frame = differences if shared is None else caterpillar.with_shared(differences, shared)
    sizes = {str(g): int(n) for g, n in differences.loc[differences["group"] != "", "group"].value_counts().items()}
    return Shown(parameter=chosen.parameter, differences=differences, frame=frame, settings=settings, trouble=trouble,
                 sizes=sizes)  # fmt: skip


def sorted_effects(
    opened: OpenRun, shown: FactorTables, settings: Settings, parameter: str, *, order: str = "estimate"
) -> pd.DataFrame:
    """The caterpillar frame of one parameter."""
    levels = shown.levels if settings.by_group else shown.levels.assign(group=None)
    effects = views.with_level(shown.effects[shown.effects["parameter"] == parameter], settings.level)
    return caterpillar.tidy(
        effects, levels, parameter, order=order, group_names=opened.group_names, noun=shown.factor.noun
    )


def _trouble(frame: pd.DataFrame) -> str:
    """Why there are no intervals to draw; empty where there are."""
    sd = frame["sd"].to_numpy(dtype=float)
    if not np.isfinite(sd).any():
        return NO_INTERVALS
    spread = float(frame["estimate"].std(ddof=0))
    return TOO_WIDE if spread > 0 and float(np.nanmedian(sd)) > WIDER * spread and _unshrunken(frame) else ""


def _unshrunken(frame: pd.DataFrame) -> bool:
    """Whether estimates are those of persons taken alone, whose uncertainty has no bound."""
    return bool((frame["reliability"].fillna(0.0) < 0.01).all() and float(frame["sd"].max()) > 50.0)


def shared_of(opened: OpenRun, shown: FactorTables, parameter: str) -> pd.Series | None:
    """The shared value of a parameter of the persons, by person; None where it is not known."""
    if not shown.factor.is_person:
        return None
    return _shared(str(opened.path), str(opened.manifest.get("finished")), parameter, opened)


@st.cache_resource(scope="session", show_spinner=False, max_entries=64)
def _shared(path: str, finished: str, parameter: str, _opened: OpenRun) -> pd.Series | None:
    return shared_values(_opened.run, _opened.effects, parameter)


def spread_words(shown: FactorTables, effects: Shown) -> str:
    """How far persons differ in the parameter, and how sure that is."""
    noun, frame = shown.factor.noun, effects.differences
    if not effects.trouble:
        return (
            f"{sentences.spread_sentence(frame, shown.components, noun)} "
            f"{sentences.group_reliability_sentence(frame, noun)}"
        )
    what = parameter_label(effects.parameter)
    what = f"moving {what}" if is_transition(effects.parameter) else what
    nouns = plural(noun)
    low, high = frame["estimate"].quantile([0.25, 0.75])
    return (
        f"Estimates of {len(frame)} {nouns} for {what}: standard deviation {number(float(frame['estimate'].std()))}, "
        f"middle half {number(float(low))} to {number(float(high))} from the average."
    )
