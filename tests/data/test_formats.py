"""Every kind of file gives the same table: csv in its dialects, Excel, SPSS, Stata."""

from __future__ import annotations

import datetime
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest

from toolkit.data.readers import ReadOptions, read_file, read_table
from toolkit.errors import ConfigError, DataError, ToolkitWarning

FRAME = pd.DataFrame(
    {
        "id": ["007", "7", "12345678901234567", "Zoë"],
        "x": [1.5, -2.25, np.nan, 1000.0],
        "n": [1, 2, 3, 4],
        "word": ["a", "b;c", None, "d"],
    }
)


def silent(path: Path, **changed: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        return read_table(path, text_columns=["id"], **changed)


def write(folder: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), ("\t", ","), ("|", "."), (";", ".")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_dialects_are_found(tmp_path: Path, separator: str, decimal: str, encoding: str) -> None:
    text = FRAME.to_csv(index=False, sep=separator, decimal=decimal)
    frame = silent(write(tmp_path, text, encoding=encoding))
    pd.testing.assert_frame_equal(frame, FRAME, check_dtype=False)
    assert frame["n"].dtype == np.int64


def test_what_was_assumed_is_shown_and_can_be_confirmed(tmp_path: Path) -> None:
    path = write(tmp_path, FRAME.to_csv(index=False, sep=";", decimal=","))
    with pytest.warns(ToolkitWarning, match=r"W220: .*semicolon between cells, decimal comma.*separator and decimal"):
        read_table(path)
    options = ReadOptions(separator="semicolon", decimal="comma")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(path, options=options)["x"][0] == 1.5


def test_tsv_is_no_guess(tmp_path: Path) -> None:
    result = read_file(write(tmp_path, "id\tx\na\t1.5\n", "a.tsv"))
    assert result.notices == ()
    assert result.format.options.separator == "\t"


def test_an_older_encoding_is_offered_and_never_taken_silently(tmp_path: Path) -> None:
    path = write(tmp_path, "id,x\nZoë,1\n", encoding="cp1252")
    with pytest.raises(DataError, match="cp1252") as caught:
        read_table(path)
    assert (caught.value.code, caught.value.rows) == ("E106", (2,))
    assert read_table(path, options=ReadOptions(encoding="cp1252"))["id"][0] == "Zoë"
    with pytest.raises(ConfigError, match="E302"):
        ReadOptions(encoding="cp9999")


def test_thousands_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, 'id,x\na,"1,234.5"\nb,2\n')
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert (caught.value.code, caught.value.column) == ("E108", "x")
    assert read_table(path, options=ReadOptions(thousands="comma"))["x"].tolist() == [1234.5, 2.0]
    german = write(tmp_path, "id;x\na;1.234,5\nb;2\n")
    with pytest.raises(DataError, match="E108"):
        read_table(german)
    assert silent(german, options=ReadOptions(thousands="point"))["x"].tolist() == [1234.5, 2.0]
    with pytest.raises(DataError, match="E108"):
        read_table(write(tmp_path, "id;x;y\na;1,5;1.5\n"))
    with pytest.raises(ConfigError, match="E302"):
        ReadOptions(decimal=",", thousands=",")


def test_what_a_column_holds_is_found_over_the_whole_file(tmp_path: Path) -> None:
    rows = 5_000
    late = [*map(str, range(rows)), "words"]
    frame = pd.DataFrame(
        {
            "late": late,
            "zeros": ["0"] * rows + ["007"],
            "long": ["1"] * rows + ["12345678901234567"],
            "truth": ["True"] * rows + [None],
            "nothing": [None] * (rows + 1),
            "whole": range(rows + 1),
        }
    )
    read = silent(write(tmp_path, frame.to_csv(index=False)))
    assert read["late"].tolist() == late
    assert read["zeros"].iloc[-1] == "007"
    assert read["long"].iloc[-1] == "12345678901234567"
    assert read["truth"].iloc[0] is True
    assert read["nothing"].isna().all()
    assert read["whole"].dtype == np.int64


def excel(folder: Path, *sheets: tuple[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


def test_excel_values_keep_their_kind(tmp_path: Path) -> None:
    rows = [["id", "x", "n", "day", "yes", "word"]]
    rows += [[7, 1.5, 1, pd.Timestamp("2026-01-02").to_pydatetime(), True, "a"], ["007", None, 2, None, False, None]]
    frame = silent(excel(tmp_path, ("Data", rows), ("Empty", [])))
    assert frame["id"].tolist() == ["7", "007"]
    assert frame["x"].isna().tolist() == [False, True]
    assert frame["n"].dtype == np.int64
    assert frame["yes"].dtype == bool
    assert pd.to_datetime(frame["day"])[0] == pd.Timestamp("2026-01-02")


def test_excel_asks_for_the_sheet(tmp_path: Path) -> None:
    path = excel(tmp_path, ("One", [["id", "x"], ["a", 1]]), ("Two", [["id", "x"], ["a", 2]]))
    with pytest.raises(DataError, match="'One', 'Two'") as caught:
        read_table(path)
    assert caught.value.code == "E504"
    assert read_table(path, options=ReadOptions(sheet="Two"))["x"].tolist() == [2]
    with pytest.raises(DataError, match="E504"):
        read_table(path, options=ReadOptions(sheet="Three"))


@pytest.mark.parametrize("cell", ["#REF!", "=1/0"])
def test_excel_errors_are_named_by_row(tmp_path: Path, cell: str) -> None:
    path = excel(tmp_path, ("Data", [["id", "x"], ["a", 1], ["b", cell]]))
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert (caught.value.code, caught.value.column, caught.value.rows) == ("E502", "x", (3,))


def test_excel_merged_cells_are_refused(tmp_path: Path) -> None:
    path = excel(tmp_path, ("Data", [["id", "x"], ["a", 1], ["b", 2], ["c", 3]]))
    book = openpyxl.load_workbook(path)
    book["Data"].merge_cells("A2:A3")
    book.save(path)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert (caught.value.code, caught.value.rows) == ("E502", (2,))


@pytest.fixture
def spss(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {"id": ["007", "7", "Zoë", ""], "mood": [1.0, 99.0, -5.0, np.nan], "arm": [0.0, 1.0, 1.0, 2.0], "n": [7.0] * 4}
    )
    path = tmp_path / "a.sav"
    pyreadstat.write_sav(
        frame,
        path,
        column_labels=["Person", "How do you feel?", "", ""],
        variable_value_labels={"arm": {0.0: "waiting list", 1.0: "treated"}},
        missing_ranges={"mood": [{"lo": -9, "hi": -1}, 99]},
    )
    return path


def test_spss_missing_codes_are_emptied_and_counted(spss: Path) -> None:
    result = read_file(spss, text_columns=["id", "n"])
    assert result.frame["mood"].isna().tolist() == [False, True, True, True]
    assert result.user_missing == {"mood": 2}
    assert result.notices[0].code == "W221"
    assert result.questions["mood"] == "How do you feel?"
    assert result.value_labels == {"arm": {"0": "waiting list", "1": "treated"}}
    assert result.frame["arm"].tolist() == [0, 1, 1, 2]
    assert result.frame["id"].isna().tolist() == [False, False, False, True]
    assert result.frame["n"].tolist() == ["7"] * 4


def test_spss_codes_become_words_when_asked(spss: Path) -> None:
    options = ReadOptions(value_labels=("arm",))
    assert silent(spss, options=options)["arm"].tolist() == ["waiting list", "treated", "treated", "2"]
    with pytest.raises(ConfigError, match="E302"):
        silent(spss, options=ReadOptions(value_labels=("mood",)))


def test_stata_missing_codes_are_emptied(tmp_path: Path) -> None:
    path = tmp_path / "a.dta"
    frame = pd.DataFrame({"id": ["007", "7"], "mood": [1.5, "a"]}).astype({"mood": object})
    pyreadstat.write_dta(
        frame, path, missing_user_values={"mood": ["a"]}, variable_value_labels={"mood": {1: "low"}}, version=15
    )
    result = read_file(path, text_columns=["id"])
    assert result.frame["mood"].isna().tolist() == [False, True]
    assert result.frame["mood"].dtype == np.float64
    assert result.user_missing == {"mood": 1}


@pytest.mark.parametrize("ending", ["sav", "dta", "sas7bdat", "xlsx", "parquet"])
def test_a_file_that_is_something_else_is_named_so(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match="E107") as caught:
        read_table(write(tmp_path, "id,x\nXanthippe,1\n", f"a.{ending}"))
    assert "Xanthippe" not in str(caught.value)


def test_dates_of_excel_and_spss_are_dates(tmp_path: Path) -> None:
    days = pd.to_datetime(["2026-01-02", "2026-02-03"])
    frame = pd.DataFrame({"id": ["a", "b"], "day": days})
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    pyreadstat.write_sav(frame, tmp_path / "a.sav")
    for name in ("a.xlsx", "a.sav"):
        read = read_table(tmp_path / name)
        assert pd.api.types.is_datetime64_any_dtype(read["day"].dtype)
        assert (read["day"].to_numpy() == days.to_numpy()).all()


def test_sas_files_go_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program here writes sas7bdat, so what pyreadstat would give stands in for the file's contents."""
    frame = pd.DataFrame({"id": [7.0, 8.0], "mood": [1.0, "A"], "arm": [0.0, 1.0]})
    about = SimpleNamespace(
        missing_ranges={},
        missing_user_values={"mood": ["A"]},
        variable_value_labels={"arm": {0.0: "waiting list"}},
        column_names=list(frame.columns),
        column_labels=[None, "How do you feel?", None],
    )
    monkeypatch.setattr(pyreadstat, "read_sas7bdat", lambda *_, **__: (frame.copy(), about))
    result = read_file(write(tmp_path, "x", "a.sas7bdat"), text_columns=["id"])
    assert result.frame["id"].tolist() == ["7", "8"]
    assert result.frame["mood"].isna().tolist() == [False, True]
    assert (result.user_missing, result.questions) == ({"mood": 1}, {"mood": "How do you feel?"})
    assert result.value_labels == {"arm": {"0": "waiting list"}}


def test_excel_names_stand_in_the_first_row(tmp_path: Path) -> None:
    for rows in ([[None, None], ["id", "x"], ["a", 1]], [[None], ["Xanthippe"], ["Xanthippe"]]):
        with pytest.raises(DataError) as caught:
            read_table(excel(tmp_path, ("Data", rows)))
        assert (caught.value.code, caught.value.rows) == ("E105", (1,))
    with pytest.raises(DataError, match="E101"):
        read_table(excel(tmp_path, ("Data", [])))


def test_parquet_decimals_and_dates_are_numbers_and_dates(tmp_path: Path) -> None:
    table = pa.table(
        {
            "x": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "day": pa.array([datetime.date(2026, 1, 2), None], pa.date32()),
            "id": pa.array(["007", "7"]).dictionary_encode(),
            "parts": pa.array([[1, 2], None]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    frame = read_table(tmp_path / "a.parquet")
    assert frame["x"].tolist()[0] == 1.5
    assert frame["x"].dtype == np.float64
    assert pd.api.types.is_datetime64_any_dtype(frame["day"].dtype)
    assert frame["id"].tolist() == ["007", "7"]
