"""Tests between groups as tables: the kernel test of all transitions, and how often states occur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses import wording
from analyses.hsic_result import KERNEL_WORDS
from analyses.report.guard import COMPLEMENTARY, small_label
from analyses.report.standard_tables.entry import (
    TableEntry,
    TableOptions,
    found_analyses,
    found_analysis,
    small_note,
    too_small,
)
from analyses.report.suppression import Hidden, hidden_counts
from analyses.report.tables import ReportTable, Spanner, bounded_cell, one_cell, p_cell
from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.runs.folder import SavedRun

VALUE_WORDS = {
    "score": "Transition scores",
    "probability": "Transition probabilities",
    "expected": "Expected transitions",
    "observed": "Observed transitions",
    "model": "Transition scores",
}
_ALL = "All persons"


def hsic_table(summaries: Mapping[str, Mapping[str, Any]], *, smallest: int) -> ReportTable:
    """One line per HSIC test: statistic, p with its Monte Carlo interval, and the effect size if there is one.

    Args:
        summaries: of the tests, by what was compared.
        smallest: the smallest group that is shown.
    """
    rows, effects = [], any("effect" in found for found in summaries.values())
    hidden = False
    for name, found in summaries.items():
        small = too_small({str(k): int(v) for k, v in found["group_sizes"].items()}, smallest)
        hidden |= small
        shown: dict[str, Any] = {"what": name, "n": found["n"], "statistic": found["statistic"], "p": found["pvalue"]}
        shown["interval"] = _monte_carlo(found)
        if effects:
            shown |= _effect(found.get("effect"))
        rows.append({key: value if key == "what" or not small else COMPLEMENTARY for key, value in shown.items()})
    one = next(iter(summaries.values()))
    return ReportTable(
        frame=pd.DataFrame(rows),
        title="Kernel Tests of Independence Between Transitions and Group",
        note=f"{_hsic_note(summaries)}{f' {small_note(smallest)}' if hidden else ''}",
        headings={
            "what": "Compared", "n": "N", "statistic": "n × HSIC", "p": "p", "interval": "95% CI of p",
            "alignment": "Normalised HSIC", "alignment_interval": f"{_level(one)} CI",
        },
        formats={"p": p_cell, "alignment": bounded_cell},
        numbers={"n", "statistic", "p", "interval", "alignment", "alignment_interval"},
        data=pd.DataFrame([_plain(name, found, smallest) for name, found in summaries.items()]),
    )  # fmt: skip


def base_rate_table(summary: Mapping[str, Any], persons: Mapping[str, int], *, smallest: int) -> ReportTable:
    """How often each state occurs in each group: rows and percent, with the tests in the note.

    Args:
        summary: of the base-rate test.
        persons: persons per group, by the names in the summary; groups of few persons are hidden whatever their rows.
        smallest: the smallest count and group that is shown.
    """
    counts = np.array(summary["counts"], dtype=np.int64).T  # states x groups
    groups, states = [str(g) for g in summary["groups"]], [str(s) for s in summary["states"]]
    few = np.array([0 < persons.get(group, 0) < smallest for group in groups])
    hidden = hidden_counts(counts, smallest=smallest, also=np.broadcast_to(few, counts.shape), also_columns=few)
    any_hidden = bool(hidden.cells.any() or hidden.rows.any() or hidden.columns.any() or hidden.total)
    frame = _base_rate_frame(counts, groups, states, hidden, smallest)
    spanners = [Spanner(label=group, columns=(f"n {k}", f"share {k}")) for k, group in enumerate([*groups, _ALL])]
    return ReportTable(
        frame=frame,
        title="How Often States Occur, by Group",
        note=_base_rate_note(summary, any_hidden, smallest),
        headings={"state": "State"} | {name: "n" if name.startswith("n ") else "%" for name in frame.columns[1:]},
        formats={name: one_cell for name in frame.columns if name.startswith("share ")},
        numbers=set(frame.columns[1:]),
        spanners=spanners,
        data=_base_rate_data(counts, groups, states, hidden, smallest),
    )


def _monte_carlo(found: Mapping[str, Any]) -> str:
    low, high = float(found["pvalue_low"]), float(found["pvalue_high"])
    if low == high:
        return "exact" if found["method"] == "exact" else "–"
    return f"[{wording.p_end(low)}, {wording.p_end(high)}]"


def _effect(effect: Mapping[str, Any] | None) -> dict[str, Any]:
    if effect is None:
        return {"alignment": float("nan"), "alignment_interval": "–"}
    ends = wording.bounded(effect["alignment_low"]), wording.bounded(effect["alignment_high"])
    return {"alignment": effect["alignment"], "alignment_interval": f"[{ends[0]}, {ends[1]}]"}


def _level(summary: Mapping[str, Any]) -> str:
    return wording.percent((summary.get("effect") or {}).get("level", 0.95))


def _hsic_note(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    told = dict.fromkeys(_kernel_words(found) for found in summaries.values())
    return f"{' '.join(told)} CI of p: what the limited number of permutations leaves open."


def _kernel_words(found: Mapping[str, Any]) -> str:
    kernel = KERNEL_WORDS.get(found["kernel"], f"{found['kernel']} kernel")
    with_width = f" with {found['bandwidth_rule']} bandwidth" if found["kernel"] in ("gaussian", "laplace") else ""
    group = "product of kernels" if found["group_kernel"] == "product" else KERNEL_WORDS.get(found["group_kernel"], "")
    return (
        f"{kernel}{with_width} on transitions, {group} on group; {wording.thousands(int(found['permutations']))} "
        f"permutations of {found['unit_name']}."
    )


def _plain(name: str, found: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """A test as a line of plain numbers."""
    words = ("kernel", "group_kernel", "bandwidth_rule", "unit_name", "method", "permutations")
    values = ("n", "n_units", "statistic", "pvalue", "pvalue_low", "pvalue_high", "bandwidth")
    small = too_small({str(k): int(v) for k, v in found["group_sizes"].items()}, smallest)
    numbers = {key: COMPLEMENTARY if small else found[key] for key in values}
    return {"compared": name, **numbers, **{key: found[key] for key in words}}


def _base_rate_frame(
    counts: np.ndarray, groups: Sequence[str], states: Sequence[str], hidden: Hidden, smallest: int
) -> pd.DataFrame:
    """States and a total line by groups and a total column, with what is hidden said in its place."""
    every = np.block([[counts, counts.sum(axis=1, keepdims=True)], [counts.sum(axis=0), counts.sum()]])
    gone = np.block([[hidden.cells, hidden.rows[:, None]], [hidden.columns, np.array(hidden.total)]])
    columns: dict[str, list[Any]] = {"state": [*states, "All states"]}
    for k in range(len(groups) + 1):
        total = every[-1, k]
        columns[f"n {k}"] = [
            _shown(n, hide, smallest) for n, hide in zip(every[:, k].tolist(), gone[:, k].tolist(), strict=True)
        ]
        # a share beside a shown count would give its total away, and the other way round
        columns[f"share {k}"] = [
            COMPLEMENTARY if hide or gone[-1, k] else float(100 * n / total) if total else float("nan")
            for n, hide in zip(every[:, k], gone[:, k], strict=True)
        ]
    return pd.DataFrame(columns)


def _shown(count: int, hide: bool, smallest: int) -> int | str:
    if not hide:
        return count
    return small_label(smallest) if count < smallest else COMPLEMENTARY


def _base_rate_data(
    counts: np.ndarray, groups: Sequence[str], states: Sequence[str], hidden: Hidden, smallest: int
) -> pd.DataFrame:
    rows = []
    for k, group in enumerate(groups):
        total = counts[:, k].sum()
        for s, state in enumerate(states):
            gone = bool(hidden.cells[s, k])
            share = (
                COMPLEMENTARY if gone or hidden.columns[k] else float(counts[s, k] / total) if total else float("nan")
            )
            rows.append((group, state, _shown(int(counts[s, k]), gone, smallest), share))
    return pd.DataFrame(rows, columns=["group", "state", "count", "share"])


def _base_rate_note(summary: Mapping[str, Any], any_hidden: bool, smallest: int) -> str:
    if any_hidden:
        return small_note(smallest)
    corrected = summary["rao_scott"]
    degrees = [wording.number(float(df), 1) for df in corrected["df_second"]]
    interval = wording.ci_text(
        wording.bounded(float(summary["v_low"])), wording.bounded(float(summary["v_high"])), float(summary["level"])
    )
    return (
        f"n = observations. Permuting the group over whole {summary['unit_name']}, "
        f"{wording.p_text(float(summary['pvalue']))} ({wording.thousands(int(summary['permutations']))} permutations); "
        f"Rao-Scott F({degrees[0]}, {degrees[1]}) = {wording.number(float(corrected['f_second']))}, "
        f"{wording.p_text(float(corrected['pvalue_second']))}; Cramér’s V = "
        f"{wording.bounded(float(summary['cramers_v']))}, {interval}."
    )


def _build_hsic(run: SavedRun, options: TableOptions) -> ReportTable:
    kept = [found for found in found_analyses(run, "hsic") if options.analysis in (None, found.name)]
    if not kept:
        found_analysis(run, "hsic", "nme analyze hsic RUN", options.analysis)
    named = {found.name: VALUE_WORDS.get(found.name.removeprefix("hsic-"), found.name) for found in kept}
    doubled = len(set(named.values())) < len(named)
    summaries = {name if doubled else named[name]: found.summary for name, found in zip(named, kept, strict=True)}
    return hsic_table(summaries, smallest=options.smallest)


def _build_base_rates(run: SavedRun, options: TableOptions) -> ReportTable:
    kept = found_analysis(run, "base-rates", "nme analyze base-rates RUN", options.analysis)
    labels = run.manifest["study"].get("group_labels") or {}
    groups = run.persons()["group"].dropna().astype(str)
    if groups.empty:
        raise DataError("this run has no groups", code="E124", column="group")
    sizes = groups.map(lambda label: str(labels.get(label, label))).value_counts()
    persons = {str(name): int(size) for name, size in sizes.items()}
    return base_rate_table(kept.summary, persons, smallest=options.smallest)


TEST_TABLES = (
    TableEntry(
        name="hsic",
        title="Kernel tests of all transitions together between groups",
        needs="nme analyze hsic (every kept test is a line)",
        build=_build_hsic,
        analysis="hsic",
    ),
    TableEntry(
        name="base-rates",
        title="How often states occur in each group, with the tests in the note",
        needs="nme analyze base-rates",
        build=_build_base_rates,
        analysis="base-rates",
    ),
)
