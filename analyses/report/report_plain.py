"""Results in everyday words, for readers who did not learn statistics: no p, no Greek, no names of methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analyses import wording
from analyses.report import sentences
from analyses.report.report_facts import RunFacts, kind_of
from analyses.report.tables import ReportTable
from toolkit.runs.kept import KeptAnalysis

CLEAR = 0.05
TINY = 0.01  # a difference of less than 1 of 100 cases


def plain_text(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    """What a kept analysis found, in everyday words; empty where it is of no use to this reader."""
    say = _SAYINGS.get(kind_of(kept))
    try:
        return say(kept, facts) if say is not None else []
    except (KeyError, ValueError, TypeError, IndexError):  # kept by another version
        return []


def in_hundred(share: float) -> str:
    """``about 4 of 100``; below 1 ``fewer than 1 of 100``."""
    number = 100 * share
    if number < 1:
        return "fewer than 1 of 100"
    return f"about {number:.0f} of 100"


def chance(p: float) -> str:
    """What a p-value means, for a test by shuffling."""
    if p >= CLEAR:
        return (
            f"That is no more than chance can explain: if there were no difference, {in_hundred(p)} studies "
            f"would still "
            "show one at least this large. It does not prove that there is none."
        )
    return (
        f"Chance alone hardly explains this: without a difference, {in_hundred(p)} studies would show one this large."
    )


def _hsic(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    p = float(kept.summary["pvalue"])
    what = (
        "How one state follows another, as the persons reported it,"
        if of_observed(kept)
        else "How one state follows another, as the model describes each person,"
    )
    return [f"{what} {'differs' if p < CLEAR else 'does not differ clearly'} between the groups. {chance(p)}"]


def of_observed(kept: KeptAnalysis) -> bool:
    """Whether a test is about the transitions as reported, not as modelled."""
    value = kept.recipe.options.get("value") if kept.recipe is not None else None
    return value == "observed" or (value is None and kept.name.endswith("observed"))


def disagreement(tests: Sequence[KeptAnalysis]) -> list[str]:
    """What to make of it when reported and modelled transitions give different answers."""
    answers = {of_observed(kept): float(kept.summary["pvalue"]) < CLEAR for kept in tests}
    if len(answers) < 2 or answers[True] == answers[False]:
        return []
    return [
        "The two answers differ. What the persons reported are plain counts. The model’s description of a person leans "
        "on everybody else where a person gave few answers, and sets aside what the answers before already explain. "
        "Look at both, and do not rest on either alone."
    ]


def _differences(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    found: Mapping[str, Any] = kept.summary
    if found.get("scale", "probability") != "probability":
        return []
    low, high = (np.array(found[name], dtype=float) for name in ("low_simultaneous", "high_simultaneous"))
    size = np.abs(np.array(found["difference"], dtype=float))
    tested = int(np.isfinite(np.array(found["pvalue"], dtype=float)).sum())
    if tested == 0:
        return []
    clear = (low > 0) | (high < 0)
    number = int(clear.sum())
    lead = f"Of the {tested} possible steps from one state to the next, "
    if not number:
        row, column = np.unravel_index(int(np.nanargmax(size)), size.shape)
        told = _step(found, int(row), int(column))
        return [f"{lead}none clearly differs between the groups.", f"The step with the largest difference: {told}"]
    verb = "differs" if number == 1 else "differ"
    places = sorted(zip(*np.nonzero(clear), strict=True), key=lambda place: -size[place])[:3]
    said = [f"{lead}{number} clearly {verb} between the groups."]
    if float(size[clear].max()) < TINY:
        said[0] = f"{said[0][:-1]}, but by less than 1 of 100 cases."
    steps = [_step(found, int(row), int(column)) for row, column in places]
    return [*said, *(f"{step[:1].upper()}{step[1:]}" for step in steps)]


def _step(found: Mapping[str, Any], row: int, column: int) -> str:
    """One step in both groups, with what is uncertain about it."""
    first, second = found["group_names"]
    states = found["states"]
    step = f"after “{states[row]}” " + ("it stays" if row == column else f"comes “{states[column]}”")
    here, there = 100 * float(found["mean_true"][row][column]), 100 * float(found["mean_false"][row][column])
    digits = 0 if abs(here - there) >= 1 else 1
    ends = [100 * float(found[name][row][column]) for name in ("low_simultaneous", "high_simultaneous")]
    return (
        f"{step} in {here:.{digits}f} of 100 cases in the group “{first}”, and in {there:.{digits}f} of 100 in "
        f"the group "
        f"“{second}”. With other persons of the same kind the difference could be anywhere from "
        f"{_cases(ends[0], digits)} to {_cases(ends[1], digits)} of 100 in the first group."
    )


def _cases(value: float, digits: int) -> str:
    """``3 more``, ``2 fewer``, ``0``."""
    shown = f"{abs(value):.{digits}f}"
    return f"{shown} {'more' if value > 0 else 'fewer'}" if float(shown) else "0"


def _rates(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    p = float(kept.summary["pvalue"])
    verdict = "differs" if p < CLEAR else "does not differ clearly"
    return [f"How often the states occur {verdict} between the groups. {chance(p)}"]


def rates_table(kept: KeptAnalysis, facts: RunFacts) -> ReportTable:
    """How often each state occurs, of 100, by group."""
    frame = kept.frame
    share = (100 * frame["count"] / frame.groupby("group")["count"].transform("sum")).round().astype(int)
    states, groups = (list(dict.fromkeys(frame[name].astype(str))) for name in ("state", "group"))
    wide = frame.assign(share=share).pivot(index="state", columns="group", values="share")
    table = wide.reindex(index=states, columns=groups).reset_index().rename_axis(columns=None)
    return ReportTable(
        frame=table,
        title=f"Of 100 {sentences.plural(facts.row).capitalize()}, How Many Are in Each State",
        headings={"state": "State"},
    )


def _baseline(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    r = float(kept.summary["r"])
    grades = ((0.9, "very closely"), (0.7, "closely"), (0.3, "to some degree"), (0.0, "hardly"))
    strength = next(words for limit, words in grades if abs(r) >= limit)
    states = facts.run.states is not None
    usual = "how often each state usually occurs" if states else f"the usual level of “{facts.outcome}”"
    more = ": to a large part, the personal side of the model is the person’s usual level" if abs(r) >= 0.7 else ""
    return [f"What the model learnt about single persons {strength} follows {usual}{more}."]


def _variance(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    found = kept.frame.loc[kept.frame["name"] == "icc_target", ["value", "low", "high"]].to_numpy(dtype=float)
    if not len(found):
        return []
    value, low, high = (float(number) for number in found[0])
    return [
        f"Of all the differences between answers, {in_hundred(value)} parts are lasting differences "
        f"between persons (it may be {100 * low:.0f} to {100 * high:.0f}); the rest comes and goes within persons."
    ]


def _stability(kept: KeptAnalysis, facts: RunFacts) -> list[str]:
    stable = kept.frame["stable"].astype(bool)
    return [
        f"When the model was fitted again, {int(stable.sum())} of {len(stable)} kinds of personal values came "
        f"out alike."
    ]


_SAYINGS: dict[str, Callable[[KeptAnalysis, RunFacts], list[str]]] = {
    "base-rates": _rates,
    "hsic": _hsic,
    "differences": _differences,
    "baseline": _baseline,
    "variance": _variance,
    "stability": _stability,
}


def foresight(facts: RunFacts) -> list[str]:
    """How well a run predicts, in words."""
    metrics = facts.metrics
    rows = metrics[(metrics["split"] == "test") & (metrics["scope"] == "mean")]
    if facts.run.classes is None:
        return _numeric(facts, rows)
    rows = rows[rows["metric"] == "accuracy"].set_index("level")["value"].astype(float)
    own = rows.get("forecast", rows.get("person"))
    before = rows.get("previous state")
    if own is None:
        return []
    unit = sentences.plural(facts.row)
    what = "state" if facts.run.states else "answer"
    said = f"At later {unit} of the same persons, the model named the right {what} in {100 * own:.0f} of 100 cases"
    if before is not None:
        said += f"; simply repeating the state before would have been right in {100 * before:.0f} of 100"
    return [f"{said}."]


def _numeric(facts: RunFacts, rows: pd.DataFrame) -> list[str]:
    errors = rows[rows["metric"] == "rmse"].set_index("level")["value"].astype(float)
    own, shared = errors.get("person"), errors.get("population")
    if own is None:
        return []
    unit = sentences.plural(facts.row)
    said = f"At later {unit} of the same persons, the model as a rule missed “{facts.outcome}” by "
    said += f"{wording.number(own, 1)} points"
    if shared is not None and facts.personal:
        said += f"; without what it knows about each person it would miss by {wording.number(shared, 1)}"
    return [f"{said}."]


def spread(facts: RunFacts, smallest: int) -> list[str]:
    """How many persons differ clearly from the average, without small numbers.

    Every parameter is a look, so that the limit is Bonferroni's over a person's parameters.
    """
    effects = facts.effects
    if not facts.personal or effects["sd"].isna().all():
        return []
    limit = float(norm.ppf(1 - CLEAR / 2 / effects["parameter"].nunique()))
    away = effects.assign(away=effects["estimate"].abs() > limit * effects["sd"]).groupby("level")["away"].any()
    count, total = int(away.sum()), len(away)
    few, rest = 0 < count < smallest, 0 < total - count < smallest
    who = f"{count} of {total} persons"
    if count == 0:
        return ["No person can be told clearly from the average person, in any respect that the model describes."]
    if few:
        who = "few persons"
    elif rest:
        who = "nearly all persons"
    return [
        f"Persons are not alike: {who} differ clearly from the average person in at least one respect that the model "
        "describes. For the others, what is known about them is too little to tell them from the average."
    ]
