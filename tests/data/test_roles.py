"""Roles are proposed from names and contents, and what the user says is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.data.roles import propose_roles, with_changes
from toolkit.errors import ConfigError, DataError


def diary(persons: int = 8, days: int = 3, prompts: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = persons * days * prompts
    person = np.repeat(np.arange(persons), days * prompts)
    return pd.DataFrame(
        {
            "participantID": [f"p{k:02d}" for k in person],
            "family_nr": person // 2,
            "treatment": np.where(person // 2 % 2, "yes", "no"),
            "day": np.tile(np.repeat(np.arange(days), prompts), persons),
            "beep": np.tile(np.arange(days * prompts), persons),
            "state": rng.choice(["calm", "tense"], rows),
            "mood": rng.normal(size=rows),
            "sleep": rng.normal(size=rows),
            "steps": np.where(rng.random(rows) < 0.1, np.nan, 1.0 * rng.integers(0, 9000, rows)),
            "remarks": "text",
            "constant": 1,
        }
    )


def test_a_diary_is_understood() -> None:
    proposal = propose_roles(diary())
    roles = proposal.roles
    assert roles.person == "participantID"
    assert roles.cluster == "family_nr"
    assert roles.group == "treatment"
    assert roles.sequence == "day"
    assert roles.time == "beep"
    assert roles.state == "state"
    assert roles.targets == ("state", "mood")
    assert roles.features == ("sleep",)
    assert proposal.with_gaps == ("steps",)
    assert "8 values in 120 rows" in proposal.reasons["person"]


def test_what_is_said_is_taken_and_a_dash_means_none() -> None:
    said = {"group": "-", "targets": ["mood"], "features": ["sleep", "beep"], "time": "beep"}
    roles = propose_roles(diary(), said=said).roles
    assert (roles.group, roles.targets, roles.features) == (None, ("mood",), ("sleep", "beep"))
    with pytest.raises(DataError, match="E103"):
        propose_roles(diary(), said={"person": "nobody"})


def test_a_column_has_one_role() -> None:
    columns = propose_roles(diary()).roles.columns()
    assert len(columns) == len(set(columns))


def test_a_group_that_changes_within_persons_is_none() -> None:
    frame = diary()
    frame["treatment"] = np.tile(["yes", "no"], len(frame) // 2)
    assert propose_roles(frame).roles.group is None


def test_without_ids_the_user_is_asked() -> None:
    with pytest.raises(ConfigError, match="--person"):
        propose_roles(pd.DataFrame({"x": [0.5, 1.5], "y": [1.0, 2.0]}))


def test_changes() -> None:
    proposal = with_changes(with_changes(propose_roles(diary()), "group", []), "features", ["sleep", "steps"])
    assert proposal.roles.group is None
    assert proposal.roles.features == ("sleep", "steps")
    table = proposal.table().set_index("role")
    assert table.loc["group", "column"] == "-"
    assert table.loc["features", "reason"] == "as you said"
