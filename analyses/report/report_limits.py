"""What the results of a report do not say, found from the runs themselves."""

from __future__ import annotations

from collections.abc import Sequence

from analyses import wording
from analyses.report import sentences
from analyses.report.document import Section
from analyses.report.report_facts import OF_GROUPS, ReportOptions, RunFacts, kind_of
from analyses.report.report_results import hidden_sentences
from analyses.stability_marks import unstable_parameters

FEW_PERSONS = 20
RESEARCH = "For research, not for diagnosis: nothing here is meant for decisions about a single person."


def limits(facts: Sequence[RunFacts], options: ReportOptions) -> Section:
    """Limits in sentences."""
    said = [*_design(facts), *(sentence for one in facts for sentence in _of_run(one))]
    said += [sentence for one in facts for sentence in hidden_sentences(one, options)]
    return Section(title="Limits", text=[*dict.fromkeys(said), RESEARCH])


def _design(facts: Sequence[RunFacts]) -> list[str]:
    """What follows from design, split and number of tests."""
    said = []
    if any(str(one.manifest["split"]["name"]) == "within-person-time" for one in facts):
        said.append(
            "Predictions were judged on later rows of the same persons; how well new persons are predicted is open."
        )
    if facts[0].groups:
        said.append("Group membership was observed, not assigned: differences between groups do not tell their cause.")
        if min(facts[0].groups.values()) < FEW_PERSONS and not facts[0].groups_hidden:
            said.append(
                f"A group has fewer than {FEW_PERSONS} persons; only large differences can be found, and "
                f"intervals tend to be too short."
            )
    tests = sum(kind_of(kept) in OF_GROUPS for one in facts for kept in one.kept)
    if tests > 1:
        said.append(
            f"{tests} analyses compare the groups. Each corrects for its own several looks where it says so; nothing "
            "corrects over the analyses."
        )
    return said  # fmt: skip


def _of_run(facts: RunFacts) -> list[str]:
    """What one run has to say against itself."""
    said, name = [], facts.run.name
    if len(facts.run.targets) > 1:
        said.append(
            f"{name} predicts {facts.outcomes} together; where one outcome is meant (levels of persons, shares of "
            f"explained variance, comparisons of models), it is {facts.outcome}."
        )
    if not facts.manifest["status"].get("converged", True):
        said.append(f"{name} did not settle: {sentences.status_words(facts.manifest)}")
    if not facts.personal:
        return said
    reliability = float(facts.effects["reliability"].mean())
    if reliability < sentences.FAIR:
        said.append(
            f"{name}: on average the person estimates rest more on the group’s average than on the persons’ own data "
            f"(mean reliability {wording.bounded(reliability)}); they are pulled towards the average."
        )
    unstable = unstable_parameters(facts.run)
    if unstable:
        said.append(f"{name}: some person estimates did not come out alike when the model was fitted again.")
    elif not any(kind_of(kept) == "stability" for kept in facts.kept):
        said.append(
            f"{name}: whether person estimates come out alike with other seeds or fewer rows was not looked into."
        )
    return said
