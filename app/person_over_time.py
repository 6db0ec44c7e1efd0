"""One person over time: states observed and foreseen, with the paths of own and average transitions; or a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from analyses.figures import person_series, state_paths
from analyses.figures.state_paths import AVERAGE, OBSERVED, OWN
from app import views
from app.person_shown import Person, save

MOST_STEPS = 120  # prompts drawn at once: more marks than pixels help nobody
PATH_READING = (
    "Each mark is one prompt. Observed: what the person reported. Forecast: the state the model held most likely "
    "before knowing it. Own path: the most likely course through all states with this person’s own transitions and "
    "parameters; average path: the same for an average person in the same situations. Where the two paths part "
    "(orange), what is personal changes the picture. Grey prompts were not used for fitting."
)
OLDER = (
    "This run was fitted by a version that did not keep the path of the average person, so only the person’s own path "
    "is shown. Fit the run again to see where they part."
)


def paths(person: Person) -> None:
    """Observed states, the forecast, and both paths."""
    frame = path_frame(person)
    if frame.empty:
        st.info("This run holds no rows of this person.")
        return
    views.sentence(path_words(frame))
    part = _window(frame, person)
    views.chart(state_paths.screen(part, height=270), state_paths.alt_text(part), "paths")
    if AVERAGE not in set(frame["series"]):
        st.caption(OLDER)
    left, right = st.columns(2)
    with left:
        views.explanation(text=PATH_READING)
    with right:
        views.described(state_paths.alt_text(frame))
    table = _table(frame)
    with st.expander("Table of all prompts", icon=":material/table:"):
        headings = {"step": "Prompt"} | {name: name for name in state_paths.SERIES.values() if name in table}
        views.table(table, headings, key="paths table", height=300)
    save(person, "paths", (state_paths, part), table, path_words(frame))


def path_frame(person: Person) -> pd.DataFrame:
    """The paths of one person."""
    return state_paths.tidy(person.opened.predictions, person.name, person.opened.run.states or ())


def path_words(frame: pd.DataFrame) -> str:
    """How well both paths meet what was observed, and where they part."""
    wide = _table(frame)
    seen = wide[wide[OBSERVED].notna()]
    if OWN not in wide or seen.empty:
        return state_paths.alt_text(frame)
    own = float((seen[OWN] == seen[OBSERVED]).mean())
    said = f"With their own transitions the most likely path names {100 * own:.0f} % of the observed states"
    if AVERAGE not in wide:
        return f"{said}."
    average = float((seen[AVERAGE] == seen[OBSERVED]).mean())
    parted = wide[wide[OWN] != wide[AVERAGE]]
    said += f", with average ones {100 * average:.0f} %."
    if parted.empty:
        return f"{said} The two paths never part."
    first = int(parted["step"].iloc[0])
    return f"{said} The two paths part at {len(parted)} of {len(wide)} prompts, first at prompt {first}."


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per prompt."""
    wide = frame.assign(state=frame["state"].astype("string")).pivot(index="step", columns="series", values="state")
    return wide.reset_index()


def _window(frame: pd.DataFrame, person: Person) -> pd.DataFrame:
    """The prompts that are drawn; a slider where there are many."""
    last = int(frame["step"].max())
    if last <= MOST_STEPS:
        return frame
    first, end = st.slider(
        "Prompts", 1, last, (1, MOST_STEPS), key=f"prompts {person.opened.path} {person.place}",
        help=f"At most {MOST_STEPS} are drawn.",
    )  # fmt: skip
    return state_paths.between(frame, int(first), min(int(end), int(first) + MOST_STEPS - 1))


class Series:
    """`person_series` with the name of the outcome settled."""

    __name__ = person_series.__name__

    def __init__(self, outcome: str) -> None:
        self.outcome = outcome

    def screen(self, frame: pd.DataFrame, **more: Any) -> Any:
        """For the screen."""
        return person_series.screen(frame, outcome=self.outcome, **more)

    def print_figure(self, frame: pd.DataFrame, *, width_mm: float = 183.0) -> Any:
        """For print."""
        return person_series.print_figure(frame, outcome=self.outcome, width_mm=width_mm)

    def alt_text(self, frame: pd.DataFrame) -> str:
        """In words."""
        return person_series.alt_text(frame)


def series(person: Person) -> None:
    """Observed and predicted outcome over time."""
    predictions, outcome = _of_target(person)
    frame = person_series.tidy(predictions, person.name)
    drawn = Series(outcome)
    views.sentence(_series_words(frame))
    views.chart(drawn.screen(frame, height=340), drawn.alt_text(frame), "series")
    left, right = st.columns(2)
    with left:
        views.explanation("person_series")
    with right:
        views.described(drawn.alt_text(frame))
    table = frame.pivot_table(
        index=["step", "split"], columns="series", values="value", sort=False, dropna=False
    ).reset_index()
    with st.expander("Table of all prompts", icon=":material/table:"):
        headings: Mapping[str, str] = {"step": "Prompt", "split": "Part"} | {
            name: name.capitalize() for name in person_series.SERIES.values() if name in table
        }
        views.table(table, dict(headings), key="series table", height=300)
    save(person, "one-person", (drawn, frame), table, drawn.alt_text(frame))


def _of_target(person: Person) -> tuple[pd.DataFrame, str]:
    """Predictions of one outcome, asked for where a run predicts several."""
    opened = person.opened
    targets = list(opened.run.targets)
    if len(targets) < 2:
        return opened.predictions, opened.outcome
    chosen = st.segmented_control("Outcome", targets, default=targets[0], required=True, key=f"target {opened.path}")
    if chosen not in targets or chosen == targets[0]:
        return opened.predictions, targets[0]
    return opened.run.predictions(str(chosen)), str(chosen)


def _series_words(frame: pd.DataFrame) -> str:
    """How far off both predictions are on the rows kept for testing."""
    named = frame["label"].astype("string").fillna("") != ""
    test = frame[frame["split"] == "test"]
    wide = test.pivot(index="step", columns="series", values="value")
    truth, own, average = person_series.SERIES.values()
    known = wide.dropna(subset=[truth]) if truth in wide else wide.iloc[:0]
    if known.empty or bool(named.any()):
        return person_series.alt_text(frame)
    errors = [float((known[name] - known[truth]).abs().mean()) for name in (own, average)]
    return (
        f"{person_series.alt_text(frame)} On the {len(known)} rows kept for testing, the person’s own model is off by "
        f"{errors[0]:.1f} on average, the average one by {errors[1]:.1f}."
    )
