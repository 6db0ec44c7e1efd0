"""Files that are fine are read exactly; the broken ones are in tests/bad_input."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from toolkit.data.readers import read_table


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_csv_with_and_without_byte_order_mark(tmp_path: Path, start: bytes) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(start + 'id,x,name\r\n007,0.1,"Zoë, the 1st"\r\n7,,null\r\n\r\n'.encode())
    frame = read_table(file, text_columns=["id", "not there"])
    assert list(frame.columns) == ["id", "x", "name"]
    assert frame.id.tolist() == ["007", "7"]
    assert frame.x[0] == 0.1
    assert frame.x.isna().tolist() == [False, True]
    assert frame.name[0] == "Zoë, the 1st"
    assert frame["name"].isna().tolist() == [False, True]


def test_ids_stay_as_written(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id\nNA\nnull\n12345678901234567\n12345678901234568\n\n1.0\n")
    frame = read_table(file, text_columns=["id"])
    assert frame.id.fillna("<empty>").tolist() == [
        "NA",
        "null",
        "12345678901234567",
        "12345678901234568",
        "<empty>",
        "1.0",
    ]


def test_a_quoted_line_break_is_part_of_its_cell(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id,note\na,"two\nlines"\nb,one\n')
    assert len(read_table(file)) == 2


def test_parquet_keeps_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["007", "7"], "x": [1.5, None], "day": pd.to_datetime(["2026-01-01", "2026-01-02"])})
    frame.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.parquet"), frame)
