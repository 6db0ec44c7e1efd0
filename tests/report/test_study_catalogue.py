"""The catalogue's figures of models, studies and single cases, built from run folders."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from example_run import STATES, example_frames, write_example

from analyses.report import catalogue
from analyses.report.catalogue import FigureOptions
from toolkit.errors import ConfigError, DataError, ToolkitError
from toolkit.runs.folder import load_run, save_analysis

sys.path.append(str(Path(__file__).parents[1] / "figures"))
import study_frames


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    made = {name: load_run(write_example(folder / name, model="nme-crf")) for name in ("first", "second")}
    kept = {
        "multiverse": study_frames.choices(), "power": study_frames.power(), "stability": study_frames.stable(),
        "less-data": study_frames.learning(), "slopes-age": study_frames.slopes(),
    }  # fmt: skip
    for name, result in kept.items():
        save_analysis(made["first"], name, result)
    return SimpleNamespace(folder=folder, **made)


def build(name: str, run, **options):
    return catalogue.figure(name, run, FigureOptions(**options))


@pytest.mark.slow
def test_results_kept_in_the_run_folder_are_drawn(runs) -> None:
    for name in ("multiverse", "power", "stability", "less-data", "slopes"):
        found = build(name, runs.first)
        assert len(found.frame), name
        assert found.alt.endswith("."), name
        found.print_figure(120.0)
        assert len(found.screen().data), name


def test_a_result_that_is_not_there_names_the_command(runs) -> None:
    for name in ("multiverse", "power", "stability", "less-data", "slopes", "adaptation"):
        with pytest.raises(DataError, match="nme analyze"):
            build(name, runs.second)


@pytest.mark.slow
def test_drawn_numbers_are_those_of_the_kept_result(runs) -> None:
    frame = build("power", runs.first).frame
    result = study_frames.power()
    assert frame["target"].iloc[0] == result.target
    assert sorted(frame["value"]) == pytest.approx(sorted([*result.cell_power, *result.hsic_power]))


def test_models_are_compared_over_the_same_persons(runs) -> None:
    found = build("model-comparison", runs.first, others=(runs.second,), resamples=199, settings={"names": "A, B"})
    assert set(found.frame["model"]) == {"A", "B"}
    pairs = build("person-comparison", runs.first, others=(runs.second,))
    assert pairs.frame["first_name"].iloc[0] == "first"
    assert (pairs.frame["gain"] == 0).all()  # the example's runs are alike
    for name in ("model-comparison", "person-comparison"):
        with pytest.raises(ConfigError, match="further run"):
            build(name, runs.first)
    with pytest.raises(ConfigError, match="a name of its own"):
        build("model-comparison", runs.first, others=(runs.second,), resamples=199, settings={"names": "A"})
    with pytest.raises(DataError, match="no such metric"):
        build("person-comparison", runs.first, others=(runs.second,), settings={"metric": "luck"})


def test_drivers_need_a_cell_and_hide_small_groups(runs) -> None:
    cell = {"cell": f"{STATES[0]},{STATES[1]}"}
    found = build("drivers", runs.first, settings=cell)
    assert set(found.frame["kind"]) == {"person", "unit"}
    with pytest.raises(ConfigError, match="cell=FROM,TO"):
        build("drivers", runs.first)
    with pytest.raises(DataError, match="fewer than 21 persons"):
        build("drivers", runs.first, settings=cell, min_group=21)


def test_marked_case_draws_the_person_asked_for(runs) -> None:
    person = runs.first.persons()["person"].iloc[4]
    found = build("marked-case", runs.first, person=person)
    own = found.frame[found.frame["kind"] == "case"]
    table = runs.first.random_effects()
    mine = table[table["level"] == person].set_index("parameter")["estimate"]
    assert list(own["value"]) == pytest.approx(list(mine[own["parameter"]]))
    assert person not in found.alt
    names = list(own["parameter"])[:2]
    few = build("marked-case", runs.first, person=person, settings={"parameters": ",".join(names)})
    assert list(dict.fromkeys(few.frame["parameter"])) == names
    with pytest.raises(ConfigError, match="no such person effect"):
        build("marked-case", runs.first, person=person, settings={"parameters": "luck"})
    with pytest.raises(ConfigError, match="no such person"):
        build("marked-case", runs.first, person="nobody")


def test_known_truth_meets_effects_and_cells(runs, tmp_path) -> None:
    effects = runs.first.random_effects()
    chosen = effects[effects["parameter"] == effects["parameter"].iloc[0]]
    cells = runs.first.transitions()
    cells = cells[(cells["from_state"] == STATES[0]) & (cells["to_state"] == STATES[1])]
    truth = pd.concat(
        [
            chosen[["level", "parameter"]].assign(true=chosen["estimate"]),
            pd.DataFrame({"level": cells["person"], "parameter": f"expected[{STATES[0]},{STATES[1]}]",
                          "true": cells["expected"] + 0.1}),
        ]
    )  # fmt: skip
    for suffix in ("parquet", "csv"):
        path = tmp_path / f"truth.{suffix}"
        truth.to_parquet(path) if suffix == "parquet" else truth.to_csv(path, index=False)
        found = build("true-effects", runs.first, settings={"truth": str(path)}).frame
        errors = found.groupby("parameter", sort=False)["rmse"].first()
        assert list(errors) == pytest.approx([0, 0.1], abs=1e-9)
    with pytest.raises(ConfigError, match="truth=FILE"):
        build("true-effects", runs.first)
    truth.drop(columns="true").to_csv(tmp_path / "bad.csv")
    with pytest.raises(DataError, match="no column true"):
        build("true-effects", runs.first, settings={"truth": str(tmp_path / "bad.csv")})
    truth.assign(level="nobody").to_csv(tmp_path / "other.csv")
    with pytest.raises(DataError, match="in common"):
        build("true-effects", runs.first, settings={"truth": str(tmp_path / "other.csv")})


class Experts:
    """A run of a network of experts, as far as its figures look at it."""

    model, name, states, status = "pen", "pen", None, "fitted"

    def __init__(self, *, new_persons: bool) -> None:
        table = study_frames.gates(8, 4).assign(split="train")
        held = table.assign(split="test")
        self.table = pd.concat([table, held.assign(person=held["person"] + "n") if new_persons else held])
        ratings = study_frames.ratings().assign(split="train").reset_index(names="row")
        ratings.loc[ratings["part"] == "target", "split"] = "test" if new_persons else "train"
        self.rows = {t: ratings.assign(truth=ratings[c]) for t, c in (("valence", "x"), ("arousal", "y"))}
        self.targets = tuple(self.rows)

    def gate(self):
        return self.table

    def predictions(self, target=None):
        return self.rows[target or "valence"]


def test_gates_show_new_persons_beside_training_persons() -> None:
    found = build("gate-map", Experts(new_persons=True))
    assert list(dict.fromkeys(found.frame["split"])) == ["Persons in training", "New persons"]
    same = build("gate-map", Experts(new_persons=False))
    assert set(same.frame["split"]) == {""}
    assert "test rows" in same.note
    with pytest.raises(ConfigError, match="no such part"):
        build("gate-map", Experts(new_persons=True), settings={"split": "tomorrow"})
    with pytest.raises(ToolkitError, match="no experts"):
        build("gate-map", load_run_of_states())


def test_ratings_of_two_targets_by_part() -> None:
    found = build("label-density", Experts(new_persons=True)).frame
    assert list(dict.fromkeys(found["part"])) == ["Persons in training", "New persons"]
    assert found["x_name"].iloc[0] == "valence"
    assert set(build("label-density", Experts(new_persons=False)).frame["part"]) == {"All persons"}
    with pytest.raises(DataError, match="valence, arousal"):
        build("label-density", Experts(new_persons=True), settings={"targets": "mood,arousal"})


def load_run_of_states():
    from example_run import ExampleRun

    run = ExampleRun(example_frames())
    run.gate = lambda: (_ for _ in ()).throw(DataError("nme-crf has no experts", code="E406"))
    return run


def test_options_of_no_use_are_refused(runs) -> None:
    with pytest.raises(ConfigError, match="no use"):
        catalogue.figure("multiverse", runs.first, replace(FigureOptions(), resamples=99))
