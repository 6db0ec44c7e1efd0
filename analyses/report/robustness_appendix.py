"""The robustness analyses of a run as an appendix: what was tried, what was found, the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.figures import power_curve, specification_curve, stability
from analyses.report import sentences
from analyses.report.document import Report, Section
from analyses.report.figure_block import report_figure
from analyses.report.gallery_words import READING
from analyses.report.snippets import snippet
from analyses.report.tables import ReportTable, bounded_cell, p_cell
from toolkit.errors import RunFolderError
from toolkit.runs.kept import KeptAnalysis

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

MOST_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Kind:
    """How one kind of analysis is set: its title, its figure, how to read it, its columns."""

    title: str
    headings: dict[str, str]
    module: Any = None
    tidy: Callable[[KeptAnalysis], pd.DataFrame] | None = None
    reading: str = ""


KINDS: dict[str, _Kind] = {
    "multiverse": _Kind(
        title="Other choices: specification curve",
        module=specification_curve,
        tidy=lambda one: specification_curve.tidy(one.frame, summary=one.summary),
        reading=READING["multiverse"],
        headings={"states": "States", "value": "Transitions", "kernel": "Kernel", "bandwidth": "Bandwidth",
                  "diagonal": "With stays", "unit": "Shuffled", "effect": "Effect", "pvalue": "p"},
    ),
    "naive-block": _Kind(
        title="Whole families against single persons",
        headings={"value": "Transitions", "unit": "Shuffled", "units": "Units", "statistic": "n × HSIC", "pvalue": "p"},
    ),
    "stability": _Kind(
        title="Stability over seeds and dropped rows",
        module=stability,
        tidy=lambda one: stability.tidy(one.frame),
        reading=READING["stability"],
        headings={"parameter": "Parameter", "icc": "ICC", "icc_low": "From", "icc_high": "To", "cs": "CS"},
    ),
    "power": _Kind(
        title="Power by simulation",
        module=power_curve,
        tidy=lambda one: power_curve.tidy(one.frame, summary=one.summary),
        reading=READING["power"],
        headings={"clusters_per_group": "Per group", "persons": "Persons", "transitions": "Transitions",
                  "cell_power": "Power, cell", "cell_low": "From", "cell_high": "To", "hsic_power": "Power, all"},
    ),
}  # fmt: skip


def robustness_appendix(run: SavedRun, kept: Sequence[KeptAnalysis]) -> Report:
    """Sections of every robustness analysis among the kept ones, in the order of `KINDS`.

    Args:
        run: the run.
        kept: what its folder keeps, the newest first; of each kind the newest is taken.
    """
    sections = []
    for command, kind in KINDS.items():
        mine = [one for one in kept if one.recipe is not None and one.recipe.command == command]
        if mine:
            sections.append(_section(run, mine[0], kind))
    title = str(run.manifest["study"].get("title") or run.manifest["study"].get("name") or run.name)
    return Report(
        title=f"{title}: robustness",
        subtitle=f"Run {run.name}. {sentences.model_sentence(run.manifest)}",
        blocks=sections,
    )


def _section(run: SavedRun, found: KeptAnalysis, kind: _Kind) -> Section:
    figure = None
    if kind.module is not None and kind.tidy is not None:
        figure = report_figure(kind.module, kind.tidy(found), kind.title)
    try:
        code = snippet(found.recipe, run.path.name) if found.recipe is not None else ""
    except RunFolderError:
        code = ""
    return Section(
        title=kind.title,
        text=[part for part in found.text.split("\n") if part],
        apa=[found.apa],
        figure=figure,
        table=_table(found, kind),
        how_to_read=kind.reading,
        code=code,
    )


def _table(found: KeptAnalysis, kind: _Kind) -> ReportTable:
    columns = [name for name in kind.headings if name in found.frame]
    frame = found.frame[columns].head(MOST_LINES)
    left = len(found.frame) - len(frame)
    shares = [name for name in columns if name.endswith(("_power", "_low", "_high")) or name in ("icc", "cs", "effect")]
    return ReportTable(
        frame=frame,
        title=kind.title,
        headings=kind.headings,
        formats={"pvalue": p_cell} | dict.fromkeys(shares, bounded_cell),
        note=f"{left} more lines are in the table of the run folder." if left else "",
    )
