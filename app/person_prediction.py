"""One prediction of a person taken apart: what holds for anybody, what the person, the family, the item add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from analyses.contributions import Contributions, contributions_of_run
from analyses.effect_distributions import distributions_of_run
from analyses.figures import contributions, factor_distributions
from analyses.grouping_factors import all_effects
from analyses.report.gallery_words import READING
from app import views
from app.person_shown import Person, save
from app.state import OpenRun

if TYPE_CHECKING:
    from pathlib import Path

    from app.studies import OpenStudy
    from toolkit.data.grouped import GroupedDataset
    from toolkit.models.effect_parts import EffectParts

NEEDS_ROWS = (
    "To take a prediction apart, the rows of the study are needed, and the run folder does not hold them. Open the "
    "study on the Start page; it stays on this computer."
)


def is_sum(opened: OpenRun) -> bool:
    """Whether predictions of the run are sums of effects: of no chain, and of no network of experts."""
    files = opened.manifest.get("files") or {}
    return not opened.has_states and "gate.parquet" not in files and "experts.parquet" not in files


def prediction(person: Person) -> None:
    """The row chosen, its prediction step by step, and its levels among all others."""
    from app.studies import current_study

    opened = person.opened
    study = current_study(opened)
    if study is None:
        st.info(NEEDS_ROWS)
        return
    rows = _rows(str(opened.path), str(opened.manifest.get("finished")), study.path, opened, study)
    parts = _parts(str(opened.path), str(opened.manifest.get("finished")), person.name, opened, rows)
    if parts is None:
        st.info("The study holds no rows of this person.")
        return
    place = _chosen(person, len(parts.population))
    found = contributions_of_run(opened.run, parts, row=place, level=person.settings.level)
    views.sentence(found.text())
    frame = contributions.tidy(found, names=person.settings.identifiable)
    words = contributions.alt_text(frame)
    views.chart(contributions.screen(frame), words, "contributions")
    left, right = st.columns(2)
    with left:
        views.explanation(text=READING["contributions"])
    with right:
        views.described(words)
    _among_all(person, found)
    table = found.to_frame().drop(columns=[] if person.settings.identifiable else ["level"])
    save(person, "prediction", (contributions, frame), table, found.text())


def _chosen(person: Person, count: int) -> int:
    """Which of the person's rows."""
    if count == 1:
        return 0
    unit = person.opened.observation
    number = st.slider(f"Which of the {count} {unit}?", 1, count, count, key=f"person row {person.place}",
                       help="Counted in the order of the study.")  # fmt: skip
    return int(number) - 1


def _among_all(person: Person, found: Contributions) -> None:
    """The levels of the row in the distributions of all levels."""
    spread = distributions_of_run(person.opened.run, level=person.settings.level)
    levels = {factor.term: level for factor, level in zip(found.factors, found.levels, strict=True)}
    frame = factor_distributions.tidy(spread, all_effects(person.opened.run), marked=levels)
    with st.expander("These levels among all others", icon=":material/bar_chart:"):
        views.chart(factor_distributions.screen(frame), factor_distributions.alt_text(frame), "marked distributions")
        st.caption(views.plain(READING["marked-distributions"]))


@st.cache_resource(scope="session", show_spinner=False, max_entries=4)
def _rows(path: str, finished: str, study_file: Path, _opened: OpenRun, _study: OpenStudy) -> GroupedDataset:
    from toolkit.runs.interpreting import rows_of_study

    return rows_of_study(_opened.run, _study.study)


@st.cache_resource(scope="session", show_spinner="Taking predictions apart", max_entries=16)
def _parts(path: str, finished: str, name: str, _opened: OpenRun, _rows: GroupedDataset) -> EffectParts | None:
    """Parts of all rows of a person; None where there are no rows."""
    from toolkit.runs.interpreting import parts_of_run

    known = {label: code for code, label in enumerate(_rows.persons)}
    mine = np.flatnonzero(np.asarray(_rows.person) == known.get(name, -1))
    return parts_of_run(_opened.run, _rows.take(mine)) if len(mine) else None
