"""The model card of a run: what software knows is filled in, what only its authors know is left visibly empty.

Source of the headings: Mitchell et al. (2019), Model cards for model reporting, FAT*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.report import card_text as said
from analyses.report import sentences
from analyses.report.card_metrics import metrics_with_intervals
from analyses.report.card_text import left
from analyses.report.document import Report, Section
from analyses.report.guard import SMALLEST_SHOWN, checked_smallest
from analyses.report.report_facts import ReportOptions, RunFacts
from analyses.report.report_limits import limits
from analyses.report.standard_tables import TableOptions, standard_table
from analyses.report.tables import ReportTable
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun


def model_card(run: SavedRun, *, smallest: int = SMALLEST_SHOWN) -> Report:
    """The card of a run.

    Args:
        run: a finished run.
        smallest: the smallest number of persons a group may have to be shown.

    Raises:
        ConfigError: E302 for a smallest group outside 5 to 21.
        RunFolderError: E401, E402 for a damaged run, E409 for one without personal data.
    """
    checked_smallest(smallest)
    facts = RunFacts(run, run.name, smallest)
    blocks = [
        _lines("Model", _model(facts)),
        _lines("Intended use", _use()),
        _lines("Data", _data(facts)),
        _lines("Fit", _fit(facts)),
        Section(title="How well it predicts", table=metrics_with_intervals(facts)),
        *_differences(facts),
        _lines("Fairness and groups", _fairness(facts)),
        limits([facts], ReportOptions(smallest=smallest)),
        _lines("Ethics and responsibility", _ethics()),
        _lines("Versions", [("Software", said.versions(facts)), ("Machine", said.machine(facts)),
                            ("Data, SHA-256", str(facts.manifest["data"]["hash"]))]),
    ]  # fmt: skip
    return Report(
        title=f"Model card: {run.name}",
        subtitle="Filled in from the run; places in square brackets are for the authors",
        blocks=blocks,
        footer="For research, not for diagnosis.",
    )


def _lines(title: str, lines: list[tuple[str, str]]) -> Section:
    """A chapter of entries with their values."""
    frame = pd.DataFrame([(name, text or left("not recorded by the run")) for name, text in lines])
    frame.columns = ["entry", "value"]
    table = ReportTable(frame=frame, title=title, headings={"entry": "Entry", "value": "Answer"})
    return Section(title=title, table=table)


def _model(facts: RunFacts) -> list[tuple[str, str]]:
    return [
        ("Name", facts.run.name),
        ("What it is", sentences.model_sentence(facts.manifest)),
        ("Outcome", said.outcome(facts)),
        ("Predictors", said.predictors(facts)),
        ("What differs between persons", said.effects(facts)),
        ("Settings", said.settings(facts)),
        ("Developed by, contact", left("names, institution, address")),
        ("Date", str(facts.manifest.get("finished", ""))[:10]),
        ("Licence of the model", left("under which terms it may be used")),
    ]


def _use() -> list[tuple[str, str]]:
    return [
        ("Purpose", left("what the model is for, in which setting")),
        ("Users", left("who is meant to use it, with which training")),
        ("Not meant for", "diagnosis or decisions about single persons; " + left("further uses it is not meant for")),
    ]


def _data(facts: RunFacts) -> list[tuple[str, str]]:
    return [
        ("Study", f"{facts.study.get('title', '')}. {facts.study.get('citation', '')}".strip(". ")),
        ("Licence of the data", str(facts.study.get("licence") or "")),
        ("Size", said.counted_persons(facts)),
        (f"Groups ({facts.study.get('group_name') or 'none'})", said.group_sizes(facts)),
        ("How columns are made", said.definitions(facts) or "as in the data file"),
        ("Left out", said.exclusions(facts)),
        ("Split", said.split_words(facts)),
        ("Setting, recruitment, dates", left("where, when and how persons were recruited")),
        ("Age, gender, background of the persons", left("who took part")),
    ]


def _fit(facts: RunFacts) -> list[tuple[str, str]]:
    warnings = "; ".join(str(words) for words in facts.manifest.get("warnings") or [])
    return [
        ("How the fit ended", said.status(facts)),
        ("Warnings", f"{len(facts.manifest['warnings'])} (see the internal report)" if warnings else "none"),
        ("Why this model", left("why this model and these settings were chosen, and what else was tried")),
    ]


def _differences(facts: RunFacts) -> list[Section]:
    """Variance components, where persons differ."""
    if not facts.personal:
        return []
    try:
        table = standard_table("variance", facts.run, TableOptions(smallest=facts.smallest))
    except DataError:
        return []
    reliability = float(facts.effects["reliability"].mean())
    text = f"Mean reliability of the person estimates: {reliability:.2f} (1: own data only, 0: the average only)."
    return [Section(title="How far persons differ", text=[text], table=table)]


def _fairness(facts: RunFacts) -> list[tuple[str, str]]:
    return [
        ("Metrics by group", "nme table metrics RUN and the report show them over all persons; " + left(
            "for which groups performance was checked, and what was found")),
        ("Groups that were not represented", left("who is missing from the data")),
    ]  # fmt: skip


def _ethics() -> list[tuple[str, str]]:
    return [
        ("Ethical approval", left("committee, number")),
        ("Consent to this use", left("what persons agreed to")),
        ("Risks", left("what could go wrong for whom")),
        (
            "Personal data in the run folder",
            "person effects and pseudonyms; nme export --without-persons leaves them out",
        ),
    ]
