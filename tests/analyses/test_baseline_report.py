"""Bias against baseline from a run folder: levels from its rows, frames for the scatter, everything together."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from analyses.baseline import bias_baseline
from analyses.baseline_levels import baseline_levels, scatter_frames
from analyses.baseline_report import baseline_report
from analyses.figures import baseline_scatter
from tests.app.example_run import STATES, write_example
from toolkit.errors import DataError
from toolkit.runs.folder import load_run

pytestmark = pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")


def biases(frame):
    """A chain whose last effects are biases of states instead of transitions."""
    names = {f"transitions[{a},{STATES[0]}]": f"layers.1.bias[{a}]" for a in STATES}
    return frame.assign(parameter=[names.get(p, p) for p in frame["parameter"]])


def changed(run, folder, **tables):
    """A copy of a run folder with some tables changed."""
    shutil.copytree(run.path, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
        manifest["files"][f"{name}.parquet"] = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return load_run(folder)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return load_run(write_example(tmp_path_factory.mktemp("runs") / "mlp", model="nme-mlp", clusters=True))


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run = load_run(write_example(folder / "as-fitted", model="nme-crf"))
    return changed(run, folder / "crf", random_effects=biases(run.random_effects()))


def report(run, **options):
    options = {"resamples": 99, "permutations": 99} | options
    return baseline_report(run, rng=np.random.default_rng(1), **options)


def test_levels_of_numbers_are_means_over_the_rows_asked_for(numbers):
    table = numbers.predictions()
    for rows, splits in (("train", ["train"]), ("held-out", ["validation", "test"])):
        inside = table[table["split"].isin(splits)].groupby("person")["truth"]
        found = baseline_levels(numbers, rows).set_index("person")
        pd.testing.assert_series_equal(found["baseline"], inside.mean(), check_names=False, check_dtype=False)
        assert (found["rows"] == inside.size()).all()
    # Rows are drawn independently, so that the error is the usual one (the consecutive correlation is near 0).
    error = np.sqrt(inside.var().mean() / inside.size())
    np.testing.assert_allclose(found["baseline_error"], error, rtol=0.2)


def test_levels_of_states_are_shares_in_per_cent(chain):
    found = baseline_levels(chain, "train")
    assert found.groupby("person")["baseline"].sum().to_numpy() == pytest.approx(100)
    table = chain.predictions()
    person = found["person"].iloc[0]
    mine = table[(table["person"] == person) & (table["split"] == "train")]
    share = found[(found["person"] == person) & (found["target"] == "positive")]["baseline"].item()
    assert share == pytest.approx(100 * (mine["truth"] == "positive").mean())


def test_one_scatter_frame_per_target(numbers, chain):
    frames = scatter_frames(chain)
    assert list(frames) == [f"layers.1.bias[{state}]" for state in STATES]
    assert {frame["target"].iloc[0] for frame in frames.values()} == set(STATES)
    frame = scatter_frames(numbers, rows="held-out")["layers.2.bias"]
    slope, intercept = np.polyfit(frame["baseline"], frame["bias"], 1)
    np.testing.assert_allclose(frame["fitted"], intercept + slope * frame["baseline"], rtol=1e-9)
    assert (frame["low"] < frame["bias"]).all()
    figure = baseline_scatter.screen(frame.assign(group=frame["group"].astype(str)))
    assert sum(len(trace.x) for trace in figure.data[:-1]) == len(frame)
    assert list(scatter_frames(numbers, parameters=["layers.2.weight[0]"])) == ["layers.2.weight[0]"]


def test_everything_together(numbers):
    found = report(numbers, unit="cluster")
    frame = found.to_frame()
    assert list(frame["rows"].unique()) == ["train", "held-out"]
    assert list(frame.loc[frame["rows"] == "train", "quantity"]) == [
        "pearson",
        "spearman",
        "bend",
        "corrected slope",
        "slope of shrunken estimates",
        "permuted identity",
    ]
    scatter = scatter_frames(numbers)["layers.2.bias"]
    alone = bias_baseline(
        scatter["bias"], scatter["baseline"], unit=scatter["cluster"], resamples=99, rng=np.random.default_rng(0)
    )
    first = found.summary()
    assert (first["r"], first["low"]) == (pytest.approx(alone.r), pytest.approx(alone.low))
    assert (first["n_units"], first["unit_name"]) == (20, "families")
    assert "A baseline from the training rows shares its rows with the bias" in found.text()
    assert "mean happy in the held-out rows" in found.apa()
    assert len(json.loads(json.dumps(first))["table"]) == len(frame)


def test_states_are_reported_one_by_one_and_collapsed_ones_left_out(chain, tmp_path):
    effects = chain.random_effects()
    flat = effects["parameter"] == "layers.1.bias[positive]"
    collapsed = changed(
        chain, tmp_path / "flat", random_effects=effects.assign(estimate=effects["estimate"].mask(flat, 0.0))
    )
    found = report(collapsed)
    assert list(found.to_frame()["target"].unique()) == [state for state in STATES if state != "positive"]
    assert any(note.startswith("layers.1.bias[positive] (training rows): bias is the same") for note in found.notes)
    assert "the share of aggressive (in %) in the training rows" in found.text()
    with pytest.raises(DataError, match="E115"):
        report(collapsed, parameters=["layers.1.bias[positive]"])


def test_without_reliability_there_is_no_slope(numbers, tmp_path):
    bare = changed(numbers, tmp_path / "bare", random_effects=numbers.random_effects().assign(reliability=0.0))
    found = report(bare)
    assert "corrected slope" not in set(found.to_frame()["quantity"])
    assert any("no corrected slope" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"parameters": ["layers.9.bias"]}, "E302"),
        ({"unit": "family"}, "E302"),
        ({"resamples": 9}, "E125"),
        ({"permutations": 9}, "E125"),
    ],
)
def test_bad_options_are_named(numbers, options, code):
    with pytest.raises(DataError) as caught:
        report(numbers, **options)
    assert caught.value.code == code


def test_runs_that_cannot_answer_say_why(numbers, chain, tmp_path):
    with pytest.raises(DataError, match="E302"):
        report(chain, parameters=["layers.2.bias"])
    with pytest.raises(DataError, match="E126"):
        report(chain, unit="cluster")
    with pytest.raises(DataError, match="E302"):
        scatter_frames(numbers, rows="validation")
    with pytest.raises(DataError, match="E124"):
        report(load_run(write_example(tmp_path / "generic", model="generic-mlp")))
    table = numbers.predictions()
    trained = changed(numbers, tmp_path / "trained", predictions=table[table["split"] == "train"])
    assert list(report(trained).to_frame()["rows"].unique()) == ["train"]
    with pytest.raises(DataError, match="E102"):
        baseline_levels(trained, "held-out")
