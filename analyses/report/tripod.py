"""The TRIPOD+AI checklist of a run, filled in as far as software knows.

Source of the items: Collins et al. (2024), TRIPOD+AI statement, BMJ, 385, e078378. Items are described here in our own
short words; the statement and its explanation say what each asks for in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from analyses.report import card_text as said
from analyses.report.card_text import left
from analyses.report.document import Report, Section
from analyses.report.guard import SMALLEST_SHOWN, checked_smallest
from analyses.report.report_facts import RunFacts
from analyses.report.tables import ReportTable

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

Answer = Callable[[RunFacts], str] | str
REPORT = "Report, “{}”"


def _sources(facts: RunFacts) -> str:
    named = " ".join(
        part for part in (str(facts.study.get("title") or ""), str(facts.study.get("citation") or "")) if part
    )
    return f"{named or 'a data file'}. " + left("dates, and why these data suit the purpose")


def _sample(facts: RunFacts) -> str:
    return f"{said.counted_persons(facts)}; groups: {said.group_sizes(facts)}. " + left("how the size was decided")


def _method(facts: RunFacts) -> str:
    return (
        f"{facts.run.model}; {said.settings(facts)}. Person effects: {said.effects(facts)}. {said.split_words(facts)} "
        f"{said.status(facts)}. " + left("why this kind of model")
    )


def _measures(facts: RunFacts) -> str:
    return "Metrics per person and pooled stand in the report with their intervals. " + left("which was primary")


def _imbalance(facts: RunFacts) -> str:
    if not facts.run.classes:
        return "Not applicable to a numeric outcome."
    weighted = (facts.manifest.get("config") or {}).get("class_weights")
    return "Rows were weighted by their class." if weighted else "No resampling or weighting of classes."


def _code(facts: RunFacts) -> str:
    return (
        f"Software: {said.versions(facts)}. Code behind every number: the report’s appendix. Data, SHA-256: "
        f"{str(facts.manifest['data']['hash'])[:12]}…. "
        + left("funding, conflicts, protocol, registration, where data are")
    )


# number, section, what the item asks for, where in the report, answer
ITEMS: tuple[tuple[int, str, str, str, Answer], ...] = (
    (1, "Title", "Says that a prediction model is developed or evaluated, for whom, and for which outcome", "",
     lambda f: left(f"a title that names the outcome ({f.outcome}) and the persons")),
    (2, "Abstract", "Structured summary after TRIPOD+AI for abstracts", "", left("the abstract")),
    (3, "Introduction", "Background: setting, reasons, users, known inequalities", "", left("background")),
    (4, "Introduction", "Aims, and whether the model is developed, evaluated or both", "What was asked",
     lambda f: "Development, judged on rows set aside. " + left("the aims")),
    (5, "Methods", "Where the data come from and when they were collected", "Sample", _sources),
    (6, "Methods", "Setting, who could take part, treatments received", "Sample", left("setting and eligibility")),
    (7, "Methods", "How data were prepared and checked, alike for all groups", "Method",
     lambda f: f"{said.definitions(f) or 'Columns as in the data file.'} Predictors standardised by training rows."),
    (8, "Methods", "Outcome: definition, time, who judged it, blinding", "Method",
     lambda f: f"{said.outcome(f)}. " + left("how and by whom it was assessed")),
    (9, "Methods", "Predictors: choice, definition, when and how measured", "Method",
     lambda f: f"{said.predictors(f)}. " + left("why these, and how measured")),
    (10, "Methods", "Sample size and how it was justified", "Sample", _sample),
    (11, "Methods", "Missing data and what was done about them", "Sample",
     lambda f: f"Left out: {said.exclusions(f)}. " + left("why data are missing, and other handling")),
    (12, "Methods", "Analysis: use of the data, predictors, model, tuning, clusters, measures, updating", "Method",
     _method),
    (13, "Methods", "Class imbalance: what was done, and recalibration", "",
     _imbalance),
    (14, "Methods", "Fairness: what was done for it, and why", "", left("methods to address fairness")),
    (15, "Methods", "What the model gives out, and thresholds", "Method",
     lambda f: "Probabilities of the states or classes; no threshold." if f.run.classes else "A number; no threshold."),
    (16, "Methods", "How training and evaluation data differ", "Method", said.split_words),
    (17, "Methods", "Ethical approval and consent", "", left("committee, number, consent")),
    (18, "Open science", "Funding, conflicts, protocol, registration, data, code", "Appendix", _code),
    (19, "Patients and public", "Whether and how they were involved", "", left("involvement")),
    (20, "Results", "Flow and characteristics of the persons", "Sample",
     lambda f: f"{said.counted_persons(f)}; left out: {said.exclusions(f)}. " + left("flow from invitation on")),
    (21, "Results", "Persons and outcomes in each analysis", "Results",
     lambda f: ", ".join(f"{part}: {count} rows" for part, count in f.manifest["split"]["rows"].items())),
    (22, "Results", "The model in full, so that it can be used and checked", "Appendix",
     "The run folder holds every parameter and its checksum; nme predict applies it to new rows."),
    (23, "Results", "Performance with intervals, also by group and cluster", "Results", _measures),
    (24, "Results", "Updating of the model, if any", "", "None."),
    (25, "Discussion", "What the results mean, beside aims and earlier studies", "", left("interpretation")),
    (26, "Discussion", "Limits, and what they do to bias and generalisation", "Limits",
     lambda f: "Those that can be found from the run stand in the report. " + left("further limits")),
    (27, "Discussion", "Use in practice: input, users, next research", "", left("what use would need")),
)  # fmt: skip


def tripod_checklist(run: SavedRun, *, smallest: int = SMALLEST_SHOWN) -> Report:
    """The checklist as a document: item, what it asks for, where in the report, answer.

    Raises:
        ConfigError: E302 for a smallest group outside 5 to 21.
        RunFolderError: E401, E402 for a damaged run, E409 for one without personal data.
    """
    checked_smallest(smallest)
    facts = RunFacts(run, run.name, smallest)
    lines = [
        {
            "item": str(number),
            "section": section,
            "asks": asks,
            "where": REPORT.format(where) if where else left("page"),
            "answer": answer(facts) if callable(answer) else answer,
        }
        for number, section, asks, where, answer in ITEMS
    ]
    table = ReportTable(
        frame=pd.DataFrame(lines),
        title="TRIPOD+AI Checklist, Main Items",
        headings={"item": "Item", "section": "Section", "asks": "What it asks for (in our words)", "where": "Where",
                  "answer": "Answer"},
        note="Items after Collins et al. (2024), BMJ, 385, e078378, in our own short words; the original has "
        "sub-items.",
    )  # fmt: skip
    return Report(
        title=f"TRIPOD+AI checklist: {run.name}",
        subtitle="Filled in from the run; places in square brackets are for the authors",
        blocks=[Section(title="Checklist", table=table)],
        footer="For research, not for diagnosis.",
    )
