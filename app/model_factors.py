"""The Model page on how the effects of each grouping factor are spread, and on effects on several classes."""

from __future__ import annotations

import streamlit as st

from analyses.class_centring import class_centred
from analyses.effect_distributions import EffectDistributions, distributions_of_run
from analyses.figures import factor_distributions
from analyses.grouping_factors import all_effects
from analyses.report.gallery_words import READING
from analyses.report.guard import SMALLEST_SHOWN
from app import result_files, views
from app.basket import Pinned
from app.inputs import Settings
from app.state import OpenRun
from toolkit.errors import ToolkitError
from toolkit.runs.kept import Recipe

FEW = "There are 10 persons or fewer, so nothing can be saved."


def spread(opened: OpenRun, settings: Settings) -> None:
    """Variances of every factor with intervals, beside the spread of the estimates."""
    found = _distributions(str(opened.path), str(opened.manifest.get("finished")), settings.level, opened)
    frame = factor_distributions.tidy(found, all_effects(opened.run))
    table = found.to_frame().assign(varies=frame.loc[frame["kind"] == "row", "label"].reset_index(drop=True))
    interval = f"{settings.level:.0%} interval, from"
    headings = {"varies": "What varies", "levels": "Levels", "sd": "SD", "sd_low": interval, "sd_high": "to",
                "spread": "SD of estimates", "reliability": "Reliability"}  # fmt: skip
    pinned = Pinned(
        name="effect-spread",
        title="How the effects of each grouping factor are spread",
        text=[found.text()],
        apa=[found.apa()],
        figure=(factor_distributions, frame),
        table=table if len(table) == frame["row"].nunique() else None,
        headings=headings,
        saved=table.drop(columns="varies"),
        reading_text=READING["factor-distributions"],
        recipe=Recipe(command="effects", options={"every": False, "level": settings.level}),
    )
    few = len(opened.persons) < SMALLEST_SHOWN
    views.result(opened, pinned, can_save=FEW if few else "")
    if pinned.recipe is not None:
        result_files.code(opened, pinned.recipe)
    _classes(opened, settings.level)


def _classes(opened: OpenRun, level: float) -> None:
    """In which classes the levels of each factor differ, centred over the classes; nothing for other outcomes."""
    if str(opened.manifest.get("task")) != "multiclass":
        return
    with st.expander("Differences between classes", icon=":material/balance:"):
        for factor in opened.factors:
            try:
                found = class_centred(opened.run, None if factor.is_person else factor.term, level=level)
            except ToolkitError as problem:
                st.caption(views.plain(views.spoken(problem)))
                continue
            views.sentence(found.text())


@st.cache_resource(scope="session", show_spinner=False, max_entries=16)
def _distributions(path: str, finished: str, level: float, _opened: OpenRun) -> EffectDistributions:
    return distributions_of_run(_opened.run, level=level)
