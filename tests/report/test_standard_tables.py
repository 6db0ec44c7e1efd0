"""Tables of a paper: what is bold, what is marked, and what is not shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import records
from example_run import write_example
from hypothesis import given, settings
from hypothesis import strategies as st
from test_suppression import Published

from analyses.report.guard import COMPLEMENTARY
from analyses.report.standard_tables import TABLES, TableOptions, standard_table
from analyses.report.standard_tables.differences import difference_list, difference_matrix
from analyses.report.standard_tables.group_tests import base_rate_table, hsic_table
from analyses.report.standard_tables.models import comparison_table
from analyses.report.standard_tables.sample import ALL, heading, measure, sample_table
from analyses.report.suppression import Hidden
from analyses.report.table_files import plain_table
from analyses.report.tables import heading_rows, table_cells
from analyses.transition_comparison import TransitionComparison
from toolkit.errors import ConfigError, DataError
from toolkit.runs.folder import load_run, save_analysis

STATES = ("other", "aggressive", "dysphoric", "positive")
# Table 5 of Wörtwein et al. (2023), in percentage points
LOW = np.array([[0.0, 0.7, -2.0, -7.4], [-1.2, -1.7, -0.4, -2.1], [-5.5, -0.1, -0.9, -1.4], [-8.3, 0.3, 0.1, 0.0]])
HIGH = np.array([[1.8, 4.9, 3.2, -1.3], [2.8, 0.2, 3.4, -0.4], [1.1, 4.4, 0.5, 2.0], [-1.6, 2.2, 5.5, 1.8]])


def table_five(**changed: Any) -> dict[str, Any]:
    low, high = LOW / 100, HIGH / 100
    middle = (low + high) / 2
    clear = (low > 0) | (high < 0)
    found = TransitionComparison(
        states=STATES, difference=middle, low=low, high=high, low_simultaneous=low - 0.01,
        high_simultaneous=high + 0.01, pvalue=np.where(clear, 0.01, 0.4), pvalue_fdr=np.where(clear, 0.04, 0.5),
        pvalue_holm=np.where(clear, 0.09, 1.0), pvalue_permutation=low, pvalue_permutation_max=low,
        standard_error=high - low, mean_true=middle + 0.2, mean_false=np.full((4, 4), 0.2), n_cell_true=low,
        n_cell_false=low, n_true=97, n_false=98, n_units=98, unit_name="families", method="percentile",
        resamples=10_000, level=0.95, group_names=("depressed", "non-depressed"), scale="probability", permutations=0,
        notes=(),
    )  # fmt: skip
    return json.loads(json.dumps(found.summary())) | changed


def test_table_five_has_the_six_bold_cells_of_the_paper() -> None:
    table = difference_matrix(table_five(), smallest=11)
    cells = table_cells(table)
    assert [[cell.text for cell in row] for row in cells][1] == [
        "aggressive", "[−1.2, 2.8]", "[−1.7, 0.2]", "[−0.4, 3.4]", "[−2.1, −0.4]",
    ]  # fmt: skip
    bold = {(row[0].text, STATES[place - 1]) for row in cells for place, cell in enumerate(row) if cell.bold}
    assert bold == {
        ("other", "aggressive"), ("other", "positive"), ("aggressive", "positive"), ("positive", "other"),
        ("positive", "aggressive"), ("positive", "dysphoric"),
    }  # fmt: skip
    spanner, columns = heading_rows(table)
    assert [(cell.text, cell.columns) for cell in spanner] == [("", 1), ("Into", 4)]
    assert [cell.text for cell in columns] == ["From", *STATES]
    assert "n = 97" in table.note
    assert "10,000 resamples of families" in table.note


def test_superscripts_say_which_cells_hold_under_correction() -> None:
    marks = difference_matrix(table_five(), smallest=11).marks
    # 1 percentage point wider, two of the six still leave out 0
    assert {key for key, mark in marks.items() if mark == "a,b"} == {(0, "into 3"), (3, "into 0")}
    assert sum(mark == "b" for mark in marks.values()) == 4
    simultaneous = difference_matrix(table_five(), smallest=11, interval="simultaneous")
    assert simultaneous.bold == {(0, "into 3"), (3, "into 0")}


def test_all_cells_in_a_list() -> None:
    table = difference_list(table_five(), smallest=11)
    text = plain_table(table)
    line = next(line for line in text.splitlines() if "[−7.4, −1.3]" in line)
    assert line.split() == ["positive", "15.7", "20.0", "−4.4", "[−7.4,", "−1.3]*", "[−8.4,", "−0.3]*", ".010", ".040*"]
    assert table.data is not None
    assert table.data["difference"].iloc[3] == pytest.approx(-0.0435)
    assert list(table.frame["from_state"]) == [s for state in STATES for s in (state, "", "", "")]


def test_several_pairs_of_groups_are_listed_one_below_the_other() -> None:
    both = {"groups": {"a": 30, "b": 40}, "pairs": [table_five(), table_five(group_names=["a", "b"])]}
    table = difference_list(both, smallest=11)
    assert len(table.frame) == 32
    assert table.frame["pair"].iloc[[0, 16]].tolist() == ["depressed − non-depressed", "a − b"]
    with pytest.raises(DataError) as refused:
        difference_matrix(both, smallest=11)
    assert refused.value.code == "E408"


@pytest.mark.parametrize("sizes", [{"n_true": 7}, {"n_false": 1}, {"n_true": 10, "n_false": 10}])
def test_a_comparison_with_a_small_group_shows_no_number(sizes: dict[str, int]) -> None:
    summary = table_five(**sizes)
    for table in (difference_list(summary, smallest=11), difference_matrix(summary, smallest=11)):
        shown = "".join(cell.text for row in table_cells(table) for cell in row)
        assert not any(character.isdigit() for character in shown)
        assert COMPLEMENTARY in shown
        assert "n = " not in table.note
        assert "are not shown" in table.note
        assert not table.bold
        assert table.data is not None
        assert not table.data.select_dtypes("number").columns.tolist()


def test_forty_states_are_listed_but_make_no_matrix() -> None:
    states = [f"state {k}" for k in range(40)]
    nothing = np.zeros((40, 40)).tolist()
    names = ("difference", "low", "high", "low_simultaneous", "high_simultaneous", "pvalue", "pvalue_fdr")
    arrays = {name: nothing for name in (*names, "mean_true", "mean_false")}
    summary = table_five(states=states, **arrays)
    assert len(difference_list(summary, smallest=11).frame) == 1600
    with pytest.raises(DataError, match="no room for more than 7 states"):
        difference_matrix(summary, smallest=11)


def test_models_carry_the_letters_of_better_ones() -> None:
    found = records.models(
        metrics=("krippendorff_alpha", "rmse"),
        means=np.array([[0.494, 0.467], [1.25, 1.5]]),
        marks=(("", "a"), ("", "a")),
    )
    table = comparison_table(json.loads(json.dumps(found.summary(), default=float)), smallest=11)
    cells = table_cells(table)
    assert [[cell.text + cell.mark for cell in row] for row in cells] == [
        ["NME-CRF (a)", ".494", "1.250"],
        ["Generic-CRF (b)", ".467a", "1.500a"],
    ]
    assert [cell.bold for cell in cells[0]] == [False, True, True]
    assert not any(cell.bold for cell in cells[1])
    small = comparison_table(found.summary() | {"n_persons": 8}, smallest=11)
    assert [cell.text for cell in table_cells(small)[0][1:]] == [COMPLEMENTARY, COMPLEMENTARY]


def rates(counts: list[list[int]], persons: dict[str, int], smallest: int = 11) -> Any:
    found = records.base_rates(counts=np.array(counts)).summary()
    return base_rate_table(found, persons, smallest=smallest)


def test_base_rates_with_their_percentages() -> None:
    table = rates([[100, 300], [150, 50]], {"a": 30, "b": 40})
    rows = [[cell.text for cell in row] for row in table_cells(table)]
    assert rows[0] == ["x", "100", "25.0", "150", "75.0", "250", "41.7"]
    assert rows[2] == ["All states", "400", "100.0", "200", "100.0", "600", "100.0"]
    assert "Rao-Scott F(2.8, 543.2) = 3.90" in table.note


def test_a_small_count_goes_with_its_rectangle_and_its_percentages() -> None:
    table = rates([[4, 300], [150, 50]], {"a": 30, "b": 40})
    rows = [[cell.text for cell in row] for row in table_cells(table)]
    assert rows[0] == ["x", "<11", COMPLEMENTARY, COMPLEMENTARY, COMPLEMENTARY, "154", "30.6"]
    assert rows[1][1:5] == [COMPLEMENTARY] * 4
    assert "Rao-Scott" not in table.note
    assert table.data is not None
    assert table.data["count"].tolist() == ["<11", COMPLEMENTARY, COMPLEMENTARY, COMPLEMENTARY]


def test_a_small_group_of_persons_goes_however_many_rows_it_has() -> None:
    table = rates([[100, 300], [150, 50]], {"a": 5, "b": 40})
    rows = [[cell.text for cell in row] for row in table_cells(table)]
    assert all(row[1] == COMPLEMENTARY and row[2] == COMPLEMENTARY for row in rows)
    # whatever else is shown, the hidden group does not follow by subtraction
    assert all(COMPLEMENTARY in (row[3], row[5]) for row in rows)


def test_zero_is_shown() -> None:
    table = rates([[0, 300], [150, 50]], {"a": 30, "b": 40})
    assert table_cells(table)[0][1].text == "0"


def sample(sizes: dict[str, int], smallest: int = 11) -> list[list[str]]:
    groups = [name for name, size in sizes.items() for _ in range(size)]
    values = np.arange(len(groups), dtype=float)
    parts = [measure("Rows", values, groups), heading("States"), measure("calm", values, groups, indented=True)]
    table = sample_table(pd.concat(parts), sizes, len(groups), smallest=smallest)
    return [
        [cell.text for cell in heading_rows(table)[0]],
        *[[cell.text for cell in row] for row in table_cells(table)],
    ]


def test_table_one() -> None:
    shown = sample({"a": 20, "b": 30})
    assert shown[0] == ["", "a (n\u00a0=\u00a020)", "b (n\u00a0=\u00a030)", "All persons (N\u00a0=\u00a050)"]
    assert shown[1] == ["Rows", "9.50", "5.92", "34.50", "8.80", "24.50", "14.58"]
    assert shown[2] == ["States", "", "", "", "", "", ""]


def test_table_one_hides_a_small_group_with_another() -> None:
    shown = sample({"a": 7, "b": 30, "c": 40})
    assert shown[0] == ["", "a (n\u00a0<\u00a011)", "b", "c (n\u00a0=\u00a040)", "All persons (N\u00a0=\u00a077)"]
    assert shown[1][1:5] == [COMPLEMENTARY] * 4
    assert shown[1][5] == "56.50"
    assert sample({"a": 7, "b": 30, "c": 40}, smallest=5)[1][1] == "3.00"


def test_table_one_hides_everybody_where_the_total_would_tell() -> None:
    shown = sample({"a": 10, "b": 10})
    assert shown[1][1:] == [COMPLEMENTARY] * 6
    assert shown[0][3] == "All persons"


def test_a_variable_that_few_persons_answered() -> None:
    groups = ["a"] * 20 + ["b"] * 30 + ["c"] * 30
    values = np.where(np.arange(80) < 15, np.nan, 1.0)  # five of group a have a value
    table = sample_table(measure("rare", values, groups), {"a": 20, "b": 30, "c": 30}, 80, smallest=11)
    texts = [cell.text for cell in table_cells(table)[0]]
    assert texts[1:3] == [COMPLEMENTARY] * 2
    assert texts.count(COMPLEMENTARY) == 4  # another group as well: the mean of all would give the first away
    assert ALL in table.data["group"].tolist()


def test_hsic_lines() -> None:
    first = records.hsic().summary()
    table = hsic_table({"Scores": first, "Counts": records.hsic(pvalue=0.0002, pvalue_low=0.0).summary()}, smallest=11)
    assert [[cell.text for cell in row] for row in table_cells(table)] == [
        ["Scores", "195", "0.71", ".006", "[.004, .008]"],
        ["Counts", "195", "0.71", "< .001", "[< .001, .008]"],
    ]
    small = hsic_table({"Scores": first | {"group_sizes": {"0": 3, "1": 192}}}, smallest=11)
    assert [cell.text for cell in table_cells(small)[0]] == ["Scores", *[COMPLEMENTARY] * 4]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_example(tmp_path_factory.mktemp("runs") / "nme-crf", persons=40)
    return load_run(folder)


def test_metrics_do_not_count_a_few_persons(run: Any) -> None:
    table = standard_table("metrics", run)
    first = [cell.text for cell in table_cells(table)[0]]
    assert first[:3] == ["Krippendorff’s α", "with person effects", "0.42"]
    assert first[-2:] == ["≥ 30", "<11"]  # 39 with a value and 1 without would be 40


def test_variances_by_parameter(run: Any) -> None:
    table = standard_table("variance", run)
    assert len(table.frame) == 16
    shares = [float(cell[2].text) for cell in table_cells(table)]
    assert shares == sorted(shares, reverse=True)


def test_a_run_of_few_persons_shows_nothing_about_them(tmp_path: Path) -> None:
    few = load_run(write_example(tmp_path / "few", persons=8))
    with pytest.raises(DataError, match="fewer than 11 persons"):
        standard_table("variance", few)
    texts = [cell.text for row in table_cells(standard_table("metrics", few)) for cell in row[2:]]
    assert set(texts) == {"<11", COMPLEMENTARY}
    texts = [cell.text for row in table_cells(standard_table("sample", few)) for cell in row[1:] if cell.text]
    assert set(texts) == {COMPLEMENTARY}


def test_what_is_missing_or_unknown_is_said(run: Any) -> None:
    with pytest.raises(DataError) as missing:
        standard_table("differences", run)
    assert "nme analyze differences RUN" in missing.value.sentence
    with pytest.raises(ConfigError, match="did you mean differences"):
        standard_table("diferences", run)
    with pytest.raises(ConfigError) as refused:
        standard_table("sample", run, TableOptions(smallest=4))
    assert refused.value.code == "E302"
    with pytest.raises(ConfigError, match="raw or simultaneous"):
        difference_matrix(table_five(), smallest=11, interval="both")


def test_a_kept_analysis_becomes_a_table(tmp_path: Path) -> None:
    run = load_run(write_example(tmp_path / "run", persons=40))
    save_analysis(run, "differences-probability", records.transitions())
    save_analysis(run, "differences-score", records.transitions(scale="score"))
    assert "Percentage Points" in standard_table("differences", run).title
    other = standard_table("differences", run, TableOptions(analysis="differences-score"))
    assert "Transition Scores" in other.title
    with pytest.raises(DataError, match="it keeps: differences-probability"):
        standard_table("differences", run, TableOptions(analysis="differences-logit"))


def test_the_short_form_of_the_baseline_analysis_is_no_table(tmp_path: Path) -> None:
    run = load_run(write_example(tmp_path / "run", model="nme-mlp", persons=40))
    save_analysis(run, "baseline", records.baseline())
    with pytest.raises(DataError, match="short form"):
        standard_table("baseline", run)


def test_every_table_says_what_it_needs() -> None:
    assert len({entry.name for entry in TABLES}) == len(TABLES) >= 8
    assert all(entry.title and entry.needs for entry in TABLES)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 13), st.integers(0, 200)), min_size=3, max_size=3), min_size=2, max_size=3
    )
)
def test_no_count_of_the_printed_table_can_be_recovered(counts: list[list[int]]) -> None:
    """As printed: groups x states with both totals and percentages."""
    groups, states = [f"g{k}" for k in range(len(counts))], ("x", "y", "z")
    summary = records.base_rates(counts=np.array(counts), groups=tuple(groups), states=states).summary()
    table = base_rate_table(summary, dict.fromkeys(groups, 100), smallest=11)
    texts = np.array([[cell.text.replace(",", "") for cell in row[1:]] for row in table_cells(table)])
    shown, shares = texts[:, ::2], texts[:, 1::2]
    gone = ~np.char.isdigit(shown.astype(str))
    hidden = Hidden(cells=gone[:-1, :-1], rows=gone[:-1, -1], columns=gone[-1, :-1], total=bool(gone[-1, -1]))
    seen = Published(np.array(counts).T, hidden, 11, True, True)
    for place, (value, hide) in enumerate(zip(seen.values, seen.hidden, strict=True)):
        assert hide or not 0 < value < 11
        if hide:
            low, high = seen.range_of(place)
            assert high - low > 0.5
    # no percentage beside a hidden count or a hidden total
    assert not np.any((gone | gone[-1]) & np.char.isdigit(np.char.replace(shares.astype(str), ".", "")))
