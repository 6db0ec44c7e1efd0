"""The kept analyses of a run as sections, for papers and for one's own files."""

from __future__ import annotations

import re

from analyses.report import gallery_words, sentences
from analyses.report.document import Section
from analyses.report.guard import SMALLEST_RANGE, small_label
from analyses.report.report_baseline import baseline_table
from analyses.report.report_facts import OF_GROUPS, OF_PERSONS, ReportOptions, RunFacts, kind_of
from analyses.report.report_figures import kept_figure, means_figure
from analyses.report.snippets import options_of
from analyses.report.standard_tables import TableOptions, standard_table
from analyses.report.tables import ReportTable
from toolkit.errors import DataError
from toolkit.runs.kept import KeptAnalysis

VALUES = {
    "score": "the model’s transition scores",
    "probability": "the model’s transition probabilities",
    "expected": "the transitions the model expects",
    "observed": "the observed transitions",
}
TITLES = {
    "base-rates": "How often states occur",
    "hsic": "One test for all transitions",
    "differences": "Each transition on its own",
    "differences-pairs": "Each transition, all pairs of groups",
    "plausible": "Transitions with the uncertainty of every person counted",
    "group-test": "Group test of the dashboard",
    "slopes": "Transitions along a number per person",
    "baseline": "Bias against baseline",
    "variance": "Where the differences lie",
    "comparison": "Models compared",
    "stability": "Stability of person estimates",
    "multiverse": "The group difference under other choices",
    "power": "Power of a further study",
    "less-data": "Less data per person",
    "adaptation": "New persons, by the rows adapted to",
    "likeness": "Whom the gate takes persons for",
    "class-effects": "Effects on each class",
    "effects": "How the effects of each grouping factor are spread",
    "contributions": "One prediction taken apart",
    "drivers": "What drives a difference",
}
READING = {
    "hsic": "null_distribution",
    "differences": "interval_matrix",
    "base-rates": "base_rates",
    "baseline": "baseline_scatter",
}
DRAWN = {"effects": "factor-distributions", "contributions": "contributions"}
TABLES = {"differences": "differences", "comparison": "models"}
IN_TABLE = "Correlations and slopes of the person-specific biases on the persons’ baseline levels stand in the table."
ORDER = tuple(TITLES)


def results(facts: RunFacts, options: ReportOptions) -> list[Section]:
    """Every kept analysis that may be shown, in a fixed order."""
    shown = [(kind_of(kept), kept) for kept in facts.kept]
    shown = [(kind, kept) for kind, kept in shown if visible(kind, facts, options)]
    shown.sort(key=lambda pair: (ORDER.index(pair[0]) if pair[0] in ORDER else len(ORDER), pair[1].name))
    sections: list[Section] = []
    for kind, kept in shown:
        sections += _sections(kind, kept, facts, options)
    return sections


def visible(kind: str, facts: RunFacts, options: ReportOptions) -> bool:
    """Whether a kind of analysis may be shown to the audience."""
    if not options.guarded:
        return True
    return kind not in OF_PERSONS and not (kind in OF_GROUPS and facts.groups_hidden)


def hidden_sentences(facts: RunFacts, options: ReportOptions) -> list[str]:
    """Which kept analyses are left out, and why."""
    kinds = [(kind_of(kept), kept.name) for kept in facts.kept]
    groups = [name for kind, name in kinds if kind in OF_GROUPS and not visible(kind, facts, options)]
    single = [name for kind, name in kinds if kind in OF_PERSONS and not visible(kind, facts, options)]
    said = []
    if groups:
        said.append(
            f"Not shown, because a group has fewer than {options.smallest} persons: {', '.join(groups)} "
            f"({facts.run.name})."
        )
    if single:
        said.append(f"Not shown, because it is about single persons: {', '.join(single)} ({facts.run.name}).")
    return said


def title_of(kind: str, kept: KeptAnalysis) -> str:
    """What a kept analysis is called in a heading."""
    value = str((kept.recipe.options if kept.recipe else {}).get("value") or "")
    words = f": {VALUES[value]}" if value in VALUES and kind in ("hsic", "differences", "differences-pairs") else ""
    return f"{TITLES.get(kind, kept.name)}{words}"


def _sections(kind: str, kept: KeptAnalysis, facts: RunFacts, options: ReportOptions) -> list[Section]:
    paper = options.audience == "paper"
    notes = [_hushed(str(note), options) for note in kept.summary.get("notes") or []]
    table = _table(kind, kept, facts, options)
    long = kind == "baseline" and table is not None and len(table.frame) > 2
    first = Section(
        title=title_of(kind, kept),
        level=2,
        text=[IN_TABLE] if long and paper else paragraphs(kept.apa if paper else kept.text),
        apa=() if paper else paragraphs(kept.apa),
        figure=kept_figure(kept, kind, facts.run),
        table=None if kind == "differences" else table,
        how_to_read="" if paper else _reading(kind),
        note=" ".join(dict.fromkeys(notes)) if paper or kind != "baseline" else "",
        code="" if paper else _settings(kept),
    )
    if kind != "differences":
        return [first]
    means = Section(
        title="Group means and all differences",
        level=2,
        figure=means_figure(kept),
        table=table,
        how_to_read="" if paper else sentences.HOW_TO_READ["group_matrices"],
    )
    return [first, means]


def _reading(kind: str) -> str:
    """How to read the figure of an analysis; empty where there is none."""
    return sentences.HOW_TO_READ.get(READING.get(kind, ""), "") or gallery_words.READING.get(DRAWN.get(kind, ""), "")


def _hushed(note: str, options: ReportOptions) -> str:
    """A note without the number of the few persons that were left out."""
    if not options.guarded:
        return note

    def small(found: re.Match[str]) -> str:
        return f"{small_label(options.smallest) if int(found[1]) < options.smallest else found[1]} persons without"

    return re.sub(r"\b(\d+) persons without", small, note)


def _table(kind: str, kept: KeptAnalysis, facts: RunFacts, options: ReportOptions) -> ReportTable | None:
    """The table of an analysis, where it has one."""
    if kind == "baseline":
        return baseline_table(kept)
    name = TABLES.get(kind)
    if name is None:
        return None
    smallest = options.smallest if options.guarded else SMALLEST_RANGE[0]
    try:
        return standard_table(name, facts.run, TableOptions(smallest=smallest, analysis=kept.name))
    except (DataError, KeyError):  # kept by another version
        return None


def paragraphs(text: str) -> list[str]:
    """The lines of a text as paragraphs."""
    return [line for line in text.split("\n") if line.strip()]


def _settings(kept: KeptAnalysis) -> str:
    """What the analysis was made with, as one line."""
    if kept.recipe is None:
        return ""
    told = ", ".join(f"{name}={value!r}" for name, value in options_of(kept.recipe).items() if value is not None)
    return f"{kept.recipe.command}: {told}"
