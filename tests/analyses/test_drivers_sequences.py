"""Sequences behind a cell, and both together from a run folder and from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analyses.drivers import cell_drivers
from analyses.drivers_run import drivers_of_run
from analyses.drivers_sequences import sequence_drivers
from analyses.matrices import observed_transitions, transition_matrices
from tests.app.example_run import STATES, write_example
from toolkit.cli.answers import plain_errors
from toolkit.cli.main import app
from toolkit.errors import DataError, RunFolderError
from toolkit.runs.folder import load_run

ROWS = {
    "states": ["a", "b", "a", "a", "b", "a", "b", None, "a", "b", "a", "c"],
    "person": ["p"] * 7 + ["q"] * 5,
    "sequence": [1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 1],
}


def rows(**change):
    return {"cell": ("a", "b"), "expected": np.full(12, 0.25)} | ROWS | change


def found(**change):
    options = rows(**change)
    return sequence_drivers(options.pop("states"), **options)


def test_counts_departures_within_sequences():
    frame = found().to_frame().set_index(["person", "sequence"])
    # p's first sequence: a b a, its last a has nothing after it; the second: a b a b; q's: a b a c after a gap.
    assert frame.loc[("p", 1), ["departures", "moves"]].tolist() == [1, 1]
    assert frame.loc[("p", 2), ["departures", "moves"]].tolist() == [2, 2]
    assert frame.loc[("q", 1), ["departures", "moves"]].tolist() == [2, 1]
    np.testing.assert_allclose(frame["excess"], frame["moves"] - 0.25 * frame["departures"])
    assert frame.index[0] == ("p", 2)


def test_the_other_side_pushes_the_other_way():
    side = np.where(np.array(ROWS["person"]) == "p", 1, -1)
    frame = found(side=side).to_frame().set_index(["person", "sequence"])
    assert frame.loc[("q", 1), "push"] == -frame.loc[("q", 1), "excess"]
    assert "is 2 of p: 2 of 2 moves out of a went to b, where 0.5 would be expected" in found(side=side).text()
    assert "is 1 of q" in found(side=side).text(upwards=False)
    assert found().apa().startswith("3 sequences of 2 persons left the state a")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cell": ("a", "z")}, "E120"),
        ({"cell": ("c", "a")}, "E121"),
        ({"expected": np.full(12, np.nan)}, "E111"),
        ({"expected": np.full(12, 2.0)}, "E302"),
        ({"side": np.zeros(12)}, "E302"),
        ({"person": [None] * 12}, "E112"),
        ({"sequence": [1] * 11}, "E127"),
    ],
)
def test_bad_rows_are_named(change, code):
    with pytest.raises(DataError) as caught:
        found(**change)
    assert caught.value.code == code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return load_run(write_example(tmp_path_factory.mktemp("runs") / "crf", clusters=True))


@pytest.mark.parametrize("value", ["probability", "observed", "score"])
def test_from_a_run_it_is_the_cell_of_its_matrices(run, value):
    report = drivers_of_run(run, ("positive", "other"), value=value, unit="cluster")
    persons, _, matrices = transition_matrices(run.transitions(), value, states=STATES)
    matrices = observed_transitions(matrices, smoothing=0) if value == "observed" else matrices
    table = run.persons().set_index("person").loc[list(persons)]
    alone = cell_drivers(
        matrices[:, STATES.index("positive"), STATES.index("other")],
        (table["group"] == "not depressed").to_numpy(),
        unit=table["cluster"],
    )
    assert report.cell.difference == pytest.approx(alone.difference, rel=1e-12)
    assert report.cell.unit_name == "families"
    np.testing.assert_allclose(report.cell.without.difference, alone.without.difference, rtol=1e-10)


def test_sequences_of_a_run_add_up_to_the_observed_moves(run):
    frame = drivers_of_run(run, ("positive", "other")).sequences.to_frame()
    rows = run.predictions().sort_values(["person", "sequence", "time"])
    follows = rows["person"].eq(rows["person"].shift(-1)) & rows["sequence"].eq(rows["sequence"].shift(-1))
    moves = follows & rows["truth"].eq("positive") & rows["truth"].shift(-1).eq("other")
    assert frame["moves"].sum() == moves.sum()
    assert frame.groupby("person")["moves"].sum().to_dict() == {
        person: count for person, count in moves.groupby(rows["person"]).sum().items() if person in set(frame["person"])
    }
    # Against the pooled share of the other group, the first side's excess has the sign of the pooled difference.
    swapped = drivers_of_run(run, ("positive", "other"), groups=("depressed", "not depressed"))
    assert swapped.cell.difference == pytest.approx(-drivers_of_run(run, ("positive", "other")).cell.difference)


@pytest.mark.parametrize(
    ("cell", "options", "code"),
    [
        (("positive", "nowhere"), {}, "E302"),
        (("positive", "other"), {"value": "odds"}, "E302"),
        (("positive", "other"), {"unit": "family"}, "E302"),
        (("positive", "other"), {"groups": ("depressed", "nobody")}, "E302"),
    ],
)
def test_bad_options_are_named(run, cell, options, code):
    with pytest.raises(DataError) as caught:
        drivers_of_run(run, cell, **options)
    assert caught.value.code == code


def test_runs_that_cannot_answer_say_why(tmp_path):
    numbers = load_run(write_example(tmp_path / "mlp", model="nme-mlp"))
    with pytest.raises(RunFolderError, match="E406"):
        drivers_of_run(numbers, ("positive", "other"))
    alone = load_run(write_example(tmp_path / "one", groups=("depressed",)))
    with pytest.raises(DataError, match="E124"):
        drivers_of_run(alone, ("positive", "other"))
    with pytest.raises(DataError, match="E126"):
        drivers_of_run(load_run(write_example(tmp_path / "crf")), ("positive", "other"), unit="cluster")


@pytest.mark.slow
def test_commands_keep_their_answers(run, capsys):
    def nme(*words):
        code = plain_errors(lambda: app([str(word) for word in words], standalone_mode=False))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, out, _ = nme("analyze", "drivers", run.path, "--cell", "positive,other", "--unit", "cluster", "--json")
    assert code == 0
    assert len(json.loads(out)["influence"]) == 20
    assert (run.path / "analyses" / "drivers" / "table.parquet").is_file()
    for words in (["--cell", "positive"], ["--cell", "positive,other", "--groups", "depressed"], ["--cell", "a,b"]):
        code, _, err = nme("analyze", "drivers", run.path, *words)
        assert (code, "E302" in err) == (2, True)
    words = ["--unit", "cluster", "--permutations", "99", "--split", "test", "--json"]
    code, out, _ = nme("analyze", "base-rates", run.path, *words)
    answer = json.loads(out)
    assert (code, answer["unit_name"], answer["n_units"]) == (0, "families", 20)
    assert 0 <= answer["v_low"] <= answer["v_high"] <= 1
    for words, expected in ((["--permutations", "9"], "E125"), (["--split", "all"], "E302"), (["--unit", "x"], "E302")):
        code, _, err = nme("analyze", "base-rates", run.path, *words)
        assert (code, expected in err) == (2, True)
