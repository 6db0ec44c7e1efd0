"""The Model page on prediction: metrics, person by person, calibration."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.figures import calibration_curve, person_comparison
from analyses.report import sentences
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.metric_sentences import metric_sentences
from app import from_run, report_tables, views
from app.basket import Pinned
from app.from_run import Drawing
from app.inputs import Settings
from app.state import OpenRun
from toolkit.errors import ToolkitError

COMPARED = (("previous state", "person"), ("previous state", "population"), ("population", "person"))
HEADLINES = ("krippendorff_alpha", "ordinal_alpha", "pearson", "rmse", "accuracy", "poisson_deviance")
PERSON_READING = (
    "Each person has two marks, one for each way to predict; the line between them is what is gained or lost. Persons "
    "are sorted by it. Right of the dotted line the second way is better. A gain for most persons, even a small one, "
    "is more than a large one for a few."
)
CALIBRATION_READING = (
    "Predictions are put into ten bins of equal size. A point on the dotted line: what was predicted came true as "
    "often, or as high, as predicted. Points above: it happened more often than predicted; below: less often. Lines "
    "are intervals over persons. Bins with fewer than 11 persons are left out."
)
METRIC_READING = (
    "Pooled takes all rows together, which also rewards knowing who is usually high or low. The mean over persons asks "
    "how well changes within a person are foreseen. A model is worth its effort if it does better than the same model "
    "without person effects, and than repeating the previous state."
)


def _split(opened: OpenRun) -> str:
    known = set(opened.metrics["split"])
    return next((name for name in ("test", "validation", "train") if name in known), "")


def prediction(opened: OpenRun, settings: Settings) -> None:
    """Every metric on the rows set aside."""
    split = _split(opened)
    if not split:
        st.info("This run has no metrics: no person has ten rows or more.")
        return
    said = metric_sentences(opened.metrics, split, "person") or metric_sentences(opened.metrics, split, "population")
    if said is not None:
        views.sentence(said[0])
        views.apa(said[1], key="metrics")
    try:
        table = from_run.paper_table(opened, "metrics", split=split)
    except ToolkitError as problem:
        st.caption(views.plain(views.spoken(problem)))
        return
    report_tables.show(opened, table, name="metrics", title="How well the model predicts")
    views.explanation(text=METRIC_READING)
    note = sentences.effects_note(opened.manifest)
    if note:
        st.caption(views.plain(note))


def person_by_person(opened: OpenRun, settings: Settings) -> None:
    """The metric of every person, with and without what is personal."""
    split = _split(opened)
    rows = opened.metrics[(opened.metrics["split"] == split) & (opened.metrics["scope"] == "person")]
    metrics = [str(name) for name in dict.fromkeys(rows["metric"])]
    pairs = [pair for pair in COMPARED if set(pair) <= set(rows["level"]) and _differ(rows, pair)]
    if rows.empty or not metrics:
        st.info("This run has no metrics of single persons: no person has ten rows or more.")
        return
    metrics.sort(key=lambda name: HEADLINES.index(name) if name in HEADLINES else len(HEADLINES))
    if not pairs:
        _alone(rows, metrics, settings)
        return
    left, right = st.columns([1, 2])
    metric = left.selectbox("Metric", metrics, format_func=_metric_name, key="metric")
    best = pairs.index(("population", "person")) if ("population", "person") in pairs else 0
    said = [f"{_words(second)} against {_words(first)}" for first, second in pairs]
    pair = pairs[said.index(right.selectbox("What to compare", said, index=best, key="metric pair") or said[0])]
    wide = _wide(rows, str(metric), pair)
    name = _metric_name(str(metric))
    frame = person_comparison.tidy(wide, metric=str(metric), first=_words(pair[0]), second=_words(pair[1]))
    if frame.empty:
        st.info(f"For no person {name} can be computed in both ways.")
        return
    pinned = Pinned(
        name="person-metrics",
        title=f"{name} person by person",
        text=[person_comparison.alt_text(frame)],
        figure=(person_comparison, frame.assign(person="")),
        reading_text=PERSON_READING,
    )
    few = len(frame) < SMALLEST_SHOWN
    views.result(opened, pinned, drawn=person_comparison.screen(frame, names=settings.identifiable, height=340),
                 can_save="There are 10 persons or fewer, so nothing can be saved." if few else "")  # fmt: skip
    _table(wide, pair, settings)


def _differ(rows: pd.DataFrame, pair: tuple[str, str]) -> bool:
    """Whether the two ways to predict give anybody different numbers."""
    first, second = (rows.loc[rows["level"] == level, "value"].to_numpy(dtype=float) for level in pair)
    return len(first) != len(second) or not bool(pd.Series(first).equals(pd.Series(second)))


def _metric_name(name: str) -> str:
    return sentences.METRIC_NAMES.get(str(name), str(name))


def _words(level: str) -> str:
    return sentences.LEVEL_NAMES.get(level, level)


def _wide(rows: pd.DataFrame, metric: str, pair: tuple[str, str]) -> pd.DataFrame:
    """One row per person: both values and the rows they come from."""
    mine = rows[rows["metric"] == metric]
    values = mine.pivot_table(index="person", columns="level", values="value", sort=False, dropna=False)
    counts = mine.groupby("person")["rows"].first()
    frame = pd.DataFrame({"first": values[pair[0]], "second": values[pair[1]], "rows": counts.reindex(values.index)})
    return frame.reset_index()


def _table(wide: pd.DataFrame, pair: tuple[str, str], settings: Settings) -> None:
    with st.expander("Table of all persons", icon=":material/table:"):
        headings = {"first": _words(pair[0]).capitalize(), "second": _words(pair[1]).capitalize(), "rows": "Rows"}
        shown = wide.sort_values("second", kind="stable")
        if settings.identifiable:
            headings = {"person": "Pseudonym"} | headings
        else:
            st.caption("Pseudonyms are left out; turn on “Identifiable view” in the sidebar to see them.")
        views.table(shown, headings, key="person metrics table", height=300)


def _alone(rows: pd.DataFrame, metrics: list[str], settings: Settings) -> None:
    """The metric of every person, where there is only one way to predict."""
    metric = st.selectbox("Metric", metrics, format_func=_metric_name, key="metric")
    level = str(rows["level"].iloc[0])
    mine = rows[(rows["metric"] == metric) & (rows["level"] == level)]
    values = mine["value"].dropna()
    low, middle, high = (wording.number(float(values.quantile(share))) for share in (0.25, 0.5, 0.75))
    views.sentence(
        f"{_metric_name(str(metric))} of {len(values)} persons: median {middle}, middle "
        f"half {low} to {high}. This model is the same for everybody, so there is nothing to compare with."
    )
    headings = {"value": "Value", "rows": "Rows"}
    if settings.identifiable:
        headings = {"person": "Pseudonym"} | headings
    views.table(mine.sort_values("value", kind="stable"), headings, key="person metrics alone", height=300)


def calibration(opened: OpenRun, settings: Settings) -> None:
    """Predicted against observed on the test rows."""
    try:
        built = from_run.drawn(opened, "calibration", level=settings.level)
    except ToolkitError as problem:
        st.info(views.plain(f"Calibration cannot be shown: {views.spoken(problem)}"))
        return
    if built.frame.empty:
        st.info("Fewer than 11 persons stand behind each bin of predictions, so calibration is not shown.")
        return
    pinned = Pinned(
        name="calibration",
        title="Predicted against observed",
        text=[_came_true(built.frame)],
        figure=(Drawing(built, calibration_curve.__name__), built.frame),
        saved=built.frame.drop(columns=["probability"]),
        reading_text=CALIBRATION_READING,
        note=built.note,
    )
    views.result(opened, pinned)
    st.caption(views.plain(built.note))


def _came_true(frame: pd.DataFrame) -> str:
    """How many bins miss the diagonal."""
    known = frame[frame["low"].notna()]
    off = int(((known["predicted"] < known["low"]) | (known["predicted"] > known["high"])).sum())
    if not off:
        return f"Predictions come true: none of {len(known)} intervals misses what was predicted."
    return (
        f"{off} of {len(known)} intervals miss what was predicted; by chance alone one in twenty would. The figure "
        "shows where predictions are too high or too low."
    )
