"""Tables that would not fit into memory are refused, with the limit; import reads csv files in pieces instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.data.readers import read_table
from toolkit.errors import DataError

ROWS = 30_000


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("toolkit.data.readers.opening.available_memory", lambda: 2**20)
    monkeypatch.setenv("NME_KEYS", str(tmp_path / "keys"))
    frame = pd.DataFrame({"id": np.arange(ROWS) // 100, "t": np.arange(ROWS) % 100, "mood": np.arange(ROWS) / 7})
    frame.to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_a_file_too_large_for_the_memory_is_refused(file: Path, capsys) -> None:
    with pytest.raises(DataError, match="the limit is 0 MiB") as caught:
        read_table(file)
    assert caught.value.code == "E503"
    assert "nme import" in caught.value.remedy
    words = ["import", str(file), "--out", str(file.parent / "s"), "--yes"]
    assert plain_errors(lambda: app(words, standalone_mode=False)) == 0
    assert len(pd.read_parquet(file.parent / "s" / "data.parquet")) == ROWS
    capsys.readouterr()


def test_a_small_parquet_file_may_unpack_to_much(file: Path) -> None:
    path = file.parent / "a.parquet"
    pd.DataFrame({"x": np.arange(1_000_000.0)}).to_parquet(path)
    with pytest.raises(DataError, match="E503"):
        read_table(path)
