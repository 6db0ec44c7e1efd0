"""Baseline: does a person's own bias in the model follow the person's usual level, in rows the model never saw too?"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import streamlit as st

from analyses import wording
from analyses.baseline_levels import ROWS_IN_WORDS, are_shares, bias_parameters, scatter_frames
from analyses.baseline_report import MECHANICAL, BaselineReport, BaselineView, baseline_report
from analyses.figures import baseline_scatter, null_distribution
from analyses.figures.labels import parameter_label
from analyses.report.gallery_words import READING
from analyses.report.guard import SMALLEST_SHOWN, small_groups
from analyses.report.report_baseline import baseline_table
from analyses.report.tables import ReportTable, p_cell
from app import jobs, obstacles, result_files, views
from app.basket import Pinned
from app.inputs import PERSONS, Settings
from app.run_key import run_key
from app.state import OpenRun
from toolkit.errors import DataError, ToolkitWarning
from toolkit.runs.kept import KeptAnalysis, Recipe

RESAMPLES, PERMUTATIONS = 10_000, 9_999
QUANTITIES = {
    "pearson": "Correlation (Pearson)",
    "spearman": "Correlation of ranks (Spearman)",
    "bend": "Correlation, extreme persons count little",
    "corrected slope": "Slope, corrected for the pull to the average",
    "slope of shrunken estimates": "Slope of the estimates as they are",
    "permuted identity": "With baselines dealt to others at random",
}
IDENTITY_READING = (
    "The bars show the correlation when every person gets somebody else’s baseline. The line is what it is with "
    "everybody’s own. Far outside the bars: the link is about who a person is. A baseline from the training rows "
    "always lies far outside, since bias and baseline share their rows; look at the held-out rows as well."
)


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of bias against baseline."""
    obstacle = obstacles.first_of(obstacles.without_effects(opened), _without_bias(opened))
    if obstacle:
        st.info(views.plain(obstacle))
        return
    parameter, rows = _choices(opened)
    frame = _scatter(opened, settings, parameter, rows)
    if len(frame) < 2:
        st.info(
            f"Fewer than two persons have {ROWS_IN_WORDS[rows]} and a bias of their own, so there is no link to show."
        )
        return
    alone = obstacles.without_units(opened, settings)
    if alone:
        _draw(frame)
        st.info(views.plain(alone))
        return
    report = _report(opened, settings, parameter)
    if report is None:
        _draw(frame)
        return
    view = next((one for one in report.views if one.rows == rows), None)
    if view is None:
        _draw(frame)
        st.info(views.plain(" ".join(report.notes)))
        return
    _result(opened, settings, report, view, frame)


def _without_bias(opened: OpenRun) -> str:
    """A personal model in which no level varies."""
    try:
        bias_parameters(opened.run)
    except DataError:
        return (
            "In this model no level (bias) varies from person to person, only other parameters do. Choose a run fitted "
            "with person effects in its last layer."
        )
    return ""


def _choices(opened: OpenRun) -> tuple[str, str]:
    """Which level, and where its baseline comes from."""
    targets = bias_parameters(opened.run)
    left, right = st.columns([1.4, 1.6], vertical_alignment="bottom")
    parameter = left.selectbox(
        "Level of" if opened.has_states else "Person-specific bias",
        list(targets),
        format_func=lambda name: targets[name] if opened.has_states else parameter_label(name),
        key=f"bias {opened.path}",
    )
    held_out = bool(set(opened.predictions["split"]) & {"validation", "test"})
    options = ["train", "held-out"] if held_out else ["train"]
    rows = right.segmented_control(
        "Baseline from", options, default=options[0], required=True, key="baseline rows",
        format_func={"train": "Training rows", "held-out": "Held-out rows"}.__getitem__,
        help="The bias was fitted to the training rows, so a baseline from the same rows goes with it by arithmetic. "
        "A baseline from held-out rows does not.",
    )  # fmt: skip
    return str(parameter), str(rows or "train")


def _scatter(opened: OpenRun, settings: Settings, parameter: str, rows: str) -> pd.DataFrame:
    found = scatter_frames(opened.run, rows=rows, parameters=[parameter])[parameter]
    if not settings.by_group:
        found = found.assign(group=None)
    return baseline_scatter.tidy_scatter(
        found, rows=ROWS_IN_WORDS[rows], of_state=are_shares(opened.run), group_names=opened.group_names
    )


def _recipe(settings: Settings, parameter: str) -> Recipe:
    return Recipe(
        command="baseline",
        options={
            "parameter": parameter,
            "unit": "person" if settings.unit == PERSONS else "cluster",
            "resamples": RESAMPLES,
            "permutations": PERMUTATIONS,
            "level": settings.level,
            "seed": 1,
        },
    )


def _report(opened: OpenRun, settings: Settings, parameter: str) -> BaselineReport | None:
    recipe = _recipe(settings, parameter)
    asked = {name: recipe.options[name] for name in ("unit", "resamples", "permutations", "level")}
    run = opened.run

    def work() -> BaselineReport:
        with warnings.catch_warnings():
            # a warning about few persons is among the notes of the result
            warnings.simplefilter("ignore", ToolkitWarning)
            return baseline_report(run, parameters=[parameter], rng=np.random.default_rng(1), **asked)

    name = f"baseline-{result_files.slug(parameter, asked['unit'], settings.level)}"
    return jobs.job(
        ("baseline", run_key(opened), parameter, *asked.values()), work, label="Resampling and shuffling",
        keep=jobs.Keep(opened, name, recipe),
    )  # fmt: skip


def _draw(frame: pd.DataFrame) -> None:
    """The scatter alone, while its numbers are on their way."""
    views.chart(baseline_scatter.screen(frame, height=330), baseline_scatter.alt_text(frame), "scatter alone")


def _result(
    opened: OpenRun, settings: Settings, report: BaselineReport, view: BaselineView, frame: pd.DataFrame
) -> None:
    pearson = view.correlations["pearson"]
    pinned = Pinned(
        name=f"baseline-{view.rows}",
        title=f"Bias against baseline, {ROWS_IN_WORDS[view.rows]}",
        text=[_sentence(view)],
        apa=[pearson.apa("Person-specific bias", _level(view)), *([view.slope.apa()] if view.slope else [])],
        figure=(baseline_scatter, frame),
        saved=report.to_frame(),
        reading_text=f"{READING['baseline']} {MECHANICAL}",
        recipe=_recipe(settings, view.parameter),
    )
    views.sentence(pinned.text[0])
    left, right = st.columns([1.55, 1], gap="small")
    null = null_distribution.tidy_two_sided(
        np.asarray(view.identity.null), view.identity.r, view.identity.pvalue,
        x_title="r with somebody else’s baseline",
        what=f"the correlation of bias with baselines dealt to other {view.identity.unit_name} in {{}} ways",
    )  # fmt: skip
    with left:
        views.chart(baseline_scatter.screen(frame, height=350), pinned.in_words, "scatter")
    with right:
        views.chart(null_distribution.screen(null, height=350), null_distribution.alt_text(null), "identity")
    views.apa(*pinned.apa, key="baseline")
    result_files.below(opened, pinned, can_save=_few(frame), tables=_paper(report))
    for note in report.notes:
        st.caption(views.plain(note))
    _identity(opened, view, null)
    _numbers(report, settings)
    result_files.code(opened, _recipe(settings, view.parameter))


def _few(frame: pd.DataFrame) -> str:
    sizes = {str(group): int(count) for group, count in frame["group"].value_counts().items()}
    if not small_groups(sizes, smallest=SMALLEST_SHOWN):
        return ""
    return result_files.FEW.format("a figure by group") + " Choose “no grouping” in the sidebar."


def _level(view: BaselineView) -> str:
    what = f"the share of {view.target} (in %)" if view.of_state else f"mean {view.target}"
    return f"{what} in the {ROWS_IN_WORDS[view.rows]}"


def _sentence(view: BaselineView) -> str:
    """What the link means, with its size and interval."""
    pearson = view.correlations["pearson"]
    ends = wording.ci_text(wording.bounded(pearson.low), wording.bounded(pearson.high), pearson.level)
    numbers = f"r = {wording.bounded(pearson.r)}, {ends}"
    if pearson.low > 0:
        found = "The higher a person’s usual level, the higher the person’s own bias in the model"
    elif pearson.high < 0:
        found = "The higher a person’s usual level, the lower the person’s own bias in the model"
    else:
        found = "The persons’ own biases do not clearly follow their usual level"
    where = "rows the model never saw" if view.rows == "held-out" else "the rows it was fitted to"
    return f"{found}: {numbers} ({_level(view)}, {where})."


def _identity(opened: OpenRun, view: BaselineView, null: pd.DataFrame) -> None:
    """The control: does it matter whose baseline it is?"""
    st.subheader("Does it matter whose baseline it is?", anchor=False)
    pinned = Pinned(
        name=f"baseline-identity-{view.rows}",
        title="Permuted identity",
        text=[view.identity.text()],
        apa=[view.identity.apa()],
        figure=(null_distribution, null),
        saved=null[["left", "right", "count", "beyond"]],
        reading_text=IDENTITY_READING,
        recipe=None,
    )
    views.sentence(pinned.text[0])
    views.apa(*pinned.apa, key="identity")
    result_files.below(opened, pinned)


def _numbers(report: BaselineReport, settings: Settings) -> None:
    table = report.to_frame()
    table["quantity"] = [QUANTITIES.get(str(name), str(name)) for name in table["quantity"]]
    table["rows"] = [ROWS_IN_WORDS[str(rows)] for rows in table["rows"]]
    table["pvalue"] = ["" if pd.isna(p) else p_cell(float(p)) for p in table["pvalue"]]
    table["interval"] = [
        "" if pd.isna(low) else f"[{wording.number(low, 3)}, {wording.number(high, 3)}]"
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    headings = {"rows": "Baseline from", "quantity": "Quantity", "estimate": "Value",
                "interval": f"{wording.percent(settings.level)} interval", "pvalue": "p", "n": "Persons"}  # fmt: skip
    views.table(table, headings, key="baseline numbers", digits=3, height=35 * (len(table) + 1) + 3)


def _paper(report: BaselineReport) -> dict[str, ReportTable]:
    kept = KeptAnalysis(name="baseline", summary={}, frame=report.to_frame(), text="", apa="", recipe=None)
    made = baseline_table(kept)
    return {} if made is None else {"baseline": made}


views.of_run(page)
