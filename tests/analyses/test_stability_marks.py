"""Unstable parameters are named again where they are shown."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from analyses.stability_marks import cell_labels, cell_names, stability_sentence, unstable_parameters
from toolkit.errors import RunFolderError


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "analyses" / "stability"
    folder.mkdir(parents=True)
    table = pd.DataFrame(
        {
            "parameter": ["layers.1.bias[a]", "probability[a,b]", "probability[b,a]", "expected[a,b]"],
            "stable": [True, False, True, True],
        }
    )
    table.to_parquet(folder / "table.parquet")
    return SimpleNamespace(path=tmp_path)


def test_transitions_go_by_both_names(run):
    assert unstable_parameters(run) == {"probability[a,b]", "transitions[a,b]"}


def test_nothing_is_said_where_nothing_was_looked_into(tmp_path):
    assert unstable_parameters(SimpleNamespace(path=tmp_path)) == frozenset()
    assert stability_sentence(frozenset(), ["a"]) == ""


def test_a_damaged_table_is_an_error(run):
    (run.path / "analyses" / "stability" / "table.parquet").write_bytes(b"none")
    with pytest.raises(RunFolderError, match="E402"):
        unstable_parameters(run)


def test_the_sentence_counts_and_lists_what_is_shown(run):
    found = unstable_parameters(run)
    names, labels = cell_names("ab", "score"), cell_labels("ab")
    assert names == ["probability[a,a]", "probability[a,b]", "probability[b,a]", "probability[b,b]"]
    assert "1 of 4 estimates (a to b)" in stability_sentence(found, names, labels)
    assert "this estimate" in stability_sentence(found, ["transitions[a,b]"])
    assert stability_sentence(found, cell_names("ab", "expected"), labels) == ""
    many = frozenset(f"p{k}" for k in range(9))
    assert "and 3 more" in stability_sentence(many, sorted(many))
