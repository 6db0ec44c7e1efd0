"""Analyses that a run could have and does not, with the command that makes each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analyses.report.document import Section
from analyses.report.report_facts import RunFacts, kind_of
from analyses.report.report_results import TITLES
from analyses.report.tables import ReportTable
from analyses.run_comparison import hash_of_rows

OF_DATA = {("base-rates", ""), ("hsic", "observed")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One analysis.

    Attributes:
        kind: of analysis. value: transitions it is about. run: name of the run. places: folders of the runs it needs.
            command: what makes it. quick: whether ``--run-missing`` makes it; the others fit or simulate for minutes,
            or need a choice.
    """

    kind: str
    run: str
    places: tuple[str, ...]
    command: str
    value: str = ""
    quick: bool = True


def missing(facts: Sequence[RunFacts]) -> list[Missing]:
    """What is missing, run by run; comparisons belong to the first run of an outcome."""
    return [entry for one in facts for entry in _of_run(one) if not _known(entry, one, facts)] + _comparisons(facts)


def _known(entry: Missing, facts: RunFacts, every: Sequence[RunFacts]) -> bool:
    """Whether an analysis that is about the data, not about a model, was made with another run of the same data."""
    if (entry.kind, entry.value) not in OF_DATA:
        return False
    same = [one for one in every if hash_of_rows(one.manifest) == hash_of_rows(facts.manifest)]
    made = {(kind_of(kept), _value(kept)) for one in same for kept in one.kept}
    return (entry.kind, entry.value) in made or same[0].run.name != facts.run.name


def _of_run(facts: RunFacts) -> list[Missing]:
    there = {(kind_of(kept), _value(kept)) for kept in facts.kept}
    kinds = {kind for kind, _ in there}
    wanted: list[tuple[str, str, str, bool]] = []
    two = len(facts.groups) == 2
    if facts.run.states is not None and len(facts.groups) > 1 and "group-test" not in kinds:
        wanted.append(("base-rates", "", "analyze base-rates {run}", True))
        wanted.append(("hsic", "observed", "analyze hsic {run} --value observed", True))
        if facts.personal:
            wanted.append(("hsic", "score", "analyze hsic {run}", True))
            wanted.append(("differences" if two else "differences-pairs", "", "analyze differences {run}", True))
            wanted.append(("multiverse", "", "analyze multiverse {run}", False))
    if facts.personal:
        wanted.append(("baseline", "", "analyze baseline {run}", True))
        wanted.append(("variance", "", "analyze variance {run}", True))
        wanted.append(("stability", "", "analyze stability {run} --study study.toml", False))
    return [
        Missing(
            kind=kind, value=value, run=facts.run.name, places=(facts.place,), quick=quick,
            command=f"nme {command.format(run=shlex.quote(facts.place))}",
        )
        for kind, value, command, quick in wanted
        if (kind, value) not in there and not (kind in kinds and not value)
    ]  # fmt: skip


def _value(kept: object) -> str:
    """Transitions that a kept test is about; of no interest for the others."""
    recipe, name = getattr(kept, "recipe", None), str(getattr(kept, "name", ""))
    if not name.startswith("hsic"):
        return ""
    if recipe is not None:
        return str(recipe.options.get("value", ""))
    return "observed" if name.endswith("observed") else "score"


def _comparisons(facts: Sequence[RunFacts]) -> list[Missing]:
    """Runs of the same data and outcome that were not compared."""
    by_data: dict[tuple[str, str], list[RunFacts]] = {}
    for one in facts:
        by_data.setdefault((hash_of_rows(one.manifest), one.outcome), []).append(one)
    found = []
    for same in by_data.values():
        if len(same) > 1 and not any(kind_of(kept) == "comparison" for one in same for kept in one.kept):
            places = tuple(one.place for one in same)
            command = f"nme compare {shlex.join(places)}"
            found.append(Missing(kind="comparison", run=same[0].run.name, places=places, command=command))
    return found


def missing_section(facts: Sequence[RunFacts]) -> list[Section]:
    """What was not part of the report, and the commands that make it."""
    entries = missing(facts)
    if not entries:
        return []
    frame = pd.DataFrame(
        [{"what": TITLES[entry.kind], "run": entry.run, "command": entry.command} for entry in entries]
    )
    table = ReportTable(
        frame=frame,
        title="Analyses That Are Not Part of This Report",
        headings={"what": "Analysis", "run": "Run", "command": "Command that makes it"},
        note="With --run-missing, the report makes the quick ones first.",
    )
    return [Section(title="What is missing", level=2, table=table)]
