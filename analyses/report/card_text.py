"""What a model card and the TRIPOD+AI checklist say of a run: what software knows, and what it cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analyses import wording
from analyses.figures.labels import listed
from analyses.report import sentences
from analyses.report.guard import small_label, suppressed_counts
from analyses.report.report_facts import RunFacts
from analyses.report.report_parts import SPLITS

EMPTY = "[to be filled in by the authors: {}]"


def left(what: str) -> str:
    """A visibly empty place."""
    return EMPTY.format(what)


def counted_persons(facts: RunFacts) -> str:
    """``8,702 prompts of 100 persons``."""
    rows, persons = facts.counts
    unit = sentences.plural(facts.row)
    number = wording.thousands(persons) if persons >= facts.smallest else small_label(facts.smallest)
    return f"{wording.thousands(rows)} {unit} of {number} persons"


def group_sizes(facts: RunFacts) -> str:
    """Persons per group, small ones hidden."""
    if not facts.groups:
        return "no groups"
    shown = suppressed_counts(facts.groups, smallest=facts.smallest)
    return "; ".join(f"{name}: {count}" for name, count in shown.items())


def exclusions(facts: RunFacts) -> str:
    """Who was left out of what, small numbers hidden."""
    said = []
    for entry in facts.manifest.get("exclusions") or []:
        count = int(entry.get("persons") or 0)
        number = small_label(facts.smallest) if 0 < count < facts.smallest else wording.thousands(count)
        said.append(f"{entry.get('reason', 'left out')}: {number} persons")
    return "; ".join(said) or "none"


def split_words(facts: RunFacts) -> str:
    """How rows were split."""
    split: Mapping[str, Any] = facts.manifest["split"]
    counts = ", ".join(f"{part} {wording.thousands(int(count))}" for part, count in split["rows"].items() if count)
    return f"{SPLITS.get(str(split['name']), str(split['name']))} Rows: {counts}."


def predictors(facts: RunFacts) -> str:
    """Names of the predictors."""
    return listed([str(name) for name in facts.manifest["data"]["features"]])


def outcome(facts: RunFacts) -> str:
    """The outcome, with its states."""
    states = facts.run.classes
    return f"{facts.outcomes}" + (
        f", one of {listed(list(states))}, at each {facts.row}" if states else f" at each {facts.row}"
    )


def definitions(facts: RunFacts) -> str:
    """How states and other columns are made."""
    return " ".join(str(rule) for rule in facts.study.get("definitions") or [])


def settings(facts: RunFacts) -> str:
    """Every setting of the model."""
    return "; ".join(f"{name} = {value}" for name, value in facts.manifest["config"].items())


def effects(facts: RunFacts) -> str:
    """What differs between persons."""
    names = [str(name) for name in facts.manifest.get("effects") or []]
    if not names or not facts.personal:
        return "none: the model is the same for everybody"
    number = facts.effects["parameter"].nunique()
    said = f"{listed(names)} ({number} parameters a person, shrunken towards the average)"
    for factor in facts.factors[1:]:
        own = facts.of_factor(factor)[0]
        said += f"; beside them {own['parameter'].nunique()} of each {factor.noun} ({own['level'].nunique()} in all)"
    return said


def versions(facts: RunFacts) -> str:
    """Software that made the run."""
    found = facts.manifest.get("versions") or {}
    return ", ".join(f"{name} {version}" for name, version in found.items())


def status(facts: RunFacts) -> str:
    """How the fit ended."""
    said: Mapping[str, Any] = facts.manifest["status"]
    epochs = f"best epoch {said.get('best_epoch', '–')} of {said.get('epochs', '–')}"
    return f"{sentences.status_words(facts.manifest)} ({epochs})"


def machine(facts: RunFacts) -> str:
    """Device, threads, seed."""
    manifest = facts.manifest
    return f"{manifest.get('device', '–')}, {manifest.get('threads', '–')} thread(s), seed {manifest.get('seed', '–')}"
