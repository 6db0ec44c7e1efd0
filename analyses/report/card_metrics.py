"""Metrics of a run on the rows set aside, with intervals over persons."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analyses import wording
from analyses.report import sentences
from analyses.report.guard import COMPLEMENTARY, small_label
from analyses.report.report_facts import RunFacts
from analyses.report.tables import EMPTY, ReportTable

LEVEL = 0.95
HEADINGS = {"model": "Run", "target": "Outcome", "metric": "Metric", "level": "Prediction",
            "mean": "Mean per person", "interval": "95% CI", "pooled": "Pooled", "persons": "Persons"}  # fmt: skip
NOTE = (
    "Mean per person: the metric of each person, averaged, with Student’s interval over persons; it takes the fitted "
    "model as given. Pooled: all rows together. Persons for whom a metric cannot be computed, such as those with one "
    "state only, are left out of the mean."
)


def mean_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Mean over persons with Student's interval: mean ± t sd / sqrt(n); NaN limits below two persons."""
    known = values[np.isfinite(values)]
    if known.size < 2:
        return (float(known.mean()) if known.size else math.nan), math.nan, math.nan
    reach = float(student.ppf(0.5 + level / 2, known.size - 1)) * float(known.std(ddof=1)) / math.sqrt(known.size)
    return float(known.mean()), float(known.mean()) - reach, float(known.mean()) + reach


def metrics_with_intervals(*runs: RunFacts, guarded: bool = True) -> ReportTable:
    """Every metric on the rows set aside: mean over persons with its interval, pooled value, persons."""
    lines = [_lines(facts, guarded, target) for facts in runs for target in facts.run.targets or (None,)]
    frame = pd.concat(lines, ignore_index=True)
    if all(len(facts.run.targets) < 2 for facts in runs):
        frame = frame.drop(columns="target")
    several = next((said for facts in runs if (said := sentences.effects_note(facts.manifest))), "")
    if len(runs) == 1:
        frame = frame.drop(columns="model")
    return ReportTable(
        frame=frame,
        title="Prediction on the Rows Set Aside for Judging",
        headings=HEADINGS,
        numbers={"mean", "interval", "pooled", "persons"},
        note=f"{NOTE} {several}".rstrip(),
    )


def _lines(facts: RunFacts, guarded: bool, target: str | None) -> pd.DataFrame:
    """One line per metric and way to predict one target."""
    table = facts.metrics if target in (None, *facts.run.targets[:1]) else facts.run.metrics(target)
    split = "test" if (table["split"] == "test").any() else "train"
    rows = table[table["split"] == split]
    metrics = {words: name for name, words in sentences.METRIC_NAMES.items()}
    levels = {words: name for name, words in sentences.LEVEL_NAMES.items()}
    lines = []
    for line in sentences.metric_table(table, split, tuple(rows["metric"].unique())).itertuples():
        metric, level = metrics.get(str(line.metric), str(line.metric)), levels.get(str(line.level), str(line.level))
        part = rows[(rows["metric"] == metric) & (rows["level"] == level) & (rows["scope"] == "person")]
        values = part["value"].to_numpy(dtype=float)
        mean, low, high = mean_interval(values)
        pooled = float(line.pooled)  # pyright: ignore[reportArgumentType] - itertuples does not know its types
        shown, persons = _persons(int(np.isfinite(values).sum()), values.size, facts.smallest, guarded)
        lines.append(
            {
                "model": facts.run.name,
                "target": str(target),
                "metric": str(line.metric),
                "level": str(line.level),
                "mean": wording.number(mean) if shown else EMPTY,
                "interval": f"[{wording.number(low)}, {wording.number(high)}]" if shown else EMPTY,
                "pooled": wording.number(pooled) if math.isfinite(pooled) else EMPTY,
                "persons": persons,
            }
        )
    return pd.DataFrame(lines, columns=list(HEADINGS))


def _persons(known: int, every: int, smallest: int, guarded: bool) -> tuple[bool, str]:
    """Whether a mean may be shown, and how many persons it is over, where that gives no few persons away."""
    if not guarded:
        return True, str(known)
    if known < smallest:
        return False, small_label(smallest)
    return True, COMPLEMENTARY if 0 < every - known < smallest else str(known)
