"""The report for practitioners: plain sentences, how to read each figure, what it does not mean; nobody singled out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analyses import wording
from analyses.figures.labels import listed
from analyses.grouping_factors import noun_of
from analyses.report import sentences
from analyses.report.document import Report, Section
from analyses.report.guard import suppressed_counts
from analyses.report.report_facts import ReportOptions, RunFacts, kind_of
from analyses.report.report_figures import kept_figure, means_figure
from analyses.report.report_plain import disagreement, foresight, of_observed, plain_text, rates_table, spread
from analyses.report.report_results import visible
from toolkit.runs.kept import KeptAnalysis
from toolkit.runs.reading import further_groupings

RESEARCH = "For research, not for diagnosis."
DESCRIBES = {
    "nme-crf": "It learns how one state follows another, for everybody together and, as far as the data allow, "
    "for each "
    "person.",
    "generic-crf": "It learns how one state follows another, in the same way for everybody.",
    "nme-mlp": "It learns what goes along with the outcome, for everybody together and, as far as the data "
    "allow, for each "
    "person.",
    "generic-mlp": "It learns what goes along with the outcome, in the same way for everybody.",
}
DESCRIBES |= {
    "specific-crf": DESCRIBES["nme-crf"],
    "specific-mlp": DESCRIBES["nme-mlp"],
    "mlp-lme": DESCRIBES["nme-mlp"],
    "lmm": DESCRIBES["nme-mlp"],
    "glmm": DESCRIBES["nme-mlp"],
    "lmmnn": DESCRIBES["nme-mlp"],
    "mc-gmenn": DESCRIBES["nme-mlp"],
}
DESCRIBES |= {"pen": DESCRIBES["nme-mlp"], "pen-shared": DESCRIBES["generic-mlp"]}
DESCRIBES |= dict.fromkeys(
    ("target-encoding-mlp", "deep-glmm", "menets", "armed", "one-hot-mlp", "embedding-mlp", "lstm"),
    DESCRIBES["nme-mlp"],
)
DESCRIBES |= dict.fromkeys(("map-cnn", "svdkl"), DESCRIBES["generic-mlp"])
HEADINGS = {
    "base-rates": "How often do the states occur?",
    "hsic": "Does one state follow another differently?",
    "differences": "Which steps differ?",
    "baseline": "Personal side and usual level",
    "variance": "Lasting differences and ups and downs",
    "stability": "Would it come out the same again?",
}
READING = {
    "base-rates": "One line per state: the marks show how often it occurs in each group. The further apart two "
    "marks are, "
    "the larger the difference.",
    "differences": "One box per step, from the state at the left into the state at the top. The mark shows by "
    "how many of "
    "100 cases the groups differ; the line shows how far the true difference may lie from it. A line that crosses the "
    "middle: there may be no difference at all. Only boxes in yellow are clear when all steps are looked at together.",
    "means": "How often each step is taken, of 100: rows are where a step starts, columns where it leads. The "
    "last panel "
    "is the difference; orange means more often in the first group, blue less often.",
}
SHOWN = ("base-rates", "hsic", "differences", "baseline", "variance", "stability")
NOT_MEANT = (
    "It does not tell what will happen with a single person. Averages of groups overlap widely, and most "
    "persons of one "
    "group are like persons of the other.",
    "It does not tell causes. That something goes along with a group does not mean that one brings about the other.",
    "“No clear difference” does not mean “no difference”: the study may have been too small to see it.",
    "It is not a test, a diagnosis or a recommendation for treatment, and was not checked for any of these.",
)


def clinician_report(facts: Sequence[RunFacts], options: ReportOptions) -> Report:
    """The report for practitioners."""
    first = facts[0]
    blocks = [_short(facts, options), *_who(first, options), _what(facts)]
    blocks += [section for one in facts for section in _found(one, options, several=len(facts) > 1)]
    blocks += [Section(title="What this does not mean", text=NOT_MEANT), _further(first)]
    title = str(first.study.get("title") or "Results of the study")
    return Report(
        title=f"{title}: results in plain words",
        subtitle="For practitioners",
        blocks=blocks,
        footer=f"{RESEARCH} Groups of fewer than {options.smallest} persons and single persons are not shown.",
    )


def _short(facts: Sequence[RunFacts], options: ReportOptions) -> Section:
    """The main sentences first, those on what the persons reported before those on the model."""
    said: list[str] = []
    for kind in ("base-rates", "hsic", "differences"):
        for one in facts:
            mine = [kept for kept in one.kept if kind_of(kept) == kind and visible(kind, one, options)]
            for kept in sorted(mine, key=lambda found: not of_observed(found)):
                told = plain_text(kept, one)
                name = f" ({one.run.name})" if len(facts) > 1 else ""
                said += [f"{told[0].split('. ')[0].rstrip('.')}{name}."] if told else []
    main = list(dict.fromkeys(said)) or [line for one in facts for line in foresight(one)][:2]
    return Section(
        title="In short", text=[*main[:8], f"{RESEARCH} Nothing here is meant for decisions about one person."]
    )


def _who(facts: RunFacts, options: ReportOptions) -> list[Section]:
    """Who took part."""
    rows, persons = facts.counts
    unit = sentences.plural(facts.row)
    text = [f"{wording.thousands(persons)} persons took part, with {wording.thousands(rows)} answered {unit} in all."]
    if facts.groups:
        shown = suppressed_counts(facts.groups, smallest=options.smallest)
        told = [f"{name} ({count} persons)" for name, count in shown.items()]
        text.append(f"Compared are: {listed(told)}.")
    if facts.groups_hidden:
        text.append("A group is too small to show; its numbers would tell too much about the persons in it.")
    return [Section(title="Who took part", text=text)]


def _what(facts: Sequence[RunFacts]) -> Section:
    """What was done, without names of methods."""
    said = []
    for one in facts:
        target = listed([f"“{name}”" for name in one.run.targets]) or "the outcome"
        what = f"the state at each {one.row}" if one.run.states is not None else f"{target} at each {one.row}"
        said.append(f"A computer model was taught to foresee {what}. {DESCRIBES.get(one.run.model, '')}".strip())
        nouns = [noun_of(name) for name in further_groupings(one.manifest)]
        said += [f"It also learns what answers have in common that come from one {noun}." for noun in nouns]
    states = facts[0].run.states
    if states:
        said.append(f"States are: {listed([f'“{state}”' for state in states])}.")
    rules = list(dict.fromkeys(str(rule) for one in facts for rule in one.study.get("definitions") or []))
    said += [f"How they are made: {rule}" for rule in rules[:2]]
    return Section(title="What was looked at", text=list(dict.fromkeys(said)))


def _found(facts: RunFacts, options: ReportOptions, *, several: bool) -> list[Section]:
    """The results of one run."""
    name = f"What was found: {facts.outcome} ({facts.run.name})" if several else "What was found"
    sections = [Section(title=name, text=[*foresight(facts), *spread(facts, options.smallest)])]
    kept = [(kind_of(one), one) for one in facts.kept]
    kept = [(kind, one) for kind, one in kept if kind in SHOWN and visible(kind, facts, options)]
    kept.sort(key=lambda pair: (SHOWN.index(pair[0]), not of_observed(pair[1]), pair[1].name))
    for kind, one in kept:
        sections += _result(kind, one, facts)
    tests = [one for kind, one in kept if kind == "hsic"]
    told = disagreement(tests)
    if told:
        place = max(place for place, section in enumerate(sections) if section.title.startswith(HEADINGS["hsic"][:-1]))
        sections[place] = replace(sections[place], text=[*sections[place].text, *told])
    return sections if any(section.text for section in sections) else []


def _result(kind: str, kept: KeptAnalysis, facts: RunFacts) -> list[Section]:
    """One kept analysis: what it says, a figure where a practitioner can read it, how to read it."""
    text = plain_text(kept, facts)
    if not text:
        return []
    title = HEADINGS[kind]
    if kind == "hsic":
        where = "in what the persons reported" if of_observed(kept) else "in what the model describes"
        title = f"{title[:-1]}, {where}?"
    figure = kept_figure(kept, kind, facts.run) if kind in READING else None
    sections = [
        Section(
            title=title,
            level=2,
            text=text,
            figure=figure,
            table=rates_table(kept, facts) if kind == "base-rates" else None,
            how_to_read=READING.get(kind, "") if figure is not None else "",
        )
    ]
    means = means_figure(kept, "Of 100 Steps, How Many Lead Where, by Group") if kind == "differences" else None
    if means is not None:
        heading = "How often each step is taken"
        sections.append(Section(title=heading, level=2, figure=means, how_to_read=READING["means"]))
    return sections


def _further(facts: RunFacts) -> Section:
    """Where more stands."""
    cited = f"Data: {facts.study['citation']}." if facts.study.get("citation") else ""
    return Section(
        title="Where to read more",
        text=["Methods, numbers and their uncertainty stand in the report for papers (nme report --audience paper)."]
        + ([cited] if cited else []),
    )
