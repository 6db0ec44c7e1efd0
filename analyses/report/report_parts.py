"""Chapters of the report for papers and for one's own files: what was asked, sample, models, prediction, persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analyses import wording
from analyses.figures.labels import is_transition, listed, parameter_label
from analyses.grouping_factors import Factor, factor_shares, shares_text
from analyses.report import sentences
from analyses.report.card_metrics import metrics_with_intervals
from analyses.report.document import Section
from analyses.report.guard import SMALLEST_RANGE, small_label, suppressed_counts
from analyses.report.report_facts import ReportOptions, RunFacts, kind_of
from analyses.report.report_figures import catalogue_figure
from analyses.report.standard_tables import TableOptions, standard_table
from analyses.report.standard_tables.fixed import fixed_effects_sentence, fixed_effects_table, has_fixed_effects
from analyses.report.tables import ReportTable
from toolkit.errors import DataError

QUESTIONS = {
    "base-rates": "Do the groups differ in how often each state occurs?",
    "hsic": "Do the transitions between states differ between the groups, all taken together?",
    "differences": "Which single transitions differ between the groups, and by how much?",
    "differences-pairs": "Which single transitions differ between the groups, and by how much?",
    "plausible": "Do differences of transitions hold when the uncertainty of each person’s own transitions is counted?",
    "group-test": "Do the transitions differ between the groups, together and one by one?",
    "slopes": "Do transitions change with a number known of each person?",
    "baseline": "Do person-specific parts of the model follow the persons’ usual level?",
    "variance": "How much of the differences lies between persons, and where in the model?",
    "comparison": "Which model predicts best?",
    "stability": "Do person estimates come out alike when the model is fitted again?",
    "multiverse": "Is the group difference found under other reasonable choices?",
    "power": "How many persons would a study need?",
    "less-data": "Which model is ahead with less data per person?",
    "adaptation": "How well are new persons predicted after a few of their rows?",
    "effects": "Which grouping factors matter most, and how far do their levels differ?",
    "class-effects": "In which classes do persons or other levels differ most?",
    "contributions": "What leads to one prediction?",
    "drivers": "Which persons and sequences carry a difference?",
}
PARTS = {"train": "training", "validation": "validation", "test": "test"}
SPLITS = {
    "within-person-time": "Each person’s rows were split by time: the first 60% for fitting, the next 20% for "
    "stopping, the last 20% for judging predictions. Judged is how well later rows of known persons are foreseen, not "
    "rows of new persons.",
    "random": "Rows were dealt to fitting, stopping and judging at random. Rows of one person stand on both sides.",
    "persons": "Whole persons were dealt to fitting, stopping and judging: judged is prediction for new persons.",
    "clusters": "Whole clusters were dealt to fitting, stopping and judging: judged is prediction for new clusters.",
    "future": "Rows were split by date: judged is prediction after the last date that was used for fitting.",
}
UPDATES = {
    "em": "estimated by an EM algorithm that adds each person’s posterior covariance",
    "paper": "the sample variances of the point estimates, as published (biased low)",
    "paper_annealed": "the sample variances of the point estimates, kept from falling quickly (as in released code)",
    "unregularised": "without a prior: every person fitted by their own rows alone",
}


def asked(facts: Sequence[RunFacts]) -> Section:
    """What was asked: the questions that the models and kept analyses answer."""
    first = facts[0]
    outcomes = list(dict.fromkeys(name for one in facts for name in one.run.targets or (one.outcome,)))
    named = listed([f"“{name}”" for name in outcomes])
    lead = f"How well can {named} be predicted at each {first.row}, and how far do persons differ in what predicts it?"
    kinds = list(dict.fromkeys(kind_of(kept) for one in facts for kept in one.kept))
    more = list(dict.fromkeys(QUESTIONS[kind] for kind in QUESTIONS if kind in kinds))
    return Section(title="What was asked", text=[lead, *more])


def sample(facts: Sequence[RunFacts], options: ReportOptions) -> list[Section]:
    """Persons and rows, groups (small ones hidden), exclusions; Table 1 where the study is at hand."""
    first = facts[0]
    rows, persons = first.counts
    unit = sentences.plural(first.row)
    text = [
        f"{wording.thousands(rows)} {unit} of {wording.thousands(persons)} persons were used"
        + (f" ({first.study['title']})." if first.study.get("title") else "."),
        *_groups_text(first, options),
    ]
    excluded = sorted({sentence for one in facts for sentence in sentences.exclusion_sentences(one.manifest)})
    if options.guarded:
        excluded = _without_small_counts(facts, options)
    text += [f"Left out: {'; '.join(excluded)}." if excluded else "Nobody was left out."]
    text += [f"Data: {first.study['citation']}."] if first.study.get("citation") else []
    rules = list(dict.fromkeys(str(rule) for one in facts for rule in one.study.get("definitions") or []))
    told = rules if options.audience != "paper" else []  # the methods section has them
    made = [Section(title="How the columns are made", level=2, text=told)] if told else []
    return [Section(title="Sample", text=text, table=_table_one(first, options)), *made]


def _without_small_counts(facts: Sequence[RunFacts], options: ReportOptions) -> list[str]:
    """Exclusions with small numbers of persons hidden."""
    said = []
    for entry in (entry for one in facts for entry in one.manifest.get("exclusions") or []):
        count = int(entry.get("persons") or 0)
        number = small_label(options.smallest) if 0 < count < options.smallest else wording.thousands(count)
        said.append(f"{entry.get('reason', 'left out')}: {number} persons")
    return list(dict.fromkeys(said))


def _groups_text(facts: RunFacts, options: ReportOptions) -> list[str]:
    """How many persons each group has."""
    if not facts.groups:
        return []
    shown = {name: str(count) for name, count in facts.groups.items()}
    if options.guarded:
        shown = suppressed_counts(facts.groups, smallest=options.smallest)
    sizes = [f"{name}: {count}" for name, count in shown.items()]
    said = [f"Persons by group ({facts.study.get('group_name') or 'group'}): {'; '.join(sizes)}."]
    if options.guarded and facts.groups_hidden:
        said.append(
            f"Groups of fewer than {options.smallest} persons are too small to show: what describes or compares the "
            "groups is left out."
        )
    return said


def _table_one(facts: RunFacts, options: ReportOptions) -> ReportTable | None:
    """Table 1, with the study's measures where a description was given."""
    smallest = options.smallest if options.guarded else SMALLEST_RANGE[0]
    try:
        return standard_table("sample", facts.run, TableOptions(smallest=smallest, sample=options.sample))
    except DataError:  # a run that kept no numbers of its sample
        return None


def models(facts: Sequence[RunFacts]) -> list[Section]:
    """Every model in words."""
    sections = [Section(title="Models", text=[_split_words(facts)])]
    for one in facts:
        sections.append(Section(title=one.title, level=2, text=model_words(one)))
    return sections


def _split_words(facts: Sequence[RunFacts]) -> str:
    said = []
    for one in facts:
        name = str(one.manifest["split"]["name"])
        rows = one.manifest["split"]["rows"]
        counts = ", ".join(f"{wording.thousands(int(rows[part]))} {PARTS[part]}" for part in PARTS if rows.get(part))
        said.append(f"{SPLITS.get(name, f'Rows were split as the file or the caller said ({name}).')} Rows: {counts}.")
    return " ".join(dict.fromkeys(said))


def model_words(facts: RunFacts) -> list[str]:
    """Model, predictors, settings and how the fit ended, in sentences."""
    manifest, config = facts.manifest, facts.manifest["config"]
    features = [str(name) for name in manifest["data"]["features"]]
    shown = listed(features) if len(features) <= 14 else f"{listed(features[:12])} and {len(features) - 12} more"
    hidden = [str(width) for width in config.get("hidden") or []]
    layers = f"{len(hidden)} hidden layer{'s' if len(hidden) > 1 else ''} of {listed(hidden)} units" if hidden else ""
    said = [
        sentences.model_sentence(manifest),
        f"It predicts {facts.outcomes} from {sentences.counted(len(features), 'predictor')}: {shown}."
        + _shape(config, layers),
    ]
    if facts.personal:
        update = UPDATES.get(str(config.get("variance_update", "unregularised")), "")
        number = facts.effects["parameter"].nunique()
        said.append(f"Every person has {number} parameters of their own; their variances are {update}.")
        said += [_further_words(facts, factor) for factor in facts.factors[1:]]
    if config.get("prediction") == "forecast":
        said.append(f"States are forecast: from the predictors up to a {facts.row} and the states observed before it.")
    status = manifest["status"]
    epochs = f"(Best epoch {status.get('best_epoch', '–')} of {status.get('epochs', '–')}.)"
    said.append(f"{sentences.status_words(manifest)} {epochs}")
    return said


def _further_words(facts: RunFacts, factor: Factor) -> str:
    """How many parameters vary by a further grouping factor."""
    effects = facts.of_factor(factor)[0]
    number, levels = effects["parameter"].nunique(), effects["level"].nunique()
    named = f"{number} parameter{'' if number == 1 else 's'}"
    return f"So has every one of the {levels} {factor.nouns}: {named}, beside those of the persons."


def _shape(config: Mapping[str, Any], layers: str) -> str:
    """What the network is."""
    own = config.get("module")
    if own:
        return f" The network is one of your own ({own['class']}, {own['parameters']:,} parameters)."
    return f" The network has {layers}." if layers else " The network is linear."


def prediction(facts: Sequence[RunFacts], options: ReportOptions) -> list[Section]:
    """How well every model predicts on the rows set aside."""
    explained = (
        "Pooled takes all rows together, which also rewards knowing who is usually how; the mean per person asks how "
        "well changes within a person are foreseen."
    )
    return [
        Section(
            title="How well the models predict",
            level=2,
            text=[] if options.audience == "paper" else [explained],
            table=metrics_with_intervals(*facts, guarded=options.guarded),
        )
    ]


def fixed(facts: RunFacts) -> list[Section]:
    """Coefficients that everybody shares, of a linear mixed model; nothing for other models."""
    if not has_fixed_effects(facts.run):
        return []
    return [
        Section(
            title=f"Fixed effects: {facts.title}",
            level=2,
            text=[fixed_effects_sentence(facts.run)],
            table=fixed_effects_table(facts.run),
        )
    ]


def persons(facts: RunFacts, options: ReportOptions) -> list[Section]:
    """How far persons differ, in the parameter that varies most of its kind; then the same of families or items."""
    if not facts.personal:
        return []
    shares = factor_shares(facts.run.variance_components(), facts.manifest["data"].get("groupings", ()))
    first = _spread_section(facts, facts.factors[0] if facts.factors else None, options, shares_text(shares))
    further = [_spread_section(facts, factor, options) for factor in facts.factors[1:]]
    return [section for section in (first, *further) if section is not None]


def _spread_section(facts: RunFacts, factor: Factor | None, options: ReportOptions, lead: str = "") -> Section | None:
    """How far the levels of one grouping factor differ; the first one has the table of all of them."""
    effects, parts = facts.of_factor(factor) if factor else (facts.effects, facts.components.iloc[:0])
    noun = factor.noun if factor else "person"
    moves = parts[[is_transition(str(name)) for name in parts["parameter"]]]
    biases = parts[[".bias" in str(name) for name in parts["parameter"]]]
    shown = next((part for part in (moves, biases, parts) if not part.empty), parts)
    if shown.empty:
        return None
    parameter = str(shown.sort_values("variance", ascending=False)["parameter"].iloc[0])
    frame = effects[effects["parameter"] == parameter]
    told = [sentences.spread_sentence(frame, parts, noun), sentences.group_reliability_sentence(frame, noun)]
    is_person = factor is None or factor.is_person
    return Section(
        title=f"How far {wording.plural(noun)} differ: {facts.title}",
        level=2,
        text=[*([lead] if lead else []), *told],
        figure=catalogue_figure(
            "caterpillar", facts.run,
            f"{noun[:1].upper()}{noun[1:]} Effects on {parameter_label(parameter)}, With 95% Intervals",
            parameter=parameter, term=None if is_person or factor is None else factor.term,
            min_group=options.smallest,
        ),
        table=_spread_table(facts, options) if is_person else None,
        how_to_read="" if options.audience == "paper" else sentences.caterpillar_reading(noun),
    )  # fmt: skip


def _spread_table(facts: RunFacts, options: ReportOptions) -> ReportTable | None:
    """Standard deviations, shares and reliability of the effects of every grouping factor."""
    smallest = options.smallest if options.guarded else SMALLEST_RANGE[0]
    try:
        return standard_table("variance", facts.run, TableOptions(smallest=smallest))
    except DataError:
        return None
