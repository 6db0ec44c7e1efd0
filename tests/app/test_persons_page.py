"""The Persons page: what is drawn in every view, with every model; figure and table pick persons for each other."""

from __future__ import annotations

import pandas as pd
import pytest
from example_run import write_example
from opened_pages import choose, figure, opened_at, sentences_of, views_of

from analyses.shared_values import shared_values
from toolkit.runs.folder import load_run

VIEWS = ["Sorted, with intervals", "Ridges by group", "Shrinkage", "Layer by layer"]
PERSONAL = ["nme-crf", "real-nme-crf", "nme-mlp", "specific-mlp", "lmm", "pen"]


def numbers(values):
    """A trace's values, which may come as base64."""
    import base64

    import numpy as np

    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]) if isinstance(values, dict) else values


@pytest.mark.parametrize("name", PERSONAL)
def test_every_view_of_every_model(model_runs, monkeypatch, name):
    at = opened_at("persons", model_runs, monkeypatch, name)
    assert views_of(at) == VIEWS
    for view in VIEWS:
        at = choose(at, view)
        assert at.get("plotly_chart") or at.info


@pytest.mark.parametrize(
    "name",
    [
        "nme-crf-absolute",
        pytest.param("nme-mlp", marks=pytest.mark.slow),
        pytest.param("families", marks=pytest.mark.slow),
    ],
)
def test_every_view_of_the_examples(runs_folder, monkeypatch, name):
    at = opened_at("persons", runs_folder, monkeypatch, name)
    for view in VIEWS:
        at = choose(at, view)
        assert at.get("plotly_chart") or at.info


@pytest.mark.parametrize("name", ["generic-crf", "generic-mlp"])
def test_a_shared_model_says_so(model_runs, monkeypatch, name):
    assert "same parameters for everybody" in sentences_of(opened_at("persons", model_runs, monkeypatch, name))


@pytest.mark.parametrize(("name", "parameter"), [("lmm", "layers.0.bias"), ("nme-mlp", "layers.1.bias")])
def test_the_shared_part_is_added(model_runs, monkeypatch, name, parameter):
    at = opened_at("persons", model_runs, monkeypatch, name)
    run = load_run(model_runs / name)
    at.main.selectbox[0].set_value(parameter).run()
    before = [value for trace in figure(at)["data"] for value in numbers(trace["y"])]
    at.main.toggle(key="persons total").set_value(True).run()
    after = [value for trace in figure(at)["data"] for value in numbers(trace["y"])]
    shared = shared_values(run, run.random_effects(), parameter)
    assert shared is not None
    assert sorted(after) == pytest.approx(sorted(value + float(shared.iloc[0]) for value in before))


def test_the_shared_part_of_a_linear_mixed_model_is_its_intercept(model_runs):
    run = load_run(model_runs / "lmm")
    table = run.fixed_effects().set_index("parameter")["estimate"]
    shared = shared_values(run, run.random_effects(), "layers.0.bias")
    assert shared is not None
    assert shared.iloc[0] == pytest.approx(table["(Intercept)"])


def test_the_shared_part_of_experts_and_chains_is_what_their_tables_say(model_runs):
    run = load_run(model_runs / "pen")
    experts = run.experts()
    parameter = str(experts["parameter"].iloc[0])
    shared = shared_values(run, run.random_effects(), parameter)
    assert shared is not None
    assert shared.iloc[0] == pytest.approx(experts["shared"].iloc[0])
    run = load_run(model_runs / "real-nme-crf")
    table, effects = run.transitions(), run.random_effects()
    name = next(str(p) for p in effects["parameter"].unique() if str(p).startswith("transitions["))
    shared = shared_values(run, effects, name)
    assert shared is not None
    assert float(shared.std()) == pytest.approx(0.0, abs=1e-9)
    assert shared_values(run, effects, "no such parameter") is None
    assert len(table)


@pytest.mark.slow
def test_the_shared_part_of_a_linear_network_is_on_the_scale_of_the_features(tmp_path):
    from tests.models.experts_study import rows_of, study
    from toolkit import fit
    from toolkit.models import NmeMlp

    data = rows_of(study(persons=8, rows=20), target="valence")
    fit(NmeMlp(epochs=5, hidden=(), effects="last"), data, seed=1, out=tmp_path / "run", progress=None)
    run = load_run(tmp_path / "run")
    effects = run.random_effects()
    names = [str(name) for name in effects["parameter"].unique()]
    shared = {name: float(shared_values(run, effects, name).iloc[0]) for name in names}  # type: ignore[union-attr]
    slopes = [shared[name] for name in names if "weight" in name]
    intercept = next(shared[name] for name in names if "bias" in name)
    expected = data.features @ slopes + intercept
    assert run.predict(data, "population") == pytest.approx(expected)


def test_persons_picked_in_the_table_are_ringed_in_the_figure(runs_folder, monkeypatch):
    from app import persons_tables

    at = opened_at("persons", runs_folder, monkeypatch, "nme-crf-absolute")
    traces = len(figure(at)["data"])
    monkeypatch.setattr(persons_tables, "ticked", lambda effects: [5, 6])
    at.run()
    assert len(figure(at)["data"]) == traces + 1
    assert list(numbers(figure(at)["data"][-1]["x"])) == [5, 6]


def test_persons_picked_in_the_figure_are_those_of_the_table(runs_folder, monkeypatch):
    from app import persons_figures

    at = opened_at("persons", runs_folder, monkeypatch, "nme-crf-absolute")
    monkeypatch.setattr(persons_figures, "_positions", lambda event, count: [3, 4, 9])
    at.run()
    assert at.dataframe[0].value["position"].tolist() == [3, 4, 9]
    assert "3 of 40 persons picked in the figure" in sentences_of(at)


def test_a_ticked_person_can_be_opened(runs_folder, monkeypatch):
    at = opened_at("persons", runs_folder, monkeypatch, "nme-crf-absolute")
    at.sidebar.toggle(key="identifiable").set_value(True).run()
    assert "one alone to open that person" in sentences_of(at)


@pytest.mark.slow
def test_ridges_and_layers_of_a_small_group_are_not_saved(tmp_path, monkeypatch):
    write_example(tmp_path / "nme-crf", persons=30)
    at = opened_at("persons", tmp_path, monkeypatch, "nme-crf")
    for view in VIEWS:
        at = choose(at, view)
        assert "cannot be saved" in sentences_of(at)


@pytest.mark.slow
def test_many_persons_are_all_drawn(tmp_path, monkeypatch):
    write_example(tmp_path / "nme-crf", persons=300)
    at = opened_at("persons", tmp_path, monkeypatch, "nme-crf")
    drawn = sum(len(numbers(trace["x"])) for trace in figure(at)["data"])
    assert drawn == len(pd.read_parquet(tmp_path / "nme-crf" / "persons.parquet"))
