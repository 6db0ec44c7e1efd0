"""Bad tables and files get an error with code, column and rows, and never repeat what a cell holds."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit import GroupedDataset, SequenceBatch
from toolkit.data.checks import check_trainable
from toolkit.data.readers import read_table
from toolkit.errors import DataError

WORD = "Xanthippe"  # stands for a patient's name: it must appear in no message


def good() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person": ["a", "a", "b", "b"],
            "t": [1, 2, 1, 2],
            "x": [0.1, 0.2, 0.3, 0.4],
            "z": [1, 2, 3, 4],
            "y": [1.0, 2.0, 3.0, 4.0],
            "state": ["u", "v", "u", "v"],
            "day": [1, 1, 1, 1],
            "g": ["p", "p", "q", "q"],
        }
    )


def with_cell(column: str, row: int, value: object) -> pd.DataFrame:
    frame = good()
    cells = frame[column].astype(object)
    cells[row] = value
    frame[column] = cells
    return frame


def grouped(frame: pd.DataFrame, **changed: Any) -> GroupedDataset:
    roles: dict[str, Any] = {
        "target": "y",
        "features": ["x", "z"],
        "groups": "person",
        "time": "t",
        "group": "g",
    } | changed
    return GroupedDataset.from_frame(frame, **roles)


def sequences(frame: pd.DataFrame, **changed: Any) -> SequenceBatch:
    roles: dict[str, Any] = {"target": "state", "features": ["x"], "person": "person", "time": "t"} | changed
    return SequenceBatch.from_frame(frame, **roles)


def words_of(error: BaseException) -> str:
    """Everything a log or a screen could show of an error, its causes included."""
    return "".join(traceback.format_exception_only(error)) + repr(vars(error)) + str(error.__cause__)


def refused(code: str, action: Callable[[], object], *, column: str | None, rows: tuple[int, ...] = ()) -> DataError:
    with pytest.raises(DataError) as caught:
        action()
    error = caught.value
    assert error.code == code
    assert str(error).startswith(f"{code}: ")
    assert error.column == column
    assert error.rows == rows
    assert error.exit_code == 2
    assert WORD not in words_of(error)
    assert error.__suppress_context__ or error.__context__ is None
    return error


def test_good_data_pass() -> None:
    check_trainable(grouped(good()))
    check_trainable(sequences(good()).data)


def test_no_rows() -> None:
    refused("E102", lambda: grouped(good().iloc[:0]), column=None)


@pytest.mark.parametrize(
    ("role", "value"),
    [
        ("groups", "who"),
        ("target", "who"),
        ("features", ["x", "who"]),
        ("time", "who"),
        ("sequence", "who"),
        ("group", "who"),
        ("cluster", "who"),
        ("groups", ["person", "who"]),
    ],
)
def test_missing_column_lists_those_found(role: str, value: object) -> None:
    error = refused("E103", lambda: grouped(good(), **{role: value}), column="who")
    for column in good().columns:
        assert f"'{column}'" in str(error)


def test_column_names_used_twice() -> None:
    frame = good()
    frame.columns = ["person", "t", "x", "x", "y", "state", "day", "g"]
    assert "'x'" in str(refused("E104", lambda: grouped(frame, features=["x"]), column="x"))
    refused("E104", lambda: grouped(good(), features=["x", "x"]), column="x")


@pytest.mark.parametrize("column", ["x", "y"])
def test_text_among_numbers(column: str) -> None:
    refused("E109", lambda: grouped(with_cell(column, 2, WORD)), column=column, rows=(4,))


def test_other_things_among_numbers() -> None:
    refused("E109", lambda: grouped(with_cell("x", 1, [WORD])), column="x", rows=(3,))
    refused("E109", lambda: grouped(good().assign(x=[WORD, "1", "2", "NA"])), column="x", rows=(2, 5))
    refused("E109", lambda: grouped(good().assign(x=pd.Categorical([WORD, "1", "2", "3"]))), column="x", rows=(2,))
    refused(
        "E109", lambda: grouped(good().assign(x=pd.date_range("2026-01-01", periods=4))), column="x", rows=(2, 3, 4, 5)
    )
    refused("E109", lambda: grouped(good().assign(x=[1j, 2, 3, 4])), column="x", rows=(2, 3, 4, 5))
    refused("E109", lambda: grouped(good().assign(x=[10**400, 2, 3, 4])), column="x", rows=(2, 3, 4, 5))


@pytest.mark.parametrize("column", ["x", "y", "t"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, "1e400"])
def test_infinite_number(column: str, value: object) -> None:
    refused("E110", lambda: grouped(with_cell(column, 3, value)), column=column, rows=(5,))


@pytest.mark.parametrize("empty", [np.nan, None, pd.NA, "", "  "])
def test_empty_cells_in_features_are_counted_by_column(empty: object) -> None:
    frame = with_cell("x", 1, empty).assign(z=[1, np.nan, np.nan, 4])
    error = refused("E111", lambda: grouped(frame), column="x", rows=(3, 4))
    assert "'x' (1)" in str(error)
    assert "'z' (2)" in str(error)
    assert "drop" in error.remedy
    assert "impute" in error.remedy


@pytest.mark.parametrize("target", ["y", "state"])
def test_empty_cells_in_the_target_are_listed_by_row(target: str) -> None:
    refused("E111", lambda: grouped(with_cell(target, 2, None), target=target), column=target, rows=(4,))


def test_a_missing_label_inside_a_sequence_is_fine() -> None:
    batch = sequences(with_cell("state", 2, None))
    assert batch.states.tolist() == [[0, 1], [-1, 1]]
    assert batch.mask.all()
    assert sequences(good().assign(state=[0.0, np.nan, 1.0, 0.0])).states.tolist() == [[0, -1], [1, 0]]


@pytest.mark.parametrize("role", ["time", "sequence"])
def test_empty_time_or_sequence(role: str) -> None:
    column = {"time": "t", "sequence": "day"}[role]
    refused("E111", lambda: grouped(with_cell(column, 0, np.nan), **{role: column}), column=column, rows=(2,))


@pytest.mark.parametrize("empty", [np.nan, None, pd.NA, "", "  "])
@pytest.mark.filterwarnings("ignore:W211")
def test_missing_person_id(empty: object) -> None:
    refused("E112", lambda: grouped(with_cell("person", 3, empty)), column="person", rows=(5,))
    refused("E112", lambda: grouped(with_cell("day", 3, empty), groups=["person", "day"]), column="day", rows=(5,))


def test_na_and_null_are_ids() -> None:
    frame = good().assign(person=["NA", "NA", "null", "null"])
    assert grouped(frame).persons == ("NA", "null")


def test_ids_too_long_for_decimal_numbers() -> None:
    frame = good().assign(person=[12345678901234567.0, 1.0, 2.0, 2.0], g="p")
    refused("E112", lambda: grouped(frame), column="person")


def test_same_person_and_time_twice_only_matters_for_sequences() -> None:
    frame = good().assign(t=[1, 1, 1, 2])
    assert grouped(frame).n_rows == 4
    refused("E113", lambda: sequences(frame), column=None, rows=(2, 3))


@pytest.mark.parametrize("text", [f"{WORD}", "01/02/2026", "13.02.2026"])
def test_time_that_is_neither_number_nor_iso_date(text: str) -> None:
    frame = good().assign(t=["2026-01-01", "2026-01-02", "2026-01-01", text])
    error = refused("E114", lambda: grouped(frame), column="t", rows=(5,))
    assert text not in str(error)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_constant_target(value: float) -> None:
    refused("E115", lambda: check_trainable(grouped(good().assign(y=value))), column="y")


def test_one_person_can_be_predicted_but_not_fitted() -> None:
    one = grouped(good().iloc[:2])
    assert one.n_persons == 1
    refused("E116", lambda: check_trainable(one), column="person")
    refused("E116", lambda: check_trainable(grouped(good()).take([2, 3])), column="person")


def test_every_person_has_one_row() -> None:
    refused("E117", lambda: check_trainable(grouped(good().iloc[[0, 2]])), column="person")


def test_no_target_cannot_be_fitted() -> None:
    refused("E103", lambda: check_trainable(grouped(good(), target=None)), column=None)


def test_unknown_class() -> None:
    frame = with_cell("state", 1, WORD)
    refused("E120", lambda: grouped(frame, target="state", classes=["u", "v"]), column="state", rows=(3,))
    refused("E120", lambda: sequences(frame, classes=["u", "v"]), column="state", rows=(3,))
    refused("E120", lambda: grouped(good()).as_classes(["1", "2"]), column="y", rows=(4, 5))


def test_decimals_are_no_classes() -> None:
    refused("E109", lambda: sequences(good().assign(state=[1, 2, 3.5, 1])), column="state", rows=(4,))


def test_one_class() -> None:
    refused("E121", lambda: check_trainable(grouped(good().assign(state="u"), target="state")), column="state")
    refused("E121", lambda: check_trainable(grouped(good().assign(y=1.0)).as_classes()), column="y")
    refused("E121", lambda: check_trainable(grouped(good(), target="state").take([0, 2, 0, 2])), column="state")


@pytest.mark.parametrize("role", ["group", "cluster"])
def test_a_person_in_two_groups(role: str) -> None:
    frame = with_cell("g", 1, WORD)
    assert "1 person(s)" in str(refused("E123", lambda: grouped(frame, **{role: "g"}), column="g", rows=(3,)))


def test_target_among_its_features() -> None:
    refused("E302", lambda: grouped(good(), features=["x", "y"]), column="y")


def written(folder: Path, content: bytes | str, name: str = f"{WORD}.csv") -> Callable[[], pd.DataFrame]:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return lambda: read_table(file, text_columns=["id"])


@pytest.mark.parametrize(
    ("code", "content", "rows"),
    [
        ("E101", "", ()),
        ("E101", "\n \n", ()),
        ("E102", "id,x", ()),
        ("E102", "id,x\n\n\n", ()),
        ("E105", f"id,x\na,1\n{WORD},2,3\nb,2\nc\n", (3, 5)),
        ("E105", f"id,x\n{WORD},1,\nb,2,\n", (2, 3)),
        ("E105", f'id,x\na,1\n"{WORD},2\nb,3\n', (3,)),
        ("E105", f'id,x\na,1\n"{WORD}"b,2\n', (3,)),
        ("E105", f"id,x\na,1\n\n{WORD},2\n", (3,)),
        ("E107", f"id,x\n{WORD},1\n".encode("utf-16-le"), ()),
        ("E106", f"id,x\na,1\n{WORD}é,1\n".encode("latin-1"), (3,)),
        ("E107", f"id,x\n{WORD}\x00,1\n", ()),
        ("E107", b"PK\x03\x04" + WORD.encode(), ()),
    ],
)
def test_broken_csv(tmp_path: Path, code: str, content: bytes | str, rows: tuple[int, ...]) -> None:
    refused(code, written(tmp_path, content), column=None, rows=rows)


def test_csv_header_with_one_name_twice(tmp_path: Path) -> None:
    refused("E104", written(tmp_path, f"id,x,x\n{WORD},1,2\n"), column="x")


def test_csv_with_text_and_infinity_among_the_numbers(tmp_path: Path) -> None:
    frame = written(tmp_path, f"person,x,y\na,1e400,1\na,2,{WORD}\nb,3,2\n")()
    refused("E110", lambda: GroupedDataset.from_frame(frame, features="x", groups="person"), column="x", rows=(2,))
    refused(
        "E109",
        lambda: GroupedDataset.from_frame(frame, target="y", features=[], groups="person"),
        column="y",
        rows=(3,),
    )


def test_broken_parquet(tmp_path: Path) -> None:
    refused("E107", written(tmp_path, f"{WORD}", f"{WORD}.parquet"), column=None)
    refused("E101", written(tmp_path, "", f"{WORD}.parquet"), column=None)
    good().iloc[:0].to_parquet(tmp_path / "none.parquet")
    refused("E102", lambda: read_table(tmp_path / "none.parquet"), column=None)


def test_files_that_are_not_there_or_no_tables(tmp_path: Path) -> None:
    refused("E100", lambda: read_table(tmp_path / f"{WORD}.csv"), column=None)
    (tmp_path / "folder.csv").mkdir()
    refused("E100", lambda: read_table(tmp_path / "folder.csv"), column=None)
    refused("E107", written(tmp_path, "id,x\n", f"{WORD}.docx"), column=None)


def test_no_person_column() -> None:
    refused("E103", lambda: grouped(good(), groups=[]), column=None)


def test_printing_data_shows_no_id_and_no_cell() -> None:
    frame = good().assign(person=WORD, state=[WORD, "v", "u", "v"], g=WORD, t=[1, 2, 3, 4])
    batch = sequences(frame, group="g")
    printed = repr(batch) + repr(batch.data) + repr(batch.data.groupings)
    assert WORD not in printed
    assert "4 rows" in printed
