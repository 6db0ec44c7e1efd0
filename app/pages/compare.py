"""Compare: which model predicts best, on the same persons; with less data; and on new persons."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analyses import wording
from analyses.comparison_parts import of_metric
from analyses.figures import adaptation_curve, less_data, model_comparison
from analyses.model_comparison import LOWER_IS_BETTER, WORDS, ModelComparison
from analyses.report.gallery_words import READING
from analyses.report.guard import SMALLEST_SHOWN
from analyses.report.sentences import LEVEL_NAMES
from analyses.report.standard_tables.models import comparison_table
from analyses.report.tables import p_cell
from app import compared_runs, kept_list, kept_result, obstacles, refits, result_files, state, views
from app.basket import Pinned
from app.compared_runs import Contest
from app.inputs import Settings
from app.state import OpenRun
from toolkit.runs.kept import KeptAnalysis

MODELS, LESS, NEW = "Models", "Less data", "New persons"
ALL_PAIRS = "every pair"
SPLITS = {"test": "test rows", "validation": "validation rows", "train": "training rows"}
RAISED = dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True))


def page(opened: OpenRun, settings: Settings) -> None:
    """The page of comparisons."""
    part = st.segmented_control(
        "Question", [MODELS, LESS, NEW], default=MODELS, required=True, label_visibility="collapsed", key="compare part"
    )
    if part == LESS:
        _less_data(opened)
    elif part == NEW:
        _new_persons(opened)
    else:
        _models(opened, settings)


def _models(opened: OpenRun, settings: Settings) -> None:
    labels, fitting = compared_runs.offered(opened)
    if not labels:
        st.info(
            "There is only one run, so there is nothing to compare it with. Fit another model to the same study (such "
            "as generic-crf beside nme-crf) and open its folder on the Start page."
        )
        return
    runs, names = _runs(opened, labels, fitting)
    if len(runs) < 2:
        st.info(
            "Choose at least one run of the same study, outcome, predictors and split to compare this one with. "
            "The sidebar says which study is open."
        )
        return
    obstacle = obstacles.without_units(opened, settings)
    if obstacle:
        st.info(views.plain(obstacle))
        return
    contest = _contest(opened, settings, runs, names)
    if contest is None:
        return
    found = compared_runs.compared(contest)
    if found is None:
        return
    _result(opened, contest, found)


def _runs(opened: OpenRun, labels: dict[str, Any], fitting: list[str]) -> tuple[list[OpenRun], list[str]]:
    """The runs to compare, the open one first; those that do not fit are refused with a sentence."""
    here = next((run.label for run in state.found_runs() if run.path == opened.path.resolve()), opened.run.name)
    chosen = st.multiselect(
        f"Compare {here} with", list(labels), default=fitting[:8], key=f"compared {opened.path}",
        help="Offered first are the runs that were fitted to the same rows with the same split.",
    )  # fmt: skip
    runs, names = [opened], [here]
    for found in state.other_runs(opened):
        if found.label not in chosen:
            continue
        why = "" if found.label in fitting else compared_runs.refusal(opened, found)
        if why:
            st.warning(views.plain(why))
            continue
        runs.append(state.open_run(found.path))
        names.append(found.label)
    return runs, names


def _contest(opened: OpenRun, settings: Settings, runs: list[OpenRun], names: list[str]) -> Contest | None:
    """Rows, predictions, the model that others are compared with, and the correction."""
    splits = compared_runs.shared_splits(runs)
    targets = compared_runs.shared_targets(runs)
    target = st.segmented_control(
        "Outcome", targets, default=targets[0], required=True, key=f"compare target {opened.path}"
    ) if targets else None  # fmt: skip
    columns = st.columns([1, 1.5, 1.4, 1.1], vertical_alignment="bottom")
    if not splits:
        st.info("These runs have no metrics of the same rows. Fit them with the same split.")
        return None
    split = columns[0].selectbox("On the", splits, format_func=SPLITS.__getitem__, key="compare split")
    levels = compared_runs.shared_levels(runs, str(split), target)
    if not levels:
        st.info("These runs have no kind of prediction in common. Choose other runs.")
        return None
    level = columns[1].selectbox(
        "Predictions", levels, index=levels.index("person") if "person" in levels else 0,
        format_func=lambda name: LEVEL_NAMES.get(str(name), str(name)), key="compare level",
    )  # fmt: skip
    against = columns[2].selectbox(
        "Differences of", [ALL_PAIRS, *names], key=f"compare baseline {opened.path}",
        format_func=lambda name: name if name == ALL_PAIRS else f"others from {name}",
    )  # fmt: skip
    holm = columns[3].toggle(
        "Holm’s correction", key="compare holm", help="Stricter: counts all comparisons of one metric together."
    )
    return Contest(
        runs=tuple(runs), labels=tuple(names), split=str(split), level=str(level),
        baseline=None if against == ALL_PAIRS else str(against), holm=holm,
        unit=compared_runs.unit_of(settings, opened), target=target,
    )  # fmt: skip


def _result(opened: OpenRun, contest: Contest, found: ModelComparison) -> None:
    """The chosen metric as a figure, every metric as a table with marks."""
    metric = st.segmented_control(
        "Metric", list(found.metrics), default=found.metrics[0], required=True, key=f"metric {found.metrics}",
        format_func=lambda name: WORDS.get(str(name), str(name)), label_visibility="collapsed",
    )  # fmt: skip
    one = of_metric(found, str(metric or found.metrics[0]))
    said, notes = _apart(one)
    frame = model_comparison.tidy(one, reference=contest.baseline)
    pinned = Pinned(
        name="models", title=f"Models compared: {WORDS.get(one.metrics[0], one.metrics[0])}", text=[said],
        apa=[one.apa()], figure=(model_comparison, frame), saved=found.to_frame(),
        reading_text=READING["model-comparison"], recipe=contest.recipe(),
    )  # fmt: skip
    views.sentence(said)
    views.chart(model_comparison.screen(frame), pinned.in_words, "models")
    for note in notes:
        st.caption(views.plain(note))
    _matrix(found)
    views.apa(*pinned.apa, key="models")
    few = f"Fewer than {SMALLEST_SHOWN} persons, so nothing is saved." if found.n_persons < SMALLEST_SHOWN else ""
    paper = comparison_table(found.summary(), smallest=SMALLEST_SHOWN)
    result_files.below(opened, pinned, can_save=few, tables={"models": paper})
    _pairs(found)
    result_files.code(opened, contest.recipe(), others=tuple(str(run.path) for run in contest.runs[1:]))


def _apart(one: ModelComparison) -> tuple[str, list[str]]:
    text = one.text()
    for note in one.notes:
        text = text.replace(note, "")
    return " ".join(text.split()), list(one.notes)


def _matrix(found: ModelComparison) -> None:
    """Means of every metric; raised letters name the models that are clearly better."""
    rows = found.table()
    shown = pd.DataFrame({"letter": rows["letter"], "model": rows["model"]})
    headings = {"letter": "", "model": "Model"}
    for metric in found.metrics:
        shown[metric] = [_raised(cell) for cell in rows[metric]]
        arrow = "↓" if metric in LOWER_IS_BETTER else "↑"
        words = WORDS.get(metric, metric)
        headings[metric] = f"{words[:1].upper()}{words[1:]} {arrow}"
    views.table(shown, headings, key="models table", height=35 * (len(shown) + 1) + 3)
    st.caption("Means over persons. Raised letters: models that are clearly better. ↑ higher is better, ↓ lower is.")


def _raised(cell: str) -> str:
    value, _, marks = cell.partition("^")
    return f"{value} {''.join(RAISED.get(letter, letter) for letter in marks)}".strip()


def _pairs(found: ModelComparison) -> None:
    with st.expander("Every paired difference", icon=":material/table:"):
        table = found.to_frame()
        table["metric"] = [WORDS.get(str(name), str(name)) for name in table["metric"]]
        table["interval"] = [
            f"[{wording.number(low, 3)}, {wording.number(high, 3)}]"
            for low, high in zip(table["low"], table["high"], strict=True)
        ]
        for name in ("pvalue", "pvalue_holm"):
            table[name] = ["" if pd.isna(p) else p_cell(float(p)) for p in table[name]]
        headings = {"metric": "Metric", "first": "First", "second": "Second", "difference": "First minus second",
                    "interval": f"{wording.percent(1 - found.alpha)} interval", "pvalue": "p",
                    "pvalue_holm": "p (Holm)", "n": "Persons"}  # fmt: skip
        views.table(table, headings, key="pairs", digits=3, height=280)


def _kept(opened: OpenRun, command: str) -> tuple[OpenRun, KeptAnalysis] | None:
    """The result of a kind kept with the open run, or with another run of the same data."""
    mine = kept_list.newest(opened, command)
    if mine is not None:
        return opened, mine
    _, fitting = compared_runs.offered(opened)
    for found in state.other_runs(opened):
        if found.label in fitting:
            other = state.open_run(found.path)
            there, _ = kept_list.of_command(other, command)
            if there:
                return other, there[0]
    return None


def _less_data(opened: OpenRun) -> None:
    st.markdown("**Which model is ahead when each person has fewer rows to learn from?**")
    kept = _kept(opened, "less-data")
    if kept is None:
        _how("less-data", opened, "The models are fitted again to 100, 75, 50 and 25 % of each person’s training rows.")
        return
    headings = {"share": "Share of rows", "model": "Model", "mean": "Mean", "low": "Interval, from", "high": "to",
                "persons": "Persons", "marks": "Clearly better"}  # fmt: skip
    kept_result.show(
        kept[0], kept[1], title="Models with less data", module=less_data,
        tidy=lambda one: less_data.tidy(one.frame, metric=str(one.summary["metric"])), reading=READING["less-data"],
        headings={name: word for name, word in headings.items() if name in kept[1].frame}, digits=3,
    )  # fmt: skip


def _new_persons(opened: OpenRun) -> None:
    st.markdown("**How well are new persons predicted, by how many of their rows the model adapts to?**")
    kept = _kept(opened, "adaptation")
    if kept is None:
        _how("adaptation", opened, "The models adapt to more and more rows of persons they never saw.")
        return
    headings = {"model": "Model", "target": "Outcome", "metric": "Metric", "share": "Share of rows", "value": "Mean",
                "low": "Interval, from", "high": "to", "persons": "Persons"}  # fmt: skip
    kept_result.show(
        kept[0], kept[1], title="Adapting to new persons", module=adaptation_curve,
        tidy=lambda one: adaptation_curve.tidy(one.frame), reading=READING["adaptation"], headings=headings, digits=3,
    )  # fmt: skip


def _how(command: str, opened: OpenRun, what: str) -> None:
    """How a result is made that needs further fits."""
    _, fitting = compared_runs.offered(opened)
    others = [str(run.path) for run in state.other_runs(opened) if run.label in fitting]
    if not others:
        st.info(f"{what} There is no other run to compare with: fit another model of the same study first.")
        return
    refits.offer(opened, command, others=others[:1], why=f"{what} That takes several fits.", label="Fitting again")


views.of_run(page)
