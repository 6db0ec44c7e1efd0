"""A check finds everything, not only the first fault; what it passes can be built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bad_input.studies import ROLES, csv, good, write_study
from toolkit.data.oddities import sentinel_candidates
from toolkit.data.study import Study
from toolkit.data.study_checks import check_study
from toolkit.errors import ToolkitWarning


def codes(folder: Path, text: str, **data: object) -> list[str]:
    (folder / "data.csv").write_text(text)
    study = Study.read(write_study(folder, {"file": "data.csv", **data}, ROLES))
    return [finding.code for finding in check_study(study).findings.ordered()]


def test_good_data_have_no_finding_but_small_groups(tmp_path: Path) -> None:
    assert codes(tmp_path, csv(lambda frame: frame)) == ["W217"]


def test_every_fault_is_found_at_once_and_comes_first(tmp_path: Path) -> None:
    def change(frame):
        frame.loc[2, "x"] = "word"
        frame.loc[[3, 4], "z"] = None
        frame.loc[5, "mood"] = "inf"
        frame.loc[6, "state"] = "unknown"
        frame.loc[7, "arm"] = "other"
        return frame

    found = codes(tmp_path, csv(change))
    assert found[:5] == ["E109", "E111", "E110", "E120", "E123"]
    assert all(code.startswith("W") for code in found[5:])


def test_rows_with_empty_cells_are_dropped_when_the_study_says_so(tmp_path: Path) -> None:
    def change(frame):
        frame.loc[[2, 3], "mood"] = None
        frame.loc[[3, 4], "x"] = None
        frame.loc[9, "z"] = "word"
        return frame

    assert "E111" not in codes(tmp_path, csv(change), empty_cells="drop")
    study = Study.read(tmp_path / "study.toml")
    with pytest.warns(ToolkitWarning, match="W223: 3 row"), pytest.raises(Exception, match="E109") as caught:
        study.grouped("mood")
    assert caught.value.rows == (11,)  # as in the file, not as in what was left of it


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 99, 99], {99.0: 2}),
        ([0, 10, 50, 99, 100], {}),
        ([0, 5, 10, -99, -9], {-99.0: 1, -9.0: 1}),
        ([1, 2, 9], {9.0: 1}),
        ([7, 8, 9, 10], {}),
        ([-99, -99], {}),
        ([0.5, np.nan, 999], {999.0: 1}),
    ],
)
def test_sentinels_lie_far_outside(values: list[float], expected: dict[float, int]) -> None:
    assert sentinel_candidates(np.array(values, dtype=np.float64)) == expected


def test_a_study_that_passes_can_be_built(tmp_path: Path) -> None:
    good().to_csv(tmp_path / "data.csv", index=False)
    study = Study.read(write_study(tmp_path, {"file": "data.csv"}, ROLES))
    result = check_study(study)
    assert (result.persons, result.rows) == (12, 144)
    assert result.groups == {"treated": 6, "waiting": 6}
    assert result.classes == {"state": ("calm", "tense")}
    assert study.grouped("mood").n_rows == 144
