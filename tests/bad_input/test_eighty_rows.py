"""Every row of the table of bad input, through Python and through the command line.

Rows about studies are cases in ``studies.py``, which goes through both. Rows about training, model files, analyses and
the dashboard are tested where those live; the tables below say where, and a test sees to it that the named tests exist.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bad_input.studies import CASES, FINE, PLANTED, Case
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.checks import check_trainable
from toolkit.data.study import Study
from toolkit.data.study_checks import check_study
from toolkit.errors import DataError, ToolkitWarning

TESTS = Path(__file__).parent.parent
PYTHON = {
    39: ("bad_input/test_model_limits.py", "test_no_more_rows_than_effects"),
    40: ("data/test_split_designs.py", "test_persons_without_training_rows_are_counted"),
    41: ("bad_input/test_prediction.py", "test_row_41_an_unknown_person_gets_the_population_prediction"),
    42: ("bad_input/test_prediction.py", "test_row_42_an_unknown_person_is_refused_if_asked"),
    43: ("bad_input/test_prediction.py", "test_row_43_an_unseen_class"),
    53: ("analyses/test_resampling.py", "test_few_draws_are_refused"),
    54: ("analyses/test_hsic.py", "test_equal_rows_give_zero_and_one_and_a_note"),
    55: ("bad_input/test_training_faults.py", "test_row_55_a_loss_that_is_no_number_is_rolled_back_an_epoch"),
    56: ("bad_input/test_training_faults.py", "test_row_56_settings"),
    57: ("bad_input/test_training_faults.py", "test_row_57_a_signal_leaves_a_checkpoint"),
    58: ("bad_input/test_training_faults.py", "test_row_58_a_killed_fit_is_resumed_to_the_same_weights"),
    59: ("bad_input/test_training_faults.py", "test_row_59_other_data_settings_seed_or_split"),
    60: ("bad_input/test_training_faults.py", "test_row_60_a_full_disk_leaves_the_checkpoint_before"),
    61: ("bad_input/test_run_folders.py", "test_row_61_a_folder_that_cannot_be_written"),
    62: ("bad_input/test_run_folders.py", "test_row_62_a_finished_run_is_not_replaced"),
    63: ("bad_input/test_run_folders.py", "test_row_63_two_runs_in_one_folder"),
    64: ("bad_input/test_run_folders.py", "test_row_64_a_model_file_that_is_none"),
    65: ("bad_input/test_run_folders.py", "test_row_65_one_bit_flipped"),
    66: ("bad_input/test_run_folders.py", "test_row_66_a_pickle_is_never_opened"),
    67: ("bad_input/test_run_folders.py", "test_row_67_a_newer_version"),
    68: ("bad_input/test_prediction.py", "test_row_68_features_are_matched_by_name"),
    69: ("bad_input/test_prediction.py", "test_row_69_features_missing_or_too_many"),
    70: ("bad_input/test_prediction.py", "test_row_70_features_far_outside_the_training_range"),
    71: ("bad_input/test_unsafe_files.py", "test_a_bomb_is_refused_in_little_memory"),
    73: ("bad_input/test_unsafe_files.py", "test_entities"),
    74: ("data/test_importing.py", "test_odd_file_names_go_nowhere"),
    75: ("bad_input/test_exports_and_app.py", "test_row_75_a_formula_in_a_cell_or_a_header_is_text"),
    76: ("bad_input/test_exports_and_app.py", "test_row_76_dashboard_a_small_group_and_the_next_are_not_saved"),
    77: ("bad_input/test_exports_and_app.py", "test_row_77_dashboard"),
    78: ("bad_input/test_exports_and_app.py", "test_row_78_an_address_others_can_reach"),
    79: ("bad_input/test_large_files.py", "test_a_file_too_large_for_the_memory_is_refused"),
    80: ("bad_input/test_unreadable_files.py", "test_vanished_between_two_openings"),
}
COMMAND_LINE = {
    39: ("bad_input/test_command_line.py", "test_row_39_no_more_rows_than_effects"),
    40: ("bad_input/test_command_line.py", "test_row_40_persons_without_training_rows"),
    41: ("bad_input/test_prediction.py", "test_row_41_command_line"),
    42: ("bad_input/test_prediction.py", "test_row_42_command_line"),
    43: ("bad_input/test_prediction.py", "test_row_43_command_line"),
    50: ("cli/test_hsic_command.py", "test_one_cluster_per_group"),
    51: ("cli/test_differences_command.py", "test_three_groups_are_compared_in_pairs_or_two_of_them"),
    52: ("cli/test_hsic_command.py", "test_families_stay_together_unless_told_otherwise"),
    53: ("cli/test_hsic_command.py", "test_bad_options"),
    54: ("cli/test_hsic_command.py", "test_equal_persons_give_zero_and_one"),
    55: ("bad_input/test_training_faults.py", "test_row_55_command_line"),
    56: ("bad_input/test_training_faults.py", "test_row_56_settings"),
    57: ("bad_input/test_training_faults.py", "test_row_57_command_line"),
    58: ("bad_input/test_training_faults.py", "test_row_58_a_killed_fit_is_resumed_to_the_same_weights"),
    59: ("bad_input/test_training_faults.py", "test_row_59_command_line"),
    60: ("bad_input/test_training_faults.py", "test_row_60_a_full_disk_leaves_the_checkpoint_before"),
    61: ("bad_input/test_run_folders.py", "test_row_61_command_line"),
    62: ("bad_input/test_run_folders.py", "test_row_62_command_line"),
    63: ("bad_input/test_run_folders.py", "test_row_63_command_line"),
    64: ("bad_input/test_run_folders.py", "test_row_64_a_model_file_that_is_none"),
    65: ("bad_input/test_run_folders.py", "test_row_65_one_bit_flipped"),
    66: ("bad_input/test_run_folders.py", "test_row_66_a_pickle_is_never_opened"),
    67: ("bad_input/test_run_folders.py", "test_row_67_a_newer_version"),
    68: ("bad_input/test_prediction.py", "test_row_68_command_line"),
    69: ("bad_input/test_prediction.py", "test_row_69_command_line"),
    70: ("bad_input/test_prediction.py", "test_row_70_command_line"),
    71: ("bad_input/test_command_line.py", "test_rows_71_and_73_unsafe_excel_files"),
    73: ("bad_input/test_command_line.py", "test_rows_71_and_73_unsafe_excel_files"),
    74: ("bad_input/test_command_line.py", "test_row_74_odd_file_names_go_nowhere"),
    75: ("bad_input/test_exports_and_app.py", "test_row_75_command_line"),
    76: ("bad_input/test_exports_and_app.py", "test_row_76_command_line"),
    77: ("bad_input/test_exports_and_app.py", "test_row_77_command_line"),
    78: ("bad_input/test_exports_and_app.py", "test_row_78_an_address_others_can_reach"),
    79: ("bad_input/test_large_files.py", "test_a_file_too_large_for_the_memory_is_refused"),
    80: ("bad_input/test_unreadable_files.py", "test_command_line_no_permission"),
}
# rows that reach the dashboard: it opens run folders, tests groups, shows labels, and saves figures and results
DASHBOARD = {
    38: ("app/test_pages.py", "test_a_person_with_three_rows_gets_a_sentence"),
    52: ("app/test_group_test_page.py", "test_families_are_shuffled_whole_and_the_naive_p_stands_beside"),
    55: ("bad_input/test_exports_and_app.py", "test_row_55_dashboard"),
    60: ("bad_input/test_exports_and_app.py", "test_rows_60_and_61_dashboard_a_result_that_cannot_be_kept"),
    61: ("bad_input/test_exports_and_app.py", "test_rows_60_and_61_dashboard_a_result_that_cannot_be_kept"),
    64: ("bad_input/test_exports_and_app.py", "test_rows_64_to_67_and_80_dashboard"),
    65: ("bad_input/test_exports_and_app.py", "test_rows_64_to_67_and_80_dashboard"),
    66: ("bad_input/test_exports_and_app.py", "test_row_66_dashboard_a_pickle_typed_as_a_run"),
    67: ("bad_input/test_exports_and_app.py", "test_rows_64_to_67_and_80_dashboard"),
    75: ("bad_input/test_exports_and_app.py", "test_row_75_dashboard"),
    76: ("app/test_pages.py", "test_nothing_about_a_small_group_can_be_saved"),
    77: ("app/test_pages.py", "test_labels_are_shown_as_written"),
    78: ("bad_input/test_exports_and_app.py", "test_row_78_an_address_others_can_reach"),
    80: ("bad_input/test_exports_and_app.py", "test_row_80_dashboard_a_run_that_vanishes_while_it_is_open"),
}


def words(case: Case) -> str:
    return f"{case.row} {case.name}"


@pytest.fixture
def nme(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        code = plain_errors(lambda: app([str(word) for word in arguments], standalone_mode=False))
        captured = capsys.readouterr()
        assert PLANTED not in captured.out + captured.err
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("case", CASES, ids=words)
def test_python_finds_it(case: Case, tmp_path: Path) -> None:
    found = check_study(Study.read(case.write(tmp_path))).findings.found
    matching = [finding for finding in found if finding.code == case.code]
    assert matching, [finding.code for finding in found]
    assert PLANTED not in repr(found)
    if case.rows:
        assert any(finding.rows == case.rows for finding in matching)
    if case.column is not None:
        assert any(finding.column == case.column for finding in matching)
    assert case.code.startswith("E") or not [finding for finding in found if finding.is_fault]


def built(study: Study) -> None:
    for data in (study.grouped("mood"), study.sequences().data):
        check_trainable(data)


@pytest.mark.parametrize("case", [case for case in CASES if case.code.startswith("E")], ids=words)
@pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")
def test_python_refuses_to_build_the_data(case: Case, tmp_path: Path) -> None:
    study = Study.read(case.write(tmp_path))
    with pytest.raises(DataError) as caught:
        built(study)
    assert caught.value.code == case.code
    assert PLANTED not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("case", CASES, ids=words)
def test_the_command_line_finds_it(case: Case, tmp_path: Path, nme) -> None:
    study = case.write(tmp_path)
    code, out, err = nme("check", study, "--json")
    fault = case.code.startswith("E")
    assert code == (2 if fault else 0)
    answer = json.loads(out)
    found = [finding for finding in answer["findings"] if finding["code"] == case.code]
    assert found
    assert all(set(finding) >= {"code", "column", "rows", "message", "remedy"} for finding in found)
    assert answer["usable"] is not fault
    assert err.count("\n") == fault
    code, out, _ = nme("check", study)
    assert case.code in out


@pytest.mark.parametrize("case", FINE, ids=words)
def test_what_only_looks_bad_is_read(case: Case, tmp_path: Path, nme) -> None:
    path = case.write(tmp_path)
    code, _, err = nme("check", path)
    assert (code, err) == (0, "")
    study = Study.read(path)
    assert study.grouped("mood").n_persons == 12
    assert study.sequences().data.n_rows == 144
    assert study.frame()["x"].dtype == np.float64


@pytest.mark.parametrize("table", [PYTHON, COMMAND_LINE], ids=["Python", "command line"])
def test_every_row_has_a_test(table: dict[int, tuple[str, str]]) -> None:
    covered = {case.row for case in (*CASES, *FINE)} | set(table)
    assert covered == set(range(1, 81))


def test_rows_the_dashboard_can_meet_have_a_test() -> None:
    model_files, what_is_saved = set(range(64, 68)), set(range(75, 79))
    assert set(DASHBOARD) >= model_files | what_is_saved | {38, 52, 55, 60, 61, 80}


@pytest.mark.parametrize(("file", "name"), sorted({*PYTHON.values(), *COMMAND_LINE.values(), *DASHBOARD.values()}))
def test_the_test_that_is_elsewhere_exists(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in names


def test_the_values_of_a_semicolon_file(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.row == 13)
    with pytest.warns(ToolkitWarning, match="W220"):
        frame = Study.read(case.write(tmp_path)).frame()
    assert pd.api.types.is_float_dtype(frame["x"].dtype)
